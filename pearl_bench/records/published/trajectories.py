"""Published paths of point robots, as ``pearl_bench.trace`` records them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pearl_bench.records import schema
from pearl_bench.records.files import write_atomic
from pearl_bench.records.published.identity import Row
from pearl_bench.records.published.publish import csv_bytes, locked, read_rows


def publish_trajectories(results: Path, suite: str, rows: Sequence[Row]) -> Path:
    """Publish rows of ``trajectories.csv``; they replace those of the same runs.

    Args:
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        rows: whole runs, with the columns of the schema.

    Returns:
        The file.

    Raises:
        StoreError: the published file is damaged.
    """
    path = results / suite / schema.TRAJECTORIES_FILE
    names = schema.TRAJECTORIES.names
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        fresh = {row["run"] for row in rows}
        kept = [row for row in read_rows(path, names) if row["run"] not in fresh]
        ordered = sorted(
            [*kept, *rows],
            key=lambda row: (
                row["family"],
                int(row["seed"]),
                row["run"],
                *(int(row[name]) for name in ("task", "episode", "t")),
            ),
        )
        write_atomic(path, csv_bytes(names, ordered))
    return path
