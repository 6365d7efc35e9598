"""PEARL facing tasks: posterior sampling (section 5.2, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pearl_bench.pearl.buffer import Rows
from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.encoder import Belief
from pearl_bench.pearl.networks import PearlNetworks
from pearl_bench.training.types import Transition


def context_rows(rows: Rows, config: PearlConfig) -> Tensor:
    """Return the encoder's input ``[M, C, D]``: (o, a, r) or (o, a, r, o').

    The reward is unscaled and, with ``sparse_context``, the sparse one.
    """
    reward = rows.sparse_reward if config.sparse_context else rows.reward
    parts = [rows.obs, rows.action, reward]
    if config.next_obs_in_context:
        parts.append(rows.next_obs)
    return torch.cat(parts, dim=-1)


class PearlAdapter:
    """Acts on N tasks with one z each, drawn from the current belief.

    Args:
        nets: the meta-learned networks; not changed.
        config: PEARL's settings.
        tasks: N.
        noise: generator of z and of exploration.
        deterministic: take the policy's mode in exploration episodes too, as the
            original's meta-test does: only z explores.
    """

    def __init__(
        self,
        nets: PearlNetworks,
        config: PearlConfig,
        tasks: int,
        noise: torch.Generator,
        *,
        deterministic: bool,
    ) -> None:
        self.nets = nets
        self.config = config
        self.noise = noise
        self.deterministic = deterministic
        self.context: list[Transition] = []
        self.believe(nets.encoder.prior(tasks))

    def believe(self, belief: Belief) -> None:
        """Start from that belief, forgetting what was observed; draw z from it."""
        self.context.clear()
        self.belief = belief
        self.end_episode()

    @torch.no_grad()
    def end_episode(self) -> None:
        """Draw a new z: posterior sampling explores by episodes (section 4.1)."""
        self.z = self.belief.sample(self._normal(self.belief.mean.shape))

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Sample from the policy, or take its mode."""
        policy = self.nets.policy
        obs_z = torch.cat([torch.from_numpy(obs).to(self.z.device), self.z], dim=1)
        if self.deterministic or not explore:
            return policy.mode(obs_z).cpu().numpy()
        noise = self._normal((len(obs), policy.output.out_features))
        return policy.explore(obs_z, noise).cpu().numpy()

    def observe(self, step: Transition) -> None:
        """Add the step to the context."""
        self.context.append(step)

    @torch.no_grad()
    def adapt(self) -> None:
        """Infer the posterior from everything observed and draw z from it."""
        seen = Transition(
            *(np.stack(field, axis=1) for field in zip(*self.context, strict=True))
        )

        def rows(field: np.ndarray) -> Tensor:
            values = torch.from_numpy(field).to(self.z.device, torch.float32)
            return values.reshape(*seen.alive.shape, -1)

        context = context_rows(
            Rows(
                rows(seen.obs),
                rows(seen.action),
                rows(seen.reward),
                rows(seen.sparse_reward),
                rows(seen.next_obs),
                rows(seen.terminated),
            ),
            self.config,
        )
        valid = torch.from_numpy(seen.alive).to(self.z.device)
        self.belief = self.nets.encoder(context, valid)
        self.end_episode()

    def _normal(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(shape, generator=self.noise, device=self.noise.device)
