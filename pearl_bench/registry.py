"""Which methods and suites exist, here and in installed packages; imports them by name.

A method is a ``Method`` beside its settings, and a line of ``LEARNERS``, or in another
package an entry point of the group ``pearl_bench.learners`` with the same value. A
suite is a function that returns it, and a line of ``suites.SUITES``, or an entry point
of ``pearl_bench.suites``. Planning a run imports settings and task lists, and a learner
only where ``precision=`` is one that not every method offers.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suites.base import Suite, TaskFamily

LEARNERS = {
    "pearl": "pearl_bench.pearl.config:METHOD",
    "maml_trpo": "baselines.maml_trpo_config:METHOD",
    "promp": "baselines.promp_config:METHOD",
    "rl2": "baselines.rl2_config:METHOD",
}
"""Name of each method of this distribution, and where its ``Method`` stands."""

LEARNER_GROUP, SUITE_GROUP = "pearl_bench.learners", "pearl_bench.suites"
"""Groups of entry points by which other packages add a method or a suite."""

RESERVED = {
    LEARNER_GROUP: ("runs", "trajectories", "meta_test"),
    SUITE_GROUP: ("reference", "regress", "local", "raw"),
}
"""Names in a group that are those of other files and folders of results, or of words.
"""

CONF = Path(__file__).with_name("conf")
"""What differs from the methods' defaults, per family and per budget."""

DISTRIBUTION = "pearl-bench"


class ForeignPackageError(ImportError):
    """``baselines`` or ``suites`` is somebody else's package of the same name."""


class ExtensionError(ImportError):
    """A method or a suite of an installed package cannot be used."""


@dataclass(frozen=True)
class Method:
    """What is known of a method before it trains.

    Attributes:
        settings: frozen dataclass of its settings, whose module does not import torch.
        learner: import path ``module:Class`` of what ``BuildLearner`` describes.
        conf: YAML file of what differs from the defaults, per family and per budget.
        families: names of families or suites that it is for; all if empty.
        reads_parameters: whether it reads ``Task.params``. It is then refused families
            whose tasks have unequal numbers of them.
        memory: ``(settings, family, steps) -> bytes`` that a run takes at least, so
            that one that cannot fit is refused; None if nobody knows.
        require: ``(settings, family)``, raises ValueError where no run of the family
            can be trained with them, so that it is refused before any is; None if all
            settings suit all families.
        ends_updates_early: whether its ``update`` may let the rest of the updates due
            go, as PPO does that stops at a divergence; of all others none may get lost.
        pool: ``(settings, family) -> int``, the environment steps that a run takes
            before it first learns, so that its hours are counted by the others; None
            if it learns from the start. The settings are a mapping as ``runs.csv`` has
            it, in which those of later versions may be missing.
    """

    settings: type
    learner: str
    conf: Path
    families: tuple[str, ...] = ()
    reads_parameters: bool = False
    memory: Callable[[Any, TaskFamily, int], int] | None = None
    require: Callable[[Any, TaskFamily], None] | None = None
    ends_updates_early: bool = False
    pool: Callable[[Mapping[str, Any], TaskFamily], int] | None = None


def verify() -> None:
    """Make sure that ``baselines`` and ``suites`` are this distribution's.

    Raises:
        ForeignPackageError: another distribution's package stands in their place.
    """
    for name in ("baselines", "suites"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ForeignPackageError(
                f"The package '{name}' cannot be imported ({error}). It is part of "
                f"{DISTRIBUTION}; install that again:\n"
                f"  pip install --force-reinstall --no-deps {DISTRIBUTION}"
            ) from error
        if getattr(module, "DISTRIBUTION", None) != DISTRIBUTION:
            place = module.__file__ or next(iter(module.__path__), "an unknown place")
            raise ForeignPackageError(
                f"The package '{name}' that Python finds is not {DISTRIBUTION}'s: "
                f"{place}\nAnother distribution uses the same name (on PyPI, "
                "'baselines' does). Use a fresh virtual environment, or:\n"
                f"  pip uninstall {name}\n"
                f"  pip install --force-reinstall --no-deps {DISTRIBUTION}"
            )


def learner_names() -> tuple[str, ...]:
    """Return the names that ``learners`` takes; those of this distribution first.

    An installed package's method that cannot be used is left out, which standard error
    is told once.
    """
    others = _installed(LEARNER_GROUP)
    return (*LEARNERS, *(name for name in others if _works(method, name)))


@cache
def method(learner: str) -> Method:
    """Return what is known of a method.

    Raises:
        KeyError: there is no such method.
        ExtensionError: an installed package's cannot be imported, or is none.
    """
    if learner in LEARNERS:
        return _find(LEARNERS[learner])
    point = _installed(LEARNER_GROUP)[learner]
    found = _load(point)
    if not isinstance(found, Method):
        raise ExtensionError(f"{_origin(point)}: it is {found!r}, not a Method")
    return found


def config_class(learner: str) -> type:
    """Return the class of a learner's settings."""
    return method(learner).settings


def default_settings(learner: str) -> dict[str, Any]:
    """Return a registered method's default settings, nothing of any other's.

    They are as they come back from a file.
    """
    if learner not in learner_names():
        return {}
    defaults = asdict(config_class(learner)())
    return {key: as_read(value) for key, value in defaults.items()}


def pool_steps(learner: str, settings: Mapping[str, Any], family: TaskFamily) -> int:
    """Return the environment steps that a run takes before it first learns.

    They are 0 of a method that is not registered.

    Args:
        learner: the method.
        settings: as ``runs.csv`` has them.
        family: its family.
    """
    pool = method(learner).pool if learner in learner_names() else None
    return 0 if pool is None else pool(settings, family)


def as_read(value: object) -> object:
    """Return a setting as it comes back from a file, which knows no tuples."""
    return [*map(as_read, value)] if isinstance(value, tuple | list) else value


def learner_class(learner: str) -> Any:
    """Return what builds a learner, a ``BuildLearner``; importing it takes seconds.

    Raises:
        ExtensionError: an installed package's cannot be imported.
    """
    path = method(learner).learner
    if learner in LEARNERS:
        return _find(path)
    return _load(EntryPoint(learner, path, LEARNER_GROUP))


def why_not(learner: str, suite_name: str, family: TaskFamily) -> str | None:
    """Return why a method cannot be trained on a family; None if it can."""
    asked = method(learner)
    if asked.families and not {suite_name, family.name} & set(asked.families):
        return f"it is for {', '.join(asked.families)}"
    if asked.reads_parameters and family.param_dim is None:
        counts = sorted({len(t.params) for t in (*family.train, *family.test)})
        numbers = " or ".join(map(str, counts))
        return f"it reads the tasks' parameters, of which each has {numbers}"
    return None


def suite_names() -> tuple[str, ...]:
    """Return the names that ``suite`` takes; those of this distribution first."""
    import suites  # noqa: PLC0415  (only once verify() has vouched for it)

    return (*suites.SUITES, *_installed(SUITE_GROUP))


def is_own_suite(name: str) -> bool:
    """Whether an installed package adds the suite."""
    return name in _installed(SUITE_GROUP)


def suites_there() -> Iterator[Suite]:
    """Yield the suites that can be used; standard error is told once of any other."""
    return (suite(name) for name in suite_names() if _works(suite, name))


def suites_of(family: str) -> Iterator[str]:
    """Yield the names of the suites that have a family; broken ones are left out."""
    return (
        suite.name
        for suite in suites_there()
        if any(row.name == family for row in suite.families)
    )


@cache
def suite(name: str) -> Suite:
    """Return a suite with all its families.

    Raises:
        ValueError: there is no such suite.
        ExtensionError: an installed package's cannot be imported or made, or is none.
    """
    import suites  # noqa: PLC0415
    from suites.base import Suite  # noqa: PLC0415

    point = _installed(SUITE_GROUP).get(name)
    if point is None:
        return suites.load(name)
    make = _load(point)
    with _blaming(point):
        found = make()
    if not isinstance(found, Suite) or found.name != name:
        raise ExtensionError(f"{_origin(point)}: it is no suite of that name")
    return found


def family(suite_name: str, name: str) -> TaskFamily:
    """Return one family of a suite.

    Raises:
        KeyError: the suite has no such family.
    """
    return {family.name: family for family in suite(suite_name).families}[name]


def packages(learner: str, suite_name: str) -> dict[str, str]:
    """Return name and version of the other packages that a method and a suite are of.

    Names are those of the distributions; it is empty where both are of this one.
    """
    points = [
        _installed(LEARNER_GROUP).get(learner),
        _installed(SUITE_GROUP).get(suite_name),
    ]
    found = [point.dist for point in points if point is not None and point.dist]
    return {dist.name: dist.version for dist in found}


def _installed(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages add to a group, by name.

    One whose name cannot be used is left out, which standard error is told once.
    """
    return _by_name(group)[0]


@cache
def _by_name(group: str) -> tuple[dict[str, EntryPoint], dict[str, ExtensionError]]:
    """Return what ``_installed`` does, and why each other name cannot be used."""
    import suites  # noqa: PLC0415

    taken = LEARNERS if group == LEARNER_GROUP else suites.SUITES
    points = sorted(entry_points(group=group))
    names = [point.name for point in points]
    found: dict[str, EntryPoint] = {}
    refused: dict[str, ExtensionError] = {}
    for point in points:
        # it becomes the name of folders and files, and begins words of commands
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", point.name):
            why = "a name has small letters, digits, _ and - alone"
        elif point.name in RESERVED[group]:
            why = f"the name is reserved, as are {', '.join(RESERVED[group])}"
        elif point.name in taken:
            why = f"the name is {DISTRIBUTION}'s own"
        elif names.count(point.name) > 1:  # nobody could tell whose results are shown
            why = "another one has the same name"
        else:
            found[point.name] = point
            continue
        refused[point.name] = error = ExtensionError(f"{_origin(point)}: {why}")
        _leave_out(error)
    return found, refused


@cache
def _works(find: Callable[[str], object], name: str) -> bool:
    """Whether a method or suite can be used; else it is said, once."""
    try:
        find(name)
    except ExtensionError as error:
        _leave_out(error)
        return False
    return True


def _leave_out(error: ExtensionError) -> None:
    """Say what is left out: who asks for another has to know, and is not stopped."""
    print(f"warning: {error}; it is left out", file=sys.stderr)


def require_sound(group: str, name: str) -> None:
    """Refuse the name of what is left out, in place of calling it unknown.

    Raises:
        ExtensionError: what an installed package adds by that name cannot be used.
    """
    found, refused = _by_name(group)
    if name in refused:
        raise refused[name]
    if name in found:
        (method if group == LEARNER_GROUP else suite)(name)


def _load(point: EntryPoint) -> Any:
    with _blaming(point):
        return point.load()


@contextmanager
def _blaming(point: EntryPoint) -> Iterator[None]:
    """Name the package whose code goes wrong within the block.

    Raises:
        ExtensionError: in place of any error.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # anything may go wrong in somebody's code
        raise ExtensionError(
            f"{_origin(point)}: {type(error).__name__}: {error}"
        ) from error


def _origin(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else "an installed package"
    return (
        f"{package} adds {point.name} = {point.value} to {point.group}, which cannot "
        "be used; mend that package or uninstall it"
    )


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
