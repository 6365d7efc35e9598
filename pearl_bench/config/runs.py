"""The command line and ``conf/`` made into frozen dataclasses, checked once."""

from __future__ import annotations

import difflib
import math
import textwrap
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pearl_bench import registry

Budget = Literal["smoke", "regress", "quick", "paper"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bf16"]
MirrorKind = Literal["none", "tensorboard", "wandb"]

CONF = Path(__file__).parents[1] / "conf"
FREE_ON_RESUME = frozenset(
    {"steps", "device", "threads", "checkpoint_minutes", "mirror"}
)
"""Keys of RunConfig that say where and how long a run runs, not what it computes."""

T = TypeVar("T")


class ConfigError(ValueError):
    """The command line, ``conf/`` or a stored run cannot be used as it is."""


@dataclass(frozen=True)
class MetaTestConfig:
    """Words about the meta-test.

    Attributes:
        goals: of each class of tasks only the first ones; the budget's if none, which
            for the budget paper are all.
        protocol: metaworld lets the package of that name evaluate as well; its numbers
            are too high (pearl_bench/training/package_test.py says why).
    """

    goals: int | None = None
    protocol: Literal["suite", "metaworld"] = "suite"

    def __post_init__(self) -> None:
        """Raise ValueError for a number of goals below one."""
        if self.goals is not None and self.goals < 1:
            raise ValueError(f"goals must be positive, not {self.goals}")


@dataclass(frozen=True)
class BenchConfig:
    """What one command asks for.

    Attributes:
        suite: the suite of task families to train on.
        families: some of the suite's families; all if empty, or the suite's choice.
        task: another word for families, for suites that have one family per task.
        learners: the methods to train; all if empty.
        seeds: numbers of the seeds, one run each; the budget's if empty.
        budget: how long and how carefully: seconds (smoke; regress, which learns
            something), minutes, or the paper's setting.
        steps: environment steps of a run; the budget's if none.
        eval_every: environment steps between two evaluations; the budget's if none.
        jobs: runs at the same time, which share the machine's cores.
        device: where the networks are trained; auto means cuda if there is a device.
        precision: arithmetic of the matrix products in training.
        out: folder of the raw runs (logs, rows, checkpoints).
        results: folder where the curves are published.
        dry: show the plan and stop.
        checkpoint_minutes: time between two checkpoints of a run.
        mirror: where else the curves are shown, from checkpoint to checkpoint; needs
            the extra of that name.
        meta_test: the words that start with meta_test.
        settings: per method, the words that start with its name.
    """

    suite: str
    families: list[str] = field(default_factory=list)
    task: list[str] = field(default_factory=list)
    learners: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    budget: Budget = "quick"
    steps: int | None = None
    eval_every: int | None = None
    jobs: int = 1
    device: Device = "auto"
    precision: Precision = "float32"
    out: str = "results/raw"
    results: str = "results"
    dry: bool = False
    checkpoint_minutes: float = 5.0
    mirror: MirrorKind = "none"
    meta_test: MetaTestConfig = field(default_factory=MetaTestConfig)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunConfig:
    """Everything that one run needs to know, resolved.

    Attributes:
        suite: name of the suite.
        family: name of the task family.
        learner: name of the method.
        seed: of networks, exploration and sampling; the tasks do not depend on it.
        budget: which settings of ``conf/`` apply.
        steps: environment steps to train for.
        eval_every: environment steps between two evaluations.
        device: where the networks are trained; ``auto`` only until it is known that
            there is something to train.
        precision: arithmetic of the matrix products in training.
        threads: threads of torch, and of the environments.
        checkpoint_minutes: time between two checkpoints.
        config: the method's own settings, a frozen dataclass.
        mirror: where else the run's rows are shown.
        meta_test: on how many goals, and by which protocols.
    """

    suite: str
    family: str
    learner: str
    seed: int
    budget: Budget
    steps: int
    eval_every: int
    device: Device
    precision: Precision
    threads: int
    checkpoint_minutes: float
    config: Any
    mirror: MirrorKind = "none"
    meta_test: MetaTestConfig = field(default_factory=MetaTestConfig)


def load(words: Sequence[str]) -> BenchConfig:
    """Read ``key=value`` words; families, learners and seeds come back filled in.

    Raises:
        ConfigError: a word is not understood or not allowed; the message says why.
    """
    given = _parse(words)
    known = list(registry.LEARNERS)
    settings = {k: v for k, v in given.items() if k in known}
    plain = {k: v for k, v in given.items() if k not in known}
    if "suite" not in plain:
        suites = ", ".join(registry.suite_names())
        raise ConfigError(f"suite= is missing; the suites are: {suites}")
    _check_names("suite", [plain["suite"]], registry.suite_names())
    meta_test = _build(MetaTestConfig, plain.get("meta_test", {}), prefix="meta_test.")
    nested = {"settings": settings, "meta_test": asdict(meta_test)}
    bench = _build(BenchConfig, plain | nested)

    _check_names("learners", bench.learners, known)
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
        raise ConfigError(f"seeds={_show(bench.seeds)}: take different numbers >= 0")
    for key in ("steps", "eval_every", "jobs", "checkpoint_minutes"):
        value = getattr(bench, key)
        if value is not None and value <= 0:
            raise ConfigError(f"{key}={value}: it must be positive")
    return bench


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
        config=_build(
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
        config = _build(registry.config_class(data["learner"]), settings)
    except KeyError as error:
        raise ConfigError(f"config.yaml: the key {error} is missing") from None
    return replace(_build(RunConfig, data | {"config": None}), config=config)


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


def wants_help(words: Sequence[str]) -> bool:
    """Whether the command line asks for ``help_text``."""
    return not {"-h", "--help", "help", "help=true"}.isdisjoint(words)


def help_text() -> str:
    """Return every word with its type, default and meaning."""
    lines = [
        "usage: python -m pearl_bench.run suite=NAME [key=value ...]",
        "",
        "Plans suite x learner x seed, runs what is missing, publishes the curves.",
        "The same line again resumes where it stopped. Lists: families=a,b seeds=0,1",
        "",
        f"suites: {', '.join(registry.suite_names())}",
        f"learners: {', '.join(registry.LEARNERS)}",
        "",
        *_describe(BenchConfig, "", leave_out={"settings", "meta_test"}),
        *_describe(MetaTestConfig, "meta_test."),
    ]
    for learner in registry.LEARNERS:
        lines += [
            "",
            f"Settings of {learner}; conf/{learner}.yaml sets them per family and",
            "budget, and a word given here beats it:",
            "",
            *_describe(registry.config_class(learner), f"{learner}."),
        ]
    return "\n".join(lines)


def _parse(words: Sequence[str]) -> dict[str, Any]:
    """Split the words into keys, each of a known name; lists and none are made so."""
    hints = _hints(BenchConfig)
    del hints["settings"], hints["meta_test"]
    nested = {learner: registry.config_class(learner) for learner in registry.LEARNERS}
    for prefix, cls in {"meta_test": MetaTestConfig, **nested}.items():
        hints |= {f"{prefix}.{key}": hint for key, hint in _hints(cls).items()}
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.lstrip("-").partition("=")
        if not equals or word.startswith("-"):
            example = f"{key}={text or '...'}" if key in hints else "suite=locomotion"
            raise ConfigError(f"{word!r} is not a key=value word, such as {example}")
        if key not in hints:
            raise ConfigError(f"unknown word {key}={_suggest(key, hints)}")
        prefix, _, name = key.rpartition(".")
        target = given.setdefault(prefix, {}) if prefix else given
        if name in target:
            raise ConfigError(f"{key}= is given twice")
        target[name] = _value(text, hints[key])
    return given


def _value(text: str, hint: Any) -> Any:
    options = typing.get_args(hint)
    if NoneType in options and text.lower() in ("none", "null"):
        return None
    if typing.get_origin(hint) in (list, tuple):
        items = text.removeprefix("[").removesuffix("]").split(",")
        return [item.strip() for item in items if item.strip()]
    if hint is int or int in options:
        try:
            number = float(text)  # 1e6 is how people write a million steps
        except ValueError:
            return text
        return int(number) if number.is_integer() else text
    return text


def _build(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make a dataclass of ``values`` with every type checked."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), dict(values))
        result = typing.cast(T, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        hint = _hints(cls).get(key)
        if hint is None or key not in values:
            raise ConfigError(f"{prefix}{key}: {error.msg or error}") from error
        raise ConfigError(
            f"{prefix}{key}={_show(values[key])} is not allowed; "
            f"it takes {_type_name(hint)}{_default_of(cls, key)}"
        ) from error
    except ValueError as error:  # the dataclass's own check; it begins with the key
        raise ConfigError(f"{prefix}{error}") from error
    for key, value in vars(result).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{prefix}{key}={value} is not allowed; it is not finite")
    return result


def _families(bench: BenchConfig) -> list[str]:
    """Return the families that were named, or the suite's choice."""
    suite = registry.suite(bench.suite)
    known = [family.name for family in suite.families]
    if bench.task and bench.families:
        raise ConfigError("task= is another word for families=; give one of them")
    _check_names("task", bench.task, known)
    _check_names("families", bench.families, known)
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
    allowed = {"steps", "eval_every", *_hints(registry.config_class(learner))}
    budgets = typing.get_args(Budget)
    for name, entries in conf.items():
        if name not in budgets:
            raise ConfigError(f"{path}: unknown budget {name}{_suggest(name, budgets)}")
        for entry, values in (entries or {}).items():
            for key in values or {}:
                if key not in allowed:
                    raise ConfigError(
                        f"{path}: unknown key {name}.{entry}.{key}"
                        f"{_suggest(key, allowed)}"
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


def _check_names(key: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{key}={name} is unknown{_suggest(name, known)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{key}={_show(names)} names something twice")


def _suggest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = [k for k in known if k.rpartition(".")[2] == name]
    close = close or difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if len(known) > 12:
        return "; --help lists them all"
    return f"; known are: {', '.join(known)}"


def _describe(cls: type, prefix: str, leave_out: Iterable[str] = ()) -> list[str]:
    meanings = _meanings(cls)
    lines = []
    for key, hint in _hints(cls).items():
        if key not in leave_out:
            lines.append(f"  {prefix}{key}=  {_type_name(hint)}{_default_of(cls, key)}")
            lines += textwrap.wrap(
                meanings[key], 78, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return lines


def _meanings(cls: type) -> dict[str, str]:
    """Read the ``Attributes`` of a class and its bases: one sentence per key."""
    sections = [
        textwrap.dedent((base.__doc__ or "").partition("Attributes:\n")[2])
        for base in cls.__mro__
    ]
    meanings: dict[str, str] = {}
    key = ""
    for line in "\n".join(sections).splitlines():
        if line and not line.startswith(" "):
            key, _, meanings_start = line.partition(": ")
            meanings[key] = meanings_start
        elif line:
            meanings[key] += " " + line.strip()
    return meanings


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _default_of(cls: type, key: str) -> str:
    item = next(item for item in fields(cls) if item.name == key)
    return "" if item.default is MISSING else f" (default: {_show(item.default)})"


def _show(value: object) -> str:
    """Write a value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return (
        str(value).lower() if value is None or isinstance(value, bool) else str(value)
    )


def _type_name(hint: Any) -> str:
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    options = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, options))
    if typing.get_origin(hint) in (list, tuple):
        return (
            "names, comma between" if options[0] is str else "integers, comma between"
        )
    if NoneType in options:
        return f"{_type_name(options[0])} or none"
    return names.get(hint, getattr(hint, "__name__", str(hint)))
