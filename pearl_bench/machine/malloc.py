"""What the C library does with memory that torch has freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt``, as in glibc's malloc.h."""


def keep_pages() -> None:
    """Let glibc keep freed memory up to 1 GiB instead of giving it back at once.

    By default a tensor of some megabytes is mapped afresh each time it is allocated
    and unmapped when it is freed, and the page faults of first touching it cost a
    quarter of an update. Does nothing where the C library is another one.
    """
    mallopt = _from_glibc("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 1 << 30)
        mallopt(TRIM_THRESHOLD, 1 << 30)


def give_back_pages() -> None:
    """Let glibc give back what is free now, holes between tensors included.

    Its aligned allocation seldom fits a tensor into the hole that one of equal size has
    left, so tensors to keep, allocated between others that are soon freed, lie as far
    apart as those were large. Does nothing where the C library is another one.
    """
    trim = _from_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _from_glibc(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
