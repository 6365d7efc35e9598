"""Steps N tasks in parallel; training and evaluation both go through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pearl_bench.config.types import ConfigError
from pearl_bench.machine.arithmetic import for_small_products
from pearl_bench.training.types import Adapter, StopRequested, Transition
from suites.base import BatchEnv


class Episode(NamedTuple):
    """One episode of each of N environments.

    Attributes:
        steps: the transitions ``[T, N, ...]``; T is the longest episode's length. The
            step in which a simulation broke down is not ``alive``.
        length: ``[N]`` steps taken in the environment; 0 where it was not active.
        total: ``[N]`` undiscounted return, sparse where the family has such a reward.
        success: ``[N]`` whether any step succeeded, None without a notion of success.
        unstable: ``[N]`` whether the simulation broke down.
        distance: ``[N]`` at the end, see ``TaskFamily.distance``; NaN after a
            breakdown. None if the family measures none.
    """

    steps: Transition
    length: np.ndarray
    total: np.ndarray
    success: np.ndarray | None
    unstable: np.ndarray
    distance: np.ndarray | None

    def rows(self, i: int) -> Transition:
        """Return environment i's transitions ``[T_i, ...]`` that carry data."""
        alive = self.steps.alive[:, i]
        return Transition(*(field[alive, i] for field in self.steps))


@for_small_products()
def run_episode(
    env: BatchEnv,
    adapter: Adapter,
    horizon: int,
    rng: np.random.Generator,
    *,
    explore: bool,
    active: np.ndarray | None = None,
    stop: Callable[[], bool] | None = None,
) -> Episode:
    """Run one episode in every active environment, to its end or the horizon.

    Args:
        env: N environments.
        adapter: chooses the actions and observes every step.
        horizon: T, steps after which episodes are cut (not a termination).
        rng: draws the initial states.
        explore: whether actions are sampled.
        active: ``[N]`` bool, environments to run; all if None.
        stop: polled at every step; true abandons the episode.

    Raises:
        StopRequested: ``stop`` said so.
        ConfigError: the environments end episodes before the horizon.
    """
    require_horizon(env, horizon)
    num_envs = env.num_envs
    alive = np.ones(num_envs, dtype=bool) if active is None else active.copy()
    length = np.zeros(num_envs, dtype=np.int64)
    total = np.zeros(num_envs)
    success: np.ndarray | None = None
    unstable = np.zeros(num_envs, dtype=bool)
    steps: list[Transition] = []
    obs = env.reset(rng)
    for _ in range(horizon):
        if stop is not None and stop():
            raise StopRequested
        action = adapter.act(obs, explore=explore)
        step = env.step(action, alive)
        length += alive
        total += step.sparse_reward
        unstable |= step.unstable
        if step.success is not None:
            success = step.success if success is None else success | step.success
        transition = Transition(
            obs=obs,
            action=action,
            reward=step.reward,
            sparse_reward=step.sparse_reward,
            next_obs=step.obs,
            terminated=step.terminated,
            alive=alive & ~step.unstable,
        )
        adapter.observe(transition)
        steps.append(transition)
        alive = alive & ~step.terminated
        obs = step.obs
        if not alive.any():
            break
    distance = env.distance()
    if distance is not None:
        distance = np.where(unstable, np.nan, distance)
    return Episode(
        Transition(*(np.stack(field) for field in zip(*steps, strict=True))),
        length,
        total,
        success,
        unstable,
        distance,
    )


def require_horizon(env: BatchEnv, horizon: int) -> None:
    """Refuse a horizon at which no episode arrives, before any is played.

    Raises:
        ConfigError: the environments have a limit of their own before it.
    """
    limit = getattr(env, "longest", None)
    if limit is not None and horizon > limit:
        raise ConfigError(
            f"the family's horizon of {horizon} is beyond the {limit} steps after "
            "which its environments end an episode (max_episode_steps); lower the "
            "horizon, or build them by gymnasium.make(..., "
            f"max_episode_steps={horizon})"
        )
