"""Published runs that were never trained, in memory: figures need no more."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import suites
from pearl_bench.analysis import figures, style
from pearl_bench.analysis.arms import Part, Point, RunCurve
from pearl_bench.analysis.grouping import group
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.records.schema import RUNS


def rising(env_steps: int, episode: int) -> float:
    return env_steps / 1000 + episode


def run_of(
    *,
    family: str = "half-cheetah-vel",
    learner: str = "pearl",
    seed: int = 0,
    budget: str = "paper",
    precision: str = "float32",
    settings: dict[str, object] | None = None,
    steps: tuple[int, ...] = tuple(range(1000, 11_000, 1000)),
    episodes: tuple[int, ...] = (1, 2, 3),
    own: tuple[int, ...] = (),
    value: Callable[[int, int], float] = rising,
    success: bool = False,
    timed: bool = True,
    commit: str = "a" * 40,
    device: str = "cpu",
    cpu: str = "a CPU",
    fingerprint: str = "0123456789abcdef",
    started: str = "2026-01-01T00:00:00+00:00",
) -> RunCurve:
    """Return a run: its row, and a point for each of its evaluations and episodes."""
    made_of = (family, learner, seed, budget, precision, device)
    row = dict.fromkeys(RUNS.names, "") | {
        "run": "r" + hashlib.sha256(repr(made_of).encode()).hexdigest()[:12],
        "family": family,
        "learner": learner,
        "seed": str(seed),
        "budget": budget,
        "precision": precision,
        "device": device,
        "steps": str(steps[-1]),
        "status": "done",
        "training_hours": "1.0",
        "commit": commit,
        "dirty": "False",
        "cpu": cpu,
        "gpu": "" if device == "cpu" else "a GPU",
        "started": started,
        "fingerprint": fingerprint,
        "exploration_episodes": str(len(episodes) - 1),
        "test_episodes": "1",
        "test_tasks": "20",
        "own_exploration_episodes": str(len(own) - 1) if own else "",
        "eval_every": str(min(np.diff((0, *steps)))),
        "settings": json.dumps(settings or {}),
    }
    points = {
        Part(protocol): [
            Point(
                step,
                episode,
                value(step, episode),
                value(step, episode) if success else None,
                20,
                0,
                step / 100 if timed else None,
            )
            for step in steps
            for episode in numbers
        ]
        for protocol, numbers in (("suite", episodes), ("own", own))
        if numbers
    }
    return RunCurve(row, points)


def published(
    *runs: RunCurve, suite: str = "locomotion", folder: Path = Path("nowhere")
) -> Published:
    """Return what is published of a suite if these are all the runs there are."""
    known = suites.load(suite)
    families = []
    for row in known.families:
        of_family = [run for run in runs if run.row["family"] == row.name]
        if not of_family and row.name not in known.usual:
            continue
        has_success = any(
            point.success is not None
            for run in of_family
            for points in run.points.values()
            for point in points
        )
        measure = "success" if has_success else "return"
        families.append(Family(row, measure, tuple(group(suite, of_family))))
    return Published(suite, (folder,), tuple(families))


def seeds(count: int, **run) -> list[RunCurve]:
    """Return runs that differ in the seed, and a little in their values."""
    value = run.pop("value", rising)
    return [
        run_of(seed=i, value=lambda s, e, i=i: value(s, e) + i, **run)
        for i in range(count)
    ]


def drawn(found: Published, name: str, **options) -> Sheet | None:
    """Draw a figure by its name, with some words; None if it says nothing."""
    config = AnalysisConfig(found.suite, **options)
    with style.taste(config):
        return figures.of_suite(found.suite)[name].draw(found, config)


def draw(found: Published, name: str = "learning-curves", **options) -> Sheet:
    """Draw a figure that says something."""
    sheet = drawn(found, name, **options)
    assert sheet is not None
    return sheet
