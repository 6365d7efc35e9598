"""PEARL's settings; free of torch, so that planning a run stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pearl_bench.config.checks import MAY_BE_ZERO, require_positive
from pearl_bench.config.memory import FLOAT32, trained_network
from pearl_bench.registry import CONF, Method

if TYPE_CHECKING:
    from suites.base import TaskFamily

ContextSampler = Literal["recent", "whole-buffer", "rl-batch"]
InferenceKind = Literal["posterior", "oracle", "none"]

PAGE = 1024
"""Rows per page of the replay; a task owns whole pages, so a little-visited one costs
little."""


@dataclass(frozen=True)
class PearlConfig:
    """Settings of PEARL; defaults are those of oyster@44e20fd ``configs/default.py``.

    What differs per family and per budget stands in ``conf/pearl.yaml``.

    Attributes:
        latent_dim: Z, width of the latent context variable z.
        hidden_size: width of the three hidden layers of Q, V and policy.
        encoder_hidden_size: width of the three hidden layers of the encoder.
        learning_rate: of every Adam optimiser.
        meta_batch: M, train tasks per gradient step, drawn with replacement.
        batch_size: B, transitions per task for actor and critic.
        context_size: C, transitions per task for the encoder.
        initial_steps: environment steps per train task before the first iteration.
        tasks_per_iteration: train tasks drawn (with replacement) per iteration.
        prior_steps: steps per drawn task with z from the prior, into both buffers.
        posterior_steps: steps with z from the posterior, into both buffers.
        extra_posterior_steps: the same, kept from the encoder's context.
        updates_per_iteration: gradient steps per iteration.
        discount: gamma.
        target_tau: step of the target value network's soft update.
        reward_scale: factor of the reward in the Bellman target only; while the entropy
            temperature is 1, this is the inverse of SAC's alpha.
        kl_weight: lambda of the KL term, which is summed over the meta-batch.
        policy_mean_reg: weight of the mean squared pre-tanh mean.
        policy_std_reg: weight of the mean squared log standard deviation.
        next_obs_in_context: append the next observation to each context row.
        sparse_context: put the sparse reward into the context; actor and critic keep
            the dense one.
        probabilistic: false makes z the mean encoder output, without a KL term.
        recurrent: LSTM over the ordered context instead of a product of Gaussians.
        bptt_steps: transitions after which the LSTM's gradient is cut.
        context_sampler: which transitions serve as context: those collected last
            (``recent``), any of the task's (``whole-buffer``), or the very ones actor
            and critic learn from (``rl-batch``).
        replay_capacity: transitions kept per task, at least those of an iteration in
            whole episodes; up to 1,023 more, which fill a page.
        inference: where z comes from: inferred from context (``posterior``), told, as
            the task's parameters scaled to the training tasks (``oracle``), or withheld
            (``none``: zeros). The last two have no encoder, and ``oracle`` as many
            latent dimensions as there are parameters and, of several, classes.
        adaptive_temperature: learn the entropy temperature, from 1 on, so that the
            entropy comes to minus the number of action dimensions (SAC, arXiv
            1812.05905). A variant, not the paper's PEARL, for families on which one
            reward scale gives too much or too little entropy.
    """

    latent_dim: int = 5
    hidden_size: int = 300
    encoder_hidden_size: int = 200
    learning_rate: float = 3e-4
    meta_batch: int = 16
    batch_size: int = 256
    context_size: int = 64
    initial_steps: int = 2000
    tasks_per_iteration: int = 5
    prior_steps: int = 400
    posterior_steps: int = field(default=0, metadata=MAY_BE_ZERO)
    extra_posterior_steps: int = field(default=400, metadata=MAY_BE_ZERO)
    updates_per_iteration: int = 2000
    discount: float = 0.99
    target_tau: float = 0.005
    reward_scale: float = 5.0
    kl_weight: float = field(default=0.1, metadata=MAY_BE_ZERO)
    policy_mean_reg: float = field(default=1e-3, metadata=MAY_BE_ZERO)
    policy_std_reg: float = field(default=1e-3, metadata=MAY_BE_ZERO)
    next_obs_in_context: bool = False
    sparse_context: bool = False
    probabilistic: bool = True
    recurrent: bool = False
    bptt_steps: int = 64
    context_sampler: ContextSampler = "recent"
    replay_capacity: int = 1_000_000
    inference: InferenceKind = "posterior"
    adaptive_temperature: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        require_positive(self)
        if self.discount > 1 or self.target_tau > 1:
            raise ValueError("discount and target_tau must not exceed 1")
        # the shortest context that there is when a posterior is inferred
        least = {"initial_steps": self.initial_steps}
        if self.context_sampler == "recent":
            least["prior_steps"] = self.prior_steps
        else:
            least["replay_capacity"] = self.replay_capacity
        if self.recurrent and self.context_size > min(least.values()):
            raise ValueError(
                "recurrent reads a context in order, so context_size "
                f"({self.context_size}) must not exceed "
                + " or ".join(f"{name} ({steps})" for name, steps in least.items())
            )
        if self.recurrent and self.context_sampler == "rl-batch":
            raise ValueError(
                "recurrent needs an ordered context; context_sampler may "
                "be recent or whole-buffer, not rl-batch"
            )
        if self.inference != "posterior" and (self.recurrent or not self.probabilistic):
            raise ValueError(
                f"inference={self.inference} has no encoder; leave out recurrent=true "
                "and probabilistic=false, which are kinds of one"
            )


def iteration_steps(config: PearlConfig, horizon: int) -> int:
    """Return how many steps an iteration takes at most on a task that it draws.

    Args:
        config: how many each of its blocks takes at least.
        horizon: steps of the longest episode; a block ends with the one that reaches
            its steps.
    """
    blocks = (config.prior_steps, config.posterior_steps, config.extra_posterior_steps)
    return sum(steps + horizon - 1 for steps in blocks if steps)


def whole_pages(rows: int) -> int:
    """Return how many rows of a task the replay keeps where so many are asked for."""
    return -(-rows // PAGE) * PAGE


def require_room(config: PearlConfig, family: TaskFamily) -> None:
    """Refuse a replay that cannot hold an iteration on a family.

    Raises:
        ValueError: says how much it must hold.
    """
    room = iteration_steps(config, family.horizon)
    if config.replay_capacity < room:
        raise ValueError(
            f"replay_capacity ({config.replay_capacity}) must be at least {room}: "
            f"the blocks of an iteration in whole episodes, of up to "
            f"{family.horizon} steps in {family.name}"
        )


def pool_steps(settings: Mapping[str, Any], family: TaskFamily) -> int:
    """Return the environment steps of the pool that a run begins with."""
    return settings.get("initial_steps", 0) * len(family.train)


def memory(config: PearlConfig, family: TaskFamily, steps: int) -> int:
    """Return the bytes that a run takes at least: networks, a batch, the replay."""
    obs, action, z = family.obs_dim, family.action_dim, config.latent_dim
    hidden, encoder = [config.hidden_size] * 3, [config.encoder_hidden_size] * 3
    inferred = config.inference == "posterior"  # or there is no encoder
    networks = (
        inferred * trained_network([obs + action + 1, *encoder, z])
        + 2 * trained_network([obs + action + z, *hidden, 1])
        + 2 * trained_network([obs + z, *hidden, action])
    )
    activations = config.meta_batch * (
        config.batch_size * sum(hidden) + inferred * config.context_size * sum(encoder)
    )
    first = pool_steps(vars(config), family)
    stored = min(max(steps, first), config.replay_capacity * len(family.train))
    return networks + FLOAT32 * (activations + stored * (2 * obs + action + 1))


METHOD = Method(
    PearlConfig,
    "pearl_bench.pearl.learner:PearlLearner",
    CONF / "pearl.yaml",
    memory=memory,
    require=require_room,
    pool=pool_steps,
)
