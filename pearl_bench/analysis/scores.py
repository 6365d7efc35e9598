"""Published curves, read from ``results/<suite>/`` and grouped into arms.

An arm is what may be averaged: runs of one family that share all but the seed. Values
are never moved in time: seeds are compared where all have been evaluated.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pearl_bench import registry
from pearl_bench.schema import TRAJECTORIES_FILE
from suites.base import TaskFamily

Row = dict[str, str]
Measure = Literal["return", "success"]

RUNS = "runs.csv"
FINAL_SHARE = 0.1
"""The final level of a run is its mean over the last tenth of its steps."""
FEW = 12
"""Families of a suite up to which those without runs are shown too; ML1 has 100."""
GAP = 2.5
"""Median distances between evaluations from which on a pause is a gap."""


class PublishedError(RuntimeError):
    """There are no published curves, or they do not fit together."""


class Part(NamedTuple):
    """What an evaluated episode was part of; the default compares methods."""

    protocol: str = "suite"
    split: str = "test"
    group: str = "all"


REPORTED = Part()
OWN = Part(protocol="own")


class Point(NamedTuple):
    """One row of ``<learner>.csv``; ``success`` is None where the family has none."""

    env_steps: int
    episode: int
    total: float
    success: float | None
    tasks: int
    unstable: int

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


@dataclass(frozen=True)
class RunCurve:
    """One run: its row of runs.csv and its points by part, in order of steps."""

    row: Row
    points: Mapping[Part, Sequence[Point]]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.row["seed"])

    @property
    def last_step(self) -> int:
        """Environment steps at the last evaluation."""
        return max(points[-1].env_steps for points in self.points.values())

    def last_episode(self, part: Part) -> int:
        """Return the number of the reported episode of a part."""
        return max(point.episode for point in self.points[part])

    def episode(self, part: Part, number: int) -> list[Point]:
        """Return the points of one episode; 1 is the first, -1 the last."""
        if number == -1:
            number = self.last_episode(part)
        return [p for p in self.points.get(part, ()) if p.episode == number]

    def final(
        self, part: Part, number: int, measure: Measure, share: float = FINAL_SHARE
    ) -> float:
        """Return the mean of an episode over the last share of the run's steps."""
        points = self.episode(part, number)
        since = (1 - share) * points[-1].env_steps
        return float(np.mean([p.value(measure) for p in points if p.env_steps > since]))

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


@dataclass(frozen=True)
class Arm:
    """The runs of one family that may be averaged: all but the seed is the same.

    Attributes:
        family: name of the family.
        learner: the method.
        label: learner, budget, precision, and whatever else tells arms apart.
        budget: the budget its runs were made with.
        runs: by seed.
    """

    family: str
    learner: str
    label: str
    budget: str
    runs: tuple[RunCurve, ...]

    def having(self, part: Part) -> list[RunCurve]:
        """Return the runs that were evaluated on a part."""
        return [run for run in self.runs if run.points.get(part)]

    def final(self, part: Part, measure: Measure, number: int = -1) -> np.ndarray:
        """Return ``[R]`` final levels of an episode; see ``RunCurve.final``."""
        runs = self.having(part)
        return np.array([run.final(part, number, measure) for run in runs])

    def matched(self, part: Part, number: int, measure: Measure) -> Matched:
        """Return the runs' values of an episode wherever all have been evaluated.

        Episodes of varying length shift the evaluations of each seed a little, so the
        n-th evaluation interval of one is matched with the n-th of the others; of two
        evaluations in one interval the later counts.
        """
        by_interval = [
            {p.env_steps // int(run.row["eval_every"]): p for p in points}
            for run in self.having(part)
            if (points := run.episode(part, number))
        ]
        if not by_interval:
            return Matched(np.empty(0), np.empty((0, 0)), ())
        shared = sorted(set.intersection(*map(set, by_interval)))
        points = [[run[at] for at in shared] for run in by_interval]
        steps = np.array([[p.env_steps for p in run] for run in points], float)
        values = np.array([[p.value(measure) for p in run] for run in points])
        left_out = tuple(len(run) - len(shared) for run in by_interval)
        return Matched(steps.mean(0), values.reshape(len(points), -1), left_out)


@dataclass(frozen=True)
class Family:
    """A family of the suite and its arms, of which there may be none yet.

    Attributes:
        row: the family's row in the suite's table.
        measure: what is shown: success where the family has a notion of it.
        arms: by label.
    """

    row: TaskFamily
    measure: Measure
    arms: tuple[Arm, ...]

    @property
    def name(self) -> str:
        """The family's name."""
        return self.row.name

    def score(self, values: np.ndarray | float) -> np.ndarray:
        """Normalise values by the family's fixed range; a success is its own score."""
        values = np.asarray(values, float)
        if self.measure == "success":
            return values
        low, high = self.row.score.low, self.row.score.high
        return (values - low) / (high - low)


@dataclass(frozen=True)
class Published:
    """All that is published of a suite.

    Attributes:
        suite: its name.
        folder: ``results/<suite>``.
        families: those of the suite, in its order; of a large suite, those with runs.
    """

    suite: str
    folder: Path
    families: tuple[Family, ...]

    @property
    def arms(self) -> list[Arm]:
        """All arms of all families."""
        return [arm for family in self.families for arm in family.arms]

    @property
    def labels(self) -> list[str]:
        """Every label, methods in the order of the registry."""
        known = list(registry.LEARNERS)
        ranks = {name: rank for rank, name in enumerate(known)}
        learners = {arm.label: arm.learner for arm in self.arms}
        return sorted(
            learners,
            key=lambda label: (ranks.get(learners[label], len(known)), label),
        )

    def labels_with(self, part: Part) -> list[str]:
        """Return the labels that have runs evaluated on a part."""
        having = {arm.label for arm in self.arms if arm.having(part)}
        return [label for label in self.labels if label in having]


def load(results: Path, suite: str) -> Published:
    """Read a suite's published files.

    Args:
        results: the folder of published results.
        suite: the suite's name.

    Raises:
        PublishedError: there is no such suite, nothing is published, or the files do
            not fit together.
    """
    try:
        rows = registry.suite(suite).families
    except ValueError as error:
        raise PublishedError(str(error)) from error
    folder = results / suite
    points: dict[str, dict[Part, list[Point]]] = {}
    for path in curve_files(folder):
        for row in read_table(path):
            part = Part(row["protocol"], row["split"], row["group"])
            of_run = points.setdefault(row["run"], {})
            of_run.setdefault(part, []).append(_point(path, row))
    if not points:
        raise PublishedError(
            f"{folder} has no published curves. python -m pearl_bench.run "
            f"suite={suite} trains and publishes."
        )
    runs = {row["run"]: row for row in read_table(folder / RUNS)}
    unknown = sorted(points.keys() - runs.keys())
    if unknown:
        raise PublishedError(f"{folder / RUNS} lacks the run {unknown[0]}.")
    curves: dict[str, list[RunCurve]] = {row.name: [] for row in rows}
    for name, parts in points.items():
        family = runs[name]["family"]
        if family not in curves:
            raise PublishedError(
                f"{folder / RUNS}: {family} is no family of {suite}. Families: "
                f"{', '.join(curves)}."
            )
        ordered = {part: sorted(found) for part, found in parts.items()}
        curves[family].append(RunCurve(runs[name], ordered))
    return Published(
        suite,
        folder,
        tuple(
            Family(row, _measure(curves[row.name]), tuple(_arms(curves[row.name])))
            for row in rows
            if curves[row.name] or len(rows) <= FEW
        ),
    )


def curve_files(folder: Path) -> list[Path]:
    """Return the files of a suite that hold curves, one per method."""
    others = (RUNS, TRAJECTORIES_FILE)
    return [path for path in sorted(folder.glob("*.csv")) if path.name not in others]


def read_table(path: Path) -> Iterator[Row]:
    """Read a CSV file with a header.

    Raises:
        PublishedError: it does not exist.
    """
    if not path.exists():
        raise PublishedError(f"{path} is missing; git has it.")
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def _point(path: Path, row: Row) -> Point:
    try:
        return Point(
            env_steps=int(row["env_steps"]),
            episode=int(row["episode"]),
            total=float(row["return"]),
            success=float(row["success"]) if row["success"] else None,
            tasks=int(row["tasks"]),
            unstable=int(row["unstable"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PublishedError(
            f"{path} has a row that is none ({error}). python -m pearl_bench.analysis "
            "check names the line."
        ) from error


def _measure(curves: Sequence[RunCurve]) -> Measure:
    """Return what a family is judged by, and make sure that all its rows have it."""
    kinds = {
        point.success is not None
        for run in curves
        for points in run.points.values()
        for point in points
    }
    if len(kinds) > 1:
        raise PublishedError(
            f"{curves[0].row['family']}: some rows have a success and some have none."
        )
    return "success" if kinds == {True} else "return"


def _arms(curves: Sequence[RunCurve]) -> Iterator[Arm]:
    """Group a family's runs by everything but the seed, and name the groups."""
    groups: dict[tuple[str, ...], list[RunCurve]] = {}
    keys = ("learner", "budget", "precision", "device", "fingerprint")
    for run in curves:
        groups.setdefault(tuple(run.row[k] for k in keys), []).append(run)
    several = len({key[-1] for key in groups}) > 1
    for key, runs in sorted(groups.items()):
        learner, budget, precision, device, fingerprint = key
        parts = [learner, budget, precision]
        if not device.startswith("cpu"):
            parts.append(device)
        if several:
            parts.append(f"tasks {fingerprint[:6]}")
        by_settings: dict[str, list[RunCurve]] = {}
        for run in runs:
            by_settings.setdefault(run.row["settings"], []).append(run)
        names = _names(learner, sorted(by_settings))
        for text, alike in sorted(by_settings.items()):
            yield Arm(
                family=alike[0].row["family"],
                learner=learner,
                label=" · ".join([*parts, *names[text]]),
                budget=budget,
                runs=tuple(sorted(alike, key=lambda r: (r.seed, r.row["run"]))),
            )


def _names(learner: str, texts: Sequence[str]) -> dict[str, list[str]]:
    """Return what tells settings apart: those that differ and are not the default."""
    settings = {text: json.loads(text) for text in texts}
    differing = {
        text: {
            key: value
            for key, value in chosen.items()
            if any(other.get(key) != value for other in settings.values())
        }
        for text, chosen in settings.items()
    }
    defaults = default_settings(learner)
    names = {
        text: [f"{k}={v}" for k, v in chosen.items() if defaults.get(k) != v]
        for text, chosen in differing.items()
    }
    if len(set(map(tuple, names.values()))) < len(names):
        return {t: [f"{k}={v}" for k, v in d.items()] for t, d in differing.items()}
    return names


def default_settings(learner: str) -> dict[str, object]:
    """Return a registered method's default settings, nothing of any other's."""
    if learner not in registry.LEARNERS:
        return {}
    return dataclasses.asdict(registry.config_class(learner)())
