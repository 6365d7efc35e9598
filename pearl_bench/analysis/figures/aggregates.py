"""IQM, median, mean and optimality gap of scores over all families."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import captions, looks, notes, stats
from pearl_bench.analysis.arms import LEVEL_IS
from pearl_bench.analysis.comparison import aggregate, level_scores
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Aggregate scores"
SUITES = ()
ORDER = 4


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per statistic, one line in each per method.

    Nothing is drawn of a single family, whose scores have one and the same mean.
    """
    arms = [arm for family in published.families for arm in family.headline]
    scores = {
        label: level_scores(published, label)
        for label in published.ordered(arm.label for arm in arms)
    }
    # arms of as many families compare, and stand together
    labels = sorted(scores, key=lambda label: -len(scores[label]))
    if max(map(len, scores.values()), default=0) < 2:
        return None
    called, seen = looks.names(published, arms), looks.looks(published, arms)
    found = {label: aggregate(published, label) for label in labels}
    known = _telling([found[label].value for label in labels])
    panels = Panels(
        config,
        [stats.AGGREGATES[i] for i in known],
        columns=len(known) if config.width > len(known) * 1.2 else 1,
        height=0.0,
    )
    families = [family for family in published.families if family.headline]
    names = [
        f"{called[label]}{notes.of_paper(published, label)}\n"
        f"{notes.families_in_words(len(scores[label]))}, "
        f"n = {_span([len(of_family) for of_family in scores[label].values()])}"
        for label in labels
    ]
    for place, (ax, i) in enumerate(zip(panels.axes, known, strict=True)):
        if place:
            ax.sharex(panels.axes[0])
        for y, label in enumerate(labels):
            few = min(map(len, scores[label].values())) < stats.FEW
            panels.whisker(ax, y, found[label], i, seen[label], few=few)
        panels.categories(ax, names if place % panels.columns == 0 else [], len(labels))
        if all(family.measure == "success" for family in families):
            ax.set_xlim(0, 1)
    panels.label("normalised score")
    about = (
        f"{captions.score_of(families)} {LEVEL_IS}. All families weigh the same; "
        "methods compare where their families, which stand below, are the same. IQM: "
        "mean of the middle half, where every family has enough runs; optimality gap: "
        "mean distance below 1; what says no more than the mean is left out. "
        f"{captions.WHISKERS_ARE}. {notes.OF_PAPER_IS}."
    )
    shown = published.labelled(labels)
    return panels.finish([about, captions.shown(published, families)], called, shown)


def _telling(values: list[np.ndarray]) -> list[int]:
    """Return which statistics say more than the mean alone does."""
    every = dict(zip(stats.AGGREGATES, np.stack(values, axis=1), strict=True))
    mean = every["mean"]
    same = {"IQM": mean, "median": mean, "mean": None, "optimality gap": 1 - mean}
    return [
        i
        for i, (name, of) in enumerate(every.items())
        if np.isfinite(of).any()
        and not (same[name] is not None and np.allclose(of, same[name]))
    ]


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
