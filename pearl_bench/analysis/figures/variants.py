"""A method's arms beside each other: budgets, arithmetic, settings, commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pearl_bench.analysis import captions, curves, looks, notes, style
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.figures import ablations
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Family, Published

TITLE = "Budgets, arithmetic and settings"
SUITES = ()
ORDER = 31


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw panels per family and method of which there are several arms.

    Each shows the method's first arm and a few others, as many as there are colours.
    """
    several = [
        (family, arms)
        for family in published.families
        for learner in dict.fromkeys(arm.learner for arm in family.arms)
        if len(arms := _arms(family, learner)) > 1
    ]
    if not several:
        return None
    shown = [arm for _, arms in several for arm in arms]
    most = len(looks.VARIANTS)
    panes = [
        (family, [usual, *others[i : i + most]])
        for family, (usual, *others) in several
        for i in range(0, len(others), most)
    ]
    called = looks.names(published, shown)
    seen = [looks.variants(arms[0].learner, len(arms)) for _, arms in panes]
    panels = Panels(
        config,
        [
            f"{family.name}\n{looks.method_name(published, arms[0].learner)}"
            for family, arms in panes
        ],
        [captions.counts_between(arms) for _, arms in panes],
        [_key(called, arms, of) for (_, arms), of in zip(panes, seen, strict=True)],
    )
    for ax, (family, arms), of in zip(panels.axes, panes, seen, strict=True):
        first = min(map(curves.first_step, arms))
        last = config.until or max(arm.steps[1] for arm in arms[1:])
        style.step_axis(ax, first, last, panels.ticks, log=config.log)
        panels.bound(ax, family.measure)
        for arm, look in zip(arms, of, strict=True):
            curves.draw_arm(ax, panels, arm, family.measure, look)
    measured = captions.measured(family for family, _ in panes)
    panels.label("environment steps", f"test {measured}")
    in_curves: dict[str, list[str]] = {}
    for family, arms in several:
        for arm in arms:
            if arm in family.headline:
                in_curves.setdefault(called[arm.label], []).append(family.name)
    each = "; ".join(f"{name} ({', '.join(on)})" for name, on in in_curves.items())
    about = (
        "Arms of one method: runs that differ in more than the seed. Axes end where "
        "the last of those in further colours does. The learning curves show "
        f"{each or 'none of them'}. {notes.OF_PAPER_IS}. {curves.SEEDS_ARE}"
    )
    return panels.finish([about], called, shown)


def _arms(family: Family, learner: str) -> list[Arm]:
    """Return a method's arms, that of the learning curves first, without ablations."""
    first = [arm for arm in family.headline if arm.learner == learner]
    drawn = (*first, *family.bounds)
    rest = [
        arm
        for arm in family.arms
        if arm.learner == learner and arm not in drawn and not ablations.of(arm)
    ]
    return [*first, *rest]


def _key(
    called: Mapping[str, str], arms: Sequence[Arm], seen: Sequence[looks.Look]
) -> list[tuple[str, str]]:
    """Return what a panel's arms are called above it, and their colours.

    The title says of which method they are, and the first of them with which budget
    and arithmetic, which the others leave out where their names stay apart.

    Args:
        called: their names in the figure, by label.
        arms: what the panel shows, the method's first arm first.
        seen: how they look.
    """
    usual, *others = arms
    whole = [called[arm.label] for arm in others]
    short = [
        " · ".join(part for part in name.split(" · ") if part not in usual.name.parts)
        for name in whole
    ]
    names = short if all(short) and len(set(short)) == len(short) else whole
    first = called[usual.label]
    return [
        (name + notes.in_brackets(notes.share_in_words(arm.shares)), look.color)
        for name, arm, look in zip(
            [" · ".join(first.split(" · ")[1:]) or first, *names],
            arms,
            seen,
            strict=True,
        )
    ]
