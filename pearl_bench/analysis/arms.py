"""Runs as curves, and arms: runs of a family that may be averaged.

Values are never moved in time: seeds are compared where all have been evaluated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pearl_bench.records.published.late import (
    LEVEL_EVALUATIONS,
    LEVEL_SHARE,
    level_count,
)
from pearl_bench.records.table import SEPARATOR, Row
from suites.base import reported_episodes

Measure = Literal["return", "success"]

LEVEL_IS = (
    "A run's level at N steps, N its last evaluation, is its mean over the evaluations "
    "of the last tenth of its steps, at least over the last five, or over all if fewer"
)
"""The one rule for levels: chosen before its effect on any number was looked at."""
PAPER_BUDGET = "paper"
"""The budget whose steps a run's share is of."""
GAP = 2.5
"""Median distances between evaluations from which on a pause is a gap."""
METHODS = {"pearl": "PEARL", "maml_trpo": "MAML-TRPO", "promp": "ProMP", "rl2": "RL²"}
"""Methods as people write them; any other is written as it is registered."""
SAID = {"inference=oracle": "task told", "inference=none": "task not told"}
"""Settings that make another method of one, in words; all others are ``key=value``."""
SUCCESS_IS = "the mean over the test episodes, from which PEARL and RL² go on adapting"
REPORTED_IS = f"the last meta-test episode, on Meta-World {SUCCESS_IS}"
"""What ``RunCurve.episode(part, -1)`` is, for captions."""


class Part(NamedTuple):
    """What an evaluated episode was part of; the default compares methods."""

    protocol: str = "suite"
    split: str = "test"
    group: str = "all"


REPORTED = Part()
OWN = Part(protocol="own")


class Point(NamedTuple):
    """One row of ``<learner>.csv``.

    Attributes:
        env_steps: of training so far.
        episode: within the task.
        total: undiscounted return, mean over the tasks.
        success: share of the tasks; None where the family has none.
        tasks: their number.
        unstable: episodes that the simulation broke down in.
        wall_s: seconds of training so far; None in files of before it was published.
    """

    env_steps: int
    episode: int
    total: float
    success: float | None
    tasks: int
    unstable: int
    wall_s: float | None = None

    def value(self, measure: Measure) -> float:
        """Return the episode's return or success."""
        if measure == "return":
            return self.total
        assert self.success is not None
        return self.success


class Matched(NamedTuple):
    """Values of several runs where all have been evaluated.

    Attributes:
        steps: ``[P]`` environment steps, mean over the runs.
        values: ``[R, P]`` one row per run.
        left_out: evaluations of each run that have no counterpart in another.
    """

    steps: np.ndarray
    values: np.ndarray
    left_out: tuple[int, ...]


class Place(NamedTuple):
    """Where a run is published.

    Attributes:
        file: the CSV file of its curve; ``runs.csv`` stands beside it.
        first: line of the curve's first row.
        last: line of its last row.
        described: line of ``runs.csv`` that describes the run.
    """

    file: Path
    first: int
    last: int
    described: int


@dataclass(frozen=True)
class RunCurve:
    """One run: its row of runs.csv and its points by part, in order of steps.

    Attributes:
        row: cells by column.
        points: what was evaluated.
        place: where it was read, None if it was not.
    """

    row: Row
    points: Mapping[Part, Sequence[Point]]
    place: Place | None = None

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.row["seed"])

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings, as many as there were when it ran."""
        return json.loads(self.row["settings"])

    @property
    def devices(self) -> list[str]:
        """What its sessions trained on, ``cpu`` or ``cuda``, each once."""
        return self.row["device"].split(SEPARATOR)

    @property
    def trained_on(self) -> tuple[str, str]:
        """The device, and the models of GPU or processor that its hours are of."""
        models = self.row["gpu"].split(SEPARATOR)
        if "cpu" in self.devices:
            models = [*self.row["cpu"].split(SEPARATOR), *models]
        found = SEPARATOR.join(filter(None, models)) or self.row["cpu"] or "unknown"
        return self.row["device"], found

    @property
    def last_step(self) -> int:
        """Environment steps at the last evaluation."""
        return max(points[-1].env_steps for points in self.points.values())

    def last_episode(self, part: Part) -> int:
        """Return the number of the last episode of a part."""
        return max(point.episode for point in self.points[part])

    def episode(self, part: Part, number: int) -> list[Point]:
        """Return the points of one episode; -1 is what is reported.

        0 comes before any experience (older runs have none), 1 is the first to explore.
        What is reported is the mean over ``reported_episodes``.
        """
        points = self.points.get(part, ())
        if number != -1:
            return [point for point in points if point.episode == number]
        if not points:
            return []
        # a method's own protocol has one test episode, whatever the suite's has
        tested = 1 if part.protocol == OWN.protocol else int(self.row["test_episodes"])
        has_success = points[0].success is not None
        last = self.last_episode(part)
        reported = reported_episodes(last, tested, success=has_success)
        return [
            _mean([point for point in of_one if point.episode in reported])
            for _, of_one in groupby(points, lambda point: point.env_steps)
        ]

    def level_points(
        self,
        part: Part,
        number: int,
        share: float = LEVEL_SHARE,
        evaluations: int = LEVEL_EVALUATIONS,
    ) -> list[Point]:
        """Return the points of an episode that a level is the mean of."""
        points = self.episode(part, number)
        steps = [point.env_steps for point in points]
        return points[-level_count(steps, share, evaluations) :]

    def level(self, part: Part, number: int, measure: Measure) -> float:
        """Return the run's level of an episode, NaN without it; see ``LEVEL_IS``."""
        if not self.episode(part, number):
            return float("nan")
        points = self.level_points(part, number)
        return float(np.mean([point.value(measure) for point in points]))

    def gaps(self, part: Part) -> list[tuple[int, int]]:
        """Return where evaluations are missing, as pairs of environment steps."""
        steps = np.array([p.env_steps for p in self.episode(part, 1)])
        apart = np.diff(steps)
        if len(apart) < 2:  # a single distance says nothing of what is usual
            return []
        return [
            (int(steps[i]), int(steps[i + 1]))
            for i in np.flatnonzero(apart > GAP * np.median(apart))
        ]


class Name(NamedTuple):
    """What an arm is called, part by part; a part that is ``""`` is not said.

    Attributes:
        method: as people write it, and whether it is told the task.
        budget: the budget that its runs were made with.
        precision: the arithmetic.
        further: whatever else tells arms apart.
    """

    method: str
    budget: str
    precision: str
    further: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All that is said, in order."""
        every = (self.method, self.budget, self.precision, *self.further)
        return tuple(filter(None, every))

    def __str__(self) -> str:
        """Return it in one line."""
        return " · ".join(self.parts)

    def extended(self, *further: str) -> Name:
        """Return it with more that tells arms apart."""
        return self._replace(further=(*self.further, *further))


@dataclass(frozen=True)
class Arm:
    """The runs of one family that may be averaged: seeds of one method and setting.

    Attributes:
        family: name of the family.
        learner: the method.
        name: what it is called.
        alike_budgets: all that have its settings in ``conf/``, and its own.
        changed: settings that its family and budget have not in ``conf/``.
        runs: by seed.
        paper_steps: environment steps of the budget paper, None where it is not known.
        source: the folder of results, where several are shown.
    """

    family: str
    learner: str
    name: Name
    alike_budgets: frozenset[str]
    changed: Mapping[str, Any]
    runs: tuple[RunCurve, ...]
    paper_steps: int | None
    source: str = ""

    @property
    def label(self) -> str:
        """Its name in tables, unlike that of any other arm of the family."""
        return str(self.name)

    @property
    def budget(self) -> str:
        """The budget its runs were made with."""
        return self.name.budget

    @property
    def steps(self) -> tuple[int, int]:
        """Environment steps at the last evaluation, fewest and most of its runs."""
        last = [run.last_step for run in self.runs]
        return min(last), max(last)

    @property
    def eval_every(self) -> int:
        """Environment steps between two evaluations."""
        return int(self.runs[0].row["eval_every"])

    @property
    def shares(self) -> tuple[float, float] | None:
        """The same in shares of the paper's budget, None where that is not known."""
        return self.shares_at(*self.steps)

    def shares_at(self, fewest: int, most: int) -> tuple[float, float] | None:
        """Return environment steps in shares of the paper's budget."""
        if self.paper_steps is None:
            return None
        return fewest / self.paper_steps, most / self.paper_steps

    @property
    def trained_on(self) -> list[tuple[str, str]]:
        """Devices and models that its runs trained on, each once."""
        return sorted({run.trained_on for run in self.runs})

    @property
    def fingerprint(self) -> str:
        """Of the tasks."""
        return self.runs[0].row["fingerprint"]

    @property
    def bounds(self) -> bool:
        """Whether the task is told or kept from it, and nothing else is changed."""
        return len(self.changed) == 1 and all(
            f"{key}={value}" in SAID for key, value in self.changed.items()
        )

    def having(self, part: Part) -> list[RunCurve]:
        """Return the runs that were evaluated on a part."""
        return [run for run in self.runs if run.points.get(part)]

    def levels(self, part: Part, measure: Measure, number: int = -1) -> np.ndarray:
        """Return ``[R]`` levels of an episode; see ``LEVEL_IS``."""
        runs = self.having(part)
        return np.array([run.level(part, number, measure) for run in runs])

    def matched(self, part: Part, number: int, measure: Measure) -> Matched:
        """Return the runs' values of an episode wherever all have been evaluated."""
        return self._matched(part, number, lambda point: point.value(measure))

    def hours(self, part: Part) -> Matched | None:
        """Return the runs' hours of training at the same places; None if not known."""
        points = [point for run in self.having(part) for point in run.points[part]]
        if not points or any(point.wall_s is None for point in points):
            return None
        return self._matched(part, -1, lambda point: (point.wall_s or 0.0) / 3600)

    def _matched(
        self, part: Part, number: int, of: Callable[[Point], float]
    ) -> Matched:
        """Match the evaluations of all runs.

        Episodes of varying length shift the evaluations of each seed a little, so the
        n-th evaluation interval of one is matched with the n-th of the others. The one
        that ends a run may be the second in its interval.
        """
        by_interval = []
        for run in self.having(part):
            every = int(run.row["eval_every"])
            before: Counter[int] = Counter()
            found: dict[tuple[int, int], Point] = {}
            for point in run.episode(part, number):
                interval = point.env_steps // every
                found[interval, before[interval]] = point
                before[interval] += 1
            by_interval.append(found)
        if not by_interval:
            return Matched(np.empty(0), np.empty((0, 0)), ())
        shared = sorted(set.intersection(*map(set, by_interval)))
        points = [[run[at] for at in shared] for run in by_interval]
        steps = np.array([[p.env_steps for p in run] for run in points], float)
        values = np.array([[of(p) for p in run] for run in points])
        left_out = tuple(len(run) - len(shared) for run in by_interval)
        return Matched(steps.mean(0), values.reshape(len(points), -1), left_out)


def shares_of(arms: Iterable[Arm]) -> tuple[float, float] | None:
    """Return fewest and most of the paper's budget that runs of arms have had.

    None where it is not known of some.
    """
    found = [arm.shares for arm in arms]
    known = [shares for shares in found if shares is not None]
    if not known or len(known) < len(found):
        return None
    return min(fewest for fewest, _ in known), max(most for _, most in known)


def budgets_of(arms: Iterable[Arm]) -> list[str]:
    """Return the budgets of arms, each once."""
    return list(dict.fromkeys(arm.budget for arm in arms))


def _mean(points: Sequence[Point]) -> Point:
    """Return the mean of episodes of the same tasks, under the last one's number."""
    successes = [point.success for point in points if point.success is not None]
    return points[-1]._replace(
        total=float(np.mean([point.total for point in points])),
        success=float(np.mean(successes)) if successes else None,
        unstable=sum(point.unstable for point in points),
    )
