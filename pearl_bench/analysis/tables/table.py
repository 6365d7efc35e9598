"""A table, as CSV for programs and in few digits for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pearl_bench.analysis import notes
from pearl_bench.analysis.crossings import Bound, Ends
from pearl_bench.analysis.stats import Estimate

STEPS_ARE = "`steps`: at the last evaluation of the longest run"


class Share(float):
    """A share of the paper's budget: people read it in percent."""


Cell = str | float | int | Bound
"""NaN is an empty cell."""


class PrintedTable(NamedTuple):
    """A table; a number with a range or interval has it in the two columns after it.

    Attributes:
        name: of its files.
        title: in words.
        caption: what the numbers are.
        columns: the header.
        rows: as many cells each.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def to_csv(table: PrintedTable) -> str:
    """Return a table as CSV; numbers have nine significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def shown_columns(table: PrintedTable) -> list[int]:
    """Return the columns that people are shown: not those of ends."""
    return [i for i, name in enumerate(table.columns) if not _is_end(name)]


def cells_in_words(table: PrintedTable) -> Iterator[list[str]]:
    """Yield the header and the rows for people: few digits, ends in brackets."""
    shown = shown_columns(table)
    yield [table.columns[i].replace("_", " ") for i in shown]
    for row in table.rows:
        cells = []
        for i in shown:
            text = in_words(row[i])
            if i + 2 < len(row) and _is_end(table.columns[i + 1]):
                ends = [in_words(row[i + 1]), in_words(row[i + 2])]
                text += f" [{ends[0]}, {ends[1]}]" if all(ends) else ""
            cells.append(text)
        yield cells


def with_ends(name: str) -> tuple[str, str, str]:
    """Return the columns of a number with a range or interval."""
    return name, f"{name}_low", f"{name}_high"


def cells(found: Estimate | Ends, entry: int | None = None) -> tuple[Cell, Cell, Cell]:
    """Return the three cells of an estimate, or of one entry of it."""
    if isinstance(found, Ends):
        return found
    value, low, high = (float(end if entry is None else end[entry]) for end in found)
    return value, low, high


def each(values: Sequence[float]) -> str:
    """Return numbers of runs side by side; nothing of a single one."""
    return "; ".join(map(in_words, values)) if len(values) > 1 else ""


def share(shares: tuple[float, float] | None) -> Cell:
    """Return the cell of a share of the paper's budget, words where runs differ."""
    if shares is None:
        return math.nan
    most = shares[1]
    return Share(most) if notes.alike(*shares) else notes.share_in_words(shares)


def _is_end(column: str) -> bool:
    return column.endswith(("_low", "_high"))


def _plain(cell: Cell) -> str:
    if isinstance(cell, Bound):
        return cell.sign + _plain(cell.number)
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.9g}"
    return str(cell)


def in_words(cell: Cell) -> str:
    """Return a cell in few digits; ``2.6M`` for large numbers."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Bound):
        return cell.sign + in_words(cell.number)
    if isinstance(cell, Share):
        return notes.share_in_words((cell, cell))
    return _in_few_digits(cell)


def _in_few_digits(number: float) -> str:
    if math.isnan(number):
        return ""
    if abs(number) >= 10_000:
        return notes.steps_in_words(number)
    if isinstance(number, int) or abs(number) >= 1000:
        return f"{number:.0f}"
    return f"{number:.3g}"
