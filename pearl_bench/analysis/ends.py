"""Labels at the ends of horizontal lines, moved apart where they would overlap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from pearl_bench.analysis.style import LINE, spread, text_width

GAP = 3.0
"""Points between the end of a line and its label."""
APART = 1.1
"""Least distance of two labels' middles, in sizes of type."""


@dataclass(frozen=True)
class _End:
    """The label of a line: all of it, and what stands there where room is short."""

    ax: Axes
    y: float
    text: str
    short: str
    color: str


class EndLabels:
    """The labels of all lines of a figure."""

    def __init__(self, points: float) -> None:
        """Take the size of type."""
        self._points = points
        self._ends: list[_End] = []
        self._written: list[Annotation] = []

    def add(self, ax: Axes, y: float, text: str, short: str, color: str) -> None:
        """Label a line at a height of a panel.

        Args:
            ax: the panel.
            y: the height.
            text: the label.
            short: the label where room is short.
            color: of the line.
        """
        self._ends.append(_End(ax, y, text, short, color))

    def heights(self, ax: Axes) -> list[float]:
        """Return the heights of a panel's lines."""
        return [end.y for end in self._ends if end.ax is ax]

    @property
    def width(self) -> float:
        """Inches of the widest label that is written out."""
        widths = (text_width(end.text, self._points) for end in self._ends)
        return max(widths, default=0.0)

    @property
    def height(self) -> float:
        """Inches that a panel needs for its labels."""
        most = max(Counter(id(end.ax) for end in self._ends).values(), default=0)
        return most * LINE * self._points / 72

    def write(self, *, short: bool) -> None:
        """Write the labels beside the panels, for the layout to make room."""
        self._written = [
            end.ax.annotate(
                end.short if short else end.text,
                (1, end.y),
                (GAP, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                color=end.color,
                va="center",
                annotation_clip=False,
            )
            for end in self._ends
        ]

    def spread(self) -> None:
        """Move them apart, once the panels are where they stay."""
        for ax in {id(end.ax): end.ax for end in self._ends}.values():
            figure = ax.get_figure(root=True)
            assert figure is not None
            points = ax.get_position().height * figure.get_figheight() * 72
            low, high = ax.get_ylim()
            wanted = (np.array(self.heights(ax)) - low) / (high - low) * points
            places = spread(wanted, APART * self._points, 0.0, points)
            texts = [
                text
                for end, text in zip(self._ends, self._written, strict=True)
                if end.ax is ax
            ]
            for text, place, at in zip(texts, places, wanted, strict=True):
                text.xyann = (GAP, round(float(place - at), 3))
