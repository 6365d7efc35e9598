"""Meta-World's tasks as rows: how they were drawn, and the files they are shipped in.

The benchmark objects of the package take 1 to 19 s to build, since drawing a goal
resets a simulation, and a plan should not wait for that. So their goals are shipped:
``suites/task_lists/<benchmark>.csv`` has one row per task, its split, class and the
3 or 6 numbers of the package's ``rand_vec``. ``python -m suites.draw`` writes the files
anew; a test compares them with the installed package.
"""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

from suites import tasks
from suites.base import Task, point

SEEDS = {"ml1": 1000, "ml10": 2000, "ml45": 3000}
"""Seed of each benchmark. They are far apart because ML1 draws its test goals from the
seed after the one of its training goals: ML1(s).test_tasks are ML1(s + 1).train_tasks.
"""

SPLITS = ("train", "test")


PLACED_ALONE = ("disassemble",)
"""Classes whose last three numbers are drawn and mean nothing."""


def tell(task: Task) -> str:
    """Say class, and where a task puts the object and, in most classes, the goal (m).

    Basketball and peg-insert-side move the hoop and the box, which the goal is part of.
    """
    name = task.group.removesuffix("-v3")
    placed, goal = task.params[:3], task.params[3:]
    told = f"{name}: object at {point(*placed)}"
    if not goal or name in PLACED_ALONE:
        return told
    return f"{name}: goal {point(*goal)}, object at {point(*placed)}"


def benchmarks(name: str) -> list[Any]:
    """Build the package's benchmark objects: one, or of ML1 one per class."""
    import metaworld  # noqa: PLC0415  (seconds; only drawing and its test wait)

    if name == "ml1":
        classes = metaworld.ML1.ENV_NAMES
        return [metaworld.ML1(one, seed=SEEDS[name]) for one in classes]
    build = {"ml10": metaworld.ML10, "ml45": metaworld.ML45}[name]
    return [build(seed=SEEDS[name])]


def draw(name: str) -> list[tuple[str, str, tuple[float, ...]]]:
    """Return split, class and ``rand_vec`` of each task of a benchmark."""
    return [
        (split, task.env_name, tuple(pickle.loads(task.data)["rand_vec"].tolist()))
        for benchmark in benchmarks(name)
        for split in SPLITS
        for task in getattr(benchmark, f"{split}_tasks")
    ]


def write(name: str) -> None:
    """Write the tasks of a benchmark to its file."""
    rows = [["split", "class", *(f"v{i}" for i in range(6))]]
    for split, group, vector in draw(name):
        padding = [""] * (6 - len(vector))
        rows.append([split, group, *map(repr, vector), *padding])
    tasks.write_rows(tasks.path(name), rows)


@cache
def read(name: str) -> list[tuple[str, str, tuple[float, ...]]]:
    """Return what ``draw`` returned, from the file."""
    return [
        (split, group, tuple(float(cell) for cell in cells if cell))
        for split, group, *cells in tasks.rows_of(name)
    ]


def family_tasks(
    benchmark: str, family: str, only: str | None = None
) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Return the training and the test tasks of a family.

    Args:
        benchmark: whose tasks they are.
        family: the family's name.
        only: a class to keep to; all of the benchmark's if None.
    """
    rows = [row for row in read(benchmark) if only in (None, row[1])]
    found = [
        (split, Task(family, index, vector, group))
        for index, (split, group, vector) in enumerate(rows)
    ]
    train, test = (tuple(t for s, t in found if s == split) for split in SPLITS)
    return train, test
