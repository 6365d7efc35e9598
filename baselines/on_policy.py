"""The schedule of the on-policy methods: a batch, some outer steps on it, a new one."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from pearl_bench.training.learner import Learner
from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import Adapter, Metrics
from suites.base import BatchEnv


class OnPolicyLearner(Learner, ABC):
    """Samples a batch, learns from it ``updates_due`` times and lets it go.

    Attributes:
        sampling_seconds: time spent so far in environments and acting in them, of all
            that ``collect`` takes; not part of the state.
    """

    sampling_seconds = 0.0

    def sample_episode(self, env: BatchEnv, actor: Adapter) -> Episode:
        """Let the actor explore for an episode in each of N environments."""
        start = time.perf_counter()
        episode = run_episode(env, actor, self.family.horizon, self.rng, explore=True)
        self.sampling_seconds += time.perf_counter() - start
        return episode

    @property
    def slice_steps(self) -> int:
        """Outer steps that ``learn`` takes at a time."""
        return 1

    @abstractmethod
    def learn(self) -> Metrics:
        """Take ``slice_steps`` outer steps on the batch; return means over them."""

    @abstractmethod
    def forget(self) -> None:
        """Let the batch go."""

    def update(self) -> Metrics:
        """Take a slice of outer steps.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite.
        """
        steps = self.slice_steps
        metrics = self.learn()
        self.check_finite(metrics)
        self.updates_done += steps
        self.updates_due -= steps
        if not self.updates_due:
            self.forget()
        return metrics

    def seconds_per_step(self) -> float:
        """Time one iteration; return its seconds per environment step."""
        start, before = time.perf_counter(), self.env_steps
        self.collect()
        while self.updates_due:
            self.update()
        return (time.perf_counter() - start) / (self.env_steps - before)
