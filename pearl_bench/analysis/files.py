"""Reads published files, every cell checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pearl_bench.config.errors import UserError
from pearl_bench.records.files import RecordError
from pearl_bench.records.schema import RUNS_FILE, TRAJECTORIES_FILE
from pearl_bench.records.table import Line, Table

REMEDY = "pearl-bench check names the line."


class PublishedError(UserError):
    """There are no published curves, or they do not fit together."""


class NothingPublishedError(PublishedError):
    """No run of the suite has been evaluated yet."""


def curve_files(folder: Path) -> list[Path]:
    """Return the files of a suite that hold curves, one per method.

    What other systems leave beside them, such as ``._pearl.csv``, is none.
    """
    others = (RUNS_FILE, TRAJECTORIES_FILE)
    return [
        path
        for path in sorted(folder.glob("*.csv"))
        if path.name not in others and not path.name.startswith(".")
    ]


def read_table(path: Path, table: Table) -> Iterator[Line]:
    """Read a published file, every cell checked.

    Raises:
        PublishedError: it does not exist, or something in it is wrong; names the line.
    """
    try:
        yield from table.read(path, REMEDY)
    except RecordError as error:
        raise PublishedError(str(error)) from error
