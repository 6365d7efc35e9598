"""Task lists: how they were drawn, and the files they are shipped in.

A list is drawn once and shipped as ``suites/task_lists/<family>.csv``, one row per
task: its split (``train``, ``test`` or ``both``) and one column per parameter, written
so that every float reads back exactly. Nothing is drawn at run time: no seed of a run
can change a task. ``python -m suites.draw`` writes the files anew.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from suites.base import Task

FOLDER = Path(__file__).with_name("task_lists")


@dataclass(frozen=True)
class TaskList:
    """How the tasks of a family are drawn.

    Attributes:
        columns: name of each parameter.
        train: number of training tasks, the first of the list.
        test: number of test tasks, the last of the list.
        seed: of the legacy numpy generator, whose stream never changes; None where
            nothing is random.
        draw: ``(generator, n) -> [n, P]`` parameters of n tasks.
        shared: the training tasks are the test tasks.
    """

    columns: tuple[str, ...]
    train: int
    test: int
    seed: int | None
    draw: Callable[[np.random.RandomState, int], np.ndarray]
    shared: bool = False

    def rows(self) -> list[tuple[str, tuple[float, ...]]]:
        """Draw the list: split and parameters of each task."""
        n = self.train if self.shared else self.train + self.test
        params = self.draw(np.random.RandomState(self.seed), n)
        assert params.shape == (n, len(self.columns))
        split = ["both" if self.shared else "train"] * self.train
        split += ["test"] * (n - self.train)
        return list(zip(split, map(tuple, params.tolist()), strict=True))


def path(family: str) -> Path:
    """File that holds the tasks of a family."""
    return FOLDER / f"{family}.csv"


def write(family: str, tasks: TaskList) -> None:
    """Write the tasks of a family to its file."""
    rows = ([split, *map(repr, row)] for split, row in tasks.rows())
    write_rows(path(family), [["split", *tasks.columns], *rows])


def write_rows(target: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write a file of tasks, of which git keeps the old content."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    target.write_bytes(text.getvalue().encode())


def rows_of(name: str) -> list[list[str]]:
    """Return the rows of a file of tasks, split first.

    Raises:
        FileNotFoundError: nobody has drawn them yet; the message says how.
    """
    try:
        text = path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path(name)}: there is no such task list yet; python -m suites.draw "
            f"{name} draws it"
        ) from None
    return list(csv.reader(io.StringIO(text)))[1:]


@cache
def read(family: str) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Return the training tasks and the test tasks of a family from its file."""
    train, test = [], []
    for index, (split, *params) in enumerate(rows_of(family)):
        task = Task(family, index, tuple(map(float, params)))
        if split in ("train", "both"):
            train.append(task)
        if split in ("test", "both"):
            test.append(task)
    return tuple(train), tuple(test)
