"""What defines a locomotion family: a row of numbers and a few pure functions."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from suites.base import ScoreRange
from suites.tasks import TaskList
from suites.view import View

if TYPE_CHECKING:
    import mujoco


class State(NamedTuple):
    """Simulator quantities of N environments, all float64.

    ``qpos`` and ``qvel`` are current. The others are what MuJoCo left in place after
    its last substep and lag behind by up to one substep; the reference environments
    read them like that. Quantities that a family does not read have no columns.

    Attributes:
        qpos: ``[N, nq]`` positions.
        qvel: ``[N, nv]`` velocities.
        torso: ``[N, 3]`` position of the torso.
        com: ``[N, 3]`` centre of mass of the whole model.
        cinert: ``[N, 10 nbody]`` inertia about the centre of mass.
        cvel: ``[N, 6 nbody]`` velocity about the centre of mass.
        qfrc_actuator: ``[N, nv]`` actuator forces.
        cfrc_ext: ``[N, 6 nbody]`` external forces, zero after a reset.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    torso: np.ndarray
    com: np.ndarray
    cinert: np.ndarray
    cvel: np.ndarray
    qfrc_actuator: np.ndarray
    cfrc_ext: np.ndarray


@dataclass(frozen=True)
class LocomotionRow:
    """A row of the table: a MuJoCo family.

    Attributes:
        name: the family's name.
        version: raised when anything that changes a return changes.
        xml: model file among the assets of gymnasium.
        frame_skip: substeps per environment step.
        timestep: seconds per substep; None keeps the model file's.
        obs_dim: O.
        action_dim: A.
        reads: the fields of ``State`` that the functions need besides qpos and qvel.
        start: ``(rng, n, nq, nv)`` -> what is added to the model's default qpos
            ``[n, nq]``, and qvel ``[n, nv]``.
        observe: ``(now) -> [N, O]``.
        reward: ``(before, now, u [N, A], params [N, P]) -> [N]``, where u are the
            controls, in units of the model.
        terminated: ``(now) -> [N]`` bool.
        distance: ``(start, now, params [N, P]) -> [N]`` how far it has come since the
            episode's start, or has still to go.
        distance_is: which of the two; see ``TaskFamily.distance``.
        tasks: how the tasks are drawn.
        score: the range that normalises returns.
        source: where the definition comes from.
        tell: ``(params)`` -> what a task asks for, in a few words.
        view: where the camera stands.
        configure: ``(model, params)`` writes a task into its own copy of the model;
            None where tasks differ in the reward only.
        goal: ``(params)`` -> x and y of what pictures mark; None where there is none.
    """

    name: str
    version: int
    xml: str
    frame_skip: int
    obs_dim: int
    action_dim: int
    reads: tuple[str, ...]
    start: Callable[[np.random.Generator, int, int, int], tuple[np.ndarray, np.ndarray]]
    observe: Callable[[State], np.ndarray]
    reward: Callable[[State, State, np.ndarray, np.ndarray], np.ndarray]
    terminated: Callable[[State], np.ndarray]
    distance: Callable[[State, State, np.ndarray], np.ndarray]
    distance_is: Literal["covered", "remaining"]
    tasks: TaskList
    score: ScoreRange
    source: str
    tell: Callable[[tuple[float, ...]], str]
    view: View
    timestep: float | None = None
    configure: Callable[[mujoco.MjModel, np.ndarray], None] | None = None
    goal: Callable[[tuple[float, ...]], tuple[float, ...]] | None = None


def never(now: State) -> np.ndarray:
    """No state is terminal."""
    return np.zeros(len(now.qpos), bool)


def uniform_normal_start(
    rng: np.random.Generator, n: int, nq: int, nv: int
) -> tuple[np.ndarray, np.ndarray]:
    """Uniform in +-0.1 for positions, normal with deviation 0.1 for velocities."""
    return rng.uniform(-0.1, 0.1, (n, nq)), 0.1 * rng.standard_normal((n, nv))
