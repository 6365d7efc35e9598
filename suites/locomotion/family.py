"""Joins a row with its tasks and the engine that steps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suites.base import (
    BatchEnv,
    MetaTest,
    Task,
    TaskFamily,
    repetitions_for,
    suite_protocol,
)
from suites.locomotion.row import LocomotionRow
from suites.tasks import read

HORIZON = 200
"""Steps of an episode (Rakelly et al. 2019, appendix A)."""


@dataclass(frozen=True)
class Simulated:
    """Builds the environments of a row."""

    row: LocomotionRow

    def __call__(self, tasks: Sequence[Task], *, threads: int) -> BatchEnv:
        """Return one environment per task, stepped by ``threads`` threads."""
        from suites.engine import MujocoBatch  # noqa: PLC0415 (imports mujoco late)

        return MujocoBatch(self.row, tasks, threads=threads)


@dataclass(frozen=True)
class Told:
    """Says what a row's tasks ask for."""

    row: LocomotionRow

    def __call__(self, task: Task) -> str:
        """Tell a task by its numbers."""
        return self.row.tell(task.params)


def family_of(row: LocomotionRow) -> TaskFamily:
    """Return a row's family as the harness sees it."""
    train, test = read(row.name)
    meta_test = MetaTest(repetitions=repetitions_for(test))
    return TaskFamily(
        name=row.name,
        version=row.version,
        horizon=HORIZON,
        obs_dim=row.obs_dim,
        action_dim=row.action_dim,
        train=train,
        test=test,
        score=row.score,
        source=row.source,
        make_batch=Simulated(row),
        protocols=(suite_protocol(meta_test),),
        distance=row.distance_is,
        tell=Told(row),
    )
