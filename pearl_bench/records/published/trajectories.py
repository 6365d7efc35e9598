"""Published paths of point robots, as ``pearl_bench.trace`` records them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pearl_bench.records.files import locked, make_folder, write_atomic
from pearl_bench.records.published.publish import LOCK, read_rows
from pearl_bench.records.schema import TRAJECTORIES, TRAJECTORIES_FILE
from pearl_bench.records.table import Row


def publish_trajectories(results: Path, suite: str, rows: Sequence[Row]) -> Path:
    """Publish rows of ``trajectories.csv``; they replace those of the same runs.

    Args:
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        rows: whole runs, with the columns of the schema.

    Returns:
        The file.

    Raises:
        RecordError: the published file is damaged, or cannot be written.
    """
    path = results / suite / TRAJECTORIES_FILE
    make_folder(path.parent)
    with locked(path.parent / LOCK):
        fresh = {row["run"] for row in rows}
        kept = [r for r in read_rows(TRAJECTORIES, path) if r["run"] not in fresh]
        ordered = sorted([*kept, *rows], key=trajectory_order)
        write_atomic(path, TRAJECTORIES.to_csv(ordered))
    return path


def trajectory_order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a row in its file."""
    numbers = (int(row[name]) for name in ("task", "episode", "t"))
    return row["family"], int(row["seed"]), row["run"], *numbers
