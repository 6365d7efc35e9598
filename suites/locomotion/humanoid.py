"""Humanoid: run in a direction of the plane.

Definition: katerakelly/oyster@44e20fd, ``rlkit/envs/humanoid_dir.py``.
"""

from __future__ import annotations

import numpy as np

from suites.locomotion.row import State
from suites.view import View

TIMESTEP = 0.003
"""Seconds per substep. The reference divides by it, not by the step's 0.015 s."""


VIEW = View(distance=3.8, elevation=-25.0, at=(0.0, 0.0, 0.9))


def observe(now: State) -> np.ndarray:
    """Positions without x and y, velocities, inertias and forces; ``[N, 376]``."""
    parts = (now.qpos[:, 2:], now.qvel, now.cinert, now.cvel)
    return np.concatenate([*parts, now.qfrc_actuator, now.cfrc_ext], axis=1)


def reward(before: State, now: State, u: np.ndarray, params: np.ndarray) -> np.ndarray:
    """Velocity of the centre of mass along the task's angle, and 5 per step."""
    velocity = (now.com - before.com) / TIMESTEP
    angle = params[:, 0]
    forward = velocity[:, 0] * np.cos(angle) + velocity[:, 1] * np.sin(angle)
    impact = np.minimum(0.5e-6 * np.square(now.cfrc_ext).sum(1), 10)
    return 0.25 * forward - 0.1 * np.square(u).sum(1) - impact + 5.0


def distance_along(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Way of the centre of mass along the task's angle since the start (m)."""
    way = now.com - start.com
    return way[:, 0] * np.cos(params[:, 0]) + way[:, 1] * np.sin(params[:, 0])


def fallen(now: State) -> np.ndarray:
    """Torso below 1 m or above 2 m."""
    z = now.qpos[:, 2]
    return (z < 1.0) | (z > 2.0)


def start(
    rng: np.random.Generator, n: int, nq: int, nv: int
) -> tuple[np.ndarray, np.ndarray]:
    """Uniform in +-0.01."""
    return rng.uniform(-0.01, 0.01, (n, nq)), rng.uniform(-0.01, 0.01, (n, nv))


def tell(params: tuple[float, ...]) -> str:
    """Say which way to run; 0 degrees is along x, to the right in pictures."""
    return f"direction {np.degrees(params[0]):.0f}°"


def draw_angles(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Angles uniform in [0, 2 pi); ``[n, 1]``."""
    return generator.uniform(0, 2 * np.pi, size=n)[:, None]
