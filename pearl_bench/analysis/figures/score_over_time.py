"""Score against wall-clock time of training."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import REPORTED, REPORTED_IS
from pearl_bench.analysis.comparison import SCORE_IS
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Score against time"
SUITES = ()
ORDER = 7


def draw(published: Published) -> Sheet:
    """Draw one panel per family."""
    looks = style.looks(published)
    caption = [
        f"{SCORE_IS}. Shown is {REPORTED_IS}; mean over seeds. "
        "The time of an evaluation is the run's training time (evaluation included) in "
        "proportion to its steps, mean over the seeds whose time is known. "
        f"{stats.METHOD}. Hardware: {'; '.join(_hardware(published))}.",
        *notes.caption(published),
    ]
    handles = style.legend(looks)
    sheet, axes = style.sheet(len(published.families), caption, handles)
    for ax, family in zip(axes, published.families, strict=True):
        for arm in family.arms:
            steps, values, _ = arm.matched(REPORTED, -1, family.measure)
            rates = [
                float(run.row["training_hours"]) / int(run.row["steps"])
                for run in arm.having(REPORTED)
                if float(run.row["training_hours"])
            ]
            if len(steps) and rates:
                name = f"score {family.name} {arm.label}"
                found = stats.mean_curve(name, family.score(values))
                style.line(ax, steps * np.mean(rates), found, looks[arm.label])
        ax.set_title(family.name)
        ax.set_xscale("log")
        ax.set_xlabel("hours of training")
        ax.set_ylabel("normalised score")
        style.say(ax, notes.on_face(family))
    return sheet


def _hardware(published: Published) -> list[str]:
    rows = [run.row for arm in published.arms for run in arm.runs]
    return sorted({row["gpu"] or row["cpu"] or "unknown" for row in rows})
