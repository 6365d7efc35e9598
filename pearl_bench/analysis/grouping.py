"""Which runs form an arm, and what it is called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pearl_bench import registry
from pearl_bench.analysis.arms import METHODS, PAPER_BUDGET, SAID, Arm, Name, RunCurve
from pearl_bench.config import runs as config
from pearl_bench.config.types import Budget
from pearl_bench.config.words import show
from pearl_bench.records.table import Row

META_TEST = {
    "exploration_episodes": "{} exploration episodes",
    "test_episodes": "{} test episodes",
    "test_tasks": "{} test tasks",
    "repetitions": "each task played {} x",
    "eval_every": "tested every {} steps",
}
"""How runs were tested: what must be the same in an arm, and its name in a label."""
ONCE = "1"
"""How often runs of before there were repetitions (an empty cell) played a task."""


def arm_key(row: Row) -> tuple[str, ...]:
    """Return what the runs of an arm have in common, from a row of runs.csv.

    A setting that did not exist yet had what has become its default. The device is not
    among it: it changes the rounding and the random numbers, as a seed does.
    """
    keys = ("learner", "budget", "precision", "fingerprint", *META_TEST)
    usual = registry.default_settings(row["learner"])
    settings = usual | json.loads(row["settings"])
    alike = (row[key] or ONCE for key in keys)
    return row["family"], *alike, json.dumps(settings, sort_keys=True)


def group(suite: str, curves: Sequence[RunCurve]) -> Iterator[Arm]:
    """Group a family's runs by everything but seed and device, and name the groups.

    A name tells what is not as ``conf/`` has it, so that it means the same in every
    family; tasks and meta-test are named where the family's runs have several, and the
    device of runs that a longer one of their seed keeps out.
    """
    groups: dict[tuple[str, ...], list[RunCurve]] = {}
    for run in curves:
        groups.setdefault(arm_key(run.row), []).append(run)
    several_tasks = len({run.row["fingerprint"] for run in curves}) > 1
    ordered = [some for _, runs in sorted(groups.items()) for some in _seeds_once(runs)]
    stems = [
        _stem(suite, runs[0], several_tasks).extended(*device)
        for device, runs in ordered
    ]
    for (_, runs), stem in zip(ordered, stems, strict=True):
        alike = [
            other[0] for (_, other), s in zip(ordered, stems, strict=True) if s == stem
        ]
        row = runs[0].row
        yield Arm(
            family=row["family"],
            learner=row["learner"],
            name=stem.extended(*_apart(runs[0], alike)),
            alike_budgets=_alike_budgets(suite, runs[0]),
            changed=_changed_settings(suite, runs[0], row["budget"]),
            runs=tuple(sorted(runs, key=lambda r: (r.seed, r.row["run"]))),
            paper_steps=config.usual_steps(
                row["learner"], suite, row["family"], PAPER_BUDGET
            ),
        )


def _seeds_once(runs: list[RunCurve]) -> list[tuple[tuple[str, ...], list[RunCurve]]]:
    """Return the longest run of each seed, and the rest by the device that names it.

    Two runs of one seed begin with the same networks and draw the same tasks, so that
    they do not count as two. Of equally long ones the CPU's stands.
    """
    longest: dict[int, RunCurve] = {}
    rest: dict[str, list[RunCurve]] = {}
    for run in sorted(runs, key=lambda r: (-r.last_step, r.row["device"])):
        if longest.setdefault(run.seed, run) is not run:
            rest.setdefault(run.row["device"], []).append(run)
    others = [((device,), some) for device, some in sorted(rest.items())]
    return [((), list(longest.values())), *others]


def _stem(suite: str, run: RunCurve, several_tasks: bool) -> Name:
    """Return what of a name needs no other run to compare with."""
    row, changed = run.row, _changed_settings(suite, run, run.row["budget"])
    words = [f"{key}={show(value)}" for key, value in changed.items()]
    said = [SAID[word] for word in words if word in SAID]
    return Name(
        ", ".join([METHODS.get(row["learner"], row["learner"]), *said]),
        row["budget"],
        row["precision"],
        (
            *([f"tasks {row['fingerprint'][:6]}"] if several_tasks else []),
            *(word for word in words if word not in SAID),
        ),
    )


def _changed_settings(suite: str, run: RunCurve, budget: str) -> dict[str, Any]:
    """Return a run's settings that are others than those of a budget."""
    row = run.row
    usual = config.usual_settings(row["learner"], suite, row["family"], budget)
    return {k: v for k, v in run.settings.items() if usual.get(k, v) != v}


def _alike_budgets(suite: str, run: RunCurve) -> frozenset[str]:
    """Return the budgets that have a run's settings, its own among them."""
    own, learner = run.row["budget"], run.row["learner"]
    known = get_args(Budget) if learner in registry.learner_names() else ()
    return frozenset([own, *(b for b in known if not _changed_settings(suite, run, b))])


def _apart(run: RunCurve, alike: Sequence[RunCurve]) -> Iterator[str]:
    """Yield what tells a run from others of the same stem."""
    for key, words in META_TEST.items():
        if len({other.row[key] or ONCE for other in alike}) > 1:
            yield words.format(run.row[key] or ONCE)
    settings = [other.settings for other in alike]
    for key, value in run.settings.items():
        if any(other.get(key, value) != value for other in settings):
            yield f"{key}={show(value)}"
