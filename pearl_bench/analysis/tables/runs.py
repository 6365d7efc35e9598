"""Where the runs come from."""

from __future__ import annotations

from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.tables.table import PrintedTable

KEYS = (
    *("steps", "status", "training_hours", "commit", "dirty", "device"),
    *("cpu", "gpu", "python", "torch", "mujoco", "fingerprint"),
)
"""Columns of runs.csv that are shown."""


def provenance(published: Published) -> PrintedTable:
    """Return a row per run."""
    return PrintedTable(
        "provenance",
        "Provenance",
        "One row per run; `results/README.md` explains the columns.",
        ("run", "family", "method", "seed", *KEYS),
        [
            (
                *(run.row["run"], arm.family, arm.label, run.seed),
                *(run.row[key] for key in KEYS),
            )
            for arm in published.arms
            for run in arm.runs
        ],
    )
