"""Words and ``conf/`` made into runs, and runs written down and read back."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pearl_bench import registry
from pearl_bench.config.cluster import on_engine
from pearl_bench.config.types import (
    FREE_ON_RESUME,
    BenchConfig,
    Budget,
    ConfigError,
    MetaTestConfig,
    RunConfig,
)
from pearl_bench.config.words import build, check_names, parse, show, suggest, types_of

CONF = Path(__file__).parents[1] / "conf"


def load(words: Sequence[str]) -> BenchConfig:
    """Read ``key=value`` words; families, learners and seeds come back filled in.

    Raises:
        ConfigError: a word is not understood or not allowed; the message says why.
    """
    given = parse(words)
    known = list(registry.LEARNERS)
    settings = {k: v for k, v in given.items() if k in known}
    plain = {k: v for k, v in given.items() if k not in known}
    if "suite" not in plain:
        suites = ", ".join(registry.suite_names())
        raise ConfigError(f"suite= is missing; the suites are: {suites}")
    check_names("suite", [plain["suite"]], registry.suite_names())
    meta_test = build(MetaTestConfig, plain.get("meta_test", {}), prefix="meta_test.")
    nested = {"settings": settings, "meta_test": asdict(meta_test)}
    bench = build(BenchConfig, plain | nested)

    check_names("learners", bench.learners, known)
    filled = {
        "families": _families(bench),
        "task": [],
        "learners": bench.learners or known,
        "seeds": bench.seeds or _of_budget(bench.budget)["seeds"],
    }
    bench = BenchConfig(**(vars(bench) | filled))

    for learner, keys in settings.items():
        if learner not in bench.learners:
            raise ConfigError(
                f"{learner}.{next(iter(keys))}= is given, but "
                f"learners={','.join(bench.learners)} leaves {learner} out"
            )
    if len(set(bench.seeds)) < len(bench.seeds) or min(bench.seeds) < 0:
        raise ConfigError(f"seeds={show(bench.seeds)}: take different numbers >= 0")
    for key in ("steps", "eval_every", "jobs", "threads", "checkpoint_minutes"):
        value = getattr(bench, key)
        if value is not None and value <= 0:
            raise ConfigError(f"{key}={value}: it must be positive")
    return on_engine(bench, plain)


def run_config(
    bench: BenchConfig, family: str, learner: str, seed: int, *, threads: int
) -> RunConfig:
    """Resolve one run: the method's defaults <- ``conf/`` <- the words.

    Raises:
        ConfigError: ``conf/`` or a word has an unknown key or a value not allowed.
    """
    settings = _from_conf(learner, bench.suite, family, bench.budget)
    meta_test = bench.meta_test
    if meta_test.goals is None:
        goals = _of_budget(bench.budget).get("goals", {}).get(bench.suite)
        meta_test = replace(meta_test, goals=goals)
    found = {key: settings.pop(key, None) for key in ("steps", "eval_every")}
    words = {"steps": bench.steps, "eval_every": bench.eval_every}
    found |= {key: value for key, value in words.items() if value is not None}
    for key, value in found.items():
        if not isinstance(value, int) or value <= 0:
            raise ConfigError(
                f"{CONF / learner}.yaml: {key} is {value} for {family} in budget "
                f"{bench.budget}; it must be a positive integer"
            )
    return RunConfig(
        suite=bench.suite,
        family=family,
        learner=learner,
        seed=seed,
        budget=bench.budget,
        steps=found["steps"],
        eval_every=found["eval_every"],
        device=bench.device,
        precision=bench.precision,
        threads=threads,
        checkpoint_minutes=bench.checkpoint_minutes,
        config=build(
            registry.config_class(learner),
            settings | bench.settings.get(learner, {}),
            prefix=f"{learner}.",
        ),
        mirror=bench.mirror,
        meta_test=meta_test,
    )


def usual_settings(
    learner: str, suite: str, family: str, budget: str
) -> dict[str, Any]:
    """Return a method's settings where no word changes them.

    They are nothing for a method or a budget that this version does not know.
    """
    if learner not in registry.LEARNERS or budget not in typing.get_args(Budget):
        return {}
    chosen = _from_conf(learner, suite, family, typing.cast(Budget, budget))
    usual = registry.default_settings(learner)
    return {key: chosen.get(key, value) for key, value in usual.items()}


def usual_steps(learner: str, suite: str, family: str, budget: str) -> int | None:
    """Return the environment steps of a run where no word changes them.

    They are None for a method or a budget that this version does not know.
    """
    if learner not in registry.LEARNERS or budget not in typing.get_args(Budget):
        return None
    return _from_conf(learner, suite, family, typing.cast(Budget, budget)).get("steps")


def to_yaml(run: RunConfig) -> str:
    """Return a run's ``config.yaml``; what its meta-test leaves as it is, it omits."""
    data, usual = asdict(run), asdict(MetaTestConfig())
    data["meta_test"] = dict(data["meta_test"].items() - usual.items())
    if not data["meta_test"]:
        del data["meta_test"]
    return OmegaConf.to_yaml(OmegaConf.create(data))


def from_yaml(text: str) -> RunConfig:
    """Return the run that ``to_yaml`` wrote.

    Raises:
        ConfigError: the text is not a run's.
    """
    data = _read_yaml(text, "config.yaml")
    try:
        settings = data.pop("config")
        config = build(registry.config_class(data["learner"]), settings)
    except KeyError as error:
        raise ConfigError(f"config.yaml: the key {error} is missing") from None
    return replace(build(RunConfig, data | {"config": None}), config=config)


def differences(path: Path, run: RunConfig) -> dict[str, tuple[object, object]]:
    """Compare a stored ``config.yaml`` with the run that is to continue it.

    Returns:
        The stored and the wanted value of each word that makes it another run; the
        keys of ``FREE_ON_RESUME`` do not.

    Raises:
        ConfigError: the file is missing or is not a configuration.
    """
    stored = _read_yaml(_read_text(path), path)
    # a setting that did not exist yet had what has become its default
    usual = registry.default_settings(run.learner)
    stored["config"] = usual | (stored.get("config") or {})
    old, new = (
        _flat(data, run.learner) for data in (stored, _read_yaml(to_yaml(run), path))
    )
    return {
        key: (old.get(key), new.get(key))
        for key in sorted((old.keys() | new.keys()) - FREE_ON_RESUME)
        if old.get(key) != new.get(key)
    }


def _families(bench: BenchConfig) -> list[str]:
    """Return the families that were named, or the suite's choice."""
    suite = registry.suite(bench.suite)
    known = [family.name for family in suite.families]
    if bench.task and bench.families:
        raise ConfigError("task= is another word for families=; give one of them")
    check_names("task", bench.task, known)
    check_names("families", bench.families, known)
    named = bench.task or bench.families
    if not named and suite.default == ():
        raise ConfigError(
            f"suite={bench.suite} has a family for each of {len(known)} tasks; name "
            f"some, such as task={known[0]}. They are: {', '.join(known)}"
        )
    chosen = named or list(suite.default or known)
    if bench.meta_test.protocol == "metaworld":
        without = [f.name for f in suite.families if not f.package and f.name in chosen]
        if without:
            raise ConfigError(
                f"meta_test.protocol=metaworld: the package has no evaluation of "
                f"{', '.join(without)}; it is for ml1, ml10 and ml45, reward version 2"
            )
    return chosen


def _from_conf(learner: str, suite: str, family: str, budget: Budget) -> dict[str, Any]:
    """Merge the entries of ``conf/<learner>.yaml`` that concern a family.

    They are ``*``, then the suite's, then the family's, of the budget paper and then of
    the one asked for.
    """
    path = CONF / f"{learner}.yaml"
    conf = _read_yaml(_read_text(path), path)
    allowed = {"steps", "eval_every", *types_of(registry.config_class(learner))}
    budgets = typing.get_args(Budget)
    for name, entries in conf.items():
        if name not in budgets:
            raise ConfigError(f"{path}: unknown budget {name}{suggest(name, budgets)}")
        for entry, values in (entries or {}).items():
            for key in values or {}:
                if key not in allowed:
                    raise ConfigError(
                        f"{path}: unknown key {name}.{entry}.{key}"
                        f"{suggest(key, allowed)}"
                    )
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(["paper", budget]):
        entries = conf.get(name) or {}
        for entry in dict.fromkeys(["*", suite, family]):
            merged |= entries.get(entry) or {}
    return merged


def _of_budget(budget: Budget) -> dict[str, Any]:
    path = CONF / "budgets.yaml"
    return _read_yaml(_read_text(path), path)[budget]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _read_yaml(text: str, where: object) -> dict[str, Any]:
    try:
        data = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except Exception as error:  # the YAML parser's errors are not omegaconf's
        raise ConfigError(f"{where} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping")
    return typing.cast(dict[str, Any], data)


def _flat(data: dict[str, Any], learner: str) -> dict[str, Any]:
    for prefix, key in ((learner, "config"), ("meta_test", "meta_test")):
        nested = data.pop(key, None) or {}
        data |= {f"{prefix}.{name}": value for name, value in nested.items()}
    return data
