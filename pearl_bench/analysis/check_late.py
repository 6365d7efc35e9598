"""Checks a run's published rows of single tasks: none missing, none that cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pearl_bench.records.published.curves import ALL
from pearl_bench.records.published.late import level_count
from pearl_bench.records.table import Line
from suites.base import TaskFamily

Found = Iterator[tuple[int, str]]
"""Line of the file of single tasks and what is wrong with it; line 0 means all of it.
"""

HARNESS = ("suite", "own")
"""Protocols that the harness plays: all tasks, each as often as every other."""
WITHOUT = "regress"
"""The budget whose runs are published without single tasks."""


def check_late(
    run: Line, rows: Sequence[Line], tasks: Sequence[Line], family: TaskFamily
) -> Found:
    """Find what is wrong with a run's rows of single tasks.

    Args:
        run: its row of runs.csv, sound by itself.
        rows: of its curve, each sound by itself.
        tasks: its rows of single tasks, each sound by itself.
        family: its family.

    Yields:
        The line of the file, 0 for rows that are missing, and what is wrong.
    """
    yield from _complete(run, rows, tasks)
    yield from _possible(tasks, family)


def _complete(run: Line, rows: Sequence[Line], tasks: Sequence[Line]) -> Found:
    """Every evaluation of a level has every task, repetition and episode."""
    v = run.values
    before_there_were_any = v["target_steps"] is None
    if (before_there_were_any or v["budget"] == WITHOUT) and not tasks:
        return
    steps = sorted({row.values["env_steps"] for row in rows})
    due: dict[int, Counter[tuple[object, ...]]] = {
        at: Counter() for at in steps[-level_count(steps) :]
    }
    for row in rows:
        of = row.values
        if of["env_steps"] in due and of["group"] == ALL:
            repetitions = v["repetitions"] if of["protocol"] in HARNESS else 1
            key = of["protocol"], of["split"], of["episode"]
            due[of["env_steps"]][key] = of["tasks"] * (repetitions or 1)
    found: dict[int, Counter[tuple[object, ...]]] = {}
    first: dict[int, int] = {}
    for line in tasks:
        of = line.values
        key = of["protocol"], of["split"], of["episode"]
        found.setdefault(of["env_steps"], Counter())[key] += 1
        first.setdefault(of["env_steps"], line.number)
    for at in sorted(due.keys() | found.keys()):
        if at not in due:
            what = f"{v['run']} has rows at {at} steps, none of its level's evaluations"
            yield first[at], what
        elif due[at] != found.get(at):
            there = found.get(at, Counter()).total()
            yield (
                first.get(at, 0),
                f"{v['run']} has {there} rows at {at} steps; due is one of each task, "
                f"repetition and episode of its curve, {due[at].total()}",
            )


def _possible(tasks: Sequence[Line], family: TaskFamily) -> Found:
    """Tasks are the family's, and episodes no longer than they can be."""
    known = {
        split: {task.index: task.group for task in of_split}
        for split, of_split in (("train", family.train), ("test", family.test))
    }
    for line in tasks:
        of = line.values
        if not 1 <= of["length"] <= family.horizon:
            yield (
                line.number,
                f"length is {of['length']}; episodes of {family.name} have 1 to "
                f"{family.horizon} steps",
            )
        group = known[of["split"]].get(of["task"])
        if of["protocol"] in HARNESS and group != (of["group"] or ""):
            yield (
                line.number,
                f"task {of['task']} of group {of['group'] or 'none'} is none of the "
                f"{of['split']} tasks of {family.name}",
            )
