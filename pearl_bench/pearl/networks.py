"""PEARL's networks, which learner and adapter share."""

from __future__ import annotations

import torch
from torch import nn

from pearl_bench.pearl.encoder import ContextEncoder
from pearl_bench.training.nn import MLP, TanhGaussianPolicy


class PearlNetworks(nn.Module):
    """Encoder q(z|c), critics Q(o, a, z), value V(o, z), its target, policy π(a|o, z).

    ``log_alpha`` is the logarithm of a learnt entropy temperature, else None.

    Args:
        encoder: None where z is not inferred.
        obs_dim: O.
        action_dim: A.
        latent_dim: Z.
        hidden_size: width of the three hidden layers of all but the encoder.
        adaptive_temperature: whether there is a temperature to learn.
        rng: generator of the initial weights.
    """

    def __init__(
        self,
        encoder: ContextEncoder | None,
        obs_dim: int,
        action_dim: int,
        latent_dim: int,
        *,
        hidden_size: int,
        adaptive_temperature: bool,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = [hidden_size] * 3
        critic_sizes = [obs_dim + action_dim + latent_dim, *hidden, 1]
        value_sizes = [obs_dim + latent_dim, *hidden, 1]
        self.q1 = MLP(critic_sizes, output_bound=3e-3, rng=rng)
        self.q2 = MLP(critic_sizes, output_bound=3e-3, rng=rng)
        self.v = MLP(value_sizes, output_bound=3e-3, rng=rng)
        self.target_v = MLP(value_sizes, output_bound=3e-3, rng=rng)
        self.target_v.load_state_dict(self.v.state_dict())
        self.target_v.requires_grad_(False)
        policy_sizes = [obs_dim + latent_dim, *hidden, action_dim]
        self.policy = TanhGaussianPolicy(policy_sizes, rng=rng)
        self.log_alpha = nn.Parameter(torch.zeros(())) if adaptive_temperature else None
