"""Gymnasium environments as a family's batch: N of them, stepped in turn.

A family of pendulums needs a function that builds the environment of a task::

    def pendulum(task: Task) -> gymnasium.Env:
        gravity, length = task.params
        env = gymnasium.make("Pendulum-v1", g=gravity)
        env.unwrapped.l = length
        return env

    TaskFamily(..., make_batch=partial(from_gym.make_batch, pendulum))

``examples/own_package`` has it whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from suites.base import Step, Task, check_actions


def make_batch(
    make: Callable[[Task], gymnasium.Env[Any, Any]],
    tasks: Sequence[Task],
    *,
    threads: int,
) -> GymBatch:
    """Return the batch of one environment per task; with ``make`` a ``MakeBatch``.

    A row of HalfCheetah-v5 takes 1.1 MiB and is built in the time of about 45 steps,
    each of which takes 1.4 times as long as one of the environment alone; it is so of
    40 rows and of 200. A reset builds nothing.

    Args:
        make: builds the environment of a task, a new one whenever it is called.
        tasks: one per environment, repeats allowed.
        threads: unused, since environments in Python would wait for each other.
    """
    del threads
    return GymBatch([make(task) for task in tasks])


def bounded(space: gymnasium.Space[Any]) -> Box:
    """Return a space of actions to whose bounds [-1, 1] can be mapped.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(space, Box) or not space.is_bounded():
        raise ValueError(
            f"actions must be bounded, got {space}; give the environment bounds that "
            "[-1, 1] is mapped to"
        )
    return space


def to_bounds(action: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Map actions in [-1, 1] to an environment's bounds; those outside are clipped."""
    action = action.clip(-1, 1)
    return ((1 - action) * low + (1 + action) * high) / 2


class GymBatch:
    """N Gymnasium environments as a ``BatchEnv``, stepped one after the other.

    Actions in [-1, 1] are mapped linearly to the bounds of each environment's own.
    Everything random in an episode has to come from the seed of its reset, which is
    drawn from the generator that ``reset`` is given. An environment that truncates is
    not ``terminated``, but it must be reset before its next step: the family's
    ``horizon`` must not be beyond its own limit. The simulation broke down where an
    observation or a reward is not finite. A step's ``info`` may say ``sparse_reward``,
    ``unstable`` and ``success``, as that of ``suites.gym`` does.

    Attributes:
        num_envs: N.
        longest: steps after which the first of them truncates an episode, as far as
            Gymnasium knows (``max_episode_steps``); None if it does not.

    Args:
        envs: with observations and bounded actions in a ``Box`` of one dimension.

    Raises:
        ValueError: there is none, one has other spaces, or their sizes differ.
    """

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any]]):
        if not envs:
            raise ValueError("a batch needs at least one environment")
        self.num_envs = len(envs)
        self._envs = tuple(envs)
        limits = [env.spec.max_episode_steps for env in envs if env.spec]
        self.longest = min((one for one in limits if one is not None), default=None)
        seen = [_box(env.observation_space, "observations") for env in envs]
        done = [_box(env.action_space, "actions") for env in envs]
        for what, spaces in (("observations", seen), ("actions", done)):
            sizes = sorted({space.shape for space in spaces})
            if len(sizes) > 1:
                raise ValueError(f"the environments' {what} have the shapes {sizes}")
        for space in done:
            bounded(space)
        self._dtypes = [space.dtype for space in done]
        self._low = np.array([space.low for space in done], np.float64)
        self._high = np.array([space.high for space in done], np.float64)
        self._obs = np.zeros((self.num_envs, *seen[0].shape), np.float32)
        self._everyone = np.ones(self.num_envs, bool)
        self._under_way = np.zeros(self.num_envs, bool)

    def __reduce__(self) -> str:
        """Refuse copies: many of Gymnasium's environments lose their state in one.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a batch of Gymnasium environments cannot be copied or pickled, since they "
            "may start anew by that; make a new batch of the same tasks"
        )

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start a new episode in the ``[N]`` bool ``rows``, in all by default.

        Every environment has its seed drawn, so that a row's start does not depend on
        which others are reset.

        Returns:
            ``[N, O]`` float32 current observations of all environments.
        """
        seeds = rng.integers(2**31, size=self.num_envs)
        for i in np.flatnonzero(self._everyone if rows is None else rows):
            self._obs[i], _ = self._envs[i].reset(seed=int(seeds[i]))
            self._under_way[i] = True
        return self._obs.copy()

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Apply ``[N, A]`` actions in [-1, 1] to the active (``[N]`` bool) rows.

        Actions outside are clipped.

        Raises:
            ValueError: the shape is wrong, or an active row's action is not finite.
            RuntimeError: an active row's episode has not begun, or is over.
        """
        if active is None:
            active = self._everyone
        action = np.asarray(action, np.float64)
        check_actions(action, self._low.shape, active)
        self._require_under_way(active)
        control = to_bounds(action, self._low, self._high)
        reward = np.zeros(self.num_envs)
        sparse_reward = np.zeros(self.num_envs)
        terminated, unstable, success = np.zeros((3, self.num_envs), bool)
        told = False
        for i in np.flatnonzero(active):
            obs, gained, ended, truncated, info = self._envs[i].step(
                control[i].astype(self._dtypes[i])
            )
            sound = np.isfinite(obs).all() and math.isfinite(gained)
            unstable[i] = not sound or info.get("unstable", False)
            if not unstable[i]:
                self._obs[i], reward[i] = obs, gained
                sparse_reward[i] = info.get("sparse_reward", gained)
                success[i] = info.get("success", False)
            told |= "success" in info
            terminated[i] = ended or unstable[i]
            self._under_way[i] = not (terminated[i] or truncated)
        return Step(
            obs=np.where(active[:, None], self._obs, 0),
            reward=reward,
            sparse_reward=sparse_reward,
            terminated=terminated,
            unstable=unstable,
            success=success if told else None,
        )

    def _require_under_way(self, active: np.ndarray) -> None:
        over = np.flatnonzero(active & ~self._under_way)
        if len(over):
            raise RuntimeError(
                f"environments {over.tolist()} have no episode under way; reset them "
                "first. Where they truncate by themselves, the family's horizon must "
                "not be beyond"
            )

    def distance(self) -> None:
        """None: Gymnasium has no word for it."""

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


def _box(space: gymnasium.Space[Any], of: str) -> Box:
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(
            f"{of} must be a Box of one dimension, got {space}; wrap the environment, "
            "as in gymnasium.wrappers.FlattenObservation"
        )
    return space
