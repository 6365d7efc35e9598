"""Posterior sampling in the plane: figure 4 of Rakelly et al. 2019."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from pearl_bench.analysis import notes, stats, style
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.paths import Paths, load_paths
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Look, Sheet
from suites.navigation import GOAL_RADIUS

TITLE = "Posterior sampling in the plane"
SUITES = ("navigation",)
ORDER = 20
NARROW = 34
"""Characters of a line on these panels."""
EXAMPLES = 2
"""Tasks of a family whose paths are shown: the first ones of its list."""


def draw(published: Published) -> Sheet:
    """Draw a row per family: paths of two tasks, posterior width, return."""
    looks = style.looks(published)
    paths = {found.run: found for found in load_paths(published.folder)}
    families = published.families
    traced = {
        a.label for a in published.arms if any(r.row["run"] in paths for r in a.runs)
    }
    caption = [
        "Left: successive episodes of two test tasks, light to dark, z inferred after "
        "each (algorithm 2 of the paper), deterministic actions; circles: the goals, "
        f"as large as the region of sparse reward ({GOAL_RADIUS} around the goal); one "
        f"run, the first seed. {_checkpoints(paths.values())}Right: standard deviation "
        "of the belief that an episode's z is drawn from, mean over dimensions of z "
        "and tasks (the prior's is 1), and return, against the number of episodes that "
        "z was inferred from. "
        f"{stats.METHOD}.",
        *notes.caption(published, traced),
    ]
    handles = style.legend({x: look for x, look in looks.items() if x in traced})
    sheet, axes = style.sheet(
        (EXAMPLES + 2) * len(families), caption, handles, columns=4, size=(2.6, 2.6)
    )
    for i, family in enumerate(families):
        *examples, width, total = axes[4 * i : 4 * i + 4]
        found = [(arm, _traced(arm, paths)) for arm in family.arms]
        found = [(arm, of_arm) for arm, of_arm in found if of_arm]
        for ax, title in ((width, "posterior width"), (total, "return")):
            least = 0.0
            for arm, of_arm in found:
                values = _against_episodes(ax, title, arm, of_arm, looks[arm.label])
                least = min(least, values.min() * 1.05)
            ax.set_ylim(bottom=least)
            ax.set_title(f"{family.name}\n{title}")
            ax.set_xlabel("episodes inferred from")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for j, ax in enumerate(examples):
            ax.set_title(family.name)
            if found:
                _plane(ax, family.name, found[0][1][0], j)
        if not found:
            for ax in (*examples, width, total):
                style.say(ax, "no recorded paths yet", NARROW)
        elif any(len(of_arm) == 1 for _, of_arm in found):
            for ax in (width, total):
                style.say(ax, "one run of an arm: no interval", NARROW)
    return sheet


def _traced(arm: Arm, paths: Mapping[str, Paths]) -> list[Paths]:
    names = (run.row["run"] for run in arm.runs)
    return [paths[name] for name in names if name in paths]


def _against_episodes(
    ax: Axes, title: str, arm: Arm, runs: list[Paths], look: Look
) -> np.ndarray:
    """Draw the mean over an arm's runs; return the runs' values ``[R, E]``."""
    what = {"posterior width": "width", "return": "total"}[title]
    values = np.stack([run.over_episodes(what) for run in runs])
    found = stats.mean_curve(f"paths {arm.family} {arm.label} {what}", values)
    style.line(ax, np.arange(values.shape[1], dtype=float), found, look)
    return values


def _checkpoints(runs: Collection[Paths]) -> str:
    """Say when in training the paths were recorded."""
    if not runs:
        return ""
    steps = sorted({run.env_steps for run in runs})
    said = " or ".join(notes.steps_in_words(count) for count in steps)
    return f"Recorded after {said} environment steps of training. "


def _plane(ax: Axes, family: str, run: Paths, which: int) -> None:
    """Draw the episodes of one task, later ones darker."""
    task = sorted(run.episodes)[which]
    ax.set_title(f"{family}\ntask {task}")
    episodes = run.episodes[task]
    norm = LogNorm(1, max(2, len(episodes)))
    colors = mpl.colormaps["viridis_r"]
    for episode in episodes:
        x, y = episode.places.T
        ax.plot(x, y, color=colors(norm(episode.number)), lw=1.1)
        ax.plot(x[-1], y[-1], ".", color=colors(norm(episode.number)), ms=4)
    for other, goal in run.goals.items():
        chosen = other == task
        ax.add_patch(
            Circle(
                (goal[0], goal[1]),
                GOAL_RADIUS,
                fill=False,
                ec="0.1" if chosen else "0.85",
                lw=1.6 if chosen else 0.8,
                zorder=3 if chosen else 1,
            )
        )
    ax.set_aspect("equal", adjustable="datalim")
    ax.figure.colorbar(
        ScalarMappable(norm, colors),
        ax=ax,
        label="episode",
        ticks=[n for n in (1, 2, 3, 5, 10, 20) if n <= len(episodes)],
        format="%d",
        shrink=0.8,
    )
