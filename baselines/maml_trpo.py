"""MAML-TRPO: adapt by a policy-gradient step, meta-train through it by TRPO.

Finn et al. 2017 (arXiv 1703.03400) as run by Rothfuss et al. 2019 (ProMP, arXiv
1810.06784); formulas are cited where they are computed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.configs import MamlTrpoConfig
from baselines.gradient_learner import GradientLearner
from baselines.policy_gradient import (
    InnerObjective,
    Params,
    Phase,
    conjugate_gradient,
    flatten,
    gaussian,
    kl_divergence,
    ratio,
    task_mean,
    unflatten,
)
from pearl_bench.types import Metrics


class Outer(NamedTuple):
    """The outer problem at some meta-parameters, differentiable in them.

    Attributes:
        surrogate: what TRPO maximises, mean over tasks.
        kl: KL(old || new) of the adapted policies, mean over tasks.
    """

    surrogate: Tensor
    kl: Tensor


class MamlTrpoLearner(GradientLearner):
    """Maximises the adapted policies' surrogate within a KL bound."""

    config: MamlTrpoConfig

    @property
    def inner_objective(self) -> InnerObjective:
        """The surrogate that the settings ask for."""
        return self.config.inner_objective

    @property
    def outer_steps(self) -> int:
        """One TRPO step per batch."""
        return 1

    def outer(
        self, theta: Params, phases: list[Phase], *, differentiable: bool = True
    ) -> Outer:
        """Adapt from each phase but the last, and judge on the last.

        The surrogate is mean_D1 [pi_adapted / pi_recorded * A], the bound KL(recorded
        || adapted) over the states of D1 (ProMP, equation 12 and section 5).
        """
        adapted = self.adapt_through(theta, phases[:-1], differentiable=differentiable)
        last = phases[-1]
        surrogate = task_mean(ratio(adapted, last) * last.advantage, last.alive)
        distance = kl_divergence(last.mean, last.log_std, *gaussian(adapted, last.obs))
        return Outer(surrogate.mean(), task_mean(distance, last.alive).mean())

    def outer_update(self, phases: list[Phase]) -> Metrics:
        """Take one TRPO step (arXiv 1502.05477, appendix C)."""
        config = self.config
        theta = {name: v.detach().requires_grad_() for name, v in self.theta.items()}
        weights = list(theta.values())
        before = self.outer(theta, phases)
        gradient = _flat_gradient(before.surrogate, weights, retain_graph=True)
        kl_gradient = _flat_gradient(before.kl, weights, create_graph=True)

        def kl_hessian(vector: Tensor) -> Tensor:
            return _flat_gradient(kl_gradient @ vector, weights, retain_graph=True)

        direction = conjugate_gradient(kl_hessian, gradient, config.cg_iterations)
        curvature = direction @ kl_hessian(direction)
        length = torch.sqrt(2 * config.max_kl / (curvature + 1e-8))
        old = flatten(self.theta)
        accepted, after = 0.0, Outer(before.surrogate.detach(), before.kl.detach())
        tries = config.line_search_tries if length.isfinite() else 0
        for k in range(tries):
            step = config.line_search_shrink**k * length * direction
            candidate = unflatten(old + step, self.theta)
            with torch.no_grad():
                trial = self.outer(candidate, phases, differentiable=False)
            if trial.surrogate > before.surrogate and trial.kl <= config.max_kl:
                self.theta = {name: v.detach() for name, v in candidate.items()}
                accepted, after = 1.0, trial
                break
        return {
            "loss/outer": -float(before.surrogate.detach()),
            "improvement/outer": float(after.surrogate - before.surrogate.detach()),
            "kl/outer": float(after.kl),
            "step/accepted": accepted,
        }


def _flat_gradient(
    value: Tensor,
    weights: list[Tensor],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Tensor:
    gradients = torch.autograd.grad(
        value,
        weights,
        create_graph=create_graph,
        retain_graph=retain_graph or create_graph,
    )
    return torch.cat([gradient.reshape(-1) for gradient in gradients])
