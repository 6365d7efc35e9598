"""What the policy-gradient baselines share: data, baseline, policy, inner step.

Formulas and settings: Rothfuss et al. 2019 (ProMP, arXiv 1810.06784) and its code,
jonasrothfuss/ProMP@93ae339, the source of the PEARL paper's baselines. Shapes, beside
those of ``pearl_bench/training/types.py``: E episodes per task; ``[M, E, T, ...]``
holds the transitions of M tasks, padded to the longest episode; ``alive`` says what is
data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.gradient_config import LEAST_STD, InnerObjective
from pearl_bench.machine.arithmetic import one_thread

Params = dict[str, Tensor]
"""A policy's weights ``w0, b0, ...`` and ``log_std``, of one policy or with a leading
task axis."""

Gaussian = tuple[Tensor, Tensor]
"""Mean and log standard deviation of a policy's actions, each ``[M, E, T, A]``."""


OBS_CLIP = 10.0
"""Of the baseline's features; see ``baseline_features``."""
MIN_LOG_STD = math.log(LEAST_STD)
"""Of the policies that are trained (ProMP's code)."""
STANDARDISE_EPS = 1e-8
"""Added to the deviation that advantages are divided by (ProMP's code)."""
RIDGE_TRIES = 5
"""Larger ridges that are tried; see ``baseline_weights`` (ProMP's code)."""
SLICE = 2**13
"""Transitions per phase that the outer losses hold derivatives of at a time."""


class Phase(NamedTuple):
    """One round of sampling on M tasks, with what the losses need of it.

    Attributes:
        obs: ``[M, E, T, O]``.
        action: ``[M, E, T, A]`` as sampled from the Gaussian, before any scaling.
        reward: ``[M, E, T]``.
        alive: ``[M, E, T]`` bool, entries that hold data.
        mean: ``[M, E, T, A]`` of the distribution that was sampled from.
        log_std: ``[M, E, T, A]`` of that distribution.
        advantage: ``[M, E, T]``.
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    alive: Tensor
    mean: Tensor
    log_std: Tensor
    advantage: Tensor


def joined(phases: Sequence[Phase], dim: int) -> Phase:
    """Join phases along the tasks (0) or the episodes (1), padded to the longest."""
    longest = max(phase.obs.shape[2] for phase in phases)

    def padded(x: Tensor) -> Tensor:
        shape = (*x.shape[:2], longest - x.shape[2], *x.shape[3:])
        return torch.cat([x, x.new_zeros(shape)], dim=2)

    fields = zip(*phases, strict=True)
    return Phase(*(torch.cat([padded(x) for x in field], dim) for field in fields))


def slices(phases: Sequence[Phase]) -> list[list[Phase]]:
    """Split the phases by tasks, so that what is derived at a time fits the caches."""
    tasks, *size = phases[0].reward.shape
    step = max(1, SLICE // math.prod(size))
    return [
        [Phase(*(field[i : i + step] for field in phase)) for phase in phases]
        for i in range(0, tasks, step)
    ]


# Advantages -------------------------------------------------------------------------


def returns(reward: Tensor, alive: Tensor, discount: float) -> Tensor:
    """Return the discounted reward to go of each step, ``[M, E, T]``."""
    return _discounted_sum(reward * alive, discount) * alive


def baseline_features(obs: Tensor) -> Tensor:
    """Return ``[M, E, T, 2 O + 4]``: clipped o, its square, t/100 to the third, 1.

    Duan et al. 2016 (benchmarking paper), clipped at ±10 as in ProMP.
    """
    clipped = obs.clamp(-OBS_CLIP, OBS_CLIP)
    time = torch.arange(obs.shape[2], dtype=obs.dtype, device=obs.device) / 100
    powers = torch.stack([time, time**2, time**3, torch.ones_like(time)], dim=-1)
    powers = powers.expand(*obs.shape[:2], -1, -1)
    return torch.cat([clipped, clipped**2, powers], dim=-1)


def baseline_weights(
    features: Tensor, target: Tensor, alive: Tensor, ridge: float
) -> Tensor:
    """Return the ridge regression of ``target`` on the features, per task ``[M, F]``.

    The ridge is raised tenfold, up to five times, while a solution is not finite.
    """
    x = (features * alive.unsqueeze(-1)).flatten(1, 2)
    y = (target * alive).flatten(1, 2).unsqueeze(-1)
    gram, moment = x.mT @ x, x.mT @ y
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # MKL's batched LU returns garbage when torch solves the tasks on several threads
    with one_thread():
        weights, _ = torch.linalg.solve_ex(gram + ridge * eye, moment)
        for _ in range(RIDGE_TRIES):
            if weights.isfinite().all():
                break
            ridge *= 10
            weights, _ = torch.linalg.solve_ex(gram + ridge * eye, moment)
    return weights.squeeze(-1)


def fit_baseline(obs: Tensor, target: Tensor, alive: Tensor, ridge: float) -> Tensor:
    """Fit the linear feature baseline per task; return its values ``[M, E, T]``.

    It is fitted, in float64, on the very episodes that it predicts.
    """
    features = baseline_features(obs.double())
    weights = baseline_weights(features, target.double(), alive, ridge)
    values = (features @ weights[:, None, :, None]).squeeze(-1)
    return (values * alive).to(obs.dtype)


def gae(
    reward: Tensor, value: Tensor, alive: Tensor, discount: float, lam: float
) -> Tensor:
    """Return generalised advantage estimates ``[M, E, T]``.

    Schulman et al. 2016 (arXiv 1506.02438), equation 16.

    The value after an episode's last step is 0, even at a time limit, as in ProMP.
    """
    value = value * alive
    next_value = torch.cat([value[..., 1:], torch.zeros_like(value[..., :1])], dim=-1)
    delta = (reward + discount * next_value - value) * alive
    return _discounted_sum(delta, discount * lam) * alive


def standardise(advantage: Tensor, alive: Tensor) -> Tensor:
    """Return advantages of mean 0 and deviation 1 over each task's samples."""
    count = alive.sum((1, 2), keepdim=True)
    mean = (advantage * alive).sum((1, 2), keepdim=True) / count
    centred = (advantage - mean) * alive
    variance = centred.square().sum((1, 2), keepdim=True) / count
    return centred / (variance.sqrt() + STANDARDISE_EPS)


def _discounted_sum(x: Tensor, factor: float) -> Tensor:
    """Return the sums over later steps, each discounted once per step."""
    sums = torch.empty_like(x)
    tail = torch.zeros_like(x[..., 0])
    for t in reversed(range(x.shape[-1])):
        tail = x[..., t] + factor * tail
        sums[..., t] = tail
    return sums


# Policy -----------------------------------------------------------------------------


def initial_params(
    obs_dim: int,
    action_dim: int,
    hidden: tuple[int, ...],
    initial_std: float,
    rng: torch.Generator,
) -> Params:
    """Return a tanh policy's parameters: Glorot-uniform weights, zero biases."""
    sizes = [obs_dim, *hidden, action_dim]
    params: Params = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        bound = math.sqrt(6 / (inputs + outputs))
        draws = torch.rand(outputs, inputs, generator=rng)
        params[f"w{i}"] = bound * (2 * draws - 1)
        params[f"b{i}"] = torch.zeros(outputs)
    params["log_std"] = torch.full((action_dim,), math.log(initial_std))
    return params


def per_task(params: Params, tasks: int) -> Params:
    """Return the parameters with a leading task axis, all tasks alike."""
    return {name: value.expand(tasks, *value.shape) for name, value in params.items()}


def activations(params: Params, obs: Tensor) -> list[Tensor]:
    """Return the observations, each hidden layer's activations and, last, the mean.

    Args:
        params: with a leading task axis; every layer is one batched product.
        obs: ``[M, ..., O]``.

    Returns:
        Each ``[M, B, ...]``, with all of a task's observations in one axis.
    """
    found = [obs.flatten(1, -2)]
    layers = (len(params) - 1) // 2
    for i in range(layers):
        bias, weight = params[f"b{i}"].unsqueeze(1), params[f"w{i}"].mT
        x = torch.baddbmm(bias, found[-1], weight)
        found.append(torch.tanh(x) if i < layers - 1 else x)
    return found


def gaussian(params: Params, obs: Tensor) -> Gaussian:
    """Return the distribution ``[M, ..., A]`` of each task's policy.

    Args:
        params: with a leading task axis.
        obs: ``[M, ..., O]``.
    """
    mean = activations(params, obs)[-1].unflatten(1, obs.shape[1:-1])
    shape = (len(obs), *[1] * (obs.dim() - 2), -1)
    return mean, params["log_std"].reshape(shape).expand_as(mean)


def log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density of actions, summed over their dimensions."""
    z = (action - mean) * (-log_std).exp()
    return (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def kl_divergence(
    old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor
) -> Tensor:
    """Return KL(old || new) of diagonal Gaussians, summed over dimensions."""
    old_variance, variance = (2 * old_log_std).exp(), (2 * log_std).exp()
    numerator = (old_mean - mean).square() + old_variance - variance
    terms = numerator / (2 * variance) + log_std - old_log_std
    return terms.sum(-1)


# Inner step -------------------------------------------------------------------------


def task_mean(x: Tensor, alive: Tensor) -> Tensor:
    """Return the mean over all of a task's transitions ``[M]``, however many."""
    return (x * alive).sum((1, 2)) / alive.sum((1, 2))


def ratio(new: Gaussian, phase: Phase) -> Tensor:
    """Return pi(a|s) of a policy over that recorded at sampling, ``[M, E, T]``."""
    change = log_prob(phase.action, *new)
    change = change - log_prob(phase.action, phase.mean, phase.log_std)
    # padding holds zeros, whose density means nothing and may overflow
    return torch.where(phase.alive, change, 0).exp()


def inner_surrogate(new: Gaussian, phase: Phase, objective: InnerObjective) -> Tensor:
    """Return each task's inner objective ``[M]``, to be maximised in the new policy.

    - ``likelihood_ratio``: mean of ratio * A (ProMP, equation 12). Its Hessian keeps
      the score's outer product (LVC), so credit reaches the pre-update exploration.
    - ``log_likelihood``: mean of log pi * A. The same gradient at the sampling
      parameters, another Hessian: it lacks what ProMP's section 5 calls H1 and H12.
    - ``dice``: mean of the reward-weighted product of ratios up to each step (Foerster
      et al. 2018, arXiv 1802.05098; ProMP, equation 7), of rewards less their mean over
      tasks' episodes at that time; unbiased Hessian, high variance.
    """
    if objective == "likelihood_ratio":
        return task_mean(ratio(new, phase) * phase.advantage, phase.alive)
    density = log_prob(phase.action, *new)
    if objective == "log_likelihood":
        return task_mean(density * phase.advantage, phase.alive)
    score = (density * phase.alive).cumsum(-1)
    product = (score - score.detach()).exp()
    count = phase.alive.sum(1, keepdim=True).clamp(min=1)
    usual = (phase.reward * phase.alive).sum(1, keepdim=True) / count
    centred = (phase.reward - usual) * phase.alive
    return task_mean(product * standardise(centred, phase.alive), phase.alive)


def adapt(
    params: Params,
    phase: Phase,
    objective: InnerObjective,
    rate: float,
    *,
    create_graph: bool,
) -> Params:
    """Take one step of gradient ascent on every task's inner objective.

    It is the adaptation of Finn et al. 2017 (arXiv 1703.03400), section 2.2.

    Args:
        params: with a leading task axis.
        phase: what was sampled with them.
        objective: which surrogate.
        rate: alpha.
        create_graph: keep the step differentiable.
    """
    if not create_graph:
        params = {
            name: value.detach().requires_grad_() for name, value in params.items()
        }
    with torch.enable_grad():
        new = gaussian(params, phase.obs)
        surrogate = inner_surrogate(new, phase, objective).sum()
        gradients = torch.autograd.grad(
            surrogate, list(params.values()), create_graph=create_graph
        )
    return {
        name: (value if create_graph else value.detach()) + rate * gradient
        for (name, value), gradient in zip(params.items(), gradients, strict=True)
    }


# Flat vectors -----------------------------------------------------------------------


def flatten(params: Params) -> Tensor:
    """Return all parameters as one vector, in the order of the dictionary."""
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Params) -> Params:
    """Return a vector as parameters of the shapes of ``like``."""
    sizes = [value.numel() for value in like.values()]
    pieces: Iterator[Tensor] = iter(vector.split(sizes))
    return {name: next(pieces).reshape(value.shape) for name, value in like.items()}


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Solve ``product(x) = b`` for a symmetric positive definite product.

    Ends early when the residual's square is below 1e-10, as in ProMP's code.

    Returns:
        x, and ``product(x)``, which is b less the residual.
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    square = residual @ residual
    for _ in range(iterations):
        if square < 1e-10:
            break
        image = product(direction)
        step = square / (direction @ image)
        x = x + step * direction
        residual = residual - step * image
        new_square = residual @ residual
        direction = residual + (new_square / square) * direction
        square = new_square
    return x, b - residual
