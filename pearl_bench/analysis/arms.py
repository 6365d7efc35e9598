"""Runs as curves, and arms: runs of a family that may be averaged.

Values are never moved in time: seeds are compared where all have been evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pearl_bench import registry

Row = dict[str, str]
Measure = Literal["return", "success"]

FINAL_SHARE = 0.1
"""The final level of a run is its mean over the last tenth of its steps."""
GAP = 2.5
"""Median distances between evaluations from which on a pause is a gap."""


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


def group(curves: Sequence[RunCurve]) -> Iterator[Arm]:
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
            # a setting that did not exist yet had what has become its default
            settings = registry.default_settings(learner) | json.loads(
                run.row["settings"]
            )
            text = json.dumps(settings, sort_keys=True)
            by_settings.setdefault(text, []).append(run)
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
    defaults = registry.default_settings(learner)
    names = {
        text: [f"{k}={v}" for k, v in chosen.items() if defaults.get(k) != v]
        for text, chosen in differing.items()
    }
    if len(set(map(tuple, names.values()))) < len(names):
        return {t: [f"{k}={v}" for k, v in d.items()] for t, d in differing.items()}
    return names
