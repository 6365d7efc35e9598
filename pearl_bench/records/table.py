"""Columns of result files: what a value must be, and what it means."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

SEPARATOR = "; "
"""Stands between the values of a run's sessions where they differ."""


class Kind(NamedTuple):
    """A kind of value: what is expected, in words, and whether a text is such."""

    expected: str
    accepts: Callable[[str], bool]


def _number(low: float = -math.inf, high: float = math.inf) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            value = float(text)
        except ValueError:
            return False
        return math.isfinite(value) and low <= value <= high

    return accepts


def _pattern(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text, re.ASCII) is not None


def choice(*words: str) -> Kind:
    """Return the kind of values that are one of some words."""
    return Kind(" or ".join(words), lambda text: text in words)


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


COUNT = Kind("a whole number from 0 on", _pattern(r"0|[1-9]\d*"))
ORDINAL = Kind("a whole number from 1 on", _pattern(r"[1-9]\d*"))
REAL = Kind("a finite number", _number())
POSITIVE = Kind("a finite number from 0 on", _number(0))
SHARE = Kind("a number from 0 to 1", _number(0, 1))
NAME = Kind("a name without spaces", _pattern(r"[\w.-]+"))
TEXT = Kind("any text", lambda _: True)
FLAG = choice("True", "False")
DATE = Kind("a date and time with its offset from UTC", _is_date)
OBJECT = Kind("a JSON object", _is_object)
HEX16 = Kind("16 hex digits", _pattern("[0-9a-f]{16}"))
COMMIT = Kind("40 hex digits", _pattern("[0-9a-f]{40}"))
RUN_ID = Kind("r and 12 hex digits", _pattern("r[0-9a-f]{12}"))


class Column(NamedTuple):
    """A column of a table, or a key of a record.

    Attributes:
        name: as it stands in the file.
        kind: what its values are.
        unit: empty where there is none.
        meaning: a sentence.
        may_be_empty: whether a value may be missing.
        per_session: whether values of several sessions may stand one after the other.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    may_be_empty: bool = False
    per_session: bool = False

    def refusal(self, text: str) -> str:
        """Say what is wrong with a value; empty if nothing is."""
        values = text.split(SEPARATOR) if self.per_session else [text]
        for value in values:
            if value == "":
                if not self.may_be_empty:
                    return f"{self.name} is empty; expected is {self.kind.expected}"
            elif not self.kind.accepts(value):
                return f"{self.name} is {value!r}; expected is {self.kind.expected}"
        return ""


class Table(NamedTuple):
    """A kind of file: its columns, and those that identify and order its rows."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)
