"""The legend of a figure: what can be seen on its panels, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pearl_bench.analysis import notes
from pearl_bench.analysis.looks import DARK_GREY, THIN, Look
from pearl_bench.analysis.style import fitted, text_width

OWN_IS = "own exploration"
"""Of dotted curves."""
BAND = 0.18
"""Opacity of an interval."""
HANDLE = 4.0
"""Width of what stands before a name, with its margins, in sizes of type."""

Kind = Literal["curve", "own", "level"]
"""A curve, one of a method's own protocol, or the level of one that ends later."""


@dataclass
class Entry:
    """What a legend may name.

    Attributes:
        look: how it is drawn.
        marks: its points are marked.
        own: it is of a method's own protocol.
        band: it has an interval.
        lines: where it is drawn.
    """

    look: Look
    marks: bool = False
    own: bool = False
    band: bool = False
    lines: list[Line2D] = field(default_factory=list)


class Legend:
    """Collects what is drawn, and names it."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, Kind], Entry] = {}

    def add(self, name: str, kind: Kind, entry: Entry, line: Line2D) -> Entry:
        """Note a line of a name; return the name's entry, the first that was given."""
        found = self._entries.setdefault((name, kind), entry)
        found.lines.append(line)
        return found

    def write(
        self, figure: Figure, points: float, shares: Mapping[str, str], *, levels: bool
    ) -> int:
        """Write the legend above the panels.

        Args:
            figure: the figure, as wide as it will be.
            points: size of type.
            shares: of the paper's budget, in words, by name.
            levels: name methods of which there is a level alone.

        Returns:
            The number of lines of text.
        """
        seen = self._visible(levels=levels)
        if not seen:
            return 0
        entries = {
            name + notes.in_brackets(shares.get(name, "")): entry
            for name, entry in seen.items()
        }
        titled = any(shares.get(name) for name in seen)
        handle, room = HANDLE * points / 72, figure.get_figwidth() - 0.1
        texts = [fitted(name, room - handle, points) for name in entries]
        widths = [
            handle + max(text_width(line, points) for line in text) for text in texts
        ]
        columns = _most_columns(widths, room)
        legend = figure.legend(
            [_handle(entry) for entry in entries.values()],
            ["" for _ in texts],
            loc="outside upper center",
            ncols=columns,
            handler_map={tuple: HandlerTuple(ndivide=1)},
            title=notes.OF_PAPER_IS if titled else None,
            title_fontsize=points,
        )
        # set afterwards: a label that begins with _ would be left out
        for written, text in zip(legend.get_texts(), texts, strict=True):
            written.set_text("\n".join(text))
        return -(-len(entries) // columns) * max(map(len, texts)) + titled

    def _visible(self, *, levels: bool) -> dict[str, Entry]:
        """Return what is named: each method once, and what dots mean."""
        kinds: list[Kind] = ["curve", "own", *(["level"] if levels else [])]
        seen = sorted(
            (
                (entry.look.rank, kinds.index(kind), name)
                for (name, kind), entry in self._entries.items()
                if kind in kinds
                and (kind == "level" or any(map(_is_visible, entry.lines)))
            ),
        )
        found: dict[str, Entry] = {}
        for _, kind, name in seen:
            found.setdefault(name, self._entries[name, kinds[kind]])
        own = [self._entries[name, "own"] for _, kind, name in seen if kind == 1]
        if own:
            look = Look(DARK_GREY, "o" if own[0].marks else "", width=THIN)
            found[OWN_IS] = Entry(look, own[0].marks, own=True)
        return found


def line_properties(look: Look, *, own: bool, marks: bool) -> dict[str, Any]:
    """Return the properties of a line as matplotlib has them."""
    return {
        "color": look.color,
        "lw": look.width,
        "ls": ":" if own else look.dashes,
        "marker": look.marker if marks else None,
        "ms": 3,
        "mfc": "white" if own else look.color,
        "mew": 0.6,
    }


def _handle(entry: Entry) -> Any:
    """Return what stands before a name."""
    look = entry.look
    line = Line2D([], [], **line_properties(look, own=entry.own, marks=entry.marks))
    if not entry.band:
        return line
    return (Patch(fc=to_rgba(look.color, BAND), lw=0), line)


def _most_columns(widths: Sequence[float], room: float) -> int:
    """Return in how many columns a legend fits, filled as matplotlib fills them."""
    for count in range(len(widths), 1, -1):
        columns = np.array_split(np.asarray(widths), count)
        if sum(column.max() for column in columns) <= room:
            return count
    return 1


def _is_visible(line: Line2D) -> bool:
    """Whether a part of a curve, or its only point, lies within its panel's axis."""
    ax = line.axes
    assert ax is not None
    x, y = (np.asarray(data, float) for data in line.get_data())
    shown = x[np.isfinite(y)]
    left, right = ax.get_xlim()
    if not len(shown):
        return False
    first, last = shown.min(), shown.max()
    return bool(left <= last and (first < right or first == last == right))
