"""The look of every figure: type, lines, axes; and how it is written to files."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import (
    EngFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)
from scipy.optimize import isotonic_regression

from pearl_bench.analysis.arms import GAP
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

DOTS = 200
"""Per inch."""
# On seaborn's "paper" and "ticks", where a column of text leaves less room.
STYLE: dict[RcKeyType, Any] = {
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlepad": 3.0,
    "axes.labelpad": 2.0,
    "axes.xmargin": 0.02,
    "figure.dpi": DOTS,  # laid out as it is saved
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
    "grid.color": "0.92",
    "grid.linewidth": 0.5,
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.5,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": DOTS,
    "svg.hashsalt": "pearl_bench",  # the same ids every time
    "text.hinting": "none",  # as wide in every format
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "xtick.major.pad": 2.0,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.pad": 2.0,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}
LINE = 1.25
"""Height of a line of text, in its size, at most."""
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
"""Without a date: the same input gives the same bytes."""
STEPS = [1, 2, 2.5, 5, 10]
"""Of the numbers at a linear axis, up to powers of ten."""
SERIES = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""First digits of the numbers at a logarithmic axis, the densest first."""
BOUND = re.compile(r" (?=[·%=])|(?<==) |(?<=:) (?=\d)")
"""Spaces that no line ends at."""
NO_BREAK = "\N{NO-BREAK SPACE}"


@contextmanager
def taste(config: AnalysisConfig) -> Iterator[None]:
    """Set matplotlib up the same way everywhere, whatever the reader's matplotlibrc."""
    small = config.font - 1
    sizes: dict[RcKeyType, Any] = {
        "axes.labelsize": small,
        "axes.titlesize": config.font,
        "font.size": small,
        "legend.fontsize": small,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme("paper", "ticks")
        mpl.rcParams.update(STYLE | sizes)
        yield


@lru_cache(maxsize=4096)
def text_width(text: str, points: float) -> float:
    """Return the width of a line of text, in inches."""
    font = get_font(findfont(FontProperties()))
    font.set_size(points, DOTS)
    font.set_text(text)
    return font.get_width_height()[0] / 64 / DOTS


def fitted(text: str, inches: float, points: float) -> list[str]:
    """Return a text in lines that are no wider, broken at spaces.

    A word that is wider is broken at hyphens, and stays whole without. The lines of
    what has to be broken are about equally long.
    """
    return [
        line for whole in text.split("\n") for line in _broken(whole, inches, points)
    ]


def _broken(text: str, inches: float, points: float) -> list[str]:
    if text_width(text, points) <= inches:
        return [text]
    text = BOUND.sub(NO_BREAK, text)

    def lines_of(room: int, *, hyphens: bool) -> list[str]:
        return textwrap.wrap(
            text, room, break_long_words=False, break_on_hyphens=hyphens
        )

    def fits(lines: Sequence[str]) -> bool:
        return max(text_width(line, points) for line in lines) <= inches

    hyphens = not fits(lines_of(1, hyphens=False))
    lines = lines_of(1, hyphens=hyphens)
    for room in range(len(text), 0, -1):
        tried = lines_of(room, hyphens=hyphens)
        if fits(tried):
            lines = tried
            break
    for room in range(max(map(len, lines)), 0, -1):
        tried = lines_of(room, hyphens=hyphens)
        if len(tried) > len(lines):
            break
        lines = tried
    return [line.replace(NO_BREAK, " ") for line in lines]


def spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Return places ``[N]`` that are ``gap`` apart, as near as can be to the wanted.

    Nearest in squares: what is closer than the gap moves apart about its middle. All
    lie between ``low`` and ``high`` if these leave room.
    """
    if not len(wanted):
        return wanted
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    free = isotonic_regression(wanted[order] - steps).x
    placed = np.empty(len(wanted))
    placed[order] = np.clip(free, low, max(low, high - steps[-1])) + steps
    return placed


def with_breaks(x: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Insert a NaN wherever ``x`` pauses much longer than usual."""
    apart = np.diff(x)
    if len(apart) < 2:
        return [x, *values]
    after = np.flatnonzero(apart > GAP * np.median(apart)) + 1
    middle = (x[after - 1] + x[after]) / 2
    return [np.insert(x, after, middle), *(np.insert(v, after, np.nan) for v in values)]


def step_axis(ax: Axes, first: float, last: float, ticks: int, *, log: bool) -> None:
    """Set an axis of environment steps up to end where the data do.

    Args:
        ax: the panel.
        first: of the steps shown; a linear axis begins at 0.
        last: of the steps shown.
        ticks: about as many, at most.
        log: whether it is logarithmic.
    """
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    if not log:
        ax.set_xlim(0, last)
        ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=STEPS, integer=True))
        return
    log_axis(ax, max(1.0, first), last, ticks)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))


def log_axis(ax: Axes, first: float, last: float, ticks: int) -> None:
    """Set a logarithmic axis up, with at least two numbers, or what it has room for.

    They are powers of ten and as many between these as have room. Data of less than an
    octave are shown in one, which has a place for a single number too.
    """
    first = min(first, last / 2)
    ax.set_xscale("log")
    ax.set_xlim(first, last)
    counts = {digits: _count(digits, first, last) for digits in SERIES}
    several = [digits for digits in SERIES if counts[digits] > 1]
    if several:
        roomy = [digits for digits in several if counts[digits] <= ticks]
        digits = [*roomy, several[-1]][0]
        ax.xaxis.set_major_locator(LogLocator(subs=digits, numticks=ticks + 1))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=STEPS))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _count(digits: Sequence[float], first: float, last: float) -> int:
    """Return how many numbers of these first digits an axis has."""
    powers = 10.0 ** np.arange(np.floor(np.log10(first)), np.log10(last) + 1)
    numbers = np.multiply.outer(powers, digits)
    return int(((first <= numbers) & (numbers <= last)).sum())


def save(figure: Figure, stem: Path, formats: Sequence[str]) -> list[Path]:
    """Write a figure in some formats; return the files that changed."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    changed: list[Path] = []
    for suffix in dict.fromkeys(formats):
        data = io.BytesIO()
        figure.savefig(data, format=suffix, metadata=METADATA[suffix])
        path = stem.with_name(f"{stem.name}.{suffix}")
        if write_atomic(path, data.getvalue()):
            changed.append(path)
    return changed
