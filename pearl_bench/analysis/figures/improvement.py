"""Probability that a run of PEARL ends above one of a baseline."""

from __future__ import annotations

from pearl_bench.analysis import notes, ranks, style
from pearl_bench.analysis.arms import LEVEL_IS, OWN
from pearl_bench.analysis.comparison import Improvement, improvements
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Probability of improvement"
SUITES = ()
ORDER = 6


def draw(published: Published) -> Sheet:
    """Draw one line per pair of PEARL and a baseline of the same budget."""
    looks = style.looks(published)
    pairs = list(improvements(published))
    caption = [
        "Probability that a run of PEARL ends higher than a run of the baseline with "
        "the same budget, each at its own steps, family by family and as the mean over "
        "them; the baseline under the suite's protocol or its own. "
        f"{LEVEL_IS}. Right of the line at 0.5 PEARL is ahead. {ranks.TEST_IS}.",
        *notes.caption(published),
    ]
    height = 1.0 + 0.28 * max(1, len(pairs))
    sheet, (ax,) = style.sheet(1, caption, [], size=(6.5, height))
    for y, pair in enumerate(pairs):
        look = looks[pair.baseline]
        own = pair.part == OWN
        face = "white" if own else look.color
        ax.plot(pair.found.probability, y, look.marker, color=look.color, mfc=face)
    style.categories(ax, [_name(pair) for pair in pairs])
    ax.set_xlim(-0.02, 1.02)
    ax.axvline(0.5, color="0.3", lw=1, ls="--")
    ax.set_xlabel("probability of improvement")
    if not pairs:
        style.say(ax, "no runs of PEARL and of a baseline with the same budget yet")
    return sheet


def _name(pair: Improvement) -> str:
    """Say what is compared, with how many runs, and its p-value."""
    families = ", ".join(pair.families)
    mine, theirs = (" + ".join(map(str, of)) for of in zip(*pair.runs, strict=True))
    own = ", own protocol" if pair.part == OWN else ""
    return (
        f"{pair.method} over {pair.baseline}{own}\n"
        f"{families}; {mine} runs over {theirs}, p = {pair.found.p:.2g}"
    )
