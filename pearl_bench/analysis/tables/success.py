"""Success on Meta-World, and levels of classes of tasks."""

from __future__ import annotations

import math

import numpy as np

from pearl_bench.analysis import metaworld, stats
from pearl_bench.analysis.arms import LEVEL_IS, OWN, REPORTED, REPORTED_IS, Arm
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.stats import Estimate
from pearl_bench.analysis.tables.table import (
    STEPS_ARE,
    Cell,
    PrintedTable,
    cells,
    share,
    with_ends,
)

WILSON = (
    "Wilson interval over goals, as if the goals had been drawn at random from all of "
    "them, which says nothing of other seeds"
)


def success(published: Published) -> PrintedTable:
    """Return a row per method and source."""
    rows: list[tuple[Cell, ...]] = []
    for row in metaworld.successes(published):
        about: tuple[Cell, ...] = (math.nan,) * 5
        if row.arm is not None:
            part = metaworld.PACKAGE if row.source == metaworld.EVALUATOR else REPORTED
            about = (
                *(len(row.arm.having(part)), row.arm.steps[1], share(row.arm.shares)),
                _goals(row.arm, metaworld.TRAIN, row.train),
                _goals(row.arm, part, row.test),
            )
        source = (row.family, row.method, row.source)
        rows.append((*source, *about, *cells(row.train), *cells(row.test)))
    return PrintedTable(
        "success",
        "Success on training and test tasks",
        "In percent. Ours: mean over the test episodes of the suite's protocol, or "
        "where it says so of those that the package's evaluator counts, which are too "
        f"often successes. {LEVEL_IS}; {STEPS_ARE}. Brackets hold the 95 % {WILSON}; a "
        "maximum over training has none. "
        "Published numbers come from other protocols and budgets.",
        (
            *("family", "method", "source", "runs", "steps", "of_paper"),
            *("train_goals", "test_goals", *with_ends("train"), *with_ends("test")),
        ),
        rows,
    )


def groups(published: Published) -> PrintedTable:
    """Return classes of tasks, and training tasks, where the suite tests them."""
    rows: list[tuple[Cell, ...]] = []
    for family in published.families:
        for arm in family.arms:
            parts = {part for run in arm.runs for part in run.points}
            for part in sorted(parts - {REPORTED, OWN}):
                runs = len(arm.having(part))
                found, spread = _of_part(family, arm, part)
                rows.append(
                    (
                        *(family.name, arm.label, part.protocol, part.split),
                        *(part.group, runs, arm.steps[1], share(arm.shares)),
                        *(metaworld.goals(arm, part), family.measure),
                        *(*cells(found), spread),
                    )
                )
    return PrintedTable(
        "groups",
        "Classes of tasks and training tasks",
        f"Levels of {REPORTED_IS}. {LEVEL_IS}; {STEPS_ARE}. {stats.METHOD}; of success "
        f"rates the 95 % {WILSON}.",
        (
            *("family", "method", "protocol", "split", "group", "runs", "steps"),
            *("of_paper", "tasks", "measure", *with_ends("level"), "spread"),
        ),
        rows,
    )


def _of_part(family: Family, arm: Arm, part: metaworld.Part) -> tuple[Estimate, str]:
    if family.measure == "success":
        return metaworld.success_rate(arm, part), "Wilson"
    levels = arm.levels(part, family.measure)
    name = f"group {family.name} {arm.label} {part}"
    return stats.mean(name, levels), stats.spread([len(levels)])


def _goals(arm: Arm, part: metaworld.Part, found: Estimate) -> Cell:
    return math.nan if np.isnan(found.value) else metaworld.goals(arm, part)
