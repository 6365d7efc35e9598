"""Performance profiles: the share of runs whose final score exceeds a threshold."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.comparison import level_scores, score_in_words
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
        f"{score_in_words(published)} Share of runs, over all families of a method, "
        f"whose final score is above the threshold. {stats.METHOD}; none where a "
        "family has a single seed.",
        *notes.caption(published),
    ]
    sheet, (ax,) = style.sheet(1, caption, style.legend(looks), size=(6.0, 3.2))
    short = []
    for label in published.labels:
        strata = list(level_scores(published, label).values())
        statistic = stats.profile(THRESHOLDS)
        found = stats.estimate(f"profile {label}", statistic, strata)
        style.line(ax, THRESHOLDS, found, looks[label])
        if len(strata) < len(published.families):
            short.append(f"{label}: {len(strata)}")
    ax.set_xlabel("threshold, normalised score")
    ax.set_ylabel("share of runs above")
    ax.set_ylim(-0.03, 1.03)
    if short:
        total = len(published.families)
        style.say(ax, f"of {total} families, {'; '.join(short)}", width=90)
    return sheet
