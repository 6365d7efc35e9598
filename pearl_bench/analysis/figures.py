"""Figures of a suite's published curves; the same CSV files give the same bytes."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from pearl_bench.record import write_atomic

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
    "savefig.dpi": 200,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
PANEL_WIDTH, PANEL_HEIGHT = 3.4, 2.5  # inches
LINE_HEIGHT, LEGEND_HEIGHT = 0.134, 0.19  # inches, of a line of either
REPORTED = ("suite", "test", "all")
"""Protocol, split and group of the curves that compare methods."""
NO_DATE = {"png": {"Software": None}, "pdf": {"CreationDate": None}}


class PublishedError(RuntimeError):
    """There are no published curves, or they do not fit together."""


Row = dict[str, str]
Color = tuple[float, float, float]


class Point(NamedTuple):
    """One row of ``<learner>.csv``."""

    env_steps: int
    episode: int
    value: float
    tasks: int


class Curves(NamedTuple):
    """The runs of one family that may be averaged: all but the seed is the same.

    Attributes:
        label: learner, budget, precision, and settings where they differ.
        runs: their rows of runs.csv, by seed.
        points: of each run, by environment steps.
    """

    label: str
    runs: list[Row]
    points: list[list[Point]]

    def episode(self, number: int) -> list[list[Point]]:
        """Return each run's points of one episode; 1 is the first, -1 the last."""
        if number == -1:
            number = max(point.episode for run in self.points for point in run)
        return [[p for p in run if p.episode == number] for run in self.points]

    def mean(self, number: int) -> list[tuple[float, float]]:
        """Return mean steps and return over the runs, wherever all have been evaluated.

        Episodes of varying length shift the evaluations of each seed a little, so the
        n-th evaluation interval of one is matched with the n-th of the others; of two
        evaluations in one interval the later counts.
        """
        by_interval = [
            {p.env_steps // int(run["eval_every"]): p for p in points}
            for run, points in zip(self.runs, self.episode(number), strict=True)
        ]
        shared = set.intersection(*map(set, by_interval))
        matched = [[run[at] for run in by_interval] for at in sorted(shared)]
        return [
            (fmean(p.env_steps for p in points), fmean(p.value for p in points))
            for points in matched
        ]


def learning_curves(results: Path, suite: str) -> list[Path]:
    """Draw test return against environment steps, one panel per family.

    Bold is the mean over seeds of the last meta-test episode, thin lines are the
    seeds, dashed is the mean of the first episode: the gap is the adaptation. Runs of
    different budget, precision or settings are never averaged.

    Args:
        results: the folder of published results.
        suite: the suite's name.

    Returns:
        Those of ``figures/learning-curves.png`` and ``.pdf`` that changed.

    Raises:
        PublishedError: nothing is published, or curves and runs.csv do not match.
    """
    panels = _panels(results / suite)
    labels = sorted({curves.label for panel in panels.values() for curves in panel})
    palette = sns.color_palette("colorblind", len(labels))
    colors = dict(zip(labels, palette, strict=True))
    caption = _caption(panels)
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    width = max(PANEL_WIDTH * columns, 5.0)
    text = [
        line
        for paragraph in caption
        for line in textwrap.wrap(paragraph, int(width * 18), subsequent_indent="   ")
    ]
    legend_columns = 2 if width > 6 else 1
    legend_lines = -(-(len(labels) + 2) // legend_columns)
    below = LINE_HEIGHT * len(text) + LEGEND_HEIGHT * legend_lines + 0.3
    height = PANEL_HEIGHT * lines + below
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the reader's matplotlibrc says
        mpl.rcParams.update(STYLE)
        layout = ConstrainedLayoutEngine(
            w_pad=0.08, h_pad=0.06, rect=(0, below / height, 1, 1 - below / height)
        )
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.subplots(lines, columns, squeeze=False).flat
        for ax, (family, panel) in zip(axes, panels.items(), strict=False):
            _draw(ax, panel, colors)
            ax.set_title(family)
        for ax in list(axes)[len(panels) :]:
            ax.set_axis_off()
        figure.legend(
            handles=_legend(colors),
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
        return _save(figure, results / suite / "figures" / "learning-curves")


def _panels(folder: Path) -> dict[str, list[Curves]]:
    """Read the published files; return what each family's panel shows."""
    points: dict[str, list[Point]] = {}
    for path in sorted(folder.glob("*.csv")):
        if path.name != "runs.csv":
            for row in _read(path):
                if (row["protocol"], row["split"], row["group"]) != REPORTED:
                    continue
                numbers = int(row["env_steps"]), int(row["episode"])
                point = Point(*numbers, float(row["return"]), int(row["tasks"]))
                points.setdefault(row["run"], []).append(point)
    if not points:
        raise PublishedError(
            f"{folder} has no published curves. python -m pearl_bench.run "
            f"suite={folder.name} trains and publishes."
        )
    runs = {row["run"]: row for row in _read(folder / "runs.csv")}
    unknown = sorted(points.keys() - runs.keys())
    if unknown:
        raise PublishedError(f"{folder / 'runs.csv'} lacks the run {unknown[0]}.")
    families: dict[str, dict[tuple[str, ...], list[Row]]] = {}
    for name in points:
        row = runs[name]
        key = tuple(row[k] for k in ("learner", "budget", "precision", "fingerprint"))
        families.setdefault(row["family"], {}).setdefault(key, []).append(row)
    return {
        family: [
            Curves(label, alike, [sorted(points[row["run"]]) for row in alike])
            for key, rows in sorted(groups.items())
            for label, alike in _by_settings(" · ".join(key[:3]), rows)
        ]
        for family, groups in sorted(families.items())
    }


def _by_settings(label: str, rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Split runs by the method's settings; name those that differ."""
    settings = {text: json.loads(text) for text in sorted(r["settings"] for r in rows)}
    for text, chosen in settings.items():
        differing = [
            f"{name}={value}"
            for name, value in chosen.items()
            if any(other.get(name) != value for other in settings.values())
        ]
        alike = [row for row in rows if row["settings"] == text]
        alike.sort(key=lambda row: (int(row["seed"]), row["run"]))
        yield " · ".join([label, *differing]), alike


def _read(path: Path) -> list[Row]:
    if not path.exists():
        raise PublishedError(f"{path} is missing; git has it.")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _draw(ax: Axes, panel: Sequence[Curves], colors: Mapping[str, Color]) -> None:
    for curves in panel:
        color = colors[curves.label]
        if len(curves.runs) > 1:
            for seed in curves.episode(-1):
                steps, values = [p.env_steps for p in seed], [p.value for p in seed]
                ax.plot(steps, values, color=color, lw=0.7, alpha=0.45)
        for number, style, width in ((1, "--", 1.2), (-1, "-", 2.0)):
            mean = curves.mean(number)
            steps, values = [x for x, _ in mean], [y for _, y in mean]
            # A curve of a single evaluation would be invisible as a line.
            marker = "o" if len(mean) == 1 else None
            ax.plot(steps, values, ls=style, lw=width, marker=marker, color=color)
    ax.set_xlabel("environment steps")
    ax.set_ylabel("test return")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))


def _legend(colors: Mapping[str, Color]) -> list[Line2D]:
    return [
        *(Line2D([], [], color=c, lw=2, label=label) for label, c in colors.items()),
        Line2D([], [], color="0.3", lw=2, label="after adaptation (last episode)"),
        Line2D(
            [],
            [],
            color="0.3",
            lw=1.2,
            ls="--",
            label="before adaptation (first episode)",
        ),
    ]


def _caption(panels: dict[str, list[Curves]]) -> list[str]:
    """Say what was averaged, from how many runs, seeds and tasks, and which code."""
    paragraphs = [
        "Undiscounted return of meta-test episodes with deterministic actions, mean "
        "over the test tasks. Bold: mean over seeds where all have been evaluated; "
        "thin: each seed."
    ]
    for family, panel in panels.items():
        for curves in panel:
            runs = curves.runs
            noun = "runs, seeds" if len(runs) > 1 else "run, seed"
            tasks = sorted({p.tasks for points in curves.points for p in points})
            steps = max(points[-1].env_steps for points in curves.points)
            parts = [
                f"{len(runs)} {noun} {', '.join(run['seed'] for run in runs)}",
                f"{' or '.join(map(str, tasks))} test tasks",
                f"{EngFormatter(sep='')(steps)} steps",
                f"commit {_commits(runs)}",
            ]
            unfinished = [run["seed"] for run in runs if run["status"] != "done"]
            if unfinished:
                parts.append(f"unfinished: seed {', '.join(unfinished)}")
            paragraphs.append(f"{family}, {curves.label}: {'; '.join(parts)}.")
    return paragraphs


def _commits(runs: list[Row]) -> str:
    """Return the short commits; ``+`` marks code that differed from its commit."""
    names: dict[str, None] = {}
    for run in runs:
        changed = "+" if "True" in run["dirty"] else ""
        for commit in run["commit"].split("; "):
            names[commit[:7] + changed if commit else "unknown"] = None
    return ", ".join(names)


def _save(figure: Figure, stem: Path) -> list[Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    changed: list[Path] = []
    for suffix, metadata in NO_DATE.items():
        data = io.BytesIO()
        figure.savefig(data, format=suffix, metadata=metadata)
        path = stem.with_suffix(f".{suffix}")
        if write_atomic(path, data.getvalue()):
            changed.append(path)
    return changed
