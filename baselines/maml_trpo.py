"""MAML-TRPO: adapt by a policy-gradient step, meta-train through it by TRPO.

Finn et al. 2017 (arXiv 1703.03400) as run by Rothfuss et al. 2019 (ProMP, arXiv
1810.06784); formulas are cited where they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import grad

from baselines.curvature import InnerStep, Linearised
from baselines.gradient_config import InnerObjective
from baselines.gradient_learner import GradientLearner
from baselines.maml_trpo_config import MamlTrpoConfig
from baselines.policy_gradient import (
    Params,
    Phase,
    conjugate_gradient,
    flatten,
    gaussian,
    kl_divergence,
    per_task,
    ratio,
    slices,
    task_mean,
    unflatten,
)
from pearl_bench.machine.malloc import give_back_pages
from pearl_bench.training.types import Metrics

LARGE = 2**20
"""Numbers in a slice's hidden layer from which the holes between stored derivatives are
given back: a third of all memory at 45 tasks of Meta-World. On locomotion, with half as
many, touching the pages again would cost 7 % of an iteration."""


class Outer(NamedTuple):
    """The outer problem at some meta-parameters.

    Attributes:
        surrogate: what TRPO maximises, mean over tasks.
        kl: KL(recorded || adapted) of the adapted policies, mean over tasks.
    """

    surrogate: Tensor
    kl: Tensor


class Adaptation:
    """The inner steps at some meta-parameters, and the Jacobian J of the map they are.

    Args:
        theta: meta-parameters, of one policy.
        phases: what each inner step adapts from.
        objective: S.
        rate: alpha.

    Attributes:
        adapted: each task's parameters after the steps; leaves for autograd.
    """

    def __init__(
        self,
        theta: Params,
        phases: Sequence[Phase],
        objective: InnerObjective,
        rate: float,
    ) -> None:
        self.steps: list[InnerStep] = []
        params = per_task(theta, len(phases[0].obs))
        for phase in phases:
            self.steps.append(InnerStep(params, phase, objective, rate))
            params = self.steps[-1].adapted
        self.adapted = {name: x.requires_grad_() for name, x in params.items()}

    def push(self, change: Params) -> Params:
        """Return the change of the adapted parameters ``[M, ...]``: J v."""
        for step in self.steps:
            change = step.jacobian(change)
        return change

    def pull(self, gradient: Params) -> Params:
        """Return the gradient in each task's meta-parameters ``[M, ...]``: J^T u."""
        for step in reversed(self.steps):
            gradient = step.jacobian(gradient)
        return gradient


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

    def outer(self, adapted: Params, last: Phase) -> Outer:
        """Judge adapted parameters on what was sampled after the adaptation.

        The surrogate is mean_D1 [pi_adapted / pi_recorded * A] (ProMP, equation 12),
        the bound KL(recorded || adapted) over the states of D1 (TRPO, arXiv
        1502.05477).
        """
        new = gaussian(adapted, last.obs)
        surrogate = task_mean(ratio(new, last) * last.advantage, last.alive)
        distance = kl_divergence(last.mean, last.log_std, *new)
        return Outer(surrogate.mean(), task_mean(distance, last.alive).mean())

    def adaptation(self, theta: Params, phases: Sequence[Phase]) -> Adaptation:
        """Adapt from every phase but the last."""
        rate = self.config.inner_rate
        return Adaptation(theta, phases[:-1], self.inner_objective, rate)

    def surrogate_gradient(self, adaptation: Adaptation, last: Phase) -> Tensor:
        """Return the meta-gradient of the surrogate as one vector."""
        adapted = adaptation.adapted
        outer = self.outer(adapted, last)
        gradient = grad(outer.surrogate, list(adapted.values()))
        return _summed(adaptation.pull(dict(zip(adapted, gradient, strict=True))))

    def kl_hessian(
        self, adaptation: Adaptation, last: Phase
    ) -> Callable[[Tensor], Tensor]:
        """Return the product with the Hessian of the KL at the sampling parameters.

        There the divergence is at its minimum, so that the terms with its gradient
        vanish and the Hessian is exactly J^T F J, F being the Fisher information of
        the adapted policies: 1 / sigma^2 in the mean and 2 in the log deviation.
        """
        alive = last.alive.flatten(1).unsqueeze(2).to(last.mean.dtype)
        share = alive / alive.sum(1, keepdim=True) / len(alive)
        with torch.no_grad():
            policy = Linearised(adaptation.adapted, last.obs)
            precision = share * (-2 * last.log_std.flatten(1, 2)).exp()

        @torch.no_grad()
        def product(vector: Tensor) -> Tensor:
            change = per_task(unflatten(vector, self.theta), len(alive))
            moved = adaptation.push(change)
            gradient = policy.pull(precision * policy.push(moved)[-1])
            gradient["log_std"] = 2 * moved["log_std"] / len(alive)
            return _summed(adaptation.pull(gradient))

        return product

    def outer_update(self, phases: list[Phase]) -> Metrics:
        """Take one TRPO step (arXiv 1502.05477, appendix C)."""
        config, parts = self.config, slices(phases)
        before, direction, curvature = self._natural_gradient(parts)
        length = torch.sqrt(2 * config.max_kl / (curvature + 1e-8))
        old = flatten(self.theta)
        accepted, after = 0.0, before
        tries = config.line_search_tries if length.isfinite() else 0
        for k in range(tries):
            step = config.line_search_shrink**k * length * direction
            candidate = unflatten(old + step, self.theta)
            trial = self._judged(candidate, parts)
            if trial.surrogate > before.surrogate and trial.kl <= config.max_kl:
                self.theta = candidate
                accepted, after = 1.0, trial
                break
        return {
            "loss/outer": -float(before.surrogate),
            "improvement/outer": float(after.surrogate - before.surrogate),
            "kl/outer": float(after.kl),
            "step/accepted": accepted,
        }

    def _natural_gradient(
        self, parts: list[list[Phase]]
    ) -> tuple[Outer, Tensor, Tensor]:
        """Return where theta stands, x = H^-1 g and its curvature x^T H x."""
        judged, gradients, products = [], [], []
        large = parts[0][0].reward.numel() * self.config.hidden_size >= LARGE
        for part in parts:
            adaptation, last = self.adaptation(self.theta, part), part[-1]
            with torch.no_grad():
                judged.append(self.outer(adaptation.adapted, last))
            gradients.append(self.surrogate_gradient(adaptation, last))
            products.append(self.kl_hessian(adaptation, last))
            if large:
                give_back_pages()
        direction, image = conjugate_gradient(
            lambda v: _mean([product(v) for product in products], parts),
            _mean(gradients, parts),
            self.config.cg_iterations,
        )
        return _over_tasks(judged, parts), direction, direction @ image

    def _judged(self, theta: Params, parts: list[list[Phase]]) -> Outer:
        """Adapt other meta-parameters from the same data and judge them."""
        values: list[Outer] = []
        for *inner, last in parts:
            params = per_task(theta, len(last.obs))
            for phase in inner:
                params = self._adapt(params, phase)
            with torch.no_grad():
                values.append(self.outer(params, last))
        return _over_tasks(values, parts)


def _over_tasks(of_parts: Sequence[Outer], parts: list[list[Phase]]) -> Outer:
    surrogates, distances = zip(*of_parts, strict=True)
    return Outer(_mean(surrogates, parts), _mean(distances, parts))


def _mean(of_parts: Sequence[Tensor], parts: list[list[Phase]]) -> Tensor:
    """Return the mean over all tasks of means over the tasks of each slice."""
    tasks = [len(part[0].obs) for part in parts]
    weighed = [n * value for n, value in zip(tasks, of_parts, strict=True)]
    return torch.stack(weighed).sum(0) / sum(tasks)


def _summed(of_tasks: Params) -> Tensor:
    """Return the sum over tasks of gradients ``[M, ...]`` as one vector."""
    return flatten({name: x.sum(0) for name, x in of_tasks.items()})
