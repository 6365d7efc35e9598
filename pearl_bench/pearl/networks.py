"""PEARL's networks, which learner and adapter share."""

from __future__ import annotations

import torch
from torch import nn

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.encoder import ContextEncoder
from pearl_bench.training.nn import MLP, TanhGaussianPolicy


class PearlNetworks(nn.Module):
    """Encoder q(z|c), critics Q(o, a, z), value V(o, z), its target, policy π(a|o, z).

    Args:
        config: sizes and options.
        obs_dim: O.
        action_dim: A.
        rng: generator of the initial weights.
    """

    def __init__(
        self, config: PearlConfig, obs_dim: int, action_dim: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        hidden = [config.hidden_size] * 3
        z = config.latent_dim
        context_dim = obs_dim + action_dim + 1 + obs_dim * config.next_obs_in_context
        self.encoder = ContextEncoder(
            context_dim,
            z,
            config.encoder_hidden_size,
            probabilistic=config.probabilistic,
            recurrent=config.recurrent,
            bptt_steps=config.bptt_steps,
            rng=rng,
        )
        critic_sizes = [obs_dim + action_dim + z, *hidden, 1]
        self.q1 = MLP(critic_sizes, output_bound=3e-3, rng=rng)
        self.q2 = MLP(critic_sizes, output_bound=3e-3, rng=rng)
        self.v = MLP([obs_dim + z, *hidden, 1], output_bound=3e-3, rng=rng)
        self.target_v = MLP([obs_dim + z, *hidden, 1], output_bound=3e-3, rng=rng)
        self.target_v.load_state_dict(self.v.state_dict())
        self.target_v.requires_grad_(False)
        self.policy = TanhGaussianPolicy([obs_dim + z, *hidden, action_dim], rng=rng)
