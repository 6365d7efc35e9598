"""ProMP: proximal meta-policy search (Rothfuss et al. 2019, arXiv 1810.06784)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.gradient_learner import GradientLearner
from baselines.policy_gradient import (
    Params,
    Phase,
    gaussian,
    kl_divergence,
    per_task,
    ratio,
    slices,
    task_mean,
)
from baselines.promp_config import PrompConfig
from pearl_bench.training.types import Metrics
from suites.base import TaskFamily


class Objective(NamedTuple):
    """ProMP's objective at some meta-parameters (section 6, equation 13).

    Attributes:
        loss: what Adam minimises.
        surrogate: the clipped surrogate of the adapted policies, mean over tasks.
        kl: KL(recorded || new) before each inner step ``[K]``, mean over tasks.
    """

    loss: Tensor
    surrogate: Tensor
    kl: Tensor


class PrompLearner(GradientLearner):
    """Several Adam steps per batch on a clipped, KL-penalised objective."""

    config: PrompConfig

    def __init__(self, config: PrompConfig, family: TaskFamily, **place: Any) -> None:
        super().__init__(config, family, **place)
        for value in self.theta.values():
            value.requires_grad_()
        self.optimizer = torch.optim.Adam(
            list(self.theta.values()), lr=config.learning_rate
        )
        self.kl_weights = torch.full((config.inner_steps,), config.kl_weight)

    @property
    def outer_steps(self) -> int:
        """Adam steps per batch."""
        return self.config.outer_steps

    def objective(self, theta: Params, phases: list[Phase]) -> Objective:
        """Recompute the adaptation from the stored phases and judge it.

        Only the outer ratio is clipped; the KL penalty is the mean over inner steps of
        eta_k times the divergence on the states sampled before step k.
        """
        tasks = len(phases[0].obs)
        params, divergences = per_task(theta, tasks), []
        for phase in phases[:-1]:
            new = gaussian(params, phase.obs)
            distance = kl_divergence(phase.mean, phase.log_std, *new)
            divergences.append(task_mean(distance, phase.alive).mean())
            params = self._adapt(params, phase, create_graph=True)
        last = phases[-1]
        change = ratio(gaussian(params, last.obs), last)
        surrogate = self.surrogate(change, last.advantage)
        mean = task_mean(surrogate, last.alive).mean()
        kl = torch.stack(divergences)
        penalty = (self.kl_weights.to(kl) * kl).mean()
        return Objective(penalty - mean, mean, kl)

    def surrogate(self, change: Tensor, advantage: Tensor) -> Tensor:
        """Return what each step adds to the surrogate; variants clip here otherwise.

        Args:
            change: ``[M, E, T]`` ratio of the adapted policies to those that sampled.
            advantage: ``[M, E, T]``.
        """
        clip = self.config.clip
        clipped = change.clamp(1 - clip, 1 + clip)
        return torch.min(change * advantage, clipped * advantage)

    def outer_update(self, phases: list[Phase]) -> Metrics:
        """Take one Adam step on the batch; the sampling policies stay fixed."""
        self.optimizer.zero_grad()
        total = self._mean_objective(phases, backward=True)
        self.optimizer.step()
        if self.config.adaptive_kl and self.updates_due == 1:
            self._adapt_kl_weights(phases)
        return {
            "loss/outer": float(total.loss),
            "surrogate/outer": float(total.surrogate),
            "kl/inner": float(total.kl.mean()),
        }

    def _mean_objective(self, phases: list[Phase], *, backward: bool) -> Objective:
        """Return the objective over all tasks, derived slice by slice on request."""
        tasks, terms = len(phases[0].obs), []
        for part in slices(phases):
            share = len(part[0].obs) / tasks
            result = self.objective(self.theta, part)
            if backward:
                (share * result.loss).backward()
            terms.append([share * value.detach() for value in result])
        loss, surrogate, kl = (torch.stack(x).sum(0) for x in zip(*terms, strict=True))
        return Objective(loss, surrogate, kl)

    def _adapt_kl_weights(self, phases: list[Phase]) -> None:
        """Halve or double eta where the divergence leaves its target.

        The rule is PPO's (arXiv 1707.06347, section 4).
        """
        kl = self._mean_objective(phases, backward=False).kl.to(self.kl_weights)
        target = self.config.kl_target
        self.kl_weights[kl < target / 1.5] /= 2
        self.kl_weights[kl > target * 1.5] *= 2

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to continue exactly."""
        return {
            **super().state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "kl_weights": self.kl_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.kl_weights = state["kl_weights"].clone()
