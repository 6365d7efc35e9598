"""Threads: how many there are, and what those do that wait."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def limit_spinning() -> None:
    """Let OpenMP threads that wait sleep after a moment; call before torch is loaded.

    By default they spin for milliseconds at every barrier. Where anybody else wants
    the cores (another run, the environments' threads) that made updates two to seven
    times slower on two cores. A moment (a fraction of a millisecond) still bridges the
    gap from one operation to the next. Children inherit it; a user's choice stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
