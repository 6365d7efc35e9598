"""Return against episode within a task: what adaptation brings, method by method."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from pearl_bench.analysis import captions, looks, stats
from pearl_bench.analysis.arms import LEVEL_IS, OWN, REPORTED, Arm, Part
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Family, Published

TITLE = "Adaptation within a task"
SUITES = ()
ORDER = 3
MANY = 6
"""Episodes from which on the axis is logarithmic, in one more than their number."""
TICKS = (0, 1, 2, 3, 5, 10, 20)


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family that has several episodes."""
    families = [f for f in published.families if any(map(_several, f.headline))]
    arms = [arm for family in families for arm in family.headline]
    if not families:
        return None
    called, seen = looks.of_headline(published, arms)
    panels = Panels(
        config,
        [family.name for family in families],
        captions.heads([family.headline for family in families], called),
    )
    first = 1
    for ax, family in zip(panels.axes, families, strict=True):
        shown: set[int] = set()
        for arm in published.in_order(family.headline):
            for part in (REPORTED, OWN):
                numbers = _numbers(arm, part)
                if numbers:
                    look, name = seen[arm.label], called[arm.label]
                    _draw(ax, panels, family, arm, part, look, name)
                    shown.update(numbers)
        _episode_axis(ax, sorted(shown))
        panels.bound(ax, family.measure)
        first = min(first, *shown)
    panels.label("episode within the task", f"test {captions.measured(families)}")
    before = (
        "Episode 0 is deterministic and comes before any experience: PEARL with the "
        "prior's mean, gradient methods unadapted, RL² with its initial state. "
        if first == 0
        else ""
    )
    about = (
        "Level of each meta-test episode, mean over the test tasks and over runs; "
        f"thin: each run. {LEVEL_IS}. {before}The last one comes after the exploration "
        "episodes. The suite's protocol gives every method the same exploration; "
        "dotted: as much as the method trains with. Baselines sample their actions in "
        "exploration episodes."
    )
    return panels.finish([about, captions.shown(published, families)], called, arms)


def _draw(
    ax: Axes,
    panels: Panels,
    family: Family,
    arm: Arm,
    part: Part,
    look: looks.Look,
    name: str,
) -> None:
    numbers = _numbers(arm, part)
    levels = [arm.levels(part, family.measure, number) for number in numbers]
    values, x = np.stack(levels, axis=1), np.array(numbers, float)
    if len(values) > 1:
        for of_run in values:
            panels.seed(ax, x, of_run, look)
    found = stats.mean_curve(f"adaptation {family.name} {arm.label} {part}", values)
    panels.curve(ax, x, found, look, name, own=part == OWN, marks=True)


def _several(arm: Arm) -> bool:
    return any(len(_numbers(arm, part)) > 1 for part in (REPORTED, OWN))


def _numbers(arm: Arm, part: Part) -> list[int]:
    """Return the episodes that all runs of an arm have."""
    of_runs = [{p.episode for p in run.points[part]} for run in arm.having(part)]
    return sorted(set.intersection(*of_runs)) if of_runs else []


def _episode_axis(ax: Axes, shown: list[int]) -> None:
    last = shown[-1]
    if last < MANY:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        return
    ax.set_xscale("function", functions=(np.log1p, np.expm1))
    ax.xaxis.set_major_locator(
        FixedLocator([t for t in TICKS if shown[0] <= t <= last])
    )
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
