"""IQM, median, mean and optimality gap of scores over all families."""

from __future__ import annotations

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import LEVEL_IS
from pearl_bench.analysis.comparison import SCORE_IS, aggregate, level_scores
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Aggregate scores"
SUITES = ()
ORDER = 4


def draw(published: Published) -> Sheet:
    """Draw one panel per statistic, one line in each per method."""
    looks = style.looks(published)
    labels = published.labels
    caption = [
        f"{SCORE_IS}. {LEVEL_IS}. Every family weighs the same. IQM: mean of the "
        f"middle half of the runs, only from {stats.IQM_RUNS} runs a family on; "
        f"optimality gap: mean distance below 1. {stats.METHOD}; here bars do.",
        *notes.caption(published),
    ]
    panels = len(stats.AGGREGATES)
    height = 1.0 + 0.25 * len(labels)
    sheet, axes = style.sheet(panels, caption, [], columns=panels, size=(2.5, height))
    found = {label: aggregate(published, label) for label in labels}
    for i, (ax, name) in enumerate(zip(axes, stats.AGGREGATES, strict=True)):
        for y, label in enumerate(labels):
            style.whisker(ax, y, found[label], i, looks[label])
        ax.set_title(name)
        ax.set_xlabel("normalised score")
        families = len(published.families)
        ticks = [
            f"{label}\n{len(level_scores(published, label))} of {families} families"
            for label in labels
        ]
        style.categories(ax, ticks if i == 0 else [""] * len(labels))
    return sheet
