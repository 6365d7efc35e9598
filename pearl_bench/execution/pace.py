"""How fast this machine trains: what earlier runs took, remembered between commands.

A run notes its pace after its first minutes and at its end, in a file of its own kind
(the settings that decide speed, the CPU or GPU, the versions of the libraries) below
``$XDG_CACHE_HOME/pearl_bench``, or ``~/.cache/pearl_bench``. Nothing depends on these
files but estimates: one that is damaged, missing or cannot be written is passed over.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from pearl_bench import registry
from pearl_bench.config.types import RunConfig
from pearl_bench.records.files import (
    RecordError,
    make_folder,
    read_json,
    read_text,
    write_atomic,
)
from pearl_bench.records.provenance import cpu_model, peak_memory_mib, versions
from pearl_bench.records.run_folder import TRAIN, read_run, status

FIRST_SECONDS = 60.0
"""Seconds of a run's own speed that are worth more than what is known of others'."""
FORMAT = 2
NOT_OF_SPEED = "seed", "budget", "steps", "checkpoint_minutes", "mirror"
"""Settings of a run that its pace does not depend on."""


class Pace(NamedTuple):
    """What a run takes on this machine.

    Attributes:
        seconds_per_step: of training, the meta-tests among it, after ``first_steps``.
        test_steps: environment steps of one meta-test, all its parts together; they
            come on top of the training steps. None if nobody knows.
        memory: bytes; None if nobody knows.
        first_steps: environment steps of the first iteration. The initial pool is
            among them, so they are much faster than all that follow.
        first_seconds: what these take.
    """

    seconds_per_step: float
    test_steps: int | None = None
    memory: int | None = None
    first_steps: int = 0
    first_seconds: float = 0.0

    def seconds(self, done: int, steps: int) -> float:
        """Return what a run takes from some environment steps on to others."""
        first = max(0, min(steps, self.first_steps) - done)
        later = max(0, steps - max(done, self.first_steps))
        share = first / self.first_steps if first else 0.0
        return share * self.first_seconds + later * self.seconds_per_step

    def per_step(self, done: int, steps: int) -> float:
        """Return what each of these steps takes, on average."""
        return self.seconds(done, steps) / max(1, steps - done)


def recall(run: RunConfig, folder: Path) -> Pace | None:
    """Return the pace of a run: its own so far, or that of earlier ones of its kind.

    Args:
        run: the run; its device is known.
        folder: where its rows are, if it has any.
    """
    remembered, own = _remembered(run), _own(folder)
    if own is None or remembered is None:
        return own or remembered
    return own._replace(test_steps=remembered.test_steps, memory=remembered.memory)


def expected(run: RunConfig, folder: Path) -> float | None:
    """Return the seconds that a step of what is left of a run takes, if known."""
    known = recall(run, folder)
    return known and known.per_step(status(folder).env_steps, run.steps)


class Stopwatch:
    """Follows a run's progress and remembers its pace; a ``Progress``.

    Args:
        run: the run.
        folder: its folder.
        test_steps: see ``Pace``.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        run: RunConfig,
        folder: Path,
        test_steps: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._folder = folder
        self._test_steps = test_steps
        self._clock = clock
        self._look_at = clock() + FIRST_SECONDS
        self._known = _remembered(run) is not None
        self._peak_before = peak_memory_mib()

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Remember the pace of the first iterations, if none is known."""
        del env_steps, updates, test_return
        if self._known or self._clock() < self._look_at:
            return
        self._look_at = self._clock() + FIRST_SECONDS
        pace = _own(self._folder)
        if pace is not None:
            self._known = True
            remember(self._run, pace._replace(test_steps=self._test_steps))

    def say(self, line: str) -> None:
        """Lines are for people."""

    def end(self) -> None:
        """Remember the pace of a run that this session trained from its beginning.

        One iteration, the initial pool in it, tells nothing of those that follow.
        """
        pace, peak = _own(self._folder), peak_memory_mib()
        session = read_run(self._folder)["sessions"][-1]
        if pace is None or session["resumed_at_env_steps"]:
            return
        if peak > self._peak_before:
            memory = int(peak * 2**20)
        else:  # the peak is of a run before in this process
            known = _remembered(self._run)
            memory = known and known.memory
        remember(self._run, pace._replace(test_steps=self._test_steps, memory=memory))


def remember(run: RunConfig, pace: Pace) -> bool:
    """Note a pace for later commands; return whether that was possible."""
    kind = _kind(run)
    text = json.dumps({"format": FORMAT, **pace._asdict(), "kind": kind}, indent=1)
    try:
        path = _file(kind)
        make_folder(path.parent)
        write_atomic(path, (text + "\n").encode())
    except (RecordError, RuntimeError, OSError):  # RuntimeError: a user without a home
        return False
    return True


def _remembered(run: RunConfig) -> Pace | None:
    try:
        found = read_json(_file(_kind(run)))
    except (RecordError, RuntimeError, OSError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    seconds, test_steps, memory, first_steps, first_seconds = map(
        found.get, Pace._fields
    )
    if not _is_time(seconds) or not seconds or not _is_time(first_seconds):
        return None
    if not isinstance(first_steps, int) or first_steps < 0:
        return None
    return Pace(
        float(seconds), _known(test_steps), _known(memory), first_steps, first_seconds
    )


def _known(x: object) -> int | None:
    return x if isinstance(x, int) and x > 0 else None


def _is_time(x: object) -> TypeGuard[float]:
    return isinstance(x, int | float) and 0 <= x < math.inf


def _own(folder: Path) -> Pace | None:
    """Return a run's pace from its rows; None before the second of an update."""
    try:
        table = csv.DictReader(read_text(folder / TRAIN).splitlines())
        rows = [row for row in table if row["updates"] != "0"]
        ends = [(float(rows[k]["wall_s"]), int(rows[k]["env_steps"])) for k in (0, -1)]
    except (FileNotFoundError, RecordError, ValueError, LookupError, TypeError):
        return None  # what is wrong with it is for those to say who go on with it
    (first_seconds, first_steps), _ = ends
    seconds, steps = (last - first for first, last in zip(*ends, strict=True))
    if not (seconds > 0 and steps > 0):
        return None
    return Pace(seconds / steps, None, None, first_steps, first_seconds)


def _kind(run: RunConfig) -> Mapping[str, Any]:
    """Return what a run's speed depends on, as plain data."""
    gpu = None
    if run.device == "cuda":
        import torch  # noqa: PLC0415  (there is a device, so it has been asked before)

        gpu = torch.cuda.get_device_name()
    settings = asdict(run)
    return {
        "run": {key: settings[key] for key in settings if key not in NOT_OF_SPEED},
        "tasks": registry.family(run.suite, run.family).fingerprint(),
        "gpu": gpu,
        **_machine(),
    }


@cache
def _machine() -> Mapping[str, Any]:
    return {"cpu": cpu_model(), "versions": versions()}


def _file(kind: Mapping[str, Any]) -> Path:
    """Return where the pace of such runs is kept.

    Raises:
        RuntimeError: the user has no home.
    """
    # a relative path is to be ignored (XDG Base Directory Specification 0.8)
    given = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(given) if Path(given).is_absolute() else Path("~/.cache").expanduser()
    text = json.dumps(kind, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return cache / "pearl_bench" / "pace" / f"{name}.json"
