"""The look all figures share: colours, markers, panels, captions on the sheet."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from pearl_bench.analysis.arms import GAP
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.stats import Estimate
from pearl_bench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

STYLE: dict[RcKeyType, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.color": "0.9",
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": 150,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
PANEL_WIDTH, PANEL_HEIGHT = 3.4, 2.5  # inches
LINE_HEIGHT, LEGEND_HEIGHT = 0.134, 0.19  # inches, of a line of either
COLUMNS = 3
NO_DATE = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
MARKERS = "osD^vPX<>*"
MARK_DISTANCE = 0.11
"""Between markers along a curve, in diagonals of the panel: for grey print."""
PLACES = 6
"""Decimals of a panel's place on the sheet, whose width and height are 1."""

wrap = partial(textwrap.wrap, break_on_hyphens=False)

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colour and marker of one arm, the same in all figures of a suite."""

    color: Color
    marker: str


@dataclass(frozen=True)
class Sheet:
    """A finished figure.

    Attributes:
        figure: with its caption on it.
        caption: the same text, a string per paragraph.
    """

    figure: Figure
    caption: tuple[str, ...]


@contextmanager
def taste() -> Iterator[None]:
    """Set matplotlib up the same way everywhere, whatever the reader's matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def looks(published: Published) -> dict[str, Look]:
    """Return the look of every label; colours are safe for colour-blind readers."""
    palette = sns.color_palette("colorblind", 10)
    return {
        label: Look(
            palette[i % len(palette)], MARKERS[(i + i // len(palette)) % len(MARKERS)]
        )
        for i, label in enumerate(published.labels)
    }


def sheet(
    panels: int,
    caption: Sequence[str],
    handles: Sequence[Line2D],
    *,
    columns: int = COLUMNS,
    size: tuple[float, float] = (PANEL_WIDTH, PANEL_HEIGHT),
) -> tuple[Sheet, list[Axes]]:
    """Lay out panels above a legend and a caption.

    Args:
        panels: their number.
        caption: paragraphs.
        handles: entries of the legend.
        columns: panels side by side, at most.
        size: width and height of a panel, in inches.

    Returns:
        The sheet, and the axes of the panels.
    """
    columns = min(columns, panels)
    lines = -(-panels // columns)
    width = max(size[0] * columns, 5.0)
    text = [
        line
        for paragraph in caption
        for line in wrap(paragraph, int(width * 18), subsequent_indent="   ")
    ]
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    legend_columns = max(1, int(width / (0.6 + 0.067 * longest)))
    legend_lines = -(-len(handles) // legend_columns)
    below = LINE_HEIGHT * len(text) + LEGEND_HEIGHT * legend_lines + 0.3
    height = size[1] * lines + below
    layout = ConstrainedLayoutEngine(
        w_pad=0.08, h_pad=0.06, rect=(0, below / height, 1, 1 - below / height)
    )
    figure = Figure(figsize=(width, height), layout=layout)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for ax in axes[panels:]:
        ax.set_axis_off()
    if handles:
        figure.legend(
            handles=list(handles),
            loc="upper center",
            bbox_to_anchor=(0.5, below / height),
            ncols=legend_columns,
        )
    figure.text(
        0.1 / width,
        0.1 / height,
        "\n".join(text),
        fontsize=7,
        color="0.25",
        linespacing=1.35,
        va="bottom",
    )
    return Sheet(figure, tuple(caption)), axes[:panels]


def legend(
    looks: Mapping[str, Look], own: Sequence[str] = (), *more: Line2D
) -> list[Line2D]:
    """Return the legend of arms, of the same under their own protocol, and more."""
    return [
        *(
            Line2D([], [], c=look.color, lw=2, marker=look.marker, ms=4, label=label)
            for label, look in looks.items()
        ),
        *(
            Line2D(
                [],
                [],
                color=looks[label].color,
                lw=1.3,
                ls=":",
                marker=looks[label].marker,
                mfc="white",
                ms=4,
                label=f"{label}, own protocol",
            )
            for label in own
        ),
        *more,
    ]


def line(
    ax: Axes, x: np.ndarray, of: Estimate, look: Look, *, own: bool = False
) -> None:
    """Draw a curve ``[P]`` with its interval; pauses in it stay open."""
    x, value, low, high = with_breaks(x, of.value, of.low, of.high)
    ax.plot(
        x,
        value,
        color=look.color,
        lw=1.3 if own else 2.0,
        ls=":" if own else "-",
        marker=look.marker,
        mfc="white" if own else look.color,
        ms=4,
        markevery=(0.02, MARK_DISTANCE),
    )
    ax.fill_between(x, low, high, color=look.color, alpha=0.18, lw=0)


def with_breaks(x: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Insert a NaN wherever ``x`` pauses much longer than usual."""
    apart = np.diff(x)
    if len(apart) < 2:
        return [x, *values]
    after = np.flatnonzero(apart > GAP * np.median(apart)) + 1
    middle = (x[after - 1] + x[after]) / 2
    return [np.insert(x, after, middle), *(np.insert(v, after, np.nan) for v in values)]


def whisker(ax: Axes, y: float, of: Estimate, entry: int, look: Look) -> None:
    """Draw one entry of an estimate, with its interval if it has one, as a bar."""
    value, low, high = (end[entry] for end in of)
    ax.plot([low, high], [y, y], color=look.color, lw=6, alpha=0.35)
    ax.plot([value], [y], marker=look.marker, color=look.color, ms=6, ls="")


def categories(ax: Axes, names: Sequence[str]) -> None:
    """Name the lines of a panel of whiskers, the first on top."""
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_ylim(max(1, len(names)) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def say(ax: Axes, text: str, width: int = 46) -> None:
    """Write what is missing onto a panel, between its title and its data."""
    lines = [part for x in text.split("\n") for part in wrap(x, width)]
    if not lines:
        return
    if not ax.has_data():
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.set_title(ax.get_title(), pad=5 + 8.5 * len(lines))
    ax.annotate(
        "\n".join(lines),
        (0.5, 1),
        (0, 2),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7,
        style="italic",
        color="0.35",
    )


def step_axis(ax: Axes, until: float | None = None) -> None:
    """Label a linear axis of environment steps."""
    ax.set_xlabel("environment steps")
    ax.set_xlim(left=0, right=until)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))


@contextmanager
def without_caption(sheet: Sheet) -> Iterator[Figure]:
    """Take the caption off a figure, for where it stands as text beside it."""
    (text,) = sheet.figure.texts
    text.set_visible(False)
    try:
        yield sheet.figure
    finally:
        text.set_visible(True)


def save(sheet: Sheet, stem: Path) -> list[Path]:
    """Write a figure as PNG and PDF; return those that changed."""
    _settle(sheet)
    stem.parent.mkdir(parents=True, exist_ok=True)
    changed: list[Path] = []
    for suffix, metadata in NO_DATE.items():
        data = io.BytesIO()
        sheet.figure.savefig(data, format=suffix, metadata=metadata)
        path = stem.with_suffix(f".{suffix}")
        if write_atomic(path, data.getvalue()):
            changed.append(path)
    return changed


def _settle(sheet: Sheet) -> None:
    """Fix the places of the panels, rounded, for all formats.

    The solver of the constrained layout differs in the last bits from process to
    process, and with them the markers that are placed by their distance on the sheet.
    """
    figure = sheet.figure
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        places = ax.get_position(original=True)
        ax.set_position(Bbox(places.get_points().round(PLACES)))
