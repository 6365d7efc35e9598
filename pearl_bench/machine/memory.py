"""How much memory there is for runs."""

from __future__ import annotations

import psutil

from pearl_bench.machine.cgroups import memory_left


def installed_memory() -> int:
    """Return the bytes that this machine has."""
    return psutil.virtual_memory().total


def available_memory() -> int:
    """Return the bytes that new processes may take without anything being swapped."""
    free, left = psutil.virtual_memory().available, memory_left()
    return free if left is None else min(free, left)
