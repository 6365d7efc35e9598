"""Tables of the page, which a script sorts."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from html import escape

from pearl_bench.analysis.crossings import Bound
from pearl_bench.analysis.tables.table import (
    Cell,
    PrintedTable,
    cells_in_words,
    shown_columns,
)

_NUMBER = re.compile(r"<?(-?\d+(?:\.\d+)?)(?:(?: to |[;,] ).*?)?( %)?")
"""A number or what it is below, the first of several, or one in percent."""


def table(found: PrintedTable, runs: Collection[str]) -> str:
    """Return a table in a box of its own; names of runs lead to what they are.

    Args:
        found: the table.
        runs: names that have an anchor ``run-<name>`` on the page.
    """
    header, *rows = cells_in_words(found)
    shown = shown_columns(found)
    by_column = [[number(row[i]) for row in found.rows] for i in shown]
    # one cell that is no number makes a column of texts
    numeric = [None not in numbers for numbers in by_column]
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(text)}'
        "</button></th>"
        for text in header
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            _cell(text, by_column[i][r] if numeric[i] else None, runs)
            for i, text in enumerate(row)
        )
        + "</tr>"
        for r, row in enumerate(rows)
    )
    return (
        f'<p class="about">{in_code(found.caption)}</p>\n'
        f'<div class="scroll" tabindex="0">\n<table class="sortable">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def in_code(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))


def number(cell: Cell) -> float | None:
    """Return what a cell is sorted by: NaN of an empty one, None of a text."""
    if isinstance(cell, Bound):
        return cell.number
    if not isinstance(cell, str):
        return float(cell)
    if not cell:
        return math.nan
    found = _NUMBER.fullmatch(cell)
    if not found:
        return None
    return float(found[1]) / (100 if found[2] else 1)


def _cell(text: str, value: float | None, runs: Collection[str]) -> str:
    if text in runs:
        return f'<td><a href="#run-{escape(text)}">{escape(text)}</a></td>'
    if value is None:
        return f"<td>{escape(text)}</td>"
    known = "" if math.isnan(value) else f' data-number="{value!r}"'
    return f'<td class="number"{known}>{escape(text)}</td>'
