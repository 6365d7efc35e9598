"""Posterior sampling in the plane: figure 4 of Rakelly et al. 2019."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from pearl_bench.analysis import captions, looks, notes, stats
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.looks import Look
from pearl_bench.analysis.options import COLUMN_WIDTH, AnalysisConfig
from pearl_bench.analysis.panels import Panels, Sheet
from pearl_bench.analysis.paths import Paths, load_paths
from pearl_bench.analysis.scores import Published
from suites.navigation import GOAL_RADIUS

TITLE = "Posterior sampling in the plane"
SUITES = ("navigation",)
ORDER = 20
EXAMPLES = 2
"""Tasks of a family whose paths are shown: the first ones of its list."""
CURVES = {"posterior width": "width", "return": "total"}
"""What is shown against episodes: its title, and the attribute of an episode."""


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw paths of two tasks, posterior width and return of each traced family."""
    paths = {of.run: of for folder in published.folders for of in load_paths(folder)}
    traced = [
        (family, arms)
        for family in published.families
        if (arms := [a for a in family.headline if _traced(a, paths)])
    ]
    if not traced:
        return None
    shown = [arm for _, arms in traced for arm in arms]
    called, seen = looks.names(published, shown), looks.looks(published, shown)
    of_first = {family.name: _traced(arms[0], paths)[0] for family, arms in traced}
    heads = [
        (f"{family.name}\n{title}", count)
        for family, arms in traced
        for title, count in _heads(of_first[family.name], arms, paths, called)
    ]
    panels = Panels(
        config,
        [title for title, _ in heads],
        [count for _, count in heads],
        columns=2 if config.width <= COLUMN_WIDTH else EXAMPLES + len(CURVES),
    )
    for i, (family, arms) in enumerate(traced):
        first = i * (EXAMPLES + len(CURVES))
        examples = panels.axes[first : first + EXAMPLES]
        for j, ax in enumerate(examples):
            _plane(ax, of_first[family.name], j)
        _colorbar(examples, len(next(iter(of_first[family.name].episodes.values()))))
        for ax, what in zip(
            panels.axes[first + EXAMPLES :], CURVES.values(), strict=False
        ):
            for arm in published.in_order(arms):
                look, name = seen[arm.label], called[arm.label]
                _against_episodes(
                    ax, panels, what, arm, _traced(arm, paths), look, name
                )
            if what == "width":
                ax.set_ylim(bottom=0)
            ax.set_xlabel("episodes inferred from")
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    about = (
        "Paths: successive episodes of two test tasks, light to dark, z inferred after "
        "each (algorithm 2 of the paper), deterministic actions; circles: the goals, "
        f"as large as the region of sparse reward ({GOAL_RADIUS} around the goal); one "
        f"run, the first seed. {_checkpoints(list(paths.values()))}Posterior width: "
        "standard deviation of the belief that an episode's z is drawn from, mean over "
        "dimensions of z and tasks (the prior's is 1), and return, against the number "
        "of episodes that z was inferred from. Bold: mean over runs; thin: each run."
    )
    return panels.finish(
        [about, captions.shown(published, [family for family, _ in traced])],
        called,
        shown,
    )


def _heads(
    of: Paths, arms: Sequence[Arm], paths: Mapping[str, Paths], called: dict[str, str]
) -> list[tuple[str, str]]:
    """Return titles and numbers of runs of a family's panels."""
    tasks = [f"task {task}" for task in sorted(of.episodes)[:EXAMPLES]]
    numbers = {called[arm.label]: len(_traced(arm, paths)) for arm in arms}
    count = captions.count_in_words(numbers)
    return [*((task, "n = 1") for task in tasks), *((title, count) for title in CURVES)]


def _traced(arm: Arm, paths: Mapping[str, Paths]) -> list[Paths]:
    names = (run.row["run"] for run in arm.runs)
    return [paths[name] for name in names if name in paths]


def _against_episodes(
    ax: Axes,
    panels: Panels,
    what: str,
    arm: Arm,
    runs: Sequence[Paths],
    look: Look,
    name: str,
) -> None:
    """Draw each run of an arm, and their mean."""
    values = np.stack([run.over_episodes(what) for run in runs])
    episodes = np.arange(values.shape[1], dtype=float)
    for of_run in values if len(values) > 1 else ():
        panels.seed(ax, episodes, of_run, look)
    found = stats.mean_curve(f"paths {arm.family} {arm.label} {what}", values)
    panels.curve(ax, episodes, found, look, name)


def _checkpoints(runs: Collection[Paths]) -> str:
    """Say when in training the paths were recorded."""
    if not runs:
        return ""
    steps = sorted({run.env_steps for run in runs})
    said = " or ".join(notes.steps_in_words(count) for count in steps)
    return f"Recorded after {said} environment steps of training. "


def _plane(ax: Axes, run: Paths, which: int) -> None:
    """Draw the episodes of one task, later ones darker."""
    task = sorted(run.episodes)[which]
    episodes = run.episodes[task]
    norm, colors = _colors(len(episodes))
    for episode in episodes:
        x, y = episode.places.T
        ax.plot(x, y, color=colors(norm(episode.number)), lw=0.8)
        ax.plot(x[-1], y[-1], ".", color=colors(norm(episode.number)), ms=3)
    for other, goal in run.goals.items():
        chosen = other == task
        ax.add_patch(
            Circle(
                (goal[0], goal[1]),
                GOAL_RADIUS,
                fill=False,
                ec="0.1" if chosen else "0.85",
                lw=1.0 if chosen else 0.5,
                zorder=3 if chosen else 1,
            )
        )
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel="x", ylabel="y")


def _colors(episodes: int) -> tuple[LogNorm, Colormap]:
    return LogNorm(1, max(2, episodes)), mpl.colormaps["viridis_r"]


def _colorbar(examples: Sequence[Axes], episodes: int) -> None:
    """Say which episode a colour is."""
    ticks = [n for n in (1, 2, 3, 5, 10, 20) if n <= episodes]
    figure = examples[-1].get_figure()
    assert figure is not None
    bar = figure.colorbar(
        ScalarMappable(*_colors(episodes)),
        ax=examples,
        ticks=ticks,
        format="%d",
        aspect=14,
        pad=0.02,
    )
    bar.ax.minorticks_off()
    bar.set_label("episode")
