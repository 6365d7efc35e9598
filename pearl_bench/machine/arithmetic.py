"""How torch multiplies matrices on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

FLOAT32_ERROR = 2e-6
CHOSEN_BY = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR"),
    *("MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE"),
)
"""Variables of the environment by which a user chooses loops that round otherwise."""


def use_fastest_float32() -> str:
    """Choose torch's float32 GEMM on the CPU; return the name of the setting.

    "medium" goes through oneDNN, a fifth faster than the default on CPUs with AVX-512
    and just as exact, but allowed to round the inputs to bfloat16, which it does where
    the CPU has AMX. So it is kept only if a trial product is exact to float32.
    """
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 256, 256, generator=rng)
    exact = a.double() @ b.double()
    torch.set_float32_matmul_precision("medium")
    error = ((a @ b) - exact).abs().max() / exact.abs().max()
    if error > FLOAT32_ERROR:
        torch.set_float32_matmul_precision("highest")
    return torch.get_float32_matmul_precision()


def loops() -> str:
    """Return which loops torch takes on this processor, and what was set to choose."""
    chosen = [f"{name}={os.environ[name]}" for name in CHOSEN_BY if name in os.environ]
    return ", ".join(
        [f"torch's for {torch.backends.cpu.get_cpu_capability()}", *chosen]
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread within."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def for_small_products() -> Iterator[None]:
    """Suit torch to a policy that is asked for some tens of actions at a time.

    That is too little to share, and threads of torch that spin at the end of each
    operation take the cores from the threads that step the environments. oneDNN, which
    ``use_fastest_float32`` may have chosen, takes 20 us to begin a product.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with one_thread():
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
