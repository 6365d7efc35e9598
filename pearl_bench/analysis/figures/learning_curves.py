"""Test return against environment steps: figure 3 of Rakelly et al. 2019."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import LEVEL_IS, OWN, REPORTED, REPORTED_IS, Arm, Part
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.style import Look, Sheet

TITLE = "Learning curves"
SUITES = ()
ORDER = 1
LOG_UNTIL = 1e8
"""The paper's appendix shows the baselines up to there."""


def draw(published: Published, *, log: bool = False) -> Sheet:
    """Draw one panel per family, on a linear axis or a logarithmic one."""
    looks = style.looks(published)
    level = Line2D(
        [], [], color="0.3", lw=1, ls="--", label="level of a baseline at its last step"
    )
    caption = [
        "Undiscounted return (success rate where the family has one), deterministic "
        f"actions, mean over the test tasks, of {REPORTED_IS}. Bold: mean over "
        "seeds where all have been evaluated; thin: each seed. Dashed: level of each "
        f"baseline. {LEVEL_IS}. Own protocol: after as much exploration as the method "
        "trains with. "
        + ("" if log else "An axis ends where PEARL's longest run does. ")
        + f"{stats.METHOD}.",
        *notes.caption(published),
    ]
    handles = style.legend(looks, published.labels_with(OWN), level)
    sheet, axes = style.sheet(len(published.families), caption, handles)
    for ax, family in zip(axes, published.families, strict=True):
        for arm in family.arms:
            for part in (REPORTED, OWN):
                _curve(ax, family, arm, part, looks[arm.label])
        ax.set_title(family.name)
        ax.set_ylabel(f"test {family.measure}")
        if log:
            ax.set_xlabel("environment steps")
            ax.set_xscale("log")
            ax.set_xlim(*_log_limits(published))
        else:
            pearl = [arm for arm in family.arms if arm.learner == notes.PEARL]
            until = max((r.last_step for a in pearl for r in a.runs), default=None)
            style.step_axis(ax, until)
        style.say(ax, notes.on_face(family))
    return sheet


def _log_limits(published: Published) -> tuple[float, float]:
    """Return the first evaluation of any run, and 1e8 or the last."""
    runs = [run for arm in published.arms for run in arm.runs]
    first = min(points[0].env_steps for run in runs for points in run.points.values())
    return max(1, first), max(LOG_UNTIL, *(run.last_step for run in runs))


def _curve(ax: Axes, family: Family, arm: Arm, part: Part, look: Look) -> None:
    runs = arm.having(part)
    if not runs:
        return
    own = part == OWN
    if len(runs) > 1 and not own:
        for run in runs:
            points = run.episode(part, -1)
            values = [point.value(family.measure) for point in points]
            steps = [point.env_steps for point in points]
            ax.plot(steps, values, color=look.color, lw=0.6, alpha=0.4)
    steps, values, _ = arm.matched(part, -1, family.measure)
    if len(steps):
        name = f"curve {family.name} {arm.label} {part}"
        style.line(ax, steps, stats.mean_curve(name, values), look, own=own)
    if arm.learner != notes.PEARL and not own:
        level = arm.levels(part, family.measure).mean()
        ax.axhline(level, color=look.color, lw=1, ls="--", alpha=0.8)
