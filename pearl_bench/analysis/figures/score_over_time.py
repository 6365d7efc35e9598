"""Score against wall-clock time of training."""

from __future__ import annotations

import numpy as np

from pearl_bench.analysis import captions, curves, looks, stats, style
from pearl_bench.analysis.arms import REPORTED, REPORTED_IS, Arm
from pearl_bench.analysis.comparison import SCORE_IS
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Score against time"
SUITES = ()
ORDER = 7


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family whose runs' times are known."""
    timed = {
        family.name: [arm for arm in family.headline if _rates(arm)]
        for family in published.families
    }
    families = [family for family in published.families if timed[family.name]]
    arms = [arm for family in families for arm in timed[family.name]]
    if not families:
        return None
    called, seen = looks.names(published, arms), looks.looks(published, arms)
    panels = Panels(
        config,
        [family.name for family in families],
        [captions.counts(timed[family.name], called) for family in families],
    )
    for ax, family in zip(panels.axes, families, strict=True):
        shown: list[float] = []
        for arm in published.in_order(timed[family.name]):
            steps, values, _ = arm.matched(REPORTED, -1, family.measure)
            if not len(steps):
                continue
            scores, look = family.score(values), seen[arm.label]
            found = stats.mean_curve(f"score {family.name} {arm.label}", scores)
            hours = steps * np.mean(_rates(arm))
            shown += hours.tolist()
            for of_run in scores if len(scores) > 1 else ():
                panels.seed(ax, hours, of_run, look)
            x, *ends = style.with_breaks(hours, *found)
            panels.curve(ax, x, stats.Estimate(*ends), look, called[arm.label])
        style.log_axis(ax, min(shown), max(shown), panels.ticks)
    panels.label("hours of training", "normalised score")
    about = (
        f"{SCORE_IS}. Shown is {REPORTED_IS}. {curves.SEEDS_ARE} The time of an "
        "evaluation is the run's training time (evaluation included) in proportion to "
        "its steps, mean over the seeds whose time is known. Hardware: "
        f"{'; '.join(_hardware(arms))}."
    )
    return panels.finish([about, captions.shown(published, families)], called, arms)


def _rates(arm: Arm) -> list[float]:
    """Return the hours per step of the runs whose time is known."""
    return [
        float(run.row["training_hours"]) / int(run.row["steps"])
        for run in arm.having(REPORTED)
        if float(run.row["training_hours"])
    ]


def _hardware(arms: list[Arm]) -> list[str]:
    rows = [run.row for arm in arms for run in arm.runs]
    return sorted({row["gpu"] or row["cpu"] or "unknown" for row in rows})
