"""Published curves, read from ``results/<suite>/`` and scored by fixed ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pearl_bench import registry
from pearl_bench.analysis.arms import (
    REPORTED,
    Arm,
    Measure,
    Part,
    Place,
    Point,
    RunCurve,
    budgets_of,
    shares_of,
)
from pearl_bench.analysis.check_run import whole
from pearl_bench.analysis.files import (
    REMEDY,
    NothingPublishedError,
    PublishedError,
    curve_files,
    read_table,
)
from pearl_bench.analysis.grouping import arm_key, group
from pearl_bench.analysis.reference import ReferenceCurve
from pearl_bench.config.types import BenchConfig
from pearl_bench.config.words import path_of
from pearl_bench.records import schema
from pearl_bench.records.schema import CURVES, RUNS_FILE
from pearl_bench.records.table import Line
from suites.base import TaskFamily


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

    @property
    def headline(self) -> tuple[Arm, ...]:
        """One arm of each method and folder of results, all tested on the same tasks.

        It is the longest of those whose settings are those of ``conf/``, or of all
        where a method has none such; among equals the one of most runs. The tasks are
        this version's, or those of most runs where none has these.
        """
        runs = Counter[str]()
        for arm in self.arms:
            runs[arm.fingerprint] += len(arm.runs)
        current = self.row.fingerprint()
        tasks = max(runs, key=lambda f: (f == current, runs[f]), default=current)
        chosen: dict[tuple[str, str], Arm] = {}
        for arm in self.arms:
            key = arm.learner, arm.source
            best = chosen.get(key)
            fits = arm.fingerprint == tasks and arm.having(REPORTED)
            if fits and (not best or _rank(arm) > _rank(best)):
                chosen[key] = arm
        return tuple(chosen.values())

    @property
    def budgets(self) -> list[str]:
        """The budgets of the headline, each once."""
        return budgets_of(self.headline)

    @property
    def bounds(self) -> tuple[Arm, ...]:
        """What bounds the headline's methods: the same told the task, and not told.

        Of arms that differ in the device alone it is the one of the longest runs.
        """
        alike = {(a.learner, a.budget, a.source, a.fingerprint) for a in self.headline}
        chosen: dict[tuple[str, ...], Arm] = {}
        for arm in sorted(self.arms, key=lambda arm: -arm.steps[1]):
            key = arm.learner, arm.budget, arm.source, arm.fingerprint
            if arm.bounds and key in alike and arm.having(REPORTED):
                chosen.setdefault((arm.source, *arm_key(arm.runs[0].row)), arm)
        return tuple(arm for arm in self.arms if arm in chosen.values())

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
        folders: ``results/<suite>``, one or several.
        families: those with runs and those that the suite trains unless told otherwise,
            in its order.
        reference: the method that is compared; all others are its baselines.
        reference_curves: others' published curves, where they have been asked for.
        renamed: what methods and labels are called in figures, where that is not their
            own name.
    """

    suite: str
    folders: tuple[Path, ...]
    families: tuple[Family, ...]
    reference: str = "pearl"
    reference_curves: tuple[ReferenceCurve, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def arms(self) -> list[Arm]:
        """All arms of all families."""
        return [arm for family in self.families for arm in family.arms]

    @property
    def folder(self) -> Path:
        """The first of the folders."""
        return self.folders[0]

    @property
    def labels(self) -> list[str]:
        """Every label, methods in the order of the registry."""
        known = list(registry.learner_names())
        ranks = {name: rank for rank, name in enumerate(known)}
        learners = {arm.label: arm.learner for arm in self.arms}
        return sorted(
            learners,
            key=lambda label: (ranks.get(learners[label], len(known)), label),
        )

    def shares(
        self, label: str, families: Collection[str] | None = None
    ) -> tuple[float, float] | None:
        """Return fewest and most of the paper's budget that a label's runs have had.

        Args:
            label: the label.
            families: those that it is about; all if None.
        """
        return shares_of(self.labelled([label], families))

    def labelled(
        self, labels: Collection[str], families: Collection[str] | None = None
    ) -> list[Arm]:
        """Return the arms of some labels, in some families or in all."""
        return [
            arm
            for arm in self.arms
            if arm.label in labels and (families is None or arm.family in families)
        ]

    def ordered(self, labels: Iterable[str]) -> list[str]:
        """Return some labels, each once, in the order of ``labels``."""
        chosen = set(labels)
        return [label for label in self.labels if label in chosen]

    def in_order(self, arms: Iterable[Arm]) -> list[Arm]:
        """Return arms of a family in the order of ``labels``."""
        labels = self.labels
        return sorted(arms, key=lambda arm: labels.index(arm.label))


def _rank(arm: Arm) -> tuple[bool, int, int]:
    return not arm.changed, arm.steps[1], len(arm.runs)


def load(results: Path | str, suite: str) -> Published:
    """Read a suite's published files.

    Args:
        results: the folder of published results.
        suite: the suite's name.

    Raises:
        PublishedError: there is no such suite or home folder, nothing is published, or
            the files do not fit together.
    """
    try:
        results = path_of("results", results)
        known = registry.suite(suite)
    except (ValueError, registry.ExtensionError) as error:
        raise PublishedError(str(error)) from error
    rows, folder = known.families, results / suite
    points: dict[str, dict[Part, list[Point]]] = {}
    learners: dict[str, set[str]] = {}
    lines: dict[str, list[Line]] = {}
    for path in curve_files(folder):
        for line in read_table(path, CURVES):
            row = line.text
            lines.setdefault(row["run"], []).append(line)
            learners.setdefault(row["run"], set()).add(path.stem)
            part = Part(row["protocol"], row["split"], row["group"])
            of_run = points.setdefault(row["run"], {})
            of_run.setdefault(part, []).append(_point(line))
    if not points:
        raise NothingPublishedError(
            f"{folder} has no published curves. pearl-bench run suite={suite} trains "
            f"and publishes, in {BenchConfig.results} or where its results= says."
        )
    described = {x.text["run"]: x for x in read_table(folder / RUNS_FILE, schema.RUNS)}
    runs = {name: line.text for name, line in described.items()}
    unknown = sorted(points.keys() - runs.keys())
    if unknown:
        raise PublishedError(
            f"{folder / RUNS_FILE} lacks the run {unknown[0]}. A command may be "
            "publishing it, or have been stopped in that: repeat this one later, or "
            "the pearl-bench run that trained it."
        )
    for name, files in learners.items():
        if files != {runs[name]["learner"]}:
            raise PublishedError(
                f"{folder}: rows of {name}, a run of {runs[name]['learner']}, stand in "
                f"{' and '.join(sorted(f'{stem}.csv' for stem in files))}. {REMEDY}"
            )
        for number, what in whole(described[name], lines[name]):
            path = folder / f"{runs[name]['learner']}.csv"
            raise PublishedError(f"{path}, line {number}: {what}. {REMEDY}")
    curves: dict[str, list[RunCurve]] = {row.name: [] for row in rows}
    for name, parts in points.items():
        family = runs[name]["family"]
        if family not in curves:
            raise PublishedError(
                f"{folder / RUNS_FILE}: {family} is no family of {suite}. Families: "
                f"{', '.join(curves)}. {REMEDY}"
            )
        ordered = {part: sorted(found) for part, found in parts.items()}
        rows_of = [line.number for line in lines[name]]
        place = Place(
            folder / f"{runs[name]['learner']}.csv",
            *(min(rows_of), max(rows_of)),
            described[name].number,
        )
        curves[family].append(RunCurve(runs[name], ordered, place))
    families = (
        Family(row, _measure(of_family), tuple(group(suite, of_family)))
        for row in rows
        if (of_family := curves[row.name]) or row.name in known.usual
    )
    return Published(suite, (folder,), tuple(families))


def _point(line: Line) -> Point:
    values = line.values
    return Point(
        env_steps=values["env_steps"],
        episode=values["episode"],
        total=values["return"],
        success=values["success"],
        tasks=values["tasks"],
        unstable=values["unstable"],
        wall_s=values["wall_s"],
    )


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
            f"{curves[0].row['family']}: some rows have a success and some have none. "
            f"{REMEDY}"
        )
    return "success" if kinds == {True} else "return"
