"""From a context of transitions to a belief over the latent task variable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pearl_bench.training.nn import MLP, full_precision

MIN_VARIANCE = 1e-7
"""Of a factor (oyster ``rlkit/torch/sac/agent.py``)."""


class Belief(NamedTuple):
    """A diagonal Gaussian over z, one per task: ``mean`` and ``variance`` ``[M, Z]``.

    A deterministic encoder's belief has variance 0.
    """

    mean: Tensor
    variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return z = mean + std * noise, ``[M, Z]``, reparameterised."""
        return self.mean + self.variance.sqrt() * noise

    def kl_to_prior(self) -> Tensor:
        """Return KL(q(z|c) || N(0, I)), summed over latent dimensions and tasks.

        It is the KL term of PEARL's equation 1. The sum over tasks, not the mean, is
        the original's weighting (oyster ``rlkit/torch/sac/agent.py``). A deterministic
        belief has no KL term.
        """
        mean, variance = self
        return 0.5 * (mean.square() + variance - variance.log() - 1).sum()


def product_of_gaussians(
    mean: Tensor, variance: Tensor, valid: Tensor | None = None
) -> Belief:
    """Multiply C Gaussian factors per task (PEARL, equation 2).

    The prior is no factor. Per dimension, 1/variance is the sum of the factors'
    precisions and the mean is weighted by them.

    Args:
        mean: ``[M, C, Z]`` of the factors.
        variance: ``[M, C, Z]`` of the factors, clamped to at least 1e-7.
        valid: ``[M, C]`` bool, factors to count; all if None.
    """
    precision = variance.clamp(min=MIN_VARIANCE).reciprocal()
    if valid is not None:
        precision = precision * valid.unsqueeze(-1)
    product_variance = precision.sum(1).reciprocal()
    return Belief(product_variance * (precision * mean).sum(1), product_variance)


class ContextEncoder(nn.Module):
    """q(z|c) of PEARL, section 4.1, and its ablations (section 6.3).

    Args:
        context_dim: width of one context row, (o, a, r) or (o, a, r, o').
        latent_dim: Z.
        hidden_size: width of the three hidden layers.
        probabilistic: false: z is the mean of the outputs.
        recurrent: read the context in order with an LSTM.
        bptt_steps: rows after which the LSTM's gradient is cut.
        rng: generator of the initial weights.
    """

    def __init__(
        self,
        context_dim: int,
        latent_dim: int,
        hidden_size: int,
        *,
        probabilistic: bool,
        recurrent: bool,
        bptt_steps: int,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.probabilistic = probabilistic
        self.bptt_steps = bptt_steps
        outputs = 2 * latent_dim if probabilistic else latent_dim
        sizes = [context_dim, *[hidden_size] * 3, outputs]
        self.mlp = MLP(sizes, output_bound=3e-3, rng=rng)
        self.lstm: nn.LSTM | None = None
        if recurrent:
            self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)
            bound = hidden_size**-0.5
            for weight in self.lstm.parameters():
                nn.init.uniform_(weight, -bound, bound, generator=rng)

    def prior(self, tasks: int) -> Belief:
        """Return the belief without context: N(0, I), or 0 if deterministic."""
        mean = self.mlp.output.weight.new_zeros(tasks, self.latent_dim)
        return Belief(mean, torch.full_like(mean, float(self.probabilistic)))

    def forward(self, context: Tensor, valid: Tensor | None = None) -> Belief:
        """Infer the belief of M tasks.

        Args:
            context: ``[M, C, D]`` context rows; their order matters to an LSTM only.
            valid: ``[M, C]`` bool, rows that hold data (at least one per task).
        """
        if self.lstm is None:
            return self._permutation_invariant(self.mlp(context), valid)
        last = self._last_output(self.mlp.features(context), valid)
        factor = full_precision(self.mlp.output, last.to(context.dtype))
        return self._permutation_invariant(factor.unsqueeze(1), None)

    def _permutation_invariant(self, outputs: Tensor, valid: Tensor | None) -> Belief:
        if self.probabilistic:
            mean, spread = outputs.chunk(2, dim=-1)
            # softplus gives the variance, not the standard deviation
            return product_of_gaussians(mean, functional.softplus(spread), valid)
        if valid is None:
            mean = outputs.mean(1)
        else:
            weight = valid.unsqueeze(-1).to(outputs.dtype)
            mean = (outputs * weight).sum(1) / weight.sum(1)
        return Belief(mean, torch.zeros_like(mean))

    def _last_output(self, rows: Tensor, valid: Tensor | None) -> Tensor:
        """Run the LSTM over the valid rows; return its last output ``[M, H]``."""
        assert self.lstm is not None
        tasks, length, _ = rows.shape
        last = rows.new_full((tasks,), length - 1, dtype=torch.long)
        if valid is not None:
            # valid rows to the front, in order
            order = valid.long().argsort(dim=1, descending=True, stable=True)
            rows = rows.gather(1, order.unsqueeze(-1).expand_as(rows))
            last = valid.sum(1) - 1
        state, outputs = None, []
        for chunk in rows.split(self.bptt_steps, dim=1):
            if state is not None:
                state = (state[0].detach(), state[1].detach())
            output, state = self.lstm(chunk, state)
            outputs.append(output)
        return torch.cat(outputs, dim=1)[torch.arange(tasks, device=last.device), last]
