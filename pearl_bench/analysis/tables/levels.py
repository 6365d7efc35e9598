"""What level every method, and every run, has at its steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pearl_bench.analysis import stats
from pearl_bench.analysis.arms import LEVEL_IS, OWN, REPORTED, REPORTED_IS, Arm, Part
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.tables.table import (
    STEPS_ARE,
    Cell,
    PrintedTable,
    cells,
    each,
    share,
    with_ends,
)

ABOUT = (
    f"{LEVEL_IS}; `evaluations` says how many, {STEPS_ARE}. Mean over "
    f"test tasks of {REPORTED_IS}. "
    "`of paper`: the steps as a share of those of `budget=paper`. `unadapted` is "
    "episode 0, in which every method acts without chance and without experience, "
    "`gain` the difference; runs of older versions have neither. `first` is episode 1, "
    "in which PEARL acts without chance and the others sample: differences from it do "
    "not compare methods."
)


def levels(published: Published) -> PrintedTable:
    """Return a row per arm and protocol."""
    rows: list[tuple[Cell, ...]] = []
    for family, arm, part in _judged(published):
        last = arm.levels(part, family.measure)
        before, first = (arm.levels(part, family.measure, n) for n in (0, 1))
        values = np.stack([last, family.score(last), before, last - before, first], 1)
        found = stats.mean(f"level {family.name} {arm.label} {part}", values)
        level, score, *others = (cells(found, i) for i in range(values.shape[1]))
        runs = arm.having(part)
        rows.append(
            (
                *(family.name, arm.label, part.protocol, len(runs)),
                *(arm.steps[1], share(arm.shares)),
                min(len(run.level_points(part, -1)) for run in runs),
                *(
                    family.measure,
                    *level,
                    each(last.tolist()),
                    stats.spread([len(runs)]),
                ),
                *(*score, *(cell for of in others for cell in of)),
            )
        )
    return PrintedTable(
        "levels",
        "Level of each method at its steps",
        f"{ABOUT} {stats.METHOD}; `spread` says which.",
        (
            *("family", "method", "protocol", "runs", "steps", "of_paper"),
            *("evaluations", "measure", *with_ends("level"), "each_run", "spread"),
            *(*with_ends("score"), *with_ends("unadapted"), *with_ends("gain")),
            *with_ends("first"),
        ),
        rows,
    )


def by_run(published: Published) -> PrintedTable:
    """Return a row per run and protocol."""
    rows: list[tuple[Cell, ...]] = []
    for family, arm, part in _judged(published):
        for run in arm.having(part):
            points = run.level_points(part, -1)
            last, before, first = (
                run.level(part, n, family.measure) for n in (-1, 0, 1)
            )
            rows.append(
                (
                    *(
                        family.name,
                        arm.label,
                        part.protocol,
                        run.row["run"],
                        run.row["seed"],
                    ),
                    *(
                        run.last_step,
                        share(arm.shares_at(run.last_step, run.last_step)),
                    ),
                    *(len(points), points[0].env_steps, family.measure),
                    *(last, float(family.score(last)), before, last - before, first),
                )
            )
    return PrintedTable(
        "levels-by-run",
        "Level of each run",
        f"{ABOUT} `since`: steps of the first of these evaluations.",
        (
            *("family", "method", "protocol", "run", "seed", "steps", "of_paper"),
            *("evaluations", "since", "measure", "level", "score"),
            *("unadapted", "gain", "first"),
        ),
        rows,
    )


def _judged(published: Published) -> Iterator[tuple[Family, Arm, Part]]:
    for family in published.families:
        for arm in family.arms:
            for part in (REPORTED, OWN):
                if arm.having(part):
                    yield family, arm, part
