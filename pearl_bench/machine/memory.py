"""How much memory there is for runs."""

from __future__ import annotations

import psutil

from pearl_bench.machine.cgroups import memory_left, memory_limit


def most_memory() -> int:
    """Return the bytes that this machine has, or a limit of control groups below."""
    there, limit = psutil.virtual_memory().total, memory_limit()
    return there if limit is None else min(there, limit)


def available_memory() -> int:
    """Return the bytes that new processes may take without anything being swapped."""
    free, left = psutil.virtual_memory().available, memory_left()
    return free if left is None else min(free, left)
