"""Probability that a run of PEARL ends above one of a baseline."""

from __future__ import annotations

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.comparison import improvements
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Probability of improvement"
SUITES = ()
ORDER = 6


def draw(published: Published) -> Sheet:
    """Draw one line per pair of PEARL and a baseline of the same budget."""
    looks = style.looks(published)
    pairs = improvements(published)
    caption = [
        "Probability that a run of PEARL has a higher final return (success rate where "
        "the family has one) than a run of the baseline with the same budget, mean "
        "over the families that both have. Right of the line at 0.5 PEARL is ahead. "
        f"{stats.METHOD}; none where a family has a single seed.",
        *notes.caption(published),
    ]
    height = 1.0 + 0.28 * max(1, len(pairs))
    sheet, (ax,) = style.sheet(1, caption, [], size=(6.5, height))
    for y, pair in enumerate(pairs):
        style.whisker(ax, y, pair.found, 0, looks[pair.baseline])
    names = [
        f"{pair.method}\nover {pair.baseline} ({len(pair.families)} families)"
        for pair in pairs
    ]
    style.categories(ax, names)
    ax.set_xlim(-0.02, 1.02)
    ax.axvline(0.5, color="0.3", lw=1, ls="--")
    ax.set_xlabel("probability of improvement")
    if not pairs:
        style.say(ax, "no runs of PEARL and of a baseline with the same budget yet")
    return sheet
