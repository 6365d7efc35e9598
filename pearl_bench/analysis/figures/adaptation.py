"""Return against episode within a task: what adaptation brings, method by method."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import LEVEL_IS, OWN, REPORTED
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Adaptation within a task"
SUITES = ()
ORDER = 3
MANY = 6
"""Episodes from which on the axis is logarithmic."""
TICKS = (1, 2, 3, 5, 10, 20)


def draw(published: Published) -> Sheet:
    """Draw one panel per family."""
    looks = style.looks(published)
    caption = [
        "Return of each meta-test episode (success rate where the family has one), "
        f"mean over the test tasks. {LEVEL_IS}. Episode 1 comes before any adaptation; "
        "the last one comes after the exploration episodes. The suite's protocol gives "
        "every method the same exploration; own protocol: as much as it trains with. "
        f"Baselines sample their actions in exploration episodes. {stats.METHOD}.",
        *notes.caption(published),
    ]
    handles = style.legend(looks, published.labels_with(OWN))
    sheet, axes = style.sheet(len(published.families), caption, handles)
    for ax, family in zip(axes, published.families, strict=True):
        longest = 1
        for arm in family.arms:
            for part in (REPORTED, OWN):
                runs = arm.having(part)
                if not runs:
                    continue
                last = min(run.last_episode(part) for run in runs)
                numbers = np.arange(1, last + 1)
                values = [arm.levels(part, family.measure, int(n)) for n in numbers]
                name = f"adaptation {family.name} {arm.label} {part}"
                found = stats.mean_curve(name, np.stack(values, axis=1))
                look = looks[arm.label]
                style.line(ax, numbers.astype(float), found, look, own=part == OWN)
                longest = max(longest, last)
        if longest >= MANY:
            ax.set_xscale("log")
            ax.set_xticks([tick for tick in TICKS if tick <= longest])
            ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.xaxis.set_minor_locator(NullLocator())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_title(family.name)
        ax.set_xlabel("episode within the task")
        ax.set_ylabel(f"test {family.measure}")
        style.say(ax, notes.on_face(family))
    return sheet
