"""Rows of single tasks, of a run's last evaluations: what its level is the mean of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pearl_bench.records.schema import LATE
from pearl_bench.records.table import Line, Row

LEVEL_SHARE, LEVEL_EVALUATIONS = 0.1, 5
"""A level is the mean over the evaluations of this last share of the steps, and over so
many at least: this project's one rule (docs/protocol.md)."""


def level_count(
    steps: Sequence[float],
    share: float = LEVEL_SHARE,
    evaluations: int = LEVEL_EVALUATIONS,
) -> int:
    """Return how many of the last evaluations a level is the mean of.

    They are those of the last share of the steps, and no fewer than ``evaluations``,
    or all where there are not as many.

    Args:
        steps: ``[P]`` environment steps of the evaluations, ascending.
        share: of the last of the steps.
        evaluations: the fewest.
    """
    late = sum(step > (1 - share) * steps[-1] for step in steps)
    return min(len(steps), max(late, evaluations))


def late_rows(run: Row, rows: Iterable[Line], steps: Sequence[int]) -> list[Row]:
    """Return a run's rows of single tasks at the evaluations of its level.

    Args:
        run: its row of runs.csv.
        rows: of its eval.csv.
        steps: ``[P]`` environment steps of its published evaluations, ascending.
    """
    if not steps:
        return []
    chosen = set(steps[-level_count(steps) :])
    about = {key: run[key] for key in ("run", "family", "seed")}
    return [
        {name: row.text.get(name, "") for name in LATE.names}
        | about
        | {"repetition": str(repetition_of(row))}
        for row in rows
        if row.values["env_steps"] in chosen
    ]


def repetition_of(row: Line) -> int:
    """Return how often a row's task had been begun; once, before that was recorded."""
    return row.values.get("repetition") or 1


def place(row: Row) -> tuple[str | int, ...]:
    """Return the place of a row's evaluation and part in its file."""
    return (
        row["family"],
        int(row["seed"]),
        row["run"],
        int(row["env_steps"]),
        row["protocol"] != "suite",
        row["protocol"],
        row["split"],
    )


def late_order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a row in its file."""
    numbers = (int(row[name]) for name in ("task", "repetition", "episode"))
    return (*place(row), *numbers)
