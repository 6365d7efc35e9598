"""A worker process: steps a slice of a batch's environments when it is told to.

It reads one line of JSON per order from its standard input and answers each with one
line, ``null`` or what went wrong. Actions and results lie in shared memory. When its
input ends, because the batch's process has closed it or has died, it ends too.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from suites.metaworld.accelerate import accelerated
from suites.metaworld.batch import ROW
from suites.metaworld.simulator import Ongoing, Simulator


class Slice:
    """The rows of a batch that this worker steps.

    Args:
        memory: file that holds the batch's rows.
        tasks: row, class and parameters of each task.
        simulators: environments by class.
    """

    def __init__(
        self,
        memory: Path,
        tasks: list[tuple[int, str, list[float]]],
        simulators: dict[str, Simulator],
    ):
        with memory.open("r+b") as file:
            self.rows = np.frombuffer(mmap.mmap(file.fileno(), 0), ROW)
        # A class's tasks one after the other: its memory stays in the caches.
        self.tasks = [
            (row, simulators[name], tuple(params))
            for row, name, params in sorted(tasks, key=lambda task: task[1:])
        ]
        self.episodes: dict[int, Ongoing] = {}

    def reset(self) -> None:
        """Begin an episode in the active rows."""
        for row, simulator, params in self.tasks:
            if self.rows["active"][row]:
                self.episodes[row], self.rows["obs"][row] = simulator.reset(params)

    def save_model(self, row: int, into: Path) -> None:
        """Write the model of a row, if it is one of these."""
        for one, simulator, _ in self.tasks:
            if one == row:
                simulator.save_model(into)

    def look(self, row: int, into: Path) -> None:
        """Write what a picture of a row needs, if it is one of these."""
        for one, simulator, _ in self.tasks:
            if one == row:
                simulator.look(self.episodes[row]).tofile(into)

    def step(self) -> None:
        """Step the active rows by their actions."""
        rows = self.rows
        actions, active = rows["action"], rows["active"].tolist()
        for row, simulator, _ in self.tasks:
            if active[row]:
                outcome = simulator.step(self.episodes[row], actions[row])
                rows["unstable"][row] = outcome.unstable
                if not outcome.unstable:
                    rows["obs"][row] = outcome.obs
                    rows["reward"][row] = outcome.reward
                    rows["success"][row] = outcome.success


class Worker:
    """Carries out the orders: builds, resets, steps, shows and closes batches."""

    def __init__(self) -> None:
        self.simulators: dict[str, dict[str, Simulator]] = {}
        self.slices: dict[int, Slice] = {}

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order: what to do with which batch."""
        number = order["batch"]
        match order["do"]:
            case "open":
                known = self.simulators.setdefault(order["reward"], {})
                for _, name, _ in order["tasks"]:
                    if name not in known:
                        known[name] = Simulator(name, order["reward"])
                self.slices[number] = Slice(
                    Path(order["memory"]), order["tasks"], known
                )
            case "reset":
                self.slices[number].reset()
            case "step":
                self.slices[number].step()
            case "model":
                self.slices[number].save_model(order["row"], Path(order["into"]))
            case "look":
                self.slices[number].look(order["row"], Path(order["into"]))
            case "close":
                del self.slices[number]
            case unknown:
                raise ValueError(f"a worker cannot {unknown}")


def main() -> None:
    """Obey until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to every process of a job, they ask the batch's process for a checkpoint,
        # which it can take only while its workers live.
        signal.signal(number, signal.SIG_IGN)
    worker = Worker()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    with accelerated():
        for line in sys.stdin:
            trouble = None
            try:
                worker.obey(json.loads(line))
            except Exception:
                trouble = traceback.format_exc()
            answers.write(json.dumps(trouble) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
