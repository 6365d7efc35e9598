"""Products with the first and second derivatives of the tasks' policies.

Backpropagating twice through a graph gives the same numbers, but passes over the hidden
activations twice as often, and on those passes a TRPO step spends its time. Formulas:
Pearlmutter 1994, "Fast exact multiplication by the Hessian". Shapes as in
``policy_gradient.py``, a task's B = E T transitions in one axis; changes and gradients
have the names and shapes of the parameters ``[M, ...]``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import grad

from baselines.gradient_config import InnerObjective
from baselines.policy_gradient import (
    Params,
    Phase,
    activations,
    inner_surrogate,
)


class Linearised:
    """Each task's policy at fixed parameters and observations.

    Args:
        params: with a leading task axis.
        obs: ``[M, E, T, O]``.

    Attributes:
        inputs: ``[M, B, ...]`` what each layer reads: observations, then activations.
        mean: ``[M, B, A]``.
    """

    def __init__(self, params: Params, obs: Tensor) -> None:
        self.params = params
        *self.inputs, self.mean = activations(params, obs)

    def push(self, change: Params) -> list[Tensor]:
        """Return how a change of the parameters changes, to first order, every layer.

        Returns:
            The change of ``inputs`` after the first and, last, of ``mean``.
        """
        moved: list[Tensor] = []
        for i, x in enumerate(self.inputs):
            if i:
                moved[-1] = _through_tanh(moved[-1], x)
            out = torch.baddbmm(change[f"b{i}"].unsqueeze(1), x, change[f"w{i}"].mT)
            moved.append(out.baddbmm_(moved[-1], self.params[f"w{i}"].mT) if i else out)
        return moved

    def deltas(self, force: Tensor) -> list[Tensor]:
        """Return the gradient of sum(force * mean) in each layer's value before tanh.

        Args:
            force: ``[M, B, A]``.
        """
        found = [force]
        for i in reversed(range(1, len(self.inputs))):
            below = torch.bmm(found[0], self.params[f"w{i}"])
            found.insert(0, _through_tanh(below, self.inputs[i]))
        return found

    def pull(self, force: Tensor) -> Params:
        """Return the gradient of sum(force * mean) in the weights and biases."""
        gradient = {}
        for i, delta in enumerate(self.deltas(force)):
            gradient[f"w{i}"] = torch.bmm(delta.mT, self.inputs[i])
            gradient[f"b{i}"] = delta.sum(1)
        return gradient


class InnerStep:
    """One inner step theta + alpha grad S(theta) and its Jacobian I + alpha H.

    The Jacobian is symmetric: it pushes changes of theta forward and pulls gradients in
    the adapted parameters back. What S makes of mean and deviation is left to autograd:
    those have few dimensions.

    Args:
        params: theta with a leading task axis.
        phase: what is adapted from.
        objective: S.
        rate: alpha.

    Attributes:
        adapted: the parameters after the step.
    """

    @torch.no_grad()
    def __init__(
        self, params: Params, phase: Phase, objective: InnerObjective, rate: float
    ) -> None:
        self.rate = rate
        self.policy = policy = Linearised(params, phase.obs)
        with torch.enable_grad():
            mean = policy.mean.requires_grad_()
            log_std = params["log_std"].clone().requires_grad_()
            new = (
                mean.unflatten(1, phase.reward.shape[1:]),
                log_std[:, None, None].expand_as(phase.mean),
            )
            surrogate = inner_surrogate(new, phase, objective).sum()
            self.forces = grad(surrogate, (mean, log_std), create_graph=True)
        self.outputs = (mean, log_std)
        force, force_log_std = (x.detach() for x in self.forces)
        self.deltas = policy.deltas(force)
        # tanh'' = -2 tanh tanh'; the change that it meets holds the tanh' already
        self.bends = [
            -2 * h * torch.bmm(delta, params[f"w{i}"])
            for i, (delta, h) in enumerate(zip(self.deltas, policy.inputs, strict=True))
            if i
        ]
        gradient = {**policy.pull(force), "log_std": force_log_std}
        self.adapted = {k: x + rate * gradient[k] for k, x in params.items()}

    @torch.no_grad()
    def jacobian(self, change: Params) -> Params:
        """Return v + alpha H v."""
        product = self._hessian(change)
        return {k: v + self.rate * product[k] for k, v in change.items()}

    def _hessian(self, change: Params) -> Params:
        """Differentiate each line of ``Linearised.pull`` along the change."""
        policy, moved = self.policy, self.policy.push(change)
        turned, log_std = grad(
            self.forces, self.outputs, (moved[-1], change["log_std"]), retain_graph=True
        )
        product = {"log_std": log_std}
        for i in reversed(range(len(policy.inputs))):
            weight = torch.bmm(turned.mT, policy.inputs[i])
            product[f"b{i}"] = turned.sum(1)
            if i:
                weight.baddbmm_(self.deltas[i].mT, moved[i - 1])
                below = torch.bmm(turned, policy.params[f"w{i}"])
                below.baddbmm_(self.deltas[i], change[f"w{i}"])
                turned = _through_tanh(below, policy.inputs[i])
                turned.addcmul_(self.bends[i - 1], moved[i - 1])
            product[f"w{i}"] = weight
        return product


def _through_tanh(gradient: Tensor, value: Tensor) -> Tensor:
    """Return the gradient times tanh' = 1 - value², in one pass."""
    return torch.ops.aten.tanh_backward(gradient, value)
