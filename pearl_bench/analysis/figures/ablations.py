"""PEARL's ablations as learning curves: figures 5, 6 and 7 of Rakelly et al. 2019."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from pearl_bench.analysis import captions, curves, looks, style
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.looks import Look
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.config.words import show

TITLE = "Ablations"
SUITES = ("locomotion", "navigation")
ORDER = 30
PEARL = "pearl"


class Ablation(NamedTuple):
    """A setting of PEARL that is not its default, and the paper's figure of it.

    Attributes:
        title: of its panels.
        key: the setting.
        values: those that the paper tries, and what they are called.
    """

    title: str
    key: str
    values: dict[object, str]


ABLATIONS = (
    Ablation("encoder (fig. 5)", "recurrent", {True: "recurrent encoder"}),
    Ablation(
        "context (fig. 6)",
        "context_sampler",
        {
            "whole-buffer": "context from the whole buffer",
            "rl-batch": "context from the RL batch",
        },
    ),
    Ablation("latent (fig. 7)", "probabilistic", {False: "deterministic latent"}),
)


def of(arm: Arm) -> Ablation | None:
    """Return the ablation that an arm is a run of, if it is one."""
    if arm.learner != PEARL or len(arm.changed) != 1:
        return None
    ((key, value),) = arm.changed.items()
    return next((a for a in ABLATIONS if a.key == key and value in a.values), None)


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw a panel per family and ablation of which there are runs."""
    panes = [
        (family, ablation, arms)
        for family in published.families
        for ablation in ABLATIONS
        if (arms := _arms(family, ablation))
    ]
    if not panes:
        return None
    called = _names(published, [arm for *_, arms in panes for arm in arms])
    seen = _looks(called, [arm for *_, arms in panes for arm in arms])
    panels = Panels(
        config,
        [f"{family.name}\n{ablation.title}" for family, ablation, _ in panes],
        [captions.counts(arms, called) for *_, arms in panes],
    )
    for ax, (family, _, arms) in zip(panels.axes, panes, strict=True):
        steps = [run.last_step for arm in arms for run in arm.runs]
        first = min(map(curves.first_step, arms))
        last = config.until or max(steps)
        style.step_axis(ax, first, last, panels.ticks, log=config.log)
        panels.bound(ax, family.measure)
        for arm in arms:
            name = called[arm.label]
            curves.draw_arm(ax, panels, arm, family.measure, seen[name], name)
    measured = captions.measured(family for family, *_ in panes)
    panels.label("environment steps", f"test {measured}")
    about = [
        "PEARL with one setting changed, beside PEARL as it is. " + curves.SEEDS_ARE,
        *_missing(panes),
    ]
    return panels.finish(about, called, [arm for *_, arms in panes for arm in arms])


def _arms(family: Family, ablation: Ablation) -> list[Arm]:
    """Return PEARL as it is, then the arms that change this setting alone.

    PEARL's other budgets are left out; nothing is returned where nothing is ablated.
    """
    changed = [arm for arm in family.arms if of(arm) is ablation]
    budgets = {arm.budget for arm in changed}
    usual = [
        arm
        for arm in family.arms
        if arm.learner == PEARL and arm.budget in budgets and not arm.changed
    ]
    return [*usual, *changed] if changed else []


def _looks(called: Mapping[str, str], arms: Iterable[Arm]) -> dict[str, Look]:
    """Return looks by name: PEARL's colour is that of PEARL as it is alone."""
    usual: dict[str, None] = {}
    changed: dict[str, None] = {}
    for arm in arms:
        (changed if arm.changed else usual)[called[arm.label]] = None
    own, *others = looks.variants(PEARL, 1 + len(changed))
    found = {
        name: replace(
            own,
            width=looks.THIN if place else own.width,
            dashes=looks.dashes(place),
        )
        for place, name in enumerate(usual)
    }
    return found | dict(zip(changed, others, strict=True))


def _names(published: Published, arms: list[Arm]) -> dict[str, str]:
    """Return what the arms are called, by label, PEARL as it is first."""
    usual = [arm for arm in arms if not arm.changed]
    called = looks.names(published, usual)
    budgets = {arm.budget for arm in arms}
    for arm in arms:
        ablation = of(arm)
        if ablation is None:
            continue
        (value,) = arm.changed.values()
        name = ablation.values[value]
        told = [arm.budget] if len(budgets) > 1 else []
        name = " · ".join([name, *told])
        called[arm.label] = published.renamed.get(arm.label, name)
    return called


def _missing(panes: list[tuple[Family, Ablation, list[Arm]]]) -> list[str]:
    """Say of which of the paper's ablations there are no runs."""
    families = dict.fromkeys(family.name for family, *_ in panes)
    had = {
        (family.name, value)
        for family, _, arms in panes
        for arm in arms
        for value in arm.changed.values()
    }
    found = []
    for ablation in ABLATIONS:
        for value in ablation.values:
            lacking = [name for name in families if (name, value) not in had]
            if lacking:
                found.append(
                    f"No runs with pearl.{ablation.key}={show(value)} yet on "
                    f"{', '.join(lacking)}."
                )
    return found
