"""Rows appended to a run's CSV files: all of a batch or none, and never twice."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path

from pearl_bench.records.files import RecordError, explained, open_own
from pearl_bench.records.schema import EVAL

TEXT_COLUMNS = ("protocol", "split", "group")

MAY_BE_EMPTY = {column.name for column in EVAL.columns if column.may_be_empty}

_REMEDY = "Restore the file, or move the folder away to start this run over."


class RowFile:
    """A CSV file of one run, which this process alone appends to.

    Attributes:
        length: bytes that it has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self._sha256 = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return self._sha256.hexdigest()

    def cut_back(self, length: int, digest: int | str | None) -> None:
        """Cut the file back to what it was.

        Args:
            length: bytes that it had.
            digest: of these; None if it was not kept.

        Raises:
            RecordError: these are no longer its first bytes.
        """
        with (
            explained(self.path, "written"),
            os.fdopen(open_own(self.path, 0), "rb+") as file,
        ):
            kept = file.read(length)
            if len(kept) < length:
                raise RecordError(
                    f"{self.path} has {len(kept)} bytes, and {length} when the "
                    f"checkpoint was taken: rows have been removed. {_REMEDY}"
                )
            found = hashlib.sha256(kept)
            whole = kept[-1:] in (b"", b"\n")
            if digest not in (None, found.hexdigest()) or not whole:
                raise RecordError(
                    f"{self.path} has been edited since the checkpoint was taken, "
                    f"within its first {length} bytes. {_REMEDY}"
                )
            file.truncate(length)
            os.fsync(file.fileno())
        self.length, self._sha256 = length, found

    def append(
        self,
        versions: Sequence[Sequence[str]],
        rows: Sequence[Mapping[str, float | str]],
    ) -> None:
        """Append rows, all of them or none.

        Args:
            versions: the columns, newest first. A new file takes the first that the
                rows have; one that was begun with fewer goes on with these.
            rows: one or more.

        Raises:
            RecordError: other columns, a value that is no number, no room, or the file
                was changed by something else.
        """
        with (
            explained(self.path, "written"),
            os.fdopen(open_own(self.path, os.O_APPEND), "ab+", buffering=0) as file,
        ):
            handle = file.fileno()
            size = os.fstat(handle).st_size
            if size != self.length:
                raise RecordError(
                    f"{self.path} has {size} bytes, and this run has written "
                    f"{self.length}: something else writes there too. Stop it, then "
                    "repeat the command."
                )
            file.seek(0)
            header = file.readline().decode().rstrip("\n")
            data = self._lines(header, versions, rows)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, size)
                raise
        self.length += len(data)
        self._sha256.update(data)

    def _lines(
        self,
        header: str,
        versions: Sequence[Sequence[str]],
        rows: Sequence[Mapping[str, float | str]],
    ) -> bytes:
        fitting = (names for names in versions if rows[0].keys() == set(names))
        known = next(csv.reader([header]), [])
        columns = known or next(fitting, versions[0])
        # columns that came later are not written into a file that began without
        later = set(versions[0]) - set(versions[-1]) - set(columns)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not header:
            writer.writerow(columns)
        for row in rows:
            given = row.keys() - later
            if given != set(columns):
                raise RecordError(
                    f"{self.path}: the columns are {', '.join(columns)}; a row lacks "
                    f"{sorted(set(columns) - given)} and has "
                    f"{sorted(given - set(columns))} besides"
                )
            writer.writerow([_text(self.path, row, column) for column in columns])
        return text.getvalue().encode()


def _text(path: Path, row: Mapping[str, float | str], column: str) -> str:
    """Write a value so that reading it back gives the same number."""
    value = row[column]
    if value == "" and column in MAY_BE_EMPTY:
        return ""
    if isinstance(value, str) and column in TEXT_COLUMNS:
        return value
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and math.isfinite(value):
        return repr(float(value))
    raise RecordError(
        f"{path}: {column} is {value!r}, not a finite number (row {dict(row)})"
    )
