"""How much a plan trains in a second, all runs that are trained at a time together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

from pearl_bench import registry
from pearl_bench.config.errors import UserError
from pearl_bench.config.runs import meta_tested
from pearl_bench.config.types import RunConfig
from pearl_bench.execution import apart
from pearl_bench.execution.plan import require_memory
from pearl_bench.execution.work import build_learner, prepare
from pearl_bench.machine import threads

PATIENCE = 300.0
"""Seconds that a run waits at most until all others are as far.

One that was ended is not always missed: while processes are being started, the pool of
Python 3.11 watches those alone that it had when it last looked.
"""

_ready: Barrier


def updates_per_second(
    runs: Sequence[RunConfig], seconds: float, *, busy: int = 0
) -> float:
    """Return the updates per second of some runs together, each in its process.

    Args:
        runs: what is trained; each on the threads that it says.
        seconds: how long is measured, once all have collected their first iteration.
        busy: other processes that take all the time they get.

    Raises:
        UserError: the runs do not fit this machine's memory, or one of them was ended
            or is far behind the others.
    """
    threads.limit_spinning()
    everyone = get_context("spawn").Barrier(len(runs))
    with _busy(busy), apart.pool(len(runs), _meet_at, everyone) as pool:
        pace = [pool.submit(_updates_per_second, run, seconds) for run in runs]
        # the first that fails, since all others wait for it
        return sum(one.result() for one in as_completed(pace))


def _meet_at(everyone: Barrier) -> None:
    global _ready  # noqa: PLW0603  (a barrier is only ever given to a new process)
    _ready = everyone


def _updates_per_second(run: RunConfig, seconds: float) -> float:
    prepare(run)
    require_memory(run)
    family = registry.family(run.suite, run.family)
    learner = build_learner(run, meta_tested(family, run))
    learner.collect()
    learner.update()  # touches fresh memory
    try:
        _ready.wait(PATIENCE)
    except BrokenBarrierError:
        raise UserError(
            f"a run side by side with others is {PATIENCE:.0f} s behind them, or has "
            "been ended; close other programs and try again"
        ) from None
    before, start = learner.updates_done, time.perf_counter()
    while learner.updates_due:  # once at least, however short the time
        learner.update()
        if time.perf_counter() >= start + seconds:
            break
    return (learner.updates_done - before) / (time.perf_counter() - start)


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy for a block."""
    context = get_context("spawn")
    others = [context.Process(target=_spin, daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _spin() -> None:
    apart.end_with_parent()
    while True:
        pass
