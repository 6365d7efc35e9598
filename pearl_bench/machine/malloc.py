"""What the C library does with torch's memory: what is kept, and in what pages."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt``, as in glibc's malloc.h."""
HUGE_PAGE = 2 << 20
"""Bytes; of x86-64, and of most others that have them."""
HUGE_HEAP = 512 << 20
"""Bytes of the heap that may lie in huge pages: more than an update works on."""
MADV_HUGEPAGE = 14
"""Advice of ``madvise``, as in Linux's mman.h."""


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
        _use_huge_pages()


def _use_huge_pages() -> None:
    """Let the next part of the heap lie in huge pages, where Linux leaves the choice.

    An update goes through weights, moments and activations of some tens of megabytes
    again and again; in pages of 4 KiB, looking up their addresses takes 3 % of it. Only
    what is touched takes memory.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = libc.malloc(HUGE_HEAP)
    if block is None:  # the process is not allowed that many addresses
        return
    first = -(-block // HUGE_PAGE) * HUGE_PAGE
    libc.madvise(first, block + HUGE_HEAP - first, MADV_HUGEPAGE)
    libc.free(block)  # stays in the heap: less than what is trimmed


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
