"""PEARL's ablations as learning curves: figures 5, 6 and 7 of Rakelly et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import REPORTED, Arm
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.style import Look, Sheet

TITLE = "Ablations"
SUITES = ("locomotion", "navigation")
ORDER = 30


class Ablation(NamedTuple):
    """A setting of PEARL that is not its default, and the paper's figure of it."""

    title: str
    key: str
    values: tuple[object, ...]


ABLATIONS = (
    Ablation("recurrent encoder (fig. 5)", "recurrent", (True,)),
    Ablation(
        "context sampler (fig. 6)", "context_sampler", ("whole-buffer", "rl-batch")
    ),
    Ablation("deterministic latent (fig. 7)", "probabilistic", (False,)),
)


def draw(published: Published) -> Sheet:
    """Draw a row per family that has ablated runs, a panel per ablation."""
    looks = style.looks(published)
    shown = [f for f in published.families if any(_arms(f, a) for a in ABLATIONS)]
    rows: list[Family | None] = [*shown] if shown else [None]
    used = {
        arm.label
        for family in shown
        for ablation in ABLATIONS
        for arm in _arms(family, ablation)
    }
    caption = [
        "PEARL with one setting changed, beside PEARL as it is. Last meta-test "
        "episode, mean over the test tasks; bold: mean over seeds where all have been "
        f"evaluated, thin: each seed. {stats.METHOD}.",
        *notes.caption(published, used),
    ]
    handles = style.legend({x: look for x, look in looks.items() if x in used})
    sheet, axes = style.sheet(len(rows) * len(ABLATIONS), caption, handles)
    panels = [(family, ablation) for family in rows for ablation in ABLATIONS]
    for ax, (family, ablation) in zip(axes, panels, strict=True):
        ax.set_title(f"{family.name}\n{ablation.title}" if family else ablation.title)
        if family is not None:
            _panel(ax, family, _arms(family, ablation), looks)
        style.say(ax, _missing(family, ablation))
    return sheet


def _panel(
    ax: Axes, family: Family, arms: list[Arm], looks: Mapping[str, Look]
) -> None:
    for arm in arms:
        steps, values, _ = arm.matched(REPORTED, -1, family.measure)
        look = looks[arm.label]
        if len(values) > 1:
            ax.plot(steps, values.T, color=look.color, lw=0.6, alpha=0.4)
        if len(steps):
            name = f"curve {family.name} {arm.label} {REPORTED}"
            style.line(ax, steps, stats.mean_curve(name, values), look)
    ax.set_ylabel(f"test {family.measure}")
    style.step_axis(ax)


def _missing(family: Family | None, ablation: Ablation) -> str:
    """Say which values of a setting no run has, and how one would be made."""
    arms = _arms(family, ablation) if family else []
    had = {arm.runs[0].settings.get(ablation.key) for arm in arms}
    lacking = [value for value in ablation.values if value not in had]
    lines = [f"no runs with pearl.{ablation.key}={_word(x)} yet" for x in lacking]
    single = [arm for arm in arms if len(arm.runs) == 1]
    if single:
        which = "" if single == arms else f": {', '.join(arm.label for arm in single)}"
        lines.append(f"one seed, no interval{which}")
    return "\n".join(lines)


def _arms(family: Family, ablation: Ablation) -> list[Arm]:
    """Return the arms that change this setting alone, and those that change none.

    Arms of other budgets are left out where nothing was ablated.
    """
    pearls = [arm for arm in family.arms if arm.learner == notes.PEARL]
    changed = [arm for arm in pearls if set(arm.changed) == {ablation.key}]
    budgets = {arm.budget for arm in changed}
    return [
        arm
        for arm in pearls
        if arm in changed or (arm.budget in budgets and not arm.changed)
    ]


def _word(value: object) -> str:
    return str(value).lower()
