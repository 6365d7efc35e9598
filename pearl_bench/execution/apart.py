"""Work in processes of its own that end when this one does, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any

from pearl_bench.config.errors import UserError


@contextmanager
def pool(
    size: int, begin: Callable[..., None] | None = None, *told: Any
) -> Iterator[ProcessPoolExecutor]:
    """Yield processes for a block; if it fails, all children of this one are killed.

    Args:
        size: how many there are.
        begin: called in each before its first work.
        told: what ``begin`` is given; barriers can be given in no other way.

    Raises:
        UserError: one of them was ended, by the system for one.
    """
    with ProcessPoolExecutor(
        size, get_context("spawn"), initializer=_begin, initargs=(begin, told)
    ) as processes:
        try:
            yield processes
        except BaseException as error:
            for child in active_children():
                child.kill()
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a process that was measured has been ended, as the system does "
                    "when memory is short; close other programs and try again"
                ) from error
            raise


def end_with_parent() -> None:
    """Let this process end soon after its parent has, whatever it does then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent sees to it
    threading.Thread(target=_outlive_no_parent, daemon=True).start()


def _begin(begin: Callable[..., None] | None, told: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*told)


def _outlive_no_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
