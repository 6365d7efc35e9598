"""Performance profiles: the share of runs whose score exceeds a threshold."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import LEVEL_IS
from pearl_bench.analysis.comparison import SCORE_IS, level_scores, profile
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Performance profiles"
SUITES = ()
ORDER = 5
THRESHOLDS = np.linspace(-0.2, 1.2, 141)


def draw(published: Published) -> Sheet:
    """Draw one curve per method."""
    looks = style.looks(published)
    caption = [
        f"{SCORE_IS}. {LEVEL_IS}. Share of runs whose score is above the threshold, "
        "mean over the families of a method, only of methods with "
        f"{stats.FEW} runs of each. {stats.METHOD}.",
        *notes.caption(published),
    ]
    sheet, (ax,) = style.sheet(1, caption, style.legend(looks), size=(6.0, 3.2))
    short = []
    for label in published.labels:
        found = profile(published, label, THRESHOLDS)
        if found is None:
            continue
        style.line(ax, THRESHOLDS, found, looks[label])
        families = len(level_scores(published, label))
        if families < len(published.families):
            short.append(f"{label}: {families}")
    ax.set_xlabel("threshold, normalised score")
    ax.set_ylabel("share of runs above")
    ax.set_ylim(-0.03, 1.03)
    if not ax.has_data():
        style.say(ax, f"no method has {stats.FEW} runs of each of its families yet")
    if short:
        total = len(published.families)
        style.say(ax, f"of {total} families, {'; '.join(short)}", width=90)
    return sheet
