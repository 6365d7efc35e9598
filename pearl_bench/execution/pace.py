"""How fast this machine trains: what earlier runs took, remembered between commands.

A run notes its pace after its first minute and at its end, in a file of its own kind
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
from typing import Any, NamedTuple

from pearl_bench import registry
from pearl_bench.config.runs import RunConfig
from pearl_bench.execution.console import FIRST_SECONDS, Meter
from pearl_bench.records.files import RecordError, make_folder, read_json, write_atomic
from pearl_bench.records.provenance import cpu_model, versions
from pearl_bench.records.run_folder import TRAIN, read_run

FORMAT = 1
NOT_OF_SPEED = "seed", "budget", "steps", "checkpoint_minutes", "mirror"
"""Settings of a run that its pace does not depend on."""


class Pace(NamedTuple):
    """What a run takes on this machine.

    Attributes:
        seconds_per_step: of training, the meta-tests among it.
        test_steps: environment steps of one meta-test, all its parts together; they
            come on top of the training steps. None if nobody knows.
        memory: bytes; None if nobody knows.
    """

    seconds_per_step: float
    test_steps: int | None = None
    memory: int | None = None


def recall(run: RunConfig, folder: Path) -> Pace | None:
    """Return the pace of a run: its own so far, or that of earlier ones of its kind.

    Args:
        run: the run; its device is known.
        folder: where its rows are, if it has any.
    """
    remembered, own = _remembered(run), _own_seconds_per_step(folder)
    if own is None:
        return remembered
    return (remembered or Pace(own))._replace(seconds_per_step=own)


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
        self._meter = Meter(run.steps, clock=clock)
        self._known = _remembered(run) is not None

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Remember the pace of the first minute, if none is known."""
        del test_return
        if self._known:
            return
        self._meter.add(env_steps, updates)
        pace = self._meter.steps_per_second
        if pace and self._meter.seconds >= FIRST_SECONDS:
            self._known = True
            remember(self._run, Pace(1 / pace, self._test_steps))

    def say(self, line: str) -> None:
        """Lines are for people."""

    def end(self) -> None:
        """Remember the pace of a run that this session trained from its beginning."""
        there = read_run(self._folder)
        if not there["sessions"][-1]["resumed_at_env_steps"] and there["env_steps"]:
            seconds_per_step = there["seconds"] / there["env_steps"]
            memory = int(there["peak_memory_mib"] * 2**20)
            remember(self._run, Pace(seconds_per_step, self._test_steps, memory))


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
    seconds, *others = (found.get(name) for name in Pace._fields)
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        return None
    whole = [x if isinstance(x, int) and x > 0 else None for x in others]
    return Pace(float(seconds), *whole)


def _own_seconds_per_step(folder: Path) -> float | None:
    """Return what a step took since the run's first update, from its rows.

    The steps before it, which fill the buffers, are much faster than all that follow.
    """
    try:
        with (folder / TRAIN).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["updates"] != "0"]
        ends = [(float(rows[k]["wall_s"]), int(rows[k]["env_steps"])) for k in (0, -1)]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None  # what is wrong with it is for those to say who go on with it
    seconds, steps = (last - first for first, last in zip(*ends, strict=True))
    return seconds / steps if seconds > 0 and steps > 0 else None


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
