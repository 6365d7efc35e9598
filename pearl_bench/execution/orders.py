"""The files by which a command and a run on a cluster's node speak with each other.

``order.json`` in the run's folder says what is to be trained and as which job,
``progress.jsonl`` how far it has come. The folder lies on a file system that all the
machines share. What has been reached, only ``run.json`` decides.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pearl_bench.records.files import (
    RecordError,
    explained,
    make_folder,
    open_bytes,
    open_log,
    read_bytes,
    write_atomic,
)

ORDER, PROGRESS = "order.json", "progress.jsonl"

TELL_EVERY = 5.0
"""Seconds between two lines of progress: thousands of runs share the file system."""

RECENT_BYTES = 4096
"""What is read of the progress of a run that somebody else has submitted."""


class Order(NamedTuple):
    """What a cluster is asked to do in a run's folder.

    Attributes:
        config: the run, as its ``config.yaml``.
        command: the command line, for the records.
        engine: which kind of cluster.
        job: the name by which that knows the run.
    """

    config: str
    command: list[str]
    engine: str
    job: str


def write_order(folder: Path, order: Order) -> None:
    """Write a run's order; what was told of an earlier one is forgotten.

    Raises:
        RecordError: that is not possible.
    """
    make_folder(folder)
    with explained(folder / PROGRESS, "removed"):
        (folder / PROGRESS).unlink(missing_ok=True)
    text = json.dumps(order._asdict(), indent=2) + "\n"
    write_atomic(folder / ORDER, text.encode())


def read_order(folder: Path) -> Order | None:
    """Return a run's order, None if there has been none.

    Raises:
        RecordError: it is damaged.
    """
    path = folder / ORDER
    try:
        return Order(**json.loads(read_bytes(path)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise RecordError(
            f"{path} is damaged or no order ({type(error).__name__}: {error}). Make "
            "sure that no job trains this run, then remove the file."
        ) from error


class Claim:
    """A job's claim to a run: the second guard, where a file system keeps no locks.

    Args:
        folder: of the run.
        job: that its order named.
    """

    def __init__(self, folder: Path, job: str) -> None:
        self._folder = folder
        self._job = job
        self._lost = False
        self._looked = time.monotonic()

    def lost(self) -> bool:
        """Return whether the order names another job, as of some seconds ago."""
        now = time.monotonic()
        if not self._lost and now - self._looked >= TELL_EVERY:
            self._looked = now
            with suppress(RecordError):
                order = read_order(self._folder)
                self._lost = order is not None and order.job != self._job
        return self._lost


class ProgressFile:
    """Where a run on a node tells how far it is.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._told: tuple[float, float | None] = (-float("inf"), None)

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Tell the counters if it is time to; a new test return is told at once."""
        now = time.monotonic()
        if now - self._told[0] >= TELL_EVERY or test_return != self._told[1]:
            self._told = (now, test_return)
            self.send(env_steps=env_steps, updates=updates, test_return=test_return)

    def say(self, line: str) -> None:
        """Tell something worth a line."""
        self.send(say=line)

    def send(self, **message: object) -> None:
        """Tell anything. That it cannot be told is no reason to end a training."""
        # Opened anew each time: NFS shows others what has been closed.
        with suppress(OSError, RecordError), open_log(self._path) as file:
            file.write(json.dumps(message) + "\n")


class ProgressReader:
    """What a ``ProgressFile`` has told, read on another machine.

    Args:
        folder: of the run.
        fresh: this command has submitted the run. Otherwise reading begins with the
            last few lines, and what they said is history.
    """

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        self._path = folder / PROGRESS
        self._offset = 0 if fresh else None

    def news(self) -> list[dict[str, Any]]:
        """Return what has been told since the last call; nothing if none can be read.

        A file system that stumbles over one run's file ends no command that follows
        thousands: the next call asks again.
        """
        try:
            with open_bytes(self._path) as file:
                size = os.fstat(file.fileno()).st_size
                start = self._offset
                if start is None:
                    start = max(0, size - RECENT_BYTES)
                elif start > size:  # another command has submitted the run anew
                    start = 0
                file.seek(start)
                data = file.read()
        except (OSError, RecordError):
            return []
        told, newline, _ = data.rpartition(b"\n")  # the last is still being written
        history = self._offset is None
        self._offset = start + len(told) + len(newline)
        messages = []
        for line in told.splitlines():
            with suppress(ValueError):  # the first may be cut
                messages.append(json.loads(line))
        return [m for m in messages if "say" not in m] if history else messages
