"""Success on Meta-World against environment steps, on test and on training tasks."""

from __future__ import annotations

from pearl_bench.analysis import captions, curves, looks, metaworld, style
from pearl_bench.analysis.arms import REPORTED, SUCCESS_IS
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Success on Meta-World"
SUITES = metaworld.SUITES
ORDER = 10
PARTS = {"test tasks": REPORTED, "training tasks": metaworld.TRAIN}


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw two panels per family, of test tasks and of training tasks.

    Nothing is drawn that the learning curves show already: families whose training
    tasks were not tested and of which nothing has been published.
    """
    quoted = {
        family.name: [
            row
            for row in metaworld.PUBLISHED
            if row.family == family.name and row.source == metaworld.META_WORLD_PAPER
        ]
        for family in published.families
    }
    panes = [
        (family, split, arms)
        for family in published.families
        if family.measure == "success"
        for split, part in PARTS.items()
        if (arms := [arm for arm in family.headline if arm.having(part)])
    ]
    if not any(PARTS[split] != REPORTED or quoted[f.name] for f, split, _ in panes):
        return None
    shown = [arm for *_, arms in panes for arm in arms]
    called, seen = looks.of_headline(published, shown)
    panels = Panels(
        config,
        [f"{family.name}, {split}" for family, split, _ in panes],
        captions.heads(
            [arms for *_, arms in panes],
            called,
            [PARTS[split] for _, split, _ in panes],
        ),
    )
    for ax, (family, split, arms) in zip(panels.axes, panes, strict=True):
        first = min(curves.first_step(arm, PARTS[split]) for arm in arms)
        last = config.until or max(arm.steps[1] for arm in arms)
        style.step_axis(ax, first, last, panels.ticks, log=config.log)
        panels.bound(ax, "success")
        for arm in published.in_order(arms):
            look, name = seen[arm.label], called[arm.label]
            curves.draw_arm(ax, panels, arm, "success", look, name, PARTS[split])
        for row in quoted[family.name]:
            of = row.test if PARTS[split] == REPORTED else row.train
            panels.quoted(ax, float(of.value) / 100, row.method)
    panels.label("environment steps", "success rate")
    about = (
        "Share of episodes that succeeded at any step, deterministic actions; "
        f"{SUCCESS_IS}. {curves.SEEDS_ARE}"
    )
    return panels.finish([about, _about(quoted)], called, shown)


def _about(quoted: dict[str, list[metaworld.Success]]) -> str:
    """Say what the dotted lines are."""
    if not any(quoted.values()):
        return "The Meta-World paper gives no number for these families."
    return (
        "Dotted: published success of the paper's methods, maxima over training of "
        f"225M steps and more, not comparable ({metaworld.META_WORLD_PAPER})."
    )
