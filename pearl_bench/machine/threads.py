"""Threads: how many there are, and what those do that wait."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pearl_bench.machine.cgroups import cpu_quota

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What libraries go by that size their pools of threads when they are loaded."""


def limit_spinning() -> None:
    """Let OpenMP threads that wait sleep after a moment; call before torch is loaded.

    By default they spin for milliseconds at every barrier. Where anybody else wants
    the cores (another run, the environments' threads) that made updates two to seven
    times slower on two cores. A moment (a fraction of a millisecond) still bridges the
    gap from one operation to the next. Children inherit it; a user's choice stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def available_cores(
    environ: Mapping[str, str] = os.environ,
    affinity: int | None = None,
    quota: float | None = None,
) -> int:
    """Return the number of cores that this process may keep busy, at least 1.

    It is the least of those that it may run on, of what Slurm has given its task
    (``SLURM_CPUS_PER_TASK``), and of whole cores of a control group's quota: a thread
    beyond a quota makes all the others wait for it.

    Args:
        environ: the environment.
        affinity: cores that it may run on; those of this process if none.
        quota: cores' time that it may take; that of its control groups if none.
    """
    if affinity is None:
        affinity = _affinity()
    if quota is None:
        quota = cpu_quota()
    limits = [affinity, _whole(environ.get("SLURM_CPUS_PER_TASK"))]
    limits.append(None if quota is None else max(1, int(quota)))
    return min(limit for limit in limits if limit)


def share_of_cores(
    cores: int, processes: int, environ: Mapping[str, str] = os.environ
) -> int:
    """Return the threads of each of some processes side by side, at least 1.

    Args:
        cores: for all of them.
        processes: how many there are.
        environ: its ``OMP_NUM_THREADS``, if any, is the most that a process takes.
    """
    # OpenMP takes a list, one number for each level of nested regions
    most = _whole(environ.get("OMP_NUM_THREADS", "").partition(",")[0])
    return max(1, min(cores // processes, most or cores))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _whole(text: str | None) -> int | None:
    """Return the positive number that a text is; None if it is none."""
    text = (text or "").strip()
    return int(text) or None if text.isdecimal() else None
