"""Published paths of point robots in the plane, as ``pearl_bench.trace`` records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pearl_bench.analysis.files import PublishedError, read_table
from pearl_bench.records.schema import TRAJECTORIES, TRAJECTORIES_FILE


@dataclass(frozen=True)
class TracedEpisode:
    """One episode of one task.

    Attributes:
        number: 1 comes before any adaptation.
        places: ``[T + 1, 2]`` positions, of most tasks the last one alone.
        total: undiscounted return.
        width: standard deviation of the belief its z was drawn from.
    """

    number: int
    places: np.ndarray
    total: float
    width: float


@dataclass(frozen=True)
class Paths:
    """The episodes of one run.

    Attributes:
        run: the run.
        family: its family.
        env_steps: training steps of the checkpoint.
        goals: ``[2]`` of each task.
        episodes: of each task, in order.
    """

    run: str
    family: str
    env_steps: int
    goals: dict[int, np.ndarray]
    episodes: dict[int, list[TracedEpisode]]

    def over_episodes(self, what: str) -> np.ndarray:
        """Return ``[E]`` mean over tasks of an attribute of the episodes."""
        return np.mean(
            [[getattr(e, what) for e in of_task] for of_task in self.episodes.values()],
            axis=0,
        )


def load_paths(folder: Path) -> list[Paths]:
    """Return the paths of a suite's runs; none if there is no file.

    Raises:
        PublishedError: the file is damaged.
    """
    path = folder / TRAJECTORIES_FILE
    if not path.exists():
        return []
    columns = ("x", "y", "goal_x", "goal_y", "return", "posterior_std")
    found: dict[str, dict[int, dict[int, list[list[float]]]]] = {}
    about: dict[str, tuple[str, int]] = {}
    for _, _, row, _ in read_table(path, TRAJECTORIES):
        of_run = found.setdefault(row["run"], {}).setdefault(row["task"], {})
        steps = of_run.setdefault(row["episode"], [])
        steps.append([row[name] for name in columns])
        about[row["run"]] = row["family"], row["env_steps"]
    for run, tasks in found.items():
        if len({tuple(sorted(numbered)) for numbered in tasks.values()}) > 1:
            raise PublishedError(
                f"{path} lacks episodes of some tasks of {run}. Restore it (git has "
                "it), or trace the run again."
            )
    return [_paths(run, *about[run], tasks) for run, tasks in found.items()]


def _paths(
    run: str,
    family: str,
    env_steps: int,
    tasks: dict[int, dict[int, list[list[float]]]],
) -> Paths:
    goals: dict[int, np.ndarray] = {}
    episodes: dict[int, list[TracedEpisode]] = {}
    for task, numbered in tasks.items():
        episodes[task] = list(_episodes(numbered))
        goals[task] = np.array(next(iter(numbered.values()))[0][2:4])
    return Paths(run, family, env_steps, goals, episodes)


def _episodes(numbered: dict[int, list[list[float]]]) -> Iterator[TracedEpisode]:
    for number, steps in sorted(numbered.items()):
        table = np.array(steps)
        yield TracedEpisode(number, table[:, :2], table[-1, 4], table[0, 5])
