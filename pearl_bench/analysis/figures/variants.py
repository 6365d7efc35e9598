"""A method's arms beside each other: budgets, arithmetic, settings, commits."""

from __future__ import annotations

from pearl_bench.analysis import captions, curves, looks, style
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.figures import ablations
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.scores import Family, Published

TITLE = "Budgets, arithmetic and settings"
SUITES = ()
ORDER = 31


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw a panel per family and method of which there are several arms."""
    several = [
        (family, arms)
        for family in published.families
        for learner in dict.fromkeys(arm.learner for arm in family.arms)
        if len(arms := _arms(family, learner)) > 1
    ]
    if not several:
        return None
    shown = [arm for _, arms in several for arm in arms]
    called = looks.names(published, shown)
    if len({arm.learner for arm in shown}) == 1:  # the titles say which
        called = {label: _without_method(name) for label, name in called.items()}
    panels = Panels(
        config,
        [
            f"{family.name}\n{looks.method_name(published, arms[0].learner)}"
            for family, arms in several
        ],
        [captions.counts_between(arms) for _, arms in several],
    )
    for learner in dict.fromkeys(arm.learner for arm in shown):
        of_method = [(f, a) for f, a in several if a[0].learner == learner]
        labels = dict.fromkeys(arm.label for _, arms in of_method for arm in arms)
        seen = dict(zip(labels, looks.variants(learner, len(labels)), strict=True))
        for family, arms in of_method:
            ax = panels.axes[several.index((family, arms))]
            first = min(map(curves.first_step, arms))
            last = config.until or max(arm.steps[1] for arm in arms)
            style.step_axis(ax, first, last, panels.ticks, log=config.log)
            for arm in arms:
                look, name = seen[arm.label], called[arm.label]
                curves.draw_arm(ax, panels, arm, family.measure, look, name)
    measured = captions.measured(family for family, _ in several)
    panels.label("environment steps", f"test {measured}")
    in_curves: dict[str, list[str]] = {}
    for family, arms in several:
        for arm in arms:
            if arm in family.headline:
                in_curves.setdefault(called[arm.label], []).append(family.name)
    each = "; ".join(f"{name} ({', '.join(of)})" for name, of in in_curves.items())
    about = (
        "Arms of one method: runs that differ in more than the seed. The learning "
        f"curves show {each or 'none of them'}. {curves.SEEDS_ARE}"
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


def _without_method(name: str) -> str:
    return " · ".join(name.split(" · ")[1:]) or name
