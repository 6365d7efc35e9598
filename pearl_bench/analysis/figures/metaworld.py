"""Success on Meta-World against environment steps, on test and on training tasks."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.lines import Line2D

from pearl_bench.analysis import metaworld, notes, stats, style
from pearl_bench.analysis.arms import REPORTED, SUCCESS_IS
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Success on Meta-World"
SUITES = metaworld.SUITES
ORDER = 10


def draw(published: Published) -> Sheet:
    """Draw two panels per family: test tasks, training tasks."""
    looks = style.looks(published)
    names = {family.name for family in published.families}
    quoted = [
        row
        for row in metaworld.PUBLISHED
        if row.family in names and row.source == metaworld.PAPER
    ]
    caption = [
        "Share of test episodes that succeeded at any step, deterministic actions; "
        f"{SUCCESS_IS}; mean over seeds where all have been evaluated. "
        f"{_about(quoted)} {stats.METHOD}.",
        *notes.caption(published),
    ]
    dotted = Line2D([], [], color="0.4", lw=1, ls=":", label="published, see the table")
    handles = style.legend(looks, (), *([dotted] if quoted else []))
    sheet, axes = style.sheet(2 * len(published.families), caption, handles, columns=2)
    parts = {"test": REPORTED, "train": metaworld.TRAIN}
    panels = [(f, split) for f in published.families for split in parts]
    for ax, (family, split) in zip(axes, panels, strict=True):
        arms = [arm for arm in family.arms if arm.having(parts[split])]
        for arm in arms if family.measure == "success" else ():
            steps, values, _ = arm.matched(parts[split], -1, "success")
            name = f"curve {family.name} {arm.label} {parts[split]}"
            if len(steps):
                style.line(ax, steps, stats.mean_curve(name, values), looks[arm.label])
        ax.set_title(f"{family.name}, {split} tasks")
        ax.set_ylabel("success")
        ax.set_ylim(-0.03, 1.03)
        style.step_axis(ax)
        for row in quoted:
            if row.family == family.name:
                level = float(getattr(row, split).value) / 100
                ax.axhline(level, color="0.4", lw=1, ls=":")
                place = (1.0, level)
                ax.annotate(
                    row.method,
                    place,
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    va="bottom",
                    fontsize=6,
                    color="0.4",
                )
        style.say(ax, notes.on_face(family))
    return sheet


def _about(quoted: Sequence[metaworld.Success]) -> str:
    """Say what the dotted lines are."""
    if not quoted:
        return "The Meta-World paper gives no number for these families."
    return (
        "Dotted: published success of the paper's methods (Meta-World paper, 2021; "
        "maxima over training, 225M steps and more)."
    )
