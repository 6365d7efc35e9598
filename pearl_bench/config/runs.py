"""Words and ``conf/`` made into runs, and runs written down and read back."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pearl_bench import registry
from pearl_bench.config.cluster import on_engine
from pearl_bench.config.conf import (
    BENEATH,
    conf_of,
    of_budget,
    read_text,
    read_yaml,
    settings_of,
)
from pearl_bench.config.types import (
    FREE_ON_RESUME,
    BenchConfig,
    Budget,
    ConfigError,
    MetaTestConfig,
    RunConfig,
)
from pearl_bench.config.words import (
    build,
    check_names,
    read,
    show,
    suggest,
    unknown,
)
from suites.base import TaskFamily

EXAMPLE = "suite=locomotion"

MOST_THREADS = 1024
"""More than any machine has cores for a run; with many more OpenMP ends the process."""


def load(words: Sequence[str]) -> BenchConfig:
    """Read ``key=value`` words; families, learners and seeds come back filled in.

    Raises:
        ConfigError: a word is not understood or not allowed; the message says why.
    """
    return complete(read(BenchConfig, words, EXAMPLE))


def complete(bench: BenchConfig) -> BenchConfig:
    """Return what a command asks for with families, learners and seeds filled in.

    Raises:
        ConfigError: something is not allowed; the message says why.
    """
    families = _families(bench)
    bench = replace(
        bench,
        families=[family.name for family in families],
        task=[],
        learners=_learners(bench, families),
        seeds=bench.seeds or of_budget(bench.budget)["seeds"],
    )
    for learner, keys in bench.settings.items():
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
    require_sensible(bench.threads or 1)
    return on_engine(bench)


def require_sensible(threads: int) -> None:
    """Refuse more threads than a system gives a run.

    Raises:
        ConfigError: names the word.
    """
    if threads > MOST_THREADS:
        raise ConfigError(
            f"threads={threads}: a run takes at most {MOST_THREADS}; as many as there "
            "are cores is usual"
        )


def run_config(
    bench: BenchConfig, family: str, learner: str, seed: int, *, threads: int
) -> RunConfig:
    """Resolve one run: the method's defaults <- ``conf/`` <- the words.

    Raises:
        ConfigError: ``conf/`` or a word has an unknown key or a value not allowed.
    """
    settings = settings_of(learner, bench.suite, family, bench.budget)
    meta_test, usual = bench.meta_test, of_budget(bench.budget)
    if meta_test.goals is None:
        goals = usual.get("goals", {}).get(bench.suite)
        meta_test = replace(meta_test, goals=goals)
    if meta_test.repetitions is None:
        of_family = registry.family(bench.suite, family).meta_test.repetitions
        repetitions = usual.get("repetitions", of_family)
        meta_test = replace(meta_test, repetitions=repetitions)
    if bench.budget == "regress" and bench.steps is None:
        _require_entry(learner, bench.suite, family)
    found = {key: settings.pop(key, None) for key in ("steps", "eval_every")}
    words = {"steps": bench.steps, "eval_every": bench.eval_every}
    found |= {key: value for key, value in words.items() if value is not None}
    for key, value in found.items():
        if not isinstance(value, int) or value <= 0:
            if value is None:
                _refuse_unsaid(bench.suite, family, learner)
            raise ConfigError(
                f"{registry.method(learner).conf}: {key} is {value} for {family} in "
                f"budget {bench.budget}; it must be a positive integer. Mend that, or "
                f"give {key}="
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


def _refuse_unsaid(suite: str, family: str, learner: str) -> None:
    """Refuse an own suite that does not say how long a method trains there.

    Raises:
        ConfigError: the suite is a package's; says what the package has to give.
    """
    if registry.is_own_suite(suite):
        conf = registry.suite(suite).conf
        # other methods' files have no families that their authors do not know
        give = (
            f"add to {conf}:"
            if conf
            else f'give its Suite conf=Path(__file__).with_name("{suite}.yaml"), and '
            "write there:"
        )
        raise ConfigError(
            f"suite={suite} does not say how long {learner} trains on {family}; {give}"
            f"\n{learner}:\n  paper:\n    {family}:\n      steps: 100_000\n"
            "      eval_every: 10_000\nOr give steps= and eval_every="
        )


def _require_entry(learner: str, suite: str, family: str) -> None:
    """Refuse the budget regress where it would be as long as paper.

    Raises:
        ConfigError: names the suite's families that it has steps for.
    """
    of_suite = registry.suite(suite)
    entries = conf_of(learner, of_suite).get("regress", {})
    having = {entry for entry, values in entries.items() if "steps" in values}
    if not having & {"*", suite, family}:
        others = [one.name for one in of_suite.families if one.name in having]
        take = f"take families={show(others)}, or " if others else ""
        raise ConfigError(
            f"budget=regress has no steps for {learner} on {family}, and would be as "
            f"long as paper; {take}add them under regress: to the method's conf file "
            "(pearl-bench run takes steps= or another budget=, too)"
        )


def usual_settings(
    learner: str, suite: str, family: str, budget: str
) -> dict[str, Any]:
    """Return a method's settings where no word changes them.

    They are nothing for a method or a budget that this version does not know.
    """
    if not _is_known(learner, budget):
        return {}
    chosen = settings_of(learner, suite, family, typing.cast(Budget, budget))
    usual = registry.default_settings(learner)
    return {key: chosen.get(key, value) for key, value in usual.items()}


def usual_steps(learner: str, suite: str, family: str, budget: str) -> int | None:
    """Return the environment steps of a run where no word changes them.

    They are None for a method or a budget that this version does not know.
    """
    if not _is_known(learner, budget):
        return None
    return settings_of(learner, suite, family, typing.cast(Budget, budget)).get("steps")


def _is_known(learner: str, budget: str) -> bool:
    return learner in registry.learner_names() and budget in typing.get_args(Budget)


def to_yaml(run: RunConfig) -> str:
    """Return a run's ``config.yaml``; what its meta-test leaves as it is, it omits."""
    return OmegaConf.to_yaml(OmegaConf.create(_as_stored(run)))


def _as_stored(run: RunConfig) -> dict[str, Any]:
    data, usual = asdict(run), asdict(MetaTestConfig())
    words = data["meta_test"]
    data["meta_test"] = {k: words[k] for k in words if words[k] != usual[k]}
    if not data["meta_test"]:
        del data["meta_test"]
    return data


def meta_tested(family: TaskFamily, run: RunConfig) -> TaskFamily:
    """Return the family with the meta-test that the run asks for."""
    words = run.meta_test
    return family.meta_tested(
        words.goals,
        protocol=words.protocol,
        repetitions=words.repetitions,
    )


def from_yaml(text: str, where: object = "config.yaml") -> RunConfig:
    """Return the run that ``to_yaml`` wrote.

    Args:
        text: what it wrote.
        where: the file that it is from, for messages.

    Raises:
        ConfigError: the text is not a run's.
    """
    data = read_yaml(text, str(where))
    try:
        settings = data.pop("config")
        _require_known(where, "learner", data["learner"], registry.learner_names())
        _require_known(where, "suite", data["suite"], registry.suite_names())
        families = [family.name for family in registry.suite(data["suite"]).families]
        _require_known(where, "family", data["family"], families)
        config = build(
            registry.config_class(data["learner"]),
            settings,
            prefix=f"{where}: {data['learner']}.",
        )
    except KeyError as error:
        raise ConfigError(f"{where}: the key {error} is missing; restore it") from None
    run = build(RunConfig, data | {"config": None}, prefix=f"{where}: ")
    return replace(run, config=config)


def _require_known(where: object, key: str, name: object, known: Sequence[str]) -> None:
    if name not in known:
        raise ConfigError(f"{where}: {unknown(key, str(name), known)}")


def stored(path: Path) -> dict[str, Any]:
    """Return what a stored ``config.yaml`` says.

    Raises:
        ConfigError: the file is missing or is not a configuration.
    """
    return parsed(read_text(path), path)


def parsed(text: str, path: Path) -> dict[str, Any]:
    """Return what the text of a run's configuration says.

    Args:
        text: YAML.
        path: where it stands, for messages.

    Raises:
        ConfigError: it is not a configuration.
    """
    if re.search(r"(^|[\s\[{,:-])[&*]\w", text):  # never written; may unfold to GiB
        raise ConfigError(
            f"{path} has anchors or aliases; restore it, or move its folder away"
        )
    found = _parsed(text, path)
    expected = {"suite", "family", "learner", "seed", "config"}
    if not found.keys() >= expected or not isinstance(found["config"], dict):
        raise ConfigError(
            f"{path} does not describe a run; restore it, or move its folder away"
        )
    return found


def _parsed(text: str, path: Path) -> dict[str, Any]:
    seeds = _SEED.findall(text)
    if len(seeds) != 1:
        return read_yaml(text, path)
    try:
        return {**_of_every_seed(_SEED.sub("", text)), "seed": int(seeds[0])}
    except ConfigError:
        return read_yaml(text, path)  # to name the file in what is wrong with it


_SEED = re.compile(r"^seed: (\d{1,18})$", re.MULTILINE | re.ASCII)


@cache
def _of_every_seed(text: str) -> dict[str, Any]:
    """Read what runs that differ in the seed have in common; not to be written to.

    Reading YAML takes 10 ms, and a finished plan may have hundreds of files.
    """
    return read_yaml(text, "config.yaml")


def stored_repetitions(there: Mapping[str, Any]) -> int | None:
    """Return ``meta_test.repetitions`` of what ``stored`` returned.

    Raises:
        ConfigError: it is no such number.
    """
    return _repetitions(json.dumps(there.get("meta_test") or {}, default=str))


@cache
def _repetitions(words: str) -> int | None:
    meta_test = json.loads(words)
    return build(MetaTestConfig, meta_test, prefix="meta_test.").repetitions


def differences(
    there: Mapping[str, Any], run: RunConfig
) -> dict[str, tuple[object, object]]:
    """Compare what ``stored`` returned with the run that is to continue it.

    Returns:
        The stored and the wanted value of each word that makes it another run; the
        keys of ``FREE_ON_RESUME`` do not, nor does a budget of which the stored one
        is the first part, whose settings are compared one by one.
    """
    # a setting that did not exist yet had what has become its default
    usual = registry.default_settings(run.learner)
    settings = usual | (there.get("config") or {})
    old = _flat({**there, "config": settings}, run.learner)
    new = _flat(_as_stored(run), run.learner)
    free = FREE_ON_RESUME
    if run.budget in BENEATH.get(str(there.get("budget")), ()):
        free = free | {"budget"}
    return {
        key: (old.get(key), new.get(key))
        for key in sorted((old.keys() | new.keys()) - free)
        if old.get(key) != registry.as_read(new.get(key))
    }


def _families(bench: BenchConfig) -> list[TaskFamily]:
    """Return the families that were named, or the suite's choice."""
    suite = registry.suite(bench.suite)
    families = {family.name: family for family in suite.families}
    known = list(families)
    if bench.task and bench.families:
        raise ConfigError("task= is another word for families=; give one of them")
    listed = f"pearl-bench ls suite={bench.suite}"
    for key, names in (("task", bench.task), ("families", bench.families)):
        for name in names:
            if name not in families and (homes := [*registry.suites_of(name)]):
                raise ConfigError(
                    f"{key}={name} is no family of {bench.suite}, but of "
                    f"{' and '.join(homes)}; take suite={homes[0]}"
                )
        check_names(key, names, known, listed)
    named = bench.task or bench.families
    if not named and not suite.usual:
        raise ConfigError(
            f"suite={bench.suite} has {len(known)} families and trains those that are "
            f"named, such as task={known[0]}; {listed} lists them all"
        )
    chosen = [families[name] for name in named or suite.usual]
    wanted = bench.meta_test.protocol
    for family in chosen:
        names = [one.name for one in family.protocols if one.split == "test"]
        if wanted not in names:
            raise ConfigError(
                f"meta_test.protocol={wanted}: {family.name} has no such protocol"
                f"{suggest(wanted, names)}"
            )
    return chosen


def _learners(bench: BenchConfig, families: Sequence[TaskFamily]) -> list[str]:
    """Return the methods that were named, or all that are for any of the families.

    Raises:
        ConfigError: a method that was named is not for one of the families.
    """
    fit = []
    for learner in bench.learners or registry.learner_names():
        reasons = [registry.why_not(learner, bench.suite, one) for one in families]
        for family, reason in zip(families, reasons, strict=True):
            if reason and bench.learners:
                raise ConfigError(
                    f"{learner} cannot be trained on {family.name}: {reason}; take "
                    "other learners= or families="
                )
        if None in reasons:
            fit.append(learner)
    return fit


def _flat(data: dict[str, Any], learner: str) -> dict[str, Any]:
    for prefix, key in ((learner, "config"), ("meta_test", "meta_test")):
        nested = data.pop(key, None) or {}
        data |= {f"{prefix}.{name}": value for name, value in nested.items()}
    return data
