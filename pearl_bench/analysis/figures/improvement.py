"""Probability that a run of the reference ends above one of a baseline."""

from __future__ import annotations

from collections import Counter

from pearl_bench.analysis import looks, notes, ranks
from pearl_bench.analysis.arms import OWN
from pearl_bench.analysis.comparison import Improvement, improvements
from pearl_bench.analysis.legends import OWN_IS
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Probability of improvement"
SUITES = ()
ORDER = 6


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one line per baseline, over all families together.

    Nothing is drawn where all have the same probability, 1 as a rule, nor of one run
    against one on one family, which is above it or not.
    """
    arms = [arm for family in published.families for arm in family.headline]
    labels = {arm.label for arm in arms}
    pairs = _widest(
        [
            pair
            for pair in improvements(published)
            if {pair.method, pair.baseline} <= labels and pair.runs != ((1, 1),)
        ]
    )
    if len({pair.found.probability for pair in pairs}) < 2:
        return None
    called, seen = looks.names(published, arms), looks.looks(published, arms)
    panels = Panels(config, [""], height=0.0, whole=True)
    (ax,) = panels.axes
    for y, pair in enumerate(pairs):
        own = pair.part == OWN
        panels.mark(ax, pair.found.probability, y, seen[pair.baseline], own=own)
    panels.categories(ax, _names(published, pairs, called), len(pairs))
    ax.set_xlim(0, 1)
    ax.axvline(0.5, color="0.3", lw=0.8, ls="--")
    reference = looks.method_name(published, published.reference)
    panels.label(f"probability that {reference} is above")
    about = (
        f"Probability that a run of {reference} has a higher level (success rate where "
        "the family has one) than a run of the baseline, mean over the families where "
        "the two compare; right of the line at 0.5 it is ahead. n: "
        f"runs of {reference} and of the baseline. "
        f"{ranks.TEST_IS}. {notes.OF_PAPER_IS}."
    )
    compared = {
        (label, family)
        for pair in pairs
        for label in (pair.method, pair.baseline)
        for family in pair.families
    }
    shown = [arm for arm in published.arms if (arm.label, arm.family) in compared]
    return panels.finish([about], called, shown)


def _widest(pairs: list[Improvement]) -> list[Improvement]:
    """Return of every pair and protocol the comparison over most families."""
    found: dict[tuple[object, ...], Improvement] = {}
    for pair in pairs:
        key = (pair.method, pair.baseline, pair.part)
        if key not in found or len(pair.families) > len(found[key].families):
            found[key] = pair
    return list(found.values())


def _names(
    published: Published, pairs: list[Improvement], called: dict[str, str]
) -> list[str]:
    """Name pairs by their baselines; by both where one baseline has several."""
    baselines = [
        called[pair.baseline]
        + notes.of_paper(published, pair.baseline, pair.families)
        + (f", {OWN_IS}" if pair.part == OWN else "")
        for pair in pairs
    ]
    often = Counter(baselines)
    return [
        (f"{called[pair.method]} over " if often[baseline] > 1 else "")
        + f"{baseline}\n{_counts(pair)}, p = {pair.found.p:.2g}"
        for pair, baseline in zip(pairs, baselines, strict=True)
    ]


def _counts(pair: Improvement) -> str:
    """Say how many families and runs are compared."""
    runs = [sum(of_one) for of_one in zip(*pair.runs, strict=True)]
    over = notes.families_in_words(len(pair.families))
    return f"{over}, n = {runs[0]} and {runs[1]}"
