"""PEARL facing tasks: posterior sampling (section 4.2, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pearl_bench.pearl.buffer import Rows
from pearl_bench.pearl.encoder import Belief
from pearl_bench.pearl.inference import Inference
from pearl_bench.training.nn import TanhGaussianPolicy
from pearl_bench.training.types import Transition
from suites.base import Task


class PearlAdapter:
    """Acts on N tasks with one z each, drawn from the current belief.

    Args:
        policy: the meta-learned policy, on the CPU; not changed.
        inference: of z, on any device.
        tasks: N tasks; only an inference that is told looks at them.
        noise: generator of z and of exploration, of the CPU.
        deterministic: take the policy's mode in exploration episodes too, as the
            original's meta-test does: only z explores.
    """

    def __init__(
        self,
        policy: TanhGaussianPolicy,
        inference: Inference,
        tasks: Sequence[Task],
        noise: torch.Generator,
        *,
        deterministic: bool,
    ) -> None:
        self.policy = policy
        self.inference = inference
        self.tasks = tasks
        self.noise = noise
        self.deterministic = deterministic
        self.context: list[Transition] = []
        self.forget()

    def forget(self) -> None:
        """Start from the prior, as if nothing had been observed."""
        self.believe(self.inference.prior(self.tasks))

    def believe(self, belief: Belief) -> None:
        """Start from that belief, forgetting what was observed; draw z from it."""
        self.context.clear()
        self._draw_from(belief)

    @torch.no_grad()
    def end_episode(self) -> None:
        """Draw a new z: posterior sampling explores by episodes (section 4.2)."""
        self.z = self.belief.sample(self._normal(self.belief.mean.shape))

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Sample from the policy, or take its mode."""
        obs_z = torch.cat([torch.from_numpy(obs), self.z], dim=1)
        if self.deterministic or not explore:
            return self.policy.mode(obs_z).numpy()
        noise = self._normal((len(obs), self.policy.output.out_features))
        return self.policy.explore(obs_z, noise).numpy()

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
            values = torch.from_numpy(field).to(torch.float32)
            return values.reshape(*seen.alive.shape, -1)

        observed = Rows(
            rows(seen.obs),
            rows(seen.action),
            rows(seen.reward),
            rows(seen.sparse_reward),
            rows(seen.next_obs),
            rows(seen.terminated),
        )
        valid = torch.from_numpy(seen.alive)
        self._draw_from(self.inference.posterior(self.tasks, observed, valid))

    def _draw_from(self, belief: Belief) -> None:
        """Adopt the belief, wherever it was inferred."""
        self.belief = Belief(belief.mean.cpu(), belief.variance.cpu())
        self.end_episode()

    def _normal(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(shape, generator=self.noise)
