"""Published results: raw run folders made into small CSV files that stay.

``results/<suite>/<learner>.csv`` holds the curves and ``results/<suite>/runs.csv``
where each comes from; ``results/README.md`` describes the columns. Publishing merges:
what was published before and is not in the raw folders stays, and the same input gives
the same bytes.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pearl_bench.records import schema
from pearl_bench.records.files import write_atomic
from pearl_bench.records.published.curves import curve_of, last_step, order
from pearl_bench.records.published.identity import Row, StoreError, describe, title
from pearl_bench.records.run_folder import RUN

CURVE_COLUMNS = schema.CURVES.names
RUN_COLUMNS = schema.RUNS.names
RUNS = "runs.csv"
LOCK = ".lock"


def publish(
    out: Path, results: Path, suite: str, say: Callable[[str], None] = print
) -> list[Path]:
    """Bring the published curves of a suite up to date with the raw run folders.

    A published curve is never replaced by a shorter one of the same run.

    Args:
        out: raw run folders, ``<out>/<suite>/<family>/<learner>/seed=<k>/``.
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        say: is told what was left out or kept, and why.

    Returns:
        The files that changed.

    Raises:
        RecordError: a raw or published file is damaged; the message says where.
    """
    folders = sorted(path.parent for path in (out / suite).glob(f"*/*/seed=*/{RUN}"))
    if not folders:
        return []
    target = results / suite
    target.mkdir(parents=True, exist_ok=True)
    with locked(target):
        runs = {row["run"]: row for row in read_rows(target / RUNS, RUN_COLUMNS)}
        curves: dict[str, dict[str, list[Row]]] = {}
        seen: dict[str, Path] = {}
        for folder in folders:
            run = describe(folder)
            name, learner = run["run"], run["learner"]
            if name in seen:
                raise StoreError(
                    f"{folder} and {seen[name]} hold the same run: {title(run)}. Move "
                    "one of them away."
                )
            seen[name] = folder
            if learner not in curves:
                curves[learner] = _read_curves(target / f"{learner}.csv")
            before = curves[learner].get(name, [])
            if before and run == runs.get(name) and run["status"] == "done":
                continue  # published when it was done, and not touched since
            curve = sorted(curve_of(folder, run, say), key=order)
            if last_step(curve) < last_step(before):
                say(
                    f"{folder} ends at {last_step(curve)} environment steps; the "
                    f"published curve of {title(run)} at {last_step(before)} is kept"
                )
                continue
            if before != curve[: len(before)]:
                say(
                    f"the published curve of {title(run)} came from another execution "
                    f"({runs[name]['started'] if name in runs else 'unknown'}); that "
                    f"of {folder} replaces it"
                )
            runs[name] = run
            curves[learner][name] = curve
        return _write(target, runs, curves)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time read, merge and write."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Read a published file; no rows if there is none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    if header != list(columns):
        raise StoreError(
            f"{path} has the columns {','.join(header)}; this version writes "
            f"{','.join(columns)}. Move it away, or choose another results=."
        )
    remedy = "Restore the file (git has it), or move it away."
    if not text.endswith("\n"):
        raise StoreError(f"{path} ends within a line. {remedy}")
    rows: list[Row] = []
    for cells in lines:
        row = dict(zip(columns, cells, strict=False))
        counts = [row.get(name, "0") for name in ("seed", "env_steps", "episode")]
        if len(cells) != len(columns) or not all(map(str.isdecimal, counts)):
            raise StoreError(
                f"{path}, line {lines.line_num}: {','.join(cells)!r} is no row of "
                f"{','.join(columns)}. {remedy}"
            )
        rows.append(row)
    return rows


def _read_curves(path: Path) -> dict[str, list[Row]]:
    curves: dict[str, list[Row]] = {}
    for row in read_rows(path, CURVE_COLUMNS):
        curves.setdefault(row["run"], []).append(row)
    return curves


def _write(
    target: Path, runs: dict[str, Row], curves: dict[str, dict[str, list[Row]]]
) -> list[Path]:
    tables: dict[str, tuple[tuple[str, ...], list[Row]]] = {
        f"{learner}.csv": (
            CURVE_COLUMNS,
            sorted(
                (row for rows in of_learner.values() for row in rows),
                key=order,
            ),
        )
        for learner, of_learner in sorted(curves.items())
    }
    # Last, so that a run it calls done has its whole curve published.
    tables[RUNS] = (
        RUN_COLUMNS,
        sorted(
            runs.values(),
            key=lambda row: (
                row["family"],
                row["learner"],
                int(row["seed"]),
                row["run"],
            ),
        ),
    )
    changed: list[Path] = []
    for name, (columns, rows) in tables.items():
        if write_atomic(target / name, csv_bytes(columns, rows)):
            changed.append(target / name)
    return changed


def csv_bytes(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Return a file's content."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
