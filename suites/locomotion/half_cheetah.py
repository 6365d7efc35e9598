"""Half-cheetah: run in a direction, or at a velocity.

Definitions: katerakelly/oyster@44e20fd, ``rlkit/envs/half_cheetah*.py``.
"""

from __future__ import annotations

import numpy as np

from suites.locomotion.row import State
from suites.view import View

DT = 0.05
"""Seconds per step: five substeps of 0.01."""


VIEW = View(distance=3.0, elevation=-12.0, at=(0.0, 0.0, 0.4))


def observe(now: State) -> np.ndarray:
    """Positions without x, velocities, torso position; ``[N, 20]``."""
    return np.concatenate([now.qpos[:, 1:], now.qvel, now.torso], axis=1)


def control_cost(u: np.ndarray) -> np.ndarray:
    """Cost of the controls; ``[N]``."""
    return 0.05 * np.square(u).sum(1)


def velocity(before: State, now: State) -> np.ndarray:
    """Mean forward velocity over the step; ``[N]``."""
    return (now.qpos[:, 0] - before.qpos[:, 0]) / DT


def direction_reward(
    before: State, now: State, u: np.ndarray, params: np.ndarray
) -> np.ndarray:
    """Velocity along the task's direction (-1 or 1)."""
    return params[:, 0] * velocity(before, now) - control_cost(u)


def velocity_reward(
    before: State, now: State, u: np.ndarray, params: np.ndarray
) -> np.ndarray:
    """Distance to the task's velocity (m/s)."""
    return -np.abs(velocity(before, now) - params[:, 0]) - control_cost(u)


def distance_forwards(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Way forwards since the start (m)."""
    del params
    return now.qpos[:, 0] - start.qpos[:, 0]


def distance_along(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Way along the task's direction (-1 or 1) since the start (m)."""
    return params[:, 0] * distance_forwards(start, now, params)


def tell_direction(params: tuple[float, ...]) -> str:
    """Say which way to run."""
    return "backwards" if params[0] < 0 else "forwards"


def tell_velocity(params: tuple[float, ...]) -> str:
    """Say how fast to run, forwards."""
    return f"{params[0]:.2f} m/s"


def draw_directions(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Backwards and forwards; ``[2, 1]``."""
    del generator
    return np.linspace(-1, 1, n)[:, None]


def draw_velocities(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Velocities uniform in [0, 3) m/s; ``[n, 1]``."""
    return generator.uniform(0, 3, size=n)[:, None]
