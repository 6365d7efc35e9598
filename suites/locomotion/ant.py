"""Ant: run in a direction, or to a goal in the plane.

Definitions: katerakelly/oyster@44e20fd, ``rlkit/envs/ant_dir.py``, ``ant_goal.py``.
"""

from __future__ import annotations

import numpy as np

from suites.base import point
from suites.locomotion.row import State
from suites.view import View

DT = 0.05
"""Seconds per step: five substeps of 0.01."""


VIEW = View(distance=4.5, elevation=-35.0, at=(0.0, 0.0, 0.3))
WIDE_VIEW = View(distance=8.0, elevation=-50.0, at=(0.0, 0.0, 0.3))
"""Shows a goal 3 m away."""


def observe(now: State) -> np.ndarray:
    """Positions without x and y, velocities; ``[N, 27]``."""
    return np.concatenate([now.qpos[:, 2:], now.qvel], axis=1)


def observe_contacts(now: State) -> np.ndarray:
    """All positions, velocities, clipped contact forces; ``[N, 113]``."""
    return np.concatenate([now.qpos, now.qvel, now.cfrc_ext.clip(-1, 1)], axis=1)


def contact_cost(now: State) -> np.ndarray:
    """Cost of the clipped contact forces; ``[N]``."""
    return 0.5e-3 * np.square(now.cfrc_ext.clip(-1, 1)).sum(1)


def direction_reward(
    before: State, now: State, u: np.ndarray, params: np.ndarray
) -> np.ndarray:
    """Velocity of the torso along the task's angle (radians), and 1 per step."""
    velocity = (now.torso - before.torso) / DT
    angle = params[:, 0]
    forward = velocity[:, 0] * np.cos(angle) + velocity[:, 1] * np.sin(angle)
    return forward - 0.5 * np.square(u).sum(1) - contact_cost(now) + 1.0


def goal_reward(
    before: State, now: State, u: np.ndarray, params: np.ndarray
) -> np.ndarray:
    """Distance of the torso to the task's goal (x, y) in the 1-norm."""
    del before
    distance = np.abs(now.torso[:, :2] - params).sum(1)
    return -distance - 0.1 * np.square(u).sum(1) - contact_cost(now)


def distance_along(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Way of the torso along the task's angle since the start (m)."""
    way = now.torso - start.torso
    return way[:, 0] * np.cos(params[:, 0]) + way[:, 1] * np.sin(params[:, 0])


def distance_to_goal(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Distance of the torso to the task's goal (x, y) in the 2-norm (m)."""
    del start
    return np.hypot(*(now.torso[:, :2] - params).T)


def fallen(now: State) -> np.ndarray:
    """Torso below 0.2 m or above 1 m."""
    z = now.qpos[:, 2]
    return (z < 0.2) | (z > 1.0)


def tell_direction(params: tuple[float, ...]) -> str:
    """Say which way to run."""
    return "backwards" if np.cos(params[0]) < 0 else "forwards"


def tell_goal(params: tuple[float, ...]) -> str:
    """Say where to go."""
    return f"goal {point(*params)} m"


def goal(params: tuple[float, ...]) -> tuple[float, ...]:
    """Return the goal (m), which is what tells tasks apart."""
    return params


def draw_directions(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Forwards and backwards; ``[2, 1]``."""
    del generator
    return np.linspace(0, np.pi, n)[:, None]


def draw_goals(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Goals uniform in the disc of radius 3: all angles first, then all radii."""
    angle = 2 * np.pi * generator.random_sample(n)
    radius = 3 * np.sqrt(generator.random_sample(n))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
