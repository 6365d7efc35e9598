"""Walker-2d whose masses, inertias, damping and friction are the task.

Definition: dennisl88/rand_param_envs@4d1529d, ``base.py`` and
``walker2d_rand_params.py``, on the model file of gymnasium.
"""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.locomotion.row import State
from suites.view import View

if TYPE_CHECKING:
    import mujoco

DT = 0.016
"""Seconds per step: four substeps of 0.004."""

ARRAYS = (
    ("body_mass", (8,), 1.5),
    ("body_inertia", (8, 3), 1.5),
    ("dof_damping", (9,), 1.3),
    ("geom_friction", (8, 3), 1.5),
)
"""Model arrays a task multiplies, their shapes, and the base of the multipliers."""

COLUMNS = tuple(
    f"{name}_{i}" for name, shape, _ in ARRAYS for i in range(int(np.prod(shape)))
)


VIEW = View(distance=3.6, elevation=-12.0, at=(0.0, 0.0, 0.7))


def observe(now: State) -> np.ndarray:
    """Positions without x, velocities clipped at 10; ``[N, 17]``."""
    return np.concatenate([now.qpos[:, 1:], now.qvel.clip(-10, 10)], axis=1)


def reward(before: State, now: State, u: np.ndarray, params: np.ndarray) -> np.ndarray:
    """Forward velocity, and 1 per step; the task changes the dynamics only."""
    del params
    velocity = (now.qpos[:, 0] - before.qpos[:, 0]) / DT
    return velocity + 1.0 - 1e-3 * np.square(u).sum(1)


def distance_forwards(start: State, now: State, params: np.ndarray) -> np.ndarray:
    """Way forwards since the start (m)."""
    del params
    return now.qpos[:, 0] - start.qpos[:, 0]


def fallen(now: State) -> np.ndarray:
    """Torso not between 0.8 m and 2 m, or pitched by a radian or more."""
    z, pitch = now.qpos[:, 1], now.qpos[:, 2]
    return ~((z > 0.8) & (z < 2.0) & (np.abs(pitch) < 1.0))


def start(
    rng: np.random.Generator, n: int, nq: int, nv: int
) -> tuple[np.ndarray, np.ndarray]:
    """Uniform in +-0.005."""
    return rng.uniform(-0.005, 0.005, (n, nq)), rng.uniform(-0.005, 0.005, (n, nv))


def configure(model: mujoco.MjModel, params: np.ndarray) -> None:
    """Multiply the arrays of a nominal model by a task's multipliers, in place.

    Constants that MuJoCo derives from them are left alone, as in the reference: no
    ``mj_setConst``.
    """
    for (name, shape, _), multipliers in zip(ARRAYS, _by_array(params), strict=True):
        getattr(model, name)[:] *= multipliers.reshape(shape)


def _by_array(params: np.ndarray) -> list[np.ndarray]:
    sizes = [int(np.prod(shape)) for _, shape, _ in ARRAYS]
    return np.split(params, np.cumsum(sizes)[:-1])


def tell(params: tuple[float, ...]) -> str:
    """Say between what multiples of the nominal walker's a task's numbers lie."""
    kinds = ("mass", "inertia", "damping", "friction")
    parts = zip(kinds, _by_array(np.array(params)), strict=True)
    told = ", ".join(f"{kind} {x.min():.1f}-{x.max():.1f}" for kind, x in parts)
    return f"multiples of {told}"


def draw_multipliers(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Multipliers base^U(-3, 3), task by task in the order of ``ARRAYS``; [n, 65]."""
    return np.array(
        [
            np.concatenate(
                [
                    base ** generator.uniform(-3, 3, size=int(np.prod(shape)))
                    for _, shape, base in ARRAYS
                ]
            )
            for _ in range(n)
        ]
    )
