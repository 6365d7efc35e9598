"""Tables as CSV files: columns, kinds of values, the one reader and the one writer.

Which columns a file has, and since which version, stands in ``schema``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pearl_bench.records.files import RecordError, read_text

SEPARATOR = "; "
"""Stands between the values of a run's sessions where they differ."""

Row = dict[str, str]
"""A row's cells by column, as they stand in the file."""

_MOST = 2**53
"""Counts beyond are no longer told apart as floats, in which programs read them."""
_LARGEST = 3.4028235e38
"""Rewards are single precision somewhere on their way."""


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        expected: what is expected, in words.
        parse: the value of a text; raises ValueError for any other text.
    """

    expected: str
    parse: Callable[[str], Any]


def _count(low: int) -> Callable[[str], int]:
    digits = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)

    def parse(text: str) -> int:
        if not digits.fullmatch(text):
            raise ValueError(text)
        value = int(text)
        if not low <= value <= _MOST:
            raise ValueError(text)
        return value

    return parse


def _number(low: float = -_LARGEST, high: float = _LARGEST) -> Callable[[str], float]:
    decimal = re.compile(r"-?\d{1,400}(\.\d{0,400})?(e[+-]?\d{1,4})?", re.ASCII)

    def parse(text: str) -> float:
        if not decimal.fullmatch(text):
            raise ValueError(text)  # float() takes spaces, underscores and words
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(text)
        return value

    return parse


def _pattern(pattern: str) -> Callable[[str], str]:
    allowed = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if not allowed.fullmatch(text):
            raise ValueError(text)
        return text

    return parse


def choice(*words: str) -> Kind:
    """Return the kind of values that are one of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(" or ".join(words), parse)


def _flag_of(false: str, true: str) -> Callable[[str], bool]:
    def parse(text: str) -> bool:
        if text not in (false, true):
            raise ValueError(text)
        return text == true

    return parse


def _date(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.utcoffset() is None:
        raise ValueError(text)
    return found


def _object(text: str) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        found = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(text)
    return found


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError(text)
    return text


COUNT = Kind("a whole number from 0 on", _count(0))
ORDINAL = Kind("a whole number from 1 on", _count(1))
REAL = Kind("a finite number", _number())
NOT_NEGATIVE = Kind("a finite number from 0 on", _number(0))
SHARE = Kind("a number from 0 to 1", _number(0, 1))
NAME = Kind("a name without spaces", _pattern(r"[\w.-]+"))
TEXT = Kind("text without line breaks", _text)
FLAG = Kind("True or False", _flag_of("False", "True"))
BIT = Kind("0 or 1", _flag_of("0", "1"))
DATE = Kind("a date and time with its offset from UTC", _date)
OBJECT = Kind("a JSON object", _object)
HEX16 = Kind("16 hex digits", _pattern("[0-9a-f]{16}"))
COMMIT = Kind("40 hex digits", _pattern("[0-9a-f]{40}"))
RUN_ID = Kind("r and 12 hex digits", _pattern("r[0-9a-f]{12}"))


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: as it stands in the file.
        kind: what its values are.
        unit: empty where there is none.
        meaning: a sentence.
        may_be_empty: whether a value may be missing.
        per_session: whether values of several sessions may stand one after the other.
        since: the version of the files that brought it; it is empty in rows of before.
        rare: whether a file in which no row has a value leaves it out, and stays of the
            version before.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    may_be_empty: bool = False
    per_session: bool = False
    since: int = 1
    rare: bool = False

    def parse(self, text: str) -> Any:
        """Return the value of a cell; None if it may be empty and is.

        Of sessions that differ it is the text as it stands.

        Raises:
            ValueError: the cell holds no such value; says what is expected.
        """
        parts = text.split(SEPARATOR) if self.per_session else [text]
        values = [self._value(part) for part in parts]
        return values[0] if len(values) == 1 else text

    def _value(self, text: str) -> Any:
        if text == "":
            if self.may_be_empty or self.since > 1:
                return None
            raise ValueError(f"{self.name} is empty; expected is {self.kind.expected}")
        try:
            return self.kind.parse(text)
        except ValueError:
            raise ValueError(
                f"{self.name} is {shown(text)}; expected is {self.kind.expected}"
            ) from None


def shown(text: str, most: int = 80) -> str:
    """Return a text from a file, quoted, for a message."""
    return repr(text if len(text) <= most else text[:most] + "…")


class Line(NamedTuple):
    """A row as it was read.

    Attributes:
        number: of the line in the file.
        text: cells by column, empty where the file's version has no such column.
        values: the same, parsed; those that could not be are left out.
        flaws: what is wrong with the row by itself.
    """

    number: int
    text: Row
    values: dict[str, Any]
    flaws: tuple[str, ...]


class Flaw(NamedTuple):
    """What is wrong with a file where there is no row; line 0 means all of it."""

    line: int
    what: str


class Table:
    """A kind of file.

    Attributes:
        CUT: the flaw of a file whose last line was cut off in writing.

    Args:
        columns: its columns.
        key: those that identify a row.
        others: what further columns hold, in files that may have some.
    """

    CUT = "the file ends within a line"

    def __init__(
        self,
        columns: tuple[Column, ...],
        key: tuple[str, ...],
        others: Kind | None = None,
    ) -> None:
        self.columns = columns
        self.key = key
        self.others = others

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def versions(self) -> list[tuple[str, ...]]:
        """The names of the columns that a file may have, newest version first."""
        known = sorted({column.since for column in self.columns}, reverse=True)
        return [
            tuple(c.name for c in self.columns if c.since <= version)
            for version in known
        ]

    def columns_of(self, header: tuple[str, ...]) -> list[Column] | None:
        """Return the columns of a file by its header; None if it is another's."""
        by_name = {column.name: column for column in self.columns}
        if header in self.versions:
            return [by_name[name] for name in header]
        if self.others is None or header[: len(self.names)] != self.names:
            return None
        if len(set(header)) < len(header) or not all(header):
            return None
        return [
            by_name.get(name) or Column(name, self.others, "", "") for name in header
        ]

    def scan(self, path: Path, *, cut: bool = False) -> Iterator[Line | Flaw]:
        """Read a file of any version, telling rows and flaws alike.

        Args:
            path: the file.
            cut: leave out a last line that was cut off in writing, which is told as a
                flaw, ``CUT``, in any case.
        """
        try:
            text = read_text(path)
        except FileNotFoundError:
            yield Flaw(0, "is missing")
            return
        except RecordError as error:
            what = str(error).removeprefix(f"{path}").lstrip(" ,:")
            yield Flaw(0, what.removesuffix("."))
            return
        whole, _, rest = text.rpartition("\n")
        if rest:
            yield Flaw(whole.count("\n") + 2 if whole else 1, self.CUT)
        if cut:
            text = whole
        try:
            yield from self._lines(csv.reader(io.StringIO(text), strict=True))
        except csv.Error as error:
            yield Flaw(0, f"is no CSV file ({error})")

    def _lines(self, reader: Any) -> Iterator[Line | Flaw]:
        header = tuple(next(reader, []))
        columns = self.columns_of(header)
        if columns is None:
            expected = ",".join(self.names)
            what = f"the columns are {shown(','.join(header), 400)}"
            yield Flaw(1, f"{what}; expected are {expected}")
            return
        missing = [name for name in self.names if name not in header]
        places: dict[tuple[str, ...], int] = {}
        for cells in reader:
            if len(cells) != len(columns):
                what = f"{len(cells)} cells; expected are {len(columns)}"
                yield Flaw(reader.line_num, what)
                continue
            row = dict(zip(header, cells, strict=True)) | dict.fromkeys(missing, "")
            values: dict[str, Any] = dict.fromkeys(missing)
            flaws: list[str] = []
            for column in columns:
                try:
                    values[column.name] = column.parse(row[column.name])
                except ValueError as error:
                    flaws.append(str(error))
            first = places.setdefault(
                tuple(row[name] for name in self.key), reader.line_num
            )
            if first != reader.line_num:
                key = ", ".join(f"{name} {row[name]}" for name in self.key)
                flaws.append(f"repeats line {first}: {key}")
            yield Line(reader.line_num, row, values, tuple(flaws))

    def read(self, path: Path, remedy: str) -> Iterator[Line]:
        """Read a file of any version, every cell checked.

        Args:
            path: the file.
            remedy: a sentence that says what to do with a damaged file.

        Raises:
            RecordError: something is wrong with it; names the line.
        """
        for found in self.scan(path):
            if isinstance(found, Flaw):
                place = f"{path}, line {found.line}:" if found.line else f"{path}"
                raise RecordError(f"{place} {found.what}. {remedy}")
            if found.flaws:
                place = f"{path}, line {found.number}"
                raise RecordError(f"{place}: {found.flaws[0]}. {remedy}")
            yield found

    def to_csv(self, rows: Iterable[Mapping[str, str]]) -> bytes:
        """Return a file's content, in the newest version that its rows need."""
        text, rows = io.StringIO(), [*rows]
        rare = [column.name for column in self.columns if column.rare]
        unneeded = {name for name in rare if not any(row.get(name) for row in rows)}
        names = [name for name in self.names if name not in unneeded]
        writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(
            {k: cell for k, cell in row.items() if k not in unneeded} for row in rows
        )
        return text.getvalue().encode()


def same_cells(
    a: Mapping[str, str], b: Mapping[str, str], but: Collection[str]
) -> bool:
    """Whether two rows agree wherever both have a value."""
    return all(a[k] == b[k] for k in a.keys() & b.keys() - set(but) if a[k] and b[k])
