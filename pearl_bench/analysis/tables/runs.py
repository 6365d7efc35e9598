"""What the runs cost, and where they come from."""

from __future__ import annotations

import math

import numpy as np

from pearl_bench import registry
from pearl_bench.analysis import stats
from pearl_bench.analysis.arms import RunCurve
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.tables.table import Cell, PrintedTable, cells, with_ends
from pearl_bench.config.runs import usual_steps

KEYS = (
    *("steps", "status", "training_hours", "commit", "dirty", "device"),
    *("cpu", "gpu", "python", "torch", "mujoco", "fingerprint"),
)
"""Columns of runs.csv that are shown."""


def cost(published: Published) -> PrintedTable:
    """Return a row per arm and processor that have a run whose time is known."""
    rows: list[tuple[Cell, ...]] = []
    for family in published.families:
        for arm, where in ((a, where) for a in family.arms for where in a.trained_on):
            runs = [run for run in arm.runs if run.trained_on == where]
            known = [x for run in runs if (x := _pace(family, run)) is not None]
            if not known:
                continue
            found = stats.mean(f"cost {family.name} {arm.label}", np.array(known))
            steps = max(run.last_step for run in runs)
            of_budget = usual_steps(
                arm.learner, published.suite, family.name, arm.budget
            )
            whole = math.nan
            if of_budget is not None:
                trained = max(0, of_budget - _pool(family, arm.runs[0]))
                whole = float(found.value) * trained / 1e6
            rows.append(
                (
                    *(family.name, arm.label, *where, len(known), steps),
                    *cells(found),
                    *(stats.spread([len(known)]), of_budget or math.nan, whole),
                )
            )
    return PrintedTable(
        "cost",
        "What a run costs",
        "Hours of training and meta-tests per million environment steps, mean over the "
        "runs, and what they make of a whole run of the budget. PEARL's initial pool "
        "(`initial_steps` in every training task) takes minutes at most: its steps are "
        "in neither, its minutes are. Runs of different processors are not averaged; "
        f"threads and what else ran are the runs' own: `runs.csv`. {stats.METHOD}.",
        (
            *("family", "method", "device", "processor", "runs", "steps"),
            *with_ends("hours_per_million"),
            *("spread", "budget_steps", "hours_of_budget"),
        ),
        rows,
    )


def _pace(family: Family, run: RunCurve) -> float | None:
    """Return hours per million steps after the pool, the pool's own hours included.

    None before a checkpoint.
    """
    hours = float(run.row["training_hours"])
    trained = int(run.row["steps"]) - _pool(family, run)
    return 1e6 * hours / trained if hours and trained > 0 else None


def _pool(family: Family, run: RunCurve) -> int:
    """Return the environment steps of a run that come before its first update."""
    return registry.pool_steps(run.row["learner"], run.settings, family.row)


def provenance(published: Published) -> PrintedTable:
    """Return a row per run."""
    return PrintedTable(
        "provenance",
        "Provenance",
        "One row per run; `results/README.md` explains the columns.",
        ("run", "family", "method", "seed", *KEYS),
        [
            (
                *(run.row["run"], arm.family, arm.label, run.row["seed"]),
                *(run.row[key] for key in KEYS),
            )
            for arm in published.arms
            for run in arm.runs
        ],
    )
