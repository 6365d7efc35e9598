"""Performance profiles: the share of runs whose score exceeds a threshold."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import captions, looks, notes, stats
from pearl_bench.analysis.arms import LEVEL_IS
from pearl_bench.analysis.comparison import level_scores, profile
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Performance profiles"
SUITES = ()
ORDER = 5
MARGIN = 0.05
"""Score beyond the lowest and the highest that is shown."""


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one curve per method that has enough runs."""
    arms = [arm for family in published.families for arm in family.headline]
    every = {
        label: level_scores(published, label)
        for label in published.ordered(arm.label for arm in arms)
    }
    values = [float(x) for scores in every.values() for s in scores.values() for x in s]
    if not values:
        return None
    # the share changes at scores alone: these are all of its steps
    ends = min(values) - MARGIN, max(values) + MARGIN
    thresholds = np.unique([ends[0], *values, ends[1]])
    found = {label: profile(published, label, thresholds) for label in every}
    shown = {label: of for label, of in found.items() if of is not None}
    if not shown:
        return None
    arms = [arm for arm in arms if arm.label in shown]
    called, seen = looks.names(published, arms), looks.looks(published, arms)
    panels = Panels(config, [""])
    (ax,) = panels.axes
    for label, of in shown.items():
        runs = sum(map(len, every[label].values()))
        method = called[label] + notes.of_paper(published, label)
        over = notes.families_in_words(len(every[label]))
        name = f"{method}: {over}, n = {runs}"
        panels.curve(ax, thresholds, of, seen[label], name, steps=True)
    ax.set_xlim(*ends)
    ax.set_ylim(0, 1)
    panels.label("threshold, normalised score", "share of runs above")
    families = [
        family
        for family in published.families
        if any(arm.label in shown for arm in family.headline)
    ]
    about = (
        "Share of runs, over all families of a method, whose score is above the "
        "threshold; all families weigh the same. "
        f"{captions.score_of(families)} {LEVEL_IS}. Of methods with fewer than "
        f"{stats.FEW} runs of a family there is no profile. {captions.BANDS_ARE}. "
        f"{notes.OF_PAPER_IS}."
    )
    return panels.finish([about], called, published.labelled(shown))
