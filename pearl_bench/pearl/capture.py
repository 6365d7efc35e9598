"""One gradient step as a CUDA graph: launched once instead of a thousand kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound=tuple[Tensor, ...])

WARM_UP_STEPS = 3
"""Steps on a side stream before the capture, as torch's CUDA graphs require."""


class CapturedStep(Generic[T]):
    """Runs ``step`` eagerly a few times, then captures it and replays the capture.

    The warm-up steps are real training steps on real batches, and the capture itself
    executes nothing, so a captured run takes exactly the steps of an eager one.

    Args:
        step: maps a NamedTuple of tensors to a tensor; its shapes never change and it
            never waits for the device.
    """

    def __init__(self, step: Callable[[T], Tensor]) -> None:
        self.step = step
        self.warm_up_left = WARM_UP_STEPS
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: T) -> Tensor:
        """Take one step; the result is a tensor of its own."""
        if self.warm_up_left:
            self.warm_up_left -= 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                result = self.step(batch)
            torch.cuda.current_stream().wait_stream(self.stream)
            return result
        if self.graph is None:
            self.inputs = tuple(tensor.clone() for tensor in batch)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.output = self.step(type(batch)(*self.inputs))
        for static, tensor in zip(self.inputs, batch, strict=True):
            static.copy_(tensor)
        self.graph.replay()
        return self.output.clone()
