"""Steps N Meta-World environments in lock step, shared among worker processes.

The package computes observations and rewards in Python, so that threads would wait for
each other. Each worker has every W-th environment; what an environment does depends on
its task and actions alone, so that the number of workers changes no result. Workers
outlive the batches: the environments they have built serve the next one.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from pearl_bench.machine.imports import same_imports
from pearl_bench.machine.threads import POOLS
from suites.base import Step, Task, check_actions
from suites.view import PIXELS

if TYPE_CHECKING:
    from suites.metaworld.camera import MetaWorldCamera

ONE_THREAD = dict.fromkeys(POOLS, "1")
"""A worker keeps one core busy by itself."""

ROW = np.dtype(
    [
        ("reward", np.float64),
        ("obs", np.float32, 39),
        ("action", np.float32, 4),
        ("active", np.bool_),
        ("success", np.bool_),
        ("unstable", np.bool_),
    ],
    align=True,
)
"""One environment in shared memory. Its process writes action and active, a worker the
rest; where a simulation broke down the observation stays the one before."""

REWARD_UNIT = {"v1": 200.0, "v2": 1.0}
"""What rewards are divided by. Those of v2 are at most 10 a step; of v1 the scripted
experts collect up to 1,000 to 2,500 a step in the tasks that they solve.
"""

HORIZON = 500
"""Steps of an episode, as the package cuts it."""
NOT_BEGUN = -1

RAM = Path("/dev/shm")
"""Where Linux keeps files in memory."""


class WorkerError(RuntimeError):
    """A worker process failed or is gone; its batches are lost."""


_every: WeakSet[Workers] = WeakSet()
"""Those of this process."""


def _has_room(folder: Path, size: int) -> bool:
    """Whether a file of so many bytes can be made there; containers may leave none."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= size


class Workers:
    """W processes that step environments.

    Args:
        number: W.
    """

    def __init__(self, number: int):
        self._batches = count()
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "suites.metaworld.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | same_imports() | ONE_THREAD,
                text=True,
                # Out of the terminal's reach: Ctrl-C asks for a checkpoint first.
                start_new_session=True,
            )
            for _ in range(number)
        ]
        _every.add(self)

    @property
    def alive(self) -> bool:
        """Whether they can take orders."""
        return bool(self._processes)

    def open(self, tasks: Sequence[Task], reward: str) -> tuple[int, np.ndarray]:
        """Build the environments of a batch.

        Returns:
            The batch's number and its rows in shared memory, ``[N]`` of ``ROW``.
        """
        number = next(self._batches)
        size = len(tasks) * ROW.itemsize
        folder = RAM if _has_room(RAM, size) else None
        with tempfile.NamedTemporaryFile(prefix="pearl-bench-", dir=folder) as file:
            # takes the room now: to touch mapped memory that has none kills the process
            file.write(bytes(size))
            file.flush()
            rows = np.frombuffer(mmap.mmap(file.fileno(), 0), ROW)
            every = len(self._processes)
            described = [(i, task.group, task.params) for i, task in enumerate(tasks)]
            self._order(
                {"batch": number, "memory": file.name, "reward": reward},
                "open",
                [{"tasks": described[k::every]} for k in range(every)],
            )
        return number, rows  # the file is gone; memory that has no name cannot leak

    def order(self, number: int, what: str, **words: Any) -> None:
        """Let all workers reset, step or close their rows of a batch; wait for them.

        Args:
            number: the batch's.
            what: to do.
            **words: what else the order says; ``model`` and ``look`` name a row and the
                file that its worker writes.

        Raises:
            WorkerError: one failed or is gone. The others are ended too.
        """
        self._order({"batch": number} | words, what, [{}] * len(self._processes))

    def close(self) -> None:
        """End the processes; in a forked one, leave them to the one that has them."""
        processes, self._processes = self._processes, []
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it is gone already
                process.stdin.close()
            process.stdout.close()
        for process in processes:
            process.wait()  # returns at once where it is another process's child

    def _order(
        self, shared: dict[str, Any], what: str, own: Sequence[dict[str, Any]]
    ) -> None:
        if not self.alive:
            raise WorkerError(
                "the workers of this batch have ended, or are those of the process "
                "that this one was forked from; make a new batch"
            )
        try:
            for process, words in zip(self._processes, own, strict=True):
                self._tell(process, {"do": what} | shared | words)
            answers = [self._answer(process) for process in self._processes]
        except BaseException as error:  # an interrupt too: answers would stay behind
            lost = [p for p in self._processes if p.poll() is not None]
            self.close()
            if lost and isinstance(error, BrokenPipeError):
                raise WorkerError(_epitaph(lost[0])) from None
            raise
        trouble = [answer for answer in answers if answer is not None]
        if trouble:
            self.close()
            raise WorkerError(f"a Meta-World worker failed:\n{trouble[0]}")

    @staticmethod
    def _tell(process: subprocess.Popen[str], order: dict[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            process.wait()
            raise

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> str | None:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise BrokenPipeError
        return json.loads(line)


def _epitaph(process: subprocess.Popen[str]) -> str:
    code = process.returncode
    ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return (
        f"the Meta-World worker process {process.pid} ended with {ended}. If memory "
        "ran out, take fewer jobs or tasks at a time; the same command goes on from "
        "the last checkpoint."
    )


@atexit.register
def _close_every() -> None:
    for workers in _every:
        workers.close()


# A forked process's ends of the pipes would keep the workers alive.
os.register_at_fork(after_in_child=_close_every)

_pools: dict[int, Workers] = {}
"""By their number."""


def shared_workers(number: int) -> Workers:
    """Return this process's W workers, started when they are first wanted."""
    if number not in _pools or not _pools[number].alive:
        _pools[number] = Workers(number)
    return _pools[number]


class MetaWorldBatch:
    """N environments, each with its own task.

    Attributes:
        num_envs: N.

    Args:
        tasks: one per environment, repeats allowed.
        workers: who steps them.
        reward: version of the reward functions, ``v1`` or ``v2``; its rewards are
            divided by ``REWARD_UNIT``.

    Raises:
        ValueError: there are no tasks.
    """

    def __init__(self, tasks: Sequence[Task], *, workers: Workers, reward: str):
        if not tasks:
            raise ValueError("a batch needs at least one task")
        self.num_envs = len(tasks)
        self._workers = workers
        self._number, self._rows = workers.open(tasks, reward)
        self._unit = REWARD_UNIT[reward]
        self._everyone = np.ones(self.num_envs, bool)
        self._elapsed = np.full(self.num_envs, NOT_BEGUN)
        self._open = True

    def __reduce__(self) -> str:
        """Refuse copies: the environments live in the workers.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "Meta-World's environments cannot be copied or pickled, since they live in "
            "worker processes; make a new batch of the same tasks"
        )

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start a new episode in the ``[N]`` bool ``rows``, in all by default.

        A task always starts from the same state; nothing is drawn from ``rng``.

        Returns:
            ``[N, 39]`` float32 current observations of all environments.
        """
        del rng
        self._require_open()
        self._rows["active"] = self._everyone if rows is None else rows
        self._workers.order(self._number, "reset")
        self._elapsed[self._rows["active"]] = 0
        return self._rows["obs"].copy()

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Apply ``[N, 4]`` actions in [-1, 1] to the active (``[N]`` bool) rows.

        Actions outside are clipped. Nothing but a breakdown terminates an episode,
        success neither; the caller cuts it at the horizon.

        Raises:
            ValueError: the shape is wrong, or an active row's action is not finite.
            RuntimeError: an active row's episode has not begun, or is over, or the
                batch is closed.
            WorkerError: a worker failed or is gone.
        """
        if active is None:
            active = self._everyone
        action = np.asarray(action, np.float32)
        check_actions(action, (self.num_envs, 4), active)
        self._require_open()
        self._require_under_way(active)
        self._elapsed += active
        rows = self._rows
        rows["action"], rows["active"] = action, active
        self._workers.order(self._number, "step")
        unstable = rows["unstable"] & active
        sound = active & ~unstable
        reward = np.where(sound, rows["reward"] / self._unit, 0.0)
        return Step(
            obs=np.where(active[:, None], rows["obs"], 0),
            reward=reward,
            sparse_reward=reward,
            terminated=unstable,
            unstable=unstable,
            success=sound & rows["success"],
        )

    def _require_open(self) -> None:
        if not self._open:
            raise RuntimeError("this batch is closed; make a new one")

    def _require_under_way(self, active: np.ndarray) -> None:
        """Refuse steps that the package would refuse, at the price of the workers."""
        elapsed = self._elapsed[active]
        if (elapsed == NOT_BEGUN).any():
            raise RuntimeError("reset an environment before its first step")
        if (elapsed >= HORIZON).any():
            raise RuntimeError(
                f"an episode has {HORIZON} steps; reset the environment after them"
            )

    def distance(self) -> None:
        """None: what is measured here is success."""

    def camera(self, index: int, size: int = PIXELS) -> MetaWorldCamera:
        """Return a camera on one environment.

        Raises:
            RuntimeError: there is no OpenGL library.
        """
        from suites.metaworld.camera import MetaWorldCamera  # noqa: PLC0415 (mujoco)

        def ask(what: str, into: Path) -> None:
            self._require_open()
            if what == "look" and self._elapsed[index] == NOT_BEGUN:
                raise RuntimeError("reset the environment before you look at it")
            self._workers.order(self._number, what, row=index, into=str(into))

        return MetaWorldCamera(ask, size)

    def close(self) -> None:
        """Release the environments, once; the workers stay."""
        if self._open and self._workers.alive:
            self._workers.order(self._number, "close")
        self._open = False
