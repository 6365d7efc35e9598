"""Test returns against environment steps: what several figures draw on their panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pearl_bench.analysis import captions, notes, stats, style
from pearl_bench.analysis.arms import (
    LEVEL_IS,
    OWN,
    REPORTED,
    SUCCESS_IS,
    Arm,
    Measure,
    Part,
)
from pearl_bench.analysis.looks import GREY, Look, dashes, method_name, of_headline
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.reference import ReferenceCurve
from pearl_bench.analysis.scores import Family, Published

LAST = 1000
"""Rank of what stands after all arms in a legend."""
WHAT: dict[Measure, str] = {
    "return": "Undiscounted return of the last meta-test episode",
    "success": f"Success rate: {SUCCESS_IS}",
}
SEEDS_ARE = (
    "Bold: mean over seeds where all have been evaluated; thin: each seed. Bands, from "
    f"{stats.FEW} seeds on: 95 % percentile bootstrap over seeds, {stats.RESAMPLES} "
    "resamples."
)


def learning_curves(
    published: Published,
    config: AnalysisConfig,
    *,
    log: bool,
    own: bool = False,
) -> Sheet | None:
    """Draw one panel per family and on it one curve per method.

    Args:
        published: the data.
        config: the words.
        log: axes reach from the first evaluation of any curve to the last; linear ones
            end where the reference does, and methods that went on longer are dashed
            lines at their levels.
        own: of methods with a protocol of their own, that one.
    """
    families = [family for family in published.families if family.headline]
    headline = [arm for family in families for arm in family.headline]
    bounds = [arm for family in families for arm in family.bounds]
    if not families or (own and not any(arm.having(OWN) for arm in headline)):
        return None
    called, seen = of_headline(published, headline, bounds)
    panels = Panels(
        config,
        [family.name for family in families],
        captions.heads([family.headline for family in families], called),
        whole=True,
    )
    quoted: list[ReferenceCurve] = []
    levels = False
    for ax, family in zip(panels.axes, families, strict=True):
        first, last = limits(published, config, family, log=log)
        style.step_axis(ax, first, last, panels.ticks, log=log)
        panels.bound(ax, family.measure)
        quoted += _quote(ax, panels, published, family)
        for arm in published.in_order(family.bounds):
            look, name = seen[arm.label], called[arm.label]
            draw_arm(ax, panels, arm, family.measure, look, name)
        for arm in published.in_order(family.headline):
            part = OWN if own and arm.having(OWN) else REPORTED
            look, name = seen[arm.label], called[arm.label]
            began = first_step(arm, part)
            if began < last or began == last == arm.steps[1]:  # a single evaluation
                draw_arm(ax, panels, arm, family.measure, look, name, part)
            if arm.steps[1] * (1 - notes.UNEVEN) > last:
                level = float(arm.levels(part, family.measure).mean())
                levels = True
                share = notes.share_in_words(arm.shares)
                panels.level(ax, level, name, notes.short_steps_of(arm), look, share)
    panels.label("environment steps", f"test {captions.measured(families)}")
    compared = not log and config.until is None
    about = _about(
        published, families, quoted, compared=compared, own=own, levels=levels
    )
    return panels.finish(about, called, [*headline, *bounds])


def draw_arm(
    ax: Axes,
    panels: Panels,
    arm: Arm,
    measure: Measure,
    look: Look,
    name: str = "",
    part: Part = REPORTED,
) -> None:
    """Draw each run of an arm thin, and their mean bold; without a name, no legend."""
    runs = arm.having(part)
    if len(runs) > 1:
        for run in runs:
            points = run.episode(part, -1)
            values = [point.value(measure) for point in points]
            panels.seed(ax, [point.env_steps for point in points], values, look)
    steps, values, _ = arm.matched(part, -1, measure)
    if len(steps):
        title = f"curve {arm.family} {arm.label} {part}"
        x, *ends = style.with_breaks(steps, *stats.mean_curve(title, values))
        panels.curve(ax, x, stats.Estimate(*ends), look, name, own=part == OWN)


def first_step(arm: Arm, part: Part = REPORTED) -> int:
    """Return the environment steps at an arm's first evaluation."""
    return min(run.points[part][0].env_steps for run in arm.having(part))


def limits(
    published: Published, config: AnalysisConfig, family: Family, *, log: bool
) -> tuple[float, float]:
    """Return the first and the last environment step that a panel shows."""
    shown = family.headline
    first = min(first_step(arm) for arm in shown)
    if config.until is not None:
        return first, config.until
    compared = [arm for arm in shown if arm.learner == published.reference]
    if log or not compared:
        compared = list(shown)
    return first, max(arm.steps[1] for arm in compared)


def outgrown(published: Published, config: AnalysisConfig) -> bool:
    """Whether some method went on where linear axes have ended."""
    return any(
        arm.steps[1] * (1 - notes.UNEVEN)
        > limits(published, config, family, log=False)[1]
        for family in published.families
        for arm in family.headline
    )


def _quote(
    ax: Axes, panels: Panels, published: Published, family: Family
) -> list[ReferenceCurve]:
    """Draw others' published curves of a family, where they have been asked for."""
    found = [
        curve
        for curve in published.reference_curves
        if (curve.family, curve.measure) == (family.name, family.measure)
    ]
    every = sorted({curve.name for curve in published.reference_curves})
    for curve in found:
        i = every.index(curve.name)
        look = Look(GREY, "", width=0.9, dashes=dashes(i), rank=LAST + i)
        nothing = np.full_like(curve.values, np.nan)
        of = stats.Estimate(curve.values, nothing, nothing)
        panels.curve(ax, curve.steps, of, look, curve.name)
    return found


def _about(
    published: Published,
    families: Sequence[Family],
    quoted: Sequence[ReferenceCurve],
    *,
    compared: bool,
    own: bool,
    levels: bool,
) -> list[str]:
    """Say what is shown.

    Args:
        published: the suite.
        families: of the panels.
        quoted: others' curves.
        compared: axes end where the reference does, if it is there.
        own: curves are of a method's own protocol.
        levels: some method has a level.
    """
    of: dict[Measure, list[str]] = {}
    for family in families:
        of.setdefault(family.measure, []).append(family.name)
    what = ". ".join(
        WHAT[measure] + (f" ({', '.join(names)})" if len(of) > 1 else "")
        for measure, names in of.items()
    )
    about = [
        f"{what}; deterministic actions, mean over test tasks.",
        SEEDS_ARE,
    ]
    if own:
        about.append(
            "Dotted: after as many exploration episodes as the method trains with, if "
            "the suite gives another number."
        )
    learners = {arm.learner for family in families for arm in family.headline}
    if compared and published.reference in learners:
        reference = method_name(published, published.reference)
        about.append(f"Axes end where {reference} does.")
    if any(family.bounds for family in families):
        about.append(
            "Broken thin lines: told the task's parameters in place of z, and told "
            "nothing. Between them lies what inference can gain."
        )
    if levels:
        about.append(
            "Of a method that went on longer a dashed line shows the level at the step "
            f"beside it, mean over its runs. {LEVEL_IS}."
        )
    return [
        " ".join(about),
        captions.shown(published, families),
        *(
            f"Grey, {curve.family}: {curve.name}, {curve.statistic}; {curve.source}."
            for curve in quoted
        ),
    ]
