"""Constant actions: one action for a whole episode, the best of those that were tried.

A floor for methods that look at the state. Meta-training moves the mean of the actions
to try towards those that did well; adaptation keeps the best one that it has tried.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_bench.training.learner import Learner
from pearl_bench.training.rollout import run_episode
from pearl_bench.training.types import Metrics, Transition
from suites.base import Task


class Trying:
    """Tries an action in each episode of N tasks, and keeps the best."""

    def __init__(
        self, mean: np.ndarray, spread: float, tasks: int, rng: np.random.Generator
    ) -> None:
        self.mean, self.spread, self.rng = mean, spread, rng
        self.best = np.tile(mean, (tasks, 1))
        self.best_total = np.full(tasks, -np.inf)
        self._start()

    def _start(self) -> None:
        noise = self.rng.standard_normal(self.best.shape, np.float32)
        self.played = self.tried = np.clip(self.mean + self.spread * noise, -1, 1)
        self.total = np.zeros(len(self.best))

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Return the action that is tried, or the best one so far, ``[N, A]``."""
        self.played = self.tried if explore else self.best
        return self.played

    def observe(self, step: Transition) -> None:
        """Add up the return."""
        self.total += np.where(step.alive, step.sparse_reward, 0)

    def end_episode(self) -> None:
        """Compare the episode with the best before it; choose what to try next."""
        better = self.total > self.best_total
        self.best = np.where(better[:, None], self.played, self.best)
        self.best_total = np.maximum(self.total, self.best_total)
        self._start()

    def adapt(self) -> None:
        """Do nothing: the best action is known already."""


class ConstantActions(Learner):
    """The learner; see the module."""

    own_exploration = None  # as many episodes as the suite gives

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mean = torch.zeros(self.family.action_dim)
        self.tried = torch.zeros(0, self.family.action_dim)
        self.totals = torch.zeros(0)

    def collect(self) -> Metrics:
        """Play an episode of some train tasks with an action each."""
        tasks = [
            self.family.train[i] for i in self.shuffled_tasks()[: self.config.tasks]
        ]
        env = self.family.make_batch(tasks, threads=self.threads)
        actor = Trying(self.mean.numpy(), self.config.spread, len(tasks), self.rng)
        episode = run_episode(env, actor, self.family.horizon, self.rng, explore=True)
        env.close()
        self.tried = torch.from_numpy(actor.tried)
        self.totals = torch.from_numpy(episode.total)
        self.env_steps += int(episode.length.sum())
        self.updates_due = 1
        return {"return/train": float(episode.total.mean())}

    def update(self) -> Metrics:
        """Move the mean towards the better half."""
        better = self.totals.argsort()[len(self.totals) // 2 :]
        self.mean += self.config.step * (self.tried[better].mean(0) - self.mean)
        self.updates_done += 1
        self.updates_due = 0
        return {"action/mean_abs": float(self.mean.abs().mean())}

    def adapter(self, tasks: Sequence[Task], seed: int) -> Trying:
        """Return an adapter that has tried nothing yet."""
        rng = np.random.default_rng(seed)
        return Trying(self.mean.numpy().copy(), self.config.spread, len(tasks), rng)

    def estimate_seconds(self, env_steps: int) -> float:
        """Time one iteration."""
        start = time.perf_counter()
        self.collect()
        return (time.perf_counter() - start) * env_steps / self.env_steps

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to continue exactly."""
        own = {"mean": self.mean, "tried": self.tried, "totals": self.totals}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.mean, self.tried, self.totals = (
            state[name].clone() for name in ("mean", "tried", "totals")
        )

    def policy_state(self) -> dict[str, Tensor]:
        """Return what adapters need."""
        return {"mean": self.mean}
