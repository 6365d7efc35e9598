"""Which methods and suites exist; the only importer of ``baselines`` and ``suites``.

A new method is one file and one line of ``LEARNERS``. The table holds import paths
instead of classes, so that planning a run does not wait for torch.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from pearl_bench.training.types import MetaLearner
    from suites.base import Suite, TaskFamily

LEARNERS: dict[str, tuple[str, str]] = {
    "pearl": (
        "pearl_bench.pearl.config:PearlConfig",
        "pearl_bench.pearl.learner:PearlLearner",
    ),
    "maml_trpo": (
        "baselines.maml_trpo_config:MamlTrpoConfig",
        "baselines.maml_trpo:MamlTrpoLearner",
    ),
    "promp": ("baselines.promp_config:PrompConfig", "baselines.promp:PrompLearner"),
    "rl2": ("baselines.rl2_config:Rl2Config", "baselines.rl2:Rl2Learner"),
}
"""Name of a method: import paths of its settings (a frozen dataclass) and learner."""

DISTRIBUTION = "pearl-bench"


class ForeignPackageError(ImportError):
    """``baselines`` or ``suites`` is somebody else's package of the same name."""


class BuildLearner(Protocol):
    """What a learner class is to the harness: a function that builds a learner."""

    def __call__(
        self,
        config: Any,
        family: TaskFamily,
        *,
        seed: int,
        device: str,
        precision: str,
        threads: int,
    ) -> MetaLearner:
        """Build a learner that has taken no step yet."""
        ...


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


def suite_names() -> tuple[str, ...]:
    """Return the names that ``suite`` takes."""
    import suites  # noqa: PLC0415  (only once verify() has vouched for it)

    return tuple(suites.SUITES)


def suite(name: str) -> Suite:
    """Return a suite with all its families."""
    import suites  # noqa: PLC0415

    return suites.load(name)


def family(suite_name: str, name: str) -> TaskFamily:
    """Return one family of a suite.

    Raises:
        KeyError: the suite has no such family.
    """
    return {family.name: family for family in suite(suite_name).families}[name]


def config_class(learner: str) -> type:
    """Return the class of a learner's settings."""
    return _find(LEARNERS[learner][0])


def default_settings(learner: str) -> dict[str, Any]:
    """Return a registered method's default settings, nothing of any other's."""
    return asdict(config_class(learner)()) if learner in LEARNERS else {}


def learner_class(learner: str) -> BuildLearner:
    """Return what builds a learner; importing it may take seconds."""
    return cast(BuildLearner, _find(LEARNERS[learner][1]))


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
