"""IQM, median, mean and optimality gap of final scores over all families."""

from __future__ import annotations

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.comparison import aggregate, level_scores, score_in_words
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
        f"{score_in_words(published)} Final scores are means over the last tenth of a "
        "run's steps. IQM: mean of the middle half of all runs; optimality gap: mean "
        f"distance below 1. {stats.METHOD}; none where a family has a single seed.",
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
