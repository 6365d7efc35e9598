"""Score against wall-clock time of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from pearl_bench.analysis import captions, curves, looks, stats, style
from pearl_bench.analysis.arms import REPORTED, REPORTED_IS, Arm
from pearl_bench.analysis.looks import Look
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Family, Published

TITLE = "Score against time"
SUITES = ()
ORDER = 7


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family whose files say when its evaluations were."""
    timed = {
        family.name: [arm for arm in family.headline if arm.hours(REPORTED)]
        for family in published.families
    }
    families = [family for family in published.families if timed[family.name]]
    arms = [arm for family in families for arm in timed[family.name]]
    if not families:
        return None
    called, seen = looks.of_headline(published, arms)
    heads = captions.heads([timed[family.name] for family in families], called)
    panels = Panels(
        config,
        [family.name for family in families],
        [
            f"{head}, {captions.most(_devices(timed[family.name], called))}"
            for head, family in zip(heads, families, strict=True)
        ],
    )
    for ax, family in zip(panels.axes, families, strict=True):
        shown: list[float] = []
        for arm in published.in_order(timed[family.name]):
            name, look = called[arm.label], seen[arm.label]
            shown += _draw_arm(ax, panels, family, arm, look, name)
        style.log_axis(ax, min(shown), max(shown), panels.ticks)
        panels.bound(ax, family.measure)
    panels.label("hours of training", "normalised score")
    about = (
        f"{captions.score_of(families)} Shown is {REPORTED_IS}. {curves.SEEDS_ARE} "
        "Times are of training with its evaluations, measured at the end of each; "
        "seeds that ran on several models of processor have no mean. "
        f"Hardware: {'; '.join(_hardware(arms))}."
    )
    return panels.finish(
        [about, captions.shown(published, families), *_untimed(published.families)],
        called,
        arms,
    )


def _draw_arm(
    ax: Axes, panels: Panels, family: Family, arm: Arm, look: Look, name: str
) -> list[float]:
    """Draw each run thin and, of one processor, the mean of times and scores bold.

    Returns:
        The hours of the points.
    """
    runs = arm.having(REPORTED)
    every: list[float] = []
    for run in runs:
        points = run.episode(REPORTED, -1)
        when = [(point.wall_s or 0.0) / 3600 for point in points]
        every += when
        if len(runs) > 1:
            values = np.array([point.value(family.measure) for point in points])
            panels.seed(ax, when, family.score(values), look)
    hours = arm.hours(REPORTED)
    assert hours is not None
    if len(arm.trained_on) > 1 or not len(hours.steps):
        return every
    scores = family.score(arm.matched(REPORTED, -1, family.measure).values)
    mean = stats.mean_curve(f"score {family.name} {arm.label}", scores)
    x, *ends = style.with_breaks(hours.values.mean(0), *mean)
    panels.curve(ax, x, stats.Estimate(*ends), look, name)
    return every


def _untimed(families: Sequence[Family]) -> list[str]:
    """Say which arms are left out because nobody wrote down when they were tested."""
    lacking = [
        f"{arm.label} on {family.name}"
        for family in families
        for arm in family.headline
        if not arm.hours(REPORTED)
    ]
    return [f"Without the times of their evaluations: {', '.join(lacking)}."] * bool(
        lacking
    )


def _devices(arms: Sequence[Arm], called: Mapping[str, str]) -> dict[str, str]:
    """Return on what the runs of each name trained, on which hours depend."""
    return {
        called[arm.label]: " and ".join(
            sorted(
                {
                    "GPU" if device == "cuda" else "CPU"
                    for run in arm.runs
                    for device in run.devices
                }
            )
        )
        for arm in arms
    }


def _hardware(arms: list[Arm]) -> list[str]:
    return sorted({model for arm in arms for _, model in arm.trained_on})
