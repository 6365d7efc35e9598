"""Meta-learners that adapt by a policy gradient: sampling, adaptation, state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.gradient_config import GradientConfig, InnerObjective
from baselines.on_policy import OnPolicyLearner
from baselines.policy_gradient import (
    MIN_LOG_STD,
    Params,
    Phase,
    adapt,
    fit_baseline,
    gae,
    gaussian,
    initial_params,
    joined,
    per_task,
    returns,
    standardise,
)
from pearl_bench.training.rollout import Episode
from pearl_bench.training.types import Metrics, Transition
from suites.base import Task, TaskFamily

WAVE = 200
"""Environments side by side: with few, a step's fixed costs weigh; with four times as
many, their states fall out of the caches between two steps."""


class GradientLearner(OnPolicyLearner):
    """Samples before and after adaptation, then lets ``outer_update`` learn from it.

    Args:
        config: the method's settings.
        family: the tasks.
        place: see ``Learner``.
    """

    def __init__(
        self, config: GradientConfig, family: TaskFamily, **place: Any
    ) -> None:
        super().__init__(config, family, **place)
        theta = initial_params(
            family.obs_dim,
            family.action_dim,
            (config.hidden_size, config.hidden_size),
            config.initial_std,
            self.init,
        )
        self.theta: Params = {k: value.to(self.device) for k, value in theta.items()}
        self.phases: list[Phase] = []

    @property
    def inner_objective(self) -> InnerObjective:
        """The surrogate of the inner step."""
        return "likelihood_ratio"

    @property
    def own_exploration(self) -> int:
        """The inner step is trained on as many episodes as it is sampled."""
        return self.config.episodes

    @property
    @abstractmethod
    def outer_steps(self) -> int:
        """Outer steps per batch."""

    @abstractmethod
    def outer_update(self, phases: list[Phase]) -> Metrics:
        """Take one outer step on ``theta``; the phases are as sampled."""

    # Meta-training ------------------------------------------------------------------

    def collect(self) -> Metrics:
        """Sample every task's episodes before and after each inner step."""
        config = self.config
        drawn = self._draw_tasks()
        wave = max(1, WAVE // config.episodes)
        sampled = [
            self._sample([self.family.train[i] for i in drawn[k : k + wave]])
            for k in range(0, len(drawn), wave)
        ]
        phases, episodes = zip(*sampled, strict=True)
        self.phases = [joined(waves, 0) for waves in zip(*phases, strict=True)]
        played = [episode for of_wave in episodes for episode in of_wave]
        self.env_steps += sum(int(episode.length.sum()) for episode in played)
        unstable = sum(int(episode.unstable.sum()) for episode in played)
        self.updates_due += self.outer_steps
        names = [f"step{k}" for k in range(config.inner_steps + 1)]
        names[0], names[-1] = "unadapted", "adapted"
        metrics = {"episodes/unstable": float(unstable)}
        for name, waves in zip(names, zip(*episodes, strict=True), strict=True):
            totals = np.concatenate([episode.total for episode in waves])
            metrics[f"return/train_{name}"] = float(totals.mean())
        return metrics

    def _sample(self, tasks: Sequence[Task]) -> tuple[list[Phase], list[Episode]]:
        """Play some tasks before and after each inner step, all side by side."""
        config, family = self.config, self.family
        rows = [task for task in tasks for _ in range(config.episodes)]
        env = family.make_batch(rows, threads=self.threads)
        params = self._sampling_params(len(tasks))
        phases, episodes = [], []
        try:
            for k in range(config.inner_steps + 1):
                actor = PolicyActor(params, config, self.noise)
                episode = self.sample_episode(env, actor)
                last = k == config.inner_steps
                phase = self._phase(actor.recorded(episode.steps, outer=last))
                if not last:
                    params = self._adapt(params, phase)
                phases.append(phase)
                episodes.append(episode)
        finally:
            env.close()
        return phases, episodes

    def learn(self) -> Metrics:
        """Take one outer step."""
        metrics = self.outer_update(self.phases)
        log_std = self.theta["log_std"].detach()
        return {**metrics, "policy/log_std": float(log_std.mean())}

    def forget(self) -> None:
        """Let the phases go."""
        self.phases = []

    def estimate_seconds(self, env_steps: int) -> float:
        """Time an iteration of one wave of environments, after one on few tasks."""
        whole, pace = self.config, 0.0
        episodes = min(whole.episodes, WAVE)
        for tasks in (1, WAVE // episodes):  # the first pays for set-up
            few = min(whole.tasks, tasks)
            self.config = replace(whole, tasks=few, episodes=episodes)
            pace = self.seconds_per_step()
        return pace * env_steps

    def _draw_tasks(self) -> np.ndarray:
        """Draw an iteration's train tasks, each as often as any other or once more."""
        known, wanted = len(self.family.train), self.config.tasks
        rounds = [self.shuffled_tasks() for _ in range(-(-wanted // known))]
        return np.concatenate(rounds)[:wanted]

    def _sampling_params(self, tasks: int) -> Params:
        theta = {name: value.detach() for name, value in self.theta.items()}
        # the bound holds for the meta-parameters, not for adapted ones (ProMP's code)
        theta["log_std"] = theta["log_std"].clamp(min=MIN_LOG_STD)
        return per_task(theta, tasks)

    def _adapt(
        self, params: Params, phase: Phase, *, create_graph: bool = False
    ) -> Params:
        return adapt(
            params,
            phase,
            self.inner_objective,
            self.config.inner_rate,
            create_graph=create_graph,
        )

    def _phase(self, phase: Phase) -> Phase:
        """Fill in the advantages."""
        config = self.config
        target = returns(phase.reward, phase.alive, config.discount)
        value = fit_baseline(phase.obs, target, phase.alive, config.ridge)
        advantage = gae(
            phase.reward, value, phase.alive, config.discount, config.gae_lambda
        )
        return phase._replace(advantage=standardise(advantage, phase.alive))

    # Meta-testing -------------------------------------------------------------------

    def adapter(self, tasks: Sequence[Task], seed: int) -> GradientAdapter:
        """Return an adapter that takes one inner step after the exploration."""
        noise = torch.Generator(self.device).manual_seed(seed)
        return GradientAdapter(self, self._sampling_params(len(tasks)), noise)

    # State --------------------------------------------------------------------------

    def policy_state(self) -> dict[str, Tensor]:
        """Return the meta-parameters."""
        return dict(self.theta)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to continue exactly."""
        return {
            **super().state_dict(),
            "theta": {name: value.detach() for name, value in self.theta.items()},
            "phases": [phase._asdict() for phase in self.phases],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        with torch.no_grad():
            for name, value in self.theta.items():
                value.copy_(state["theta"][name])
        self.phases = [
            Phase(**{name: value.to(self.device) for name, value in phase.items()})
            for phase in state["phases"]
        ]


class PolicyActor:
    """Acts with each task's policy and remembers what it sampled from.

    Args:
        params: with a leading task axis; N environments are M tasks x E episodes.
        config: the action scale.
        noise: generator of the actions.
    """

    def __init__(
        self, params: Params, config: GradientConfig, noise: torch.Generator
    ) -> None:
        self.params = params
        self.scale = config.action_scale
        self.noise = noise
        self.samples: list[tuple[Tensor, Tensor, Tensor]] = []

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Sample from the Gaussian, or take its mean; return it scaled to [-1, 1]."""
        device, tasks = self.noise.device, len(self.params["log_std"])
        batch = torch.from_numpy(obs).to(device).reshape(tasks, -1, obs.shape[1])
        mean, log_std = gaussian(self.params, batch)
        action = mean
        if explore:
            noise = torch.randn(mean.shape, generator=self.noise, device=device)
            action = mean + log_std.exp() * noise
        self.samples.append((action, mean, log_std))
        scaled = (action / self.scale).clamp(-1, 1)
        return scaled.reshape(len(obs), -1).cpu().numpy()

    def observe(self, step: Transition) -> None:
        """The rollout keeps the transitions."""

    def end_episode(self) -> None:
        """Nothing changes between episodes."""

    def adapt(self) -> None:
        """Adapting is the learner's part in training."""

    def recorded(self, steps: Transition, *, outer: bool) -> Phase:
        """Return an episode of every environment ``[T, N, ...]`` as a phase.

        Args:
            steps: what was stepped with this actor's actions.
            outer: take the reward that is learnt from; a phase to adapt from has the
                one that contexts see.
        """
        tasks, device = len(self.params["log_std"]), self.noise.device

        def ordered(x: np.ndarray) -> Tensor:
            values = torch.from_numpy(x).to(device).transpose(0, 1)
            return values.reshape(tasks, -1, *values.shape[1:])

        action, mean, log_std = (
            torch.stack(x, dim=2) for x in zip(*self.samples, strict=True)
        )
        alive = ordered(steps.alive)
        reward = ordered(steps.reward if outer else steps.sparse_reward)
        return Phase(
            obs=ordered(steps.obs),
            action=action,
            reward=reward.to(mean.dtype) * alive,
            alive=alive,
            mean=mean,
            log_std=log_std,
            advantage=torch.zeros_like(reward, dtype=mean.dtype),
        )


class GradientAdapter:
    """Meta-test: explores with the meta-policy, takes an inner step, then acts.

    Args:
        learner: provides the inner step; not changed.
        params: the meta-parameters with a leading task axis.
        noise: generator of the exploration.
    """

    def __init__(
        self, learner: GradientLearner, params: Params, noise: torch.Generator
    ) -> None:
        self.learner = learner
        self.params = params
        self.noise = noise
        self.actor = PolicyActor(params, learner.config, noise)
        self.steps: list[Transition] = []
        self.explored: list[Phase] = []
        self.adapted = False

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Sample while exploring, take the mean of the adapted policy afterwards."""
        del self.actor.samples[len(self.steps) :]  # an action that was not taken
        return self.actor.act(obs, explore=explore)

    def observe(self, step: Transition) -> None:
        """Take note of the step."""
        self.steps.append(step)

    def end_episode(self) -> None:
        """Keep the episode for the inner step, unless that has been taken."""
        if not self.adapted:
            steps = Transition(*(np.stack(x) for x in zip(*self.steps, strict=True)))
            self.explored.append(self.actor.recorded(steps, outer=False))
        self.actor = PolicyActor(self.params, self.learner.config, self.noise)
        self.steps = []

    def adapt(self) -> None:
        """Take the inner step from all exploration episodes; once only.

        Later episodes take the mean action, from which there is no gradient to learn.
        """
        if self.adapted:
            return
        self.adapted = True
        phase = self.learner._phase(joined(self.explored, 1))
        self.params = self.learner._adapt(self.params, phase)
        self.actor = PolicyActor(self.params, self.learner.config, self.noise)
