"""Networks and distributions that belong to no method alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

HIDDEN_BIAS = 0.1
"""See ``MLP``."""
LOG_STD_RANGE = (-20.0, 2.0)
"""Of the Gaussian before tanh (oyster ``rlkit/torch/sac/policies.py``)."""


def _uniform_linear(
    inputs: int, outputs: int, bound: float, bias: float | None, rng: torch.Generator
) -> nn.Linear:
    """Return a layer with weights U(±bound) and that bias (None: U(±bound) too)."""
    # built without torch's own initialisation, which would draw from a global stream
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
    if bias is None:
        nn.init.uniform_(layer.bias, -bound, bound, generator=rng)
    else:
        nn.init.constant_(layer.bias, bias)
    return layer


def full_precision(head: nn.Linear, features: Tensor) -> Tensor:
    """Apply a last layer outside autocast.

    Under ``precision=bf16`` the hidden layers compute in bfloat16, but a return of
    thousands rounded to its 8 bits would be off by several units.
    """
    device = features.device.type
    if not torch.is_autocast_enabled(device):  # the context costs more than the head
        return head(features)
    with torch.autocast(device, enabled=False):
        return head(features)


class MLP(nn.Module):
    """ReLU layers ``hidden0``, ``hidden1``, ... and a linear ``output``.

    Hidden weights are U(±1/sqrt(width of the layer's output)) and biases 0.1, the last
    layer is U(±output_bound): the initialisation of oyster (``rlkit/torch/networks.py``
    uses the output width, where the usual rule takes the input width).

    Args:
        sizes: widths from input to output.
        output_bound: bound of the last layer's weights and biases.
        rng: generator of the initial weights.
    """

    def __init__(
        self, sizes: Sequence[int], *, output_bound: float, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.hidden = tuple(
            _uniform_linear(inputs, outputs, 1 / math.sqrt(outputs), HIDDEN_BIAS, rng)
            for inputs, outputs in pairwise(sizes[:-1])
        )
        for i, layer in enumerate(self.hidden):
            self.add_module(f"hidden{i}", layer)
        self.output = _uniform_linear(sizes[-2], sizes[-1], output_bound, None, rng)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer's activations in the parameters' precision."""
        # one leading axis: of more, a layer returns a view of its product, and autograd
        # copies the whole of what is changed in place through a view
        rows = x.reshape(-1, x.shape[-1])
        for layer in self.hidden:
            # in place: a fresh multi-megabyte tensor costs more than the ReLU itself
            rows = torch.relu_(layer(rows))
        return rows.view(*x.shape[:-1], -1).to(self.output.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., outputs]``."""
        return full_precision(self.output, self.features(x))


class ActionSample(NamedTuple):
    """A reparameterised draw from a tanh-Gaussian policy.

    Attributes:
        action: ``[..., A]`` in (-1, 1).
        log_prob: ``[..., 1]`` its log density.
        mean: ``[..., A]`` of the Gaussian before tanh.
        log_std: ``[..., A]`` of the Gaussian before tanh.
    """

    action: Tensor
    log_prob: Tensor
    mean: Tensor
    log_std: Tensor


class TanhGaussianPolicy(MLP):
    """A Gaussian squashed by tanh; its mean is ``output``, its spread a second head.

    Args:
        sizes: widths from input to action.
        rng: generator of the initial weights.
    """

    def __init__(self, sizes: Sequence[int], *, rng: torch.Generator) -> None:
        super().__init__(sizes, output_bound=1e-3, rng=rng)
        self.log_std_head = _uniform_linear(sizes[-2], sizes[-1], 1e-3, None, rng)

    def gaussian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation before tanh, each ``[..., A]``."""
        features = self.features(x)
        mean = full_precision(self.output, features)
        log_std = full_precision(self.log_std_head, features)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def mode(self, x: Tensor) -> Tensor:
        """Return the deterministic action ``[..., A]``."""
        return torch.tanh(self.gaussian(x)[0])

    def explore(self, x: Tensor, noise: Tensor) -> Tensor:
        """Draw actions ``[..., A]`` without their density."""
        mean, log_std = self.gaussian(x)
        return torch.tanh(mean + log_std.exp() * noise)

    def sample(self, x: Tensor, noise: Tensor) -> ActionSample:
        """Draw actions from standard normal ``noise`` ``[..., A]``.

        The log density is that of the Gaussian, written in the noise, less
        ``sum log(1 - tanh² + 1e-6)`` (SAC, arXiv 1801.01290, appendix C).
        """
        mean, log_std = self.gaussian(x)
        action = torch.tanh(mean + log_std.exp() * noise)
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        squash = torch.log(1 - action.square() + 1e-6)
        log_prob = (log_normal - squash).sum(-1, keepdim=True)
        return ActionSample(action, log_prob, mean, log_std)
