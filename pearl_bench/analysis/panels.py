"""The panels of a figure, and what is drawn on them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, TransformedBbox
from numpy.typing import ArrayLike

from pearl_bench.analysis import notes
from pearl_bench.analysis.arms import Arm, Measure, shares_of
from pearl_bench.analysis.ends import EndLabels
from pearl_bench.analysis.legends import BAND, Entry, Kind, Legend, line_properties
from pearl_bench.analysis.looks import DARK_GREY, Look
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.stats import Estimate
from pearl_bench.analysis.style import LINE, STEPS, fitted, text_width

LEAST_WIDTH, MOST_WIDTH = 1.6, 3.45
"""Inches, of a panel with its labels, unless a figure asks for a whole row."""
ASPECT, LOWEST, HIGHEST = 0.66, 1.0, 1.75
"""Height of a panel's axes by its width, and its bounds in inches."""
GAP = 0.3
"""Between two numbers below a panel, by their height."""
MARGIN = 0.42
"""Inches of a panel that the numbers on its left take."""
LEAST_AXES = 1.05
"""Inches of axes that the labels of levels must leave to be written out."""
LEVEL_DASHES = (0, (4, 2))
NAMES_ROOM = 0.5
"""Share of a figure's width that the names of whiskers take at most."""
TICK_ROOM = 0.42
"""Inches of axis for a number at it."""
DESCENT = 0.22
"""Of a letter such as p below its line, in sizes."""
SEEN = 0.01
"""Of a panel's width: what a line that leaves it has to cross there to be seen."""
BEYOND = 3.0
"""Points by which what is drawn at the end of an axis may reach beyond it."""
PLACES = 6
"""Decimals of a panel's place on the sheet, whose width and height are 1."""


@dataclass(frozen=True)
class Sheet:
    """A finished figure.

    Attributes:
        figure: as it is saved.
        about: paragraphs that say what it shows.
        called: what the arms that it shows are called in it, by label.
        arms: these arms, and no other of their labels.
    """

    figure: Figure
    about: tuple[str, ...]
    called: Mapping[str, str]
    arms: tuple[Arm, ...]


class Panels:
    """Panels in rows, under a legend of what can be seen on them."""

    def __init__(
        self,
        config: AnalysisConfig,
        titles: Sequence[str],
        counts: Sequence[str] = (),
        keys: Sequence[Sequence[tuple[str, str]]] = (),
        *,
        columns: int | None = None,
        height: float | None = None,
        whole: bool = False,
    ) -> None:
        """Lay out panels.

        Args:
            config: says how wide the figure is.
            titles: one per panel.
            counts: the number of runs on each, in words.
            keys: names of what is drawn on each, and the colours that they are written
                in above it, where one legend for all would be too long.
            columns: panels side by side; as many as have room if None.
            height: of a panel's axes at least, in inches; it follows from their width
                if None. Lines of whiskers take what they need.
            whole: take all of the width, however few panels there are.
        """
        count = len(titles)
        if columns is None:
            most = max(1, int(config.width / LEAST_WIDTH))
            columns = -(-count // -(-count // most))
        self.columns = min(columns, count)
        self.rows = -(-count // self.columns)
        widest = config.width if whole else MOST_WIDTH * self.columns
        self.width = min(config.width, widest)
        self.config = config
        self.panel = self.width / self.columns
        self._font, self._small = config.font, config.font - 1
        room = max(LOWEST, ASPECT * (self.panel - MARGIN))
        self._height = min(HIGHEST, room) if height is None else height
        self._engine = ConstrainedLayoutEngine(
            w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.03
        )
        self.figure = Figure(figsize=(self.width, 2.0), layout=self._engine)
        self.axes: list[Axes] = []
        grid = self.figure.add_gridspec(self.rows, self.columns)
        for i in range(count):
            place = grid[i // self.columns, i % self.columns]
            self.axes.append(self.figure.add_subplot(place))
        self._x_label: Text | None = None
        self._y_label: Text | None = None
        self._ends = EndLabels(self._small)
        self._legend = Legend()
        self._drawn: list[tuple[Axes, np.ndarray, np.ndarray]] = []
        self._heads = self._write_heads(titles, counts, keys)

    @property
    def ticks(self) -> int:
        """How many numbers an axis below a panel has room for."""
        return max(2, min(5, int((self.panel - MARGIN) / TICK_ROOM)))

    def _write_heads(
        self,
        titles: Sequence[str],
        counts: Sequence[str],
        keys: Sequence[Sequence[tuple[str, str]]],
    ) -> float:
        """Write titles, numbers of runs and keys; return the inches that they take."""
        room = self.panel - 0.2  # a panel's axes may lie left or right of its middle
        heads = [fitted(title, room, self._font) for title in titles]
        below = [
            [
                (fitted(text, room, self._small), color)
                for text, color in ((count, DARK_GREY), *reversed(key))
                if text
            ]
            for count, key in zip(
                counts or [""] * len(titles), keys or [[]] * len(titles), strict=True
            )
        ]
        points = 0.0
        for start in range(0, len(titles), self.columns):
            # n stands at the same height on every panel, and so do a row's titles
            row = range(start, min(start + self.columns, len(titles)))
            lines = max(sum(len(text) for text, _ in below[i]) for i in row)
            pad = 3.0 + LINE * self._small * lines + DESCENT * self._font
            for i in row:
                self._write_head(self.axes[i], heads[i], pad, below[i])
            points += pad + LINE * self._font * max(len(heads[i]) for i in row)
        return points / 72

    def _write_head(
        self,
        ax: Axes,
        title: Sequence[str],
        pad: float,
        below: Sequence[tuple[Sequence[str], str]],
    ) -> None:
        """Write a panel's title, and coloured texts below it, from the last one up."""
        # at y=1 it stays where it is put
        ax.set_title("\n".join(title), pad=pad, y=1.0)
        up = 3.0 + DESCENT * self._small
        for text, color in below:
            ax.annotate(
                "\n".join(text),
                (0.5, 1),
                (0, up),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="baseline",
                color=color,
            )
            up += LINE * self._small * len(text)

    def label(self, x: str = "", y: str = "") -> None:
        """Name the axes that all panels share, once for all of them."""
        if x:
            self._x_label = self.figure.supxlabel(x, fontsize=self._small)
        if y:
            self._y_label = self.figure.supylabel(y, fontsize=self._small)

    def bound(self, ax: Axes, measure: Measure) -> None:
        """Let a panel of shares show all that there can be, and nothing beyond."""
        if measure == "success":
            ax.set_ylim(0, 1)

    def curve(
        self,
        ax: Axes,
        x: np.ndarray,
        of: Estimate,
        look: Look,
        name: str,
        *,
        own: bool = False,
        marks: bool = False,
        steps: bool = False,
    ) -> None:
        """Draw a curve ``[P]`` with its interval, if any; NaN leave it open.

        A point that no line on the panel shows is marked.

        Args:
            ax: the panel.
            x: ``[P]``.
            of: its values.
            look: how.
            name: in the legend; not there if empty.
            own: it is of the method's own protocol: dotted.
            marks: mark its points.
            steps: a value holds up to the next point.
        """
        alone = _alone(ax, x, of.value)
        (line,) = ax.plot(
            x,
            of.value,
            **line_properties(look, own=own, marks=marks),
            drawstyle="steps-post" if steps else "default",
        )
        if alone and not marks:  # apart: a mark is drawn beyond the axis, no line is
            marked: dict[str, Any] = line_properties(look, own=own, marks=True)
            marked["ls"] = ""
            ax.plot(x[alone], of.value[alone], **marked)
        self._drawn += [(ax, x, y) for y in of]
        kind: Kind = "own" if own else "curve"
        entry = Entry(look, marks, own)
        if name:
            entry = self._legend.add(name, kind, entry, line)
        if np.isfinite(of.low).any():
            ax.fill_between(
                x,
                of.low,
                of.high,
                color=look.color,
                alpha=BAND,
                lw=0,
                step="post" if steps else None,
            )
            entry.band = True

    def seed(self, ax: Axes, x: ArrayLike, y: ArrayLike, look: Look) -> None:
        """Draw one run of several, thin; a point that no line shows as a dot."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        self._drawn.append((ax, x, y))
        line = {"color": look.color, "lw": 0.4, "alpha": 0.55, "zorder": 1.9}
        ax.plot(x, y, **line)
        if alone := _alone(ax, x, y):
            ax.plot(x[alone], y[alone], ls="", marker=".", ms=3, **line)

    def level(
        self, ax: Axes, y: float, name: str, at: str, look: Look, share: str = ""
    ) -> None:
        """Draw the level of a method: dashed, and named at its end.

        Where room is short the name stands in the legend alone.

        Args:
            ax: the panel.
            y: the level.
            name: of the method.
            at: of what the level is, such as its environment steps.
            look: how the method is drawn.
            share: of the paper's budget, in words.
        """
        dashed = replace(look, dashes=LEVEL_DASHES, width=0.9)
        line = ax.axhline(y, color=look.color, lw=dashed.width, ls=dashed.dashes)
        text = f"{name} at {at}" + notes.in_brackets(share)
        self._ends.add(ax, y, text, at, look.color)
        self._legend.add(name, "level", Entry(dashed), line)

    def quoted(self, ax: Axes, y: float, name: str) -> None:
        """Draw a level that somebody else has published: dotted, named at its end."""
        ax.axhline(y, color=DARK_GREY, lw=0.9, ls=":")
        self._ends.add(ax, y, name, name, DARK_GREY)

    def whisker(
        self, ax: Axes, y: float, of: Estimate, entry: int, look: Look, *, few: bool
    ) -> None:
        """Draw one entry of an estimate, an interval as a bar, a range as a line.

        Args:
            ax: the panel.
            y: place.
            of: the estimate.
            entry: of its arrays.
            look: how.
            few: its ends are a range, because the runs are few.
        """
        value, low, high = (float(end[entry]) for end in of)
        if few:
            ax.plot([low, high], [y, y], "|-", color=look.color, lw=0.8, ms=4, mew=0.8)
        else:
            ax.plot([low, high], [y, y], color=look.color, lw=4, alpha=0.35)
        self.mark(ax, value, y, look)

    def mark(
        self, ax: Axes, x: float, y: float, look: Look, *, own: bool = False
    ) -> None:
        """Draw one number, hollow if it is of a method's own protocol."""
        properties = line_properties(look, own=own, marks=True) | {"ls": "", "ms": 4}
        ax.plot([x], [y], **properties)

    def categories(self, ax: Axes, names: Sequence[str], lines: int) -> None:
        """Name the lines of a panel of whiskers, the first on top, or none of them."""
        room = NAMES_ROOM * self.width
        broken = [fitted(name, room, self._small) for name in names] or [[]] * lines
        ax.set_yticks(range(lines), ["\n".join(name) for name in broken])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(lines - 0.5, -0.5)
        ax.margins(x=0.08)
        ax.xaxis.set_major_locator(MaxNLocator(self.ticks, steps=STEPS))
        ax.grid(visible=False, axis="y")
        most = max(map(len, broken)) + 0.6
        self._height = max(self._height, lines * most * LINE * self._small / 72)

    def finish(
        self, about: Sequence[str], called: Mapping[str, str], arms: Sequence[Arm]
    ) -> Sheet:
        """Add the legend and the labels of levels, and settle the layout.

        Args:
            about: paragraphs that say what the figure shows.
            called: what the arms that it shows are called in it, by label.
            arms: what it shows; the legend says how much of the paper's budget their
                runs have had.
        """
        for ax in self.axes:
            if type(ax.yaxis.get_major_locator()).__name__ == "AutoLocator":
                ax.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
            if ax.get_autoscaley_on() and not ax.get_autoscalex_on():
                self._fit_height(ax)
        short = self.panel - MARGIN - self._ends.width < LEAST_AXES
        of_name: dict[str, list[Arm]] = {}
        for arm in arms:
            of_name.setdefault(called[arm.label], []).append(arm)
        shares = {
            name: notes.share_in_words(shares_of(each))
            for name, each in of_name.items()
        }
        lines = self._legend.write(self.figure, self._small, shares, levels=short)
        self._ends.write(short=short)
        self._height = max(self._height, self._ends.height)
        axis = 2.2 * LINE * self._small / 72
        height = self.rows * (self._height + axis) + self._heads + 0.1
        height += LINE * (lines + 1) * self._small / 72
        text = self._caption(about)
        below = (len(text) * LINE * 6 + 6) / 72 if text else 0.0
        height += below
        self.figure.set_size_inches(self.width, height)
        self._engine.set(rect=(0, below / height, 1, 1 - below / height))
        self._settle(below / height)
        self._ends.spread()
        for ax in self.axes:
            _thin_numbers(ax)
            self._show_ends(ax)
        if text:
            self.figure.text(
                0.06 / self.width,
                0.06 / height,
                "\n".join(text),
                fontsize=6,
                color=DARK_GREY,
                va="bottom",
            )
        return Sheet(self.figure, tuple(filter(None, about)), called, tuple(arms))

    def _fit_height(self, ax: Axes) -> None:
        """Let a panel be as high as what can be seen on it, not what was cut off."""
        left, right = ax.get_xlim()
        seen = [np.array(self._ends.heights(ax), float)]
        for of, x, y in self._drawn:
            if of is ax:
                ends = np.interp([left, right], x, y, left=np.nan, right=np.nan)
                seen += [y[(left <= x) & (x <= right)], ends]
        every = np.concatenate(seen)
        every = every[np.isfinite(every)]
        if len(every) and every.min() < every.max():
            margin = 0.05 * (every.max() - every.min())
            ax.set_ylim(every.min() - margin, every.max() + margin)

    def _show_ends(self, ax: Axes) -> None:
        """Draw what lies at an end of a panel's axes whole, and over them.

        A line along the end of the other axis has a half outside, and so has a mark.
        """
        for spine in ax.spines.values():
            spine.set_zorder(1)
        inches = self.figure.get_size_inches() * np.array(ax.get_position().size)
        across, up = BEYOND / 72 / inches
        for line in ax.lines:
            aside = 0.0 if line.get_marker() in ("", "None", None) else across
            box = Bbox.from_extents(-aside, -up, 1 + aside, 1 + up)
            line.set_clip_box(TransformedBbox(box, ax.transAxes))

    def _caption(self, about: Sequence[str]) -> list[str]:
        """Return the lines of a caption under the panels, if one is wanted."""
        if self.config.caption != "sheet":
            return []
        return [line for text in about for line in fitted(text, self.width - 0.12, 6)]

    def _settle(self, below: float) -> None:
        """Fix the places of the panels, rounded, for all formats.

        The solver of the constrained layout differs in the last bits from process to
        process, and with them what is placed by them.
        """
        figure = self.figure
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for ax in figure.axes:
            places = ax.get_position(original=True)
            ax.set_position(Bbox(places.get_points().round(PLACES)))
        sides = np.array([ax.get_position().get_points() for ax in self.axes])
        middle = (sides.min((0, 1)) + sides.max((0, 1))) / 2
        if self._x_label:  # the layout puts it at the edge of the sheet
            y = self._x_label.get_position()[1] + below
            half = text_width(self._x_label.get_text(), self._small) / self.width / 2
            x = min(max(middle[0], half), 0.99 - half)
            self._x_label.set_position((round(x, PLACES), round(y, PLACES)))
        if self._y_label:
            self._y_label.set_y(round(middle[1], PLACES))


def _thin_numbers(ax: Axes) -> None:
    """Leave out every second number below a panel until they stand apart.

    How wide the panel is is known once the layout is settled.
    """
    left, right = ax.get_xlim()
    while True:
        numbers = [
            (x, label.get_window_extent())
            for x, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
            if left <= x <= right and label.get_text()
        ]
        apart = (
            two.x0 - one.x1 >= GAP * one.height
            for (_, one), (_, two) in itertools.pairwise(numbers)
        )
        if all(apart):
            return
        ax.set_xticks([x for x, _ in numbers][::-2][::-1])


def _alone(ax: Axes, x: np.ndarray, y: np.ndarray) -> list[int]:
    """Return which points ``[P]`` on a panel have no line there that can be seen.

    A panel whose axis is not set yet will show all.
    """
    left, right = (-np.inf, np.inf) if ax.get_autoscalex_on() else ax.get_xlim()
    inside = (left <= x) & (x <= right)
    ends, at = np.array([left, right]), np.clip(x, left, right)
    if ax.get_xscale() == "log":
        ends, at = np.log(ends), np.log(at)
    seen = inside[:-1] & inside[1:] | (np.diff(at) > SEEN * np.ptp(ends))
    known = np.isfinite(y)
    joined = np.pad(seen & known[:-1] & known[1:], 1)
    return np.flatnonzero(inside & known & ~joined[:-1] & ~joined[1:]).tolist()
