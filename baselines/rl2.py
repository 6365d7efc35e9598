"""RL²: a recurrent policy that learns to adapt (Duan et al. 2016, arXiv 1611.02779).

A trial is E episodes of one task. The policy (``rl2_policy.py``) keeps its hidden state
from the trial's first step to its last, so adapting is nothing but running it. It is
trained with PPO (arXiv 1707.06347). Shapes beside those of ``policy_gradient.py``: N
trials side by side, D inputs of the policy. A packed trial ``[N, T, ...]`` is its
episodes' steps one after the other, padded at the end only, however early each episode
terminated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.on_policy import OnPolicyLearner
from baselines.policy_gradient import (
    fit_baseline,
    gae,
    kl_divergence,
    log_prob,
    returns,
    standardise,
)
from baselines.rl2_config import Rl2Config
from baselines.rl2_policy import RecurrentPolicy, Rl2Adapter, Sampled, State
from pearl_bench.training.types import Metrics
from suites.base import Task, TaskFamily


class Trials(NamedTuple):
    """N packed trials with all that the loss needs.

    Attributes:
        inputs: ``[N, T, D]``.
        action: ``[N, T, A]`` as sampled.
        mean: ``[N, T, A]`` of the distribution that was sampled from.
        log_std: ``[A]`` of that distribution.
        alive: ``[N, T]`` bool; no step follows one that is not.
        advantage: ``[N, T]``, 0 in the padding.
    """

    inputs: Tensor
    action: Tensor
    mean: Tensor
    log_std: Tensor
    alive: Tensor
    advantage: Tensor

    def steps(self, first: int, stop: int) -> Trials:
        """Return these steps of all trials."""
        fields = self._asdict()
        del fields["log_std"]
        return self._replace(**{k: x[:, first:stop] for k, x in fields.items()})


def pack(x: Tensor, alive: Tensor) -> Tensor:
    """Join the episodes ``[N, E, T, ...]`` of each trial, leaving out the padding.

    Returns:
        ``[N, T', ...]``, the entries that are alive, in order, then zeros; T' is the
        longest trial's length.
    """
    flat, valid = x.flatten(1, 2), alive.flatten(1)
    count = valid.sum(1)
    longest = int(count.max())
    order = valid.byte().argsort(dim=1, descending=True, stable=True)[:, :longest]
    rows = torch.arange(len(flat), device=flat.device).unsqueeze(1)
    kept = torch.arange(longest, device=flat.device) < count.unsqueeze(1)
    kept = kept.reshape(*kept.shape, *[1] * (flat.dim() - 2))
    return flat[rows, order].masked_fill(~kept, 0)


def trial_advantages(
    obs: Tensor, reward: Tensor, alive: Tensor, tasks: int, config: Rl2Config
) -> Tensor:
    """Return the standardised advantages ``[N, T']`` of packed trials.

    With ``credit="trial"`` returns, baseline and its time index run on through the
    episodes of a trial; with ``episode`` they start anew in each.

    Args:
        obs: ``[N, E, T, O]``, the N trials ordered by task, equally many of each.
        reward: ``[N, E, T]``.
        alive: ``[N, E, T]``.
        tasks: M, tasks behind the N trials.
        config: credit, fit, discount, lambda, ridge.
    """
    groups = tasks if config.fit == "task" else 1
    padded = alive
    if config.credit == "trial":
        obs, reward, alive = (
            pack(x, padded).unsqueeze(1) for x in (obs, reward, alive)
        )

    obs, reward, valid = (
        x.reshape(groups, -1, *x.shape[2:]) for x in (obs, reward, alive)
    )
    target = returns(reward, valid, config.discount)
    value = fit_baseline(obs, target, valid, config.ridge)
    estimate = gae(reward, value, valid, config.discount, config.gae_lambda)
    return pack(standardise(estimate, valid).reshape(alive.shape), alive)


def ppo_loss(
    policy: RecurrentPolicy,
    trials: Trials,
    state: State,
    *,
    clip: float,
    bptt_steps: int,
) -> tuple[Tensor, Tensor, State]:
    """Return PPO's clipped loss, the KL to the sampling policy and the state after.

    The loss is Schulman et al. 2017 (arXiv 1707.06347), equation 7, negated. Loss and
    KL are means over the steps of all trials: a step weighs the same in a short trial
    or chunk as in a long one.
    """
    mean, state = policy.unroll(trials.inputs, state, bptt_steps)
    old_log_std = trials.log_std.expand_as(mean)
    log_std = policy.log_std.expand_as(mean)
    change = log_prob(trials.action, mean, log_std)
    change = change - log_prob(trials.action, trials.mean, old_log_std)
    # padding means nothing, and its density may overflow
    ratio = torch.where(trials.alive, change, 0).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    surrogate = torch.min(ratio * trials.advantage, clipped * trials.advantage)
    kl = kl_divergence(trials.mean, old_log_std, mean, log_std)
    steps = trials.alive.sum()
    return (
        -(surrogate * trials.alive).sum() / steps,
        (kl.detach() * trials.alive).sum() / steps,
        state,
    )


class Rl2Learner(OnPolicyLearner):
    """Samples a batch of trials, then takes PPO's epochs on it.

    Args:
        config: the method's settings.
        family: the tasks.
        place: see ``Learner``.
    """

    config: Rl2Config

    def __init__(self, config: Rl2Config, family: TaskFamily, **place: Any) -> None:
        super().__init__(config, family, **place)
        inputs = family.obs_dim + family.action_dim + 2
        policy = RecurrentPolicy(inputs, family.action_dim, config, self.init)
        self.policy = policy.to(self.device)
        self.optimizer = torch.optim.Adam(
            self.policy.parameters(), lr=config.learning_rate
        )
        self.trials: Trials | None = None

    @property
    def own_exploration(self) -> int | None:
        """All episodes of a trial but the last; None where it has no other."""
        return self.config.episodes - 1 or None

    # Meta-training ------------------------------------------------------------------

    def collect(self) -> Metrics:
        """Sample a batch of trials, all side by side."""
        config, family = self.config, self.family
        drawn = self._draw_tasks()
        env = family.make_batch(
            [family.train[i] for i in drawn.ravel()], threads=self.threads
        )
        actor = Rl2Adapter(self.policy, drawn.size, self.noise, config)
        metrics, unstable = {}, 0
        try:
            for number in range(1, config.episodes + 1):
                episode = self.sample_episode(env, actor)
                actor.end_episode()
                self.env_steps += int(episode.length.sum())
                metrics[f"return/train_episode{number}"] = float(episode.total.mean())
                unstable += int(episode.unstable.sum())
        finally:
            env.close()
        self.trials = self._packed(actor.recorded(), tasks=len(drawn))
        self.updates_due += config.epochs * self.slice_steps
        return {**metrics, "episodes/unstable": float(unstable)}

    @property
    def slice_steps(self) -> int:
        """Adam steps of an epoch."""
        return len(self._minibatches())

    def learn(self) -> Metrics:
        """Take one epoch."""
        assert self.trials is not None
        longest = self.config.max_grad_norm
        state = self.policy.initial_state(len(self.trials.inputs))
        losses, divergences = [], []
        for first, stop in self._minibatches():
            loss, kl, state = self.loss(self.trials.steps(first, stop), state)
            self.optimizer.zero_grad()
            loss.backward()
            if longest:
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), longest)
            self.optimizer.step()
            losses.append(float(loss.detach()))
            divergences.append(float(kl))
        return {
            "loss/policy": fmean(losses),
            "kl/policy": fmean(divergences),
            "policy/log_std": float(self.policy.log_std.detach().mean()),
        }

    def loss(self, trials: Trials, state: State) -> tuple[Tensor, Tensor, State]:
        """Return what Adam minimises, the KL to the sampling policy, the state after.

        Args:
            trials: the steps of an Adam step; variants judge them otherwise here.
            state: of the policy before them.
        """
        config = self.config
        loss, kl, state = ppo_loss(
            self.policy,
            trials,
            state,
            clip=config.clip,
            bptt_steps=config.bptt_steps,
        )
        # PPO's equation 9 without a value term: a Gaussian's entropy but for a
        # constant; the deviation is the same for all
        return loss - config.entropy_weight * self.policy.log_std.sum(), kl, state

    def _minibatches(self) -> list[tuple[int, int]]:
        """Return first step and end of what each Adam step of an epoch is taken on."""
        assert self.trials is not None
        length = self.trials.alive.shape[1]
        size = self.config.bptt_steps if self.config.minibatch == "chunk" else length
        return [(first, first + size) for first in range(0, length, size)]

    def forget(self) -> None:
        """Let the trials go."""
        self.trials = None

    def estimate_seconds(self, env_steps: int) -> float:
        """Time an iteration of trials of one episode, after one of a single trial."""
        pace, whole = 0.0, self.config
        for tasks, trials in ((1, 1), (whole.tasks, whole.trials)):  # set-up, the rest
            self.config = replace(whole, tasks=tasks, trials=trials, episodes=1)
            pace = self.seconds_per_step()
        return pace * env_steps

    def _draw_tasks(self) -> np.ndarray:
        """Draw distinct train tasks; return ``[M, trials per task]`` indices."""
        config = self.config
        tasks = self.shuffled_tasks()[: config.tasks]
        trials = config.tasks * config.trials // len(tasks)
        return np.repeat(tasks[:, None], trials, axis=1)

    def _packed(self, sampled: Sampled, *, tasks: int) -> Trials:
        alive = sampled.alive
        return Trials(
            inputs=pack(sampled.inputs, alive),
            action=pack(sampled.action, alive),
            mean=pack(sampled.mean, alive),
            log_std=self.policy.log_std.detach().clone(),
            alive=pack(alive, alive),
            advantage=trial_advantages(
                sampled.inputs[..., : self.family.obs_dim],
                sampled.reward,
                alive,
                tasks,
                self.config,
            ),
        )

    # Meta-testing -------------------------------------------------------------------

    def adapter(self, tasks: Sequence[Task], seed: int) -> Rl2Adapter:
        """Return an adapter at the start of a trial of each task."""
        noise = torch.Generator(self.device).manual_seed(seed)
        return Rl2Adapter(self.policy, len(tasks), noise, self.config)

    # State --------------------------------------------------------------------------

    def policy_state(self) -> dict[str, Tensor]:
        """Return the recurrent policy."""
        return self.policy.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to continue exactly."""
        return {
            **super().state_dict(),
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "trials": None if self.trials is None else self.trials._asdict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.trials = None
        if state["trials"] is not None:
            pending = {k: v.to(self.device) for k, v in state["trials"].items()}
            self.trials = Trials(**pending)
