"""A meta-learner in one plain Gymnasium environment: it adapts, then acts."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from pearl_bench.training.types import Adapter, Transition
from suites.from_gym import bounded, to_bounds


class Agent:
    """A trained method on the one task of an environment.

    ``play`` runs whole episodes. Who steps the environment himself calls ``act`` and,
    after each step, ``observe``; ``end_episode`` before the next reset; and ``adapt``
    between two episodes, once those that explore are over.

    What is made of that is the method's affair. RL² decides by all that it has observed
    so far, and ``adapt`` changes nothing more. PEARL infers the task from all of it
    whenever it adapts. MAML-TRPO and ProMP adapt once, the first time, by a gradient
    step on the episodes until then, which must have been played with ``explore=True``:
    without chance in the actions there is nothing to derive.

    Args:
        adapter: of N = 1 task, at its beginning.

    Attributes:
        adapter: what the method makes of the task. PEARL's has ``belief``, its ``mean``
            and ``variance`` ``[1, Z]``, and ``z`` ``[1, Z]``, with which it acts; each
            end of an episode and each ``adapt`` draws another.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self._episodes = self._steps = 0
        self._acted = False
        self._obs = np.empty(0, np.float32)
        self._action = np.empty(0, np.float32)

    def act(self, obs: np.ndarray, *, explore: bool = False) -> np.ndarray:
        """Choose an action ``[A]`` in [-1, 1] for an observation ``[O]``.

        Who steps an environment of other bounds maps it to them, as ``play`` does.

        Args:
            obs: the current observation.
            explore: act to find out about the task instead of acting well.
        """
        self._acted = True
        self._obs = np.asarray(obs, np.float32)
        self._action = self.adapter.act(self._obs[None], explore=explore)[0]
        return self._action

    def observe(
        self,
        next_obs: np.ndarray,
        reward: float,
        *,
        terminated: bool,
        sparse_reward: float | None = None,
        unstable: bool = False,
    ) -> None:
        """Take note of what the last action led to.

        Args:
            next_obs: ``[O]`` the observation after the step.
            reward: of the step.
            terminated: whether the state is terminal; a time limit is not.
            sparse_reward: ``info["sparse_reward"]`` where there is one.
            unstable: ``info["unstable"]`` where there is one: the simulation broke
                down, and nothing is learnt from the step.

        Raises:
            RuntimeError: ``act`` has chosen no action since the last step.
        """
        if not self._acted:
            raise RuntimeError("observe() without a step: call act() before each one")
        self._acted = False
        self._steps += 1
        sparse = reward if sparse_reward is None else sparse_reward
        self.adapter.observe(
            Transition(
                obs=self._obs[None],
                action=self._action[None],
                reward=np.array([reward]),
                sparse_reward=np.array([sparse]),
                next_obs=np.asarray(next_obs, np.float32)[None],
                terminated=np.array([terminated]),
                alive=np.array([not unstable]),
            )
        )

    def end_episode(self) -> None:
        """Say that the environment is about to be reset.

        Before the first step of an episode it does nothing.
        """
        self._acted = False
        if self._steps:
            self.adapter.end_episode()
            self._episodes, self._steps = self._episodes + 1, 0

    def adapt(self) -> None:
        """Adapt to the task from the episodes so far; without any it does nothing.

        Raises:
            RuntimeError: an episode is under way.
        """
        if self._steps:
            raise RuntimeError(
                "adapt() within an episode: call end_episode() first, which also says "
                "that the environment will be reset"
            )
        if self._episodes:
            self.adapter.adapt()

    def play(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        explore: bool = False,
        seed: int | None = None,
    ) -> float:
        """Play one episode to its end and return its undiscounted return.

        The return is the sparse one where the environment's ``info`` tells it. Actions
        are mapped to the environment's bounds, as ``suites.from_gym`` does in training.

        Args:
            env: with the observations ``[O]`` and actions ``[A]`` of the family.
            explore: as in ``act``.
            seed: of the environment's start.

        Raises:
            ValueError: the environment's actions have no bounds.
        """
        space = bounded(env.action_space)
        mapped = bool((space.low != -1).any() or (space.high != 1).any())
        obs, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            action = self.act(obs, explore=explore)
            if mapped:
                action = to_bounds(action, space.low, space.high).astype(space.dtype)
            obs, reward, terminated, truncated, info = env.step(action)
            sparse = info.get("sparse_reward")
            self.observe(
                obs,
                float(reward),
                terminated=terminated,
                sparse_reward=sparse,
                unstable=bool(info.get("unstable", False)),
            )
            total += float(reward if sparse is None else sparse)
            over = terminated or truncated
        self.end_episode()
        return total
