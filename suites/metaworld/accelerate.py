"""Replacements within the installed package that leave what it computes alone.

``touching_object`` walks every contact in Python, three times per step, and 22 classes
convert a rotation matrix by way of scipy; together more than half of a push step. In
the classes that do neither, half of a step goes into numpy calls on one to three
numbers: the observation is stacked by six of them, and every term of the reward takes
as many. All are replaced by assignment, for as long as the context lasts; the package's
files stay as they are. ``tests/suites/test_metaworld.py`` steps all 50 classes both
ways.
"""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import metaworld.env_dict  # noqa: F401  (loads every environment's module)
import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

HAND_DOWN = np.array([1, 0, 1, 0])
"""How the package turns what the hand is welded to, at every step."""
MAX_OPENING = 0.1
"""Distance of the fingers, in metres, that counts as 1; ``sawyer_xyz_env.py``."""


def touching_object(env: SawyerXYZEnv, object_geom_id: int) -> bool:
    """Whether both pads press on the object: ``SawyerXYZEnv.touching_object``.

    The forces are added one by one in the order of the contacts, so that the sums are
    the package's to the last bit. A contact that the solver left out has the address
    -1 and reads the last force, as it does there.
    """
    data = env.data
    if not data.ncon:
        return False
    contact = data.contact
    first, second, address = contact.geom1, contact.geom2, contact.efc_address
    on_object = (first == object_geom_id) | (second == object_geom_id)
    if not on_object.any():
        return False
    for pad in ("leftpad_geom", "rightpad_geom"):
        pad_id = data.geom(pad).id
        mine = on_object & ((first == pad_id) | (second == pad_id))
        if not sum(data.efc_force[a] for a in address[mine]) > 0:
            return False
    return True


class MujocoRotation:
    """What the environments use of scipy's ``Rotation``, computed by MuJoCo."""

    def __init__(self, matrix: np.ndarray):
        self._matrix = matrix

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> MujocoRotation:
        """Keep a ``[3, 3]`` rotation matrix."""
        return cls(matrix)

    def as_quat(self) -> np.ndarray:
        """Return the quaternion ``[4]``, the real part last, of the sign scipy gives.

        That is positive in the component whose square the matrix makes largest; MuJoCo
        asks first whether the trace is positive, which differs for large rotations.
        """
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, self._matrix.reshape(9))
        quaternion = quaternion[[1, 2, 3, 0]]
        x, y, z = self._matrix.diagonal().tolist()
        squares = [x, y, z, x + y + z]
        if quaternion[squares.index(max(squares))] < 0:
            return -quaternion
        return quaternion


def move_hand(env: SawyerXYZEnv, action: np.ndarray) -> None:
    """Shift what the hand is welded to by an action ``[3]``: ``set_xyz_action``."""
    shift = np.minimum(np.maximum(action, -1), 1) * env.action_scale
    position = env.data.mocap_pos + shift[None]
    np.maximum(position[0], env.mocap_low, out=position[0])
    np.minimum(position[0], env.mocap_high, out=position[0])
    env.data.mocap_pos = position
    env.data.mocap_quat = HAND_DOWN


def current_obs(env: SawyerXYZEnv) -> np.ndarray:
    """Hand, opening of the gripper, objects: ``_get_curr_obs_combined_no_goal``.

    Returns:
        ``[18]``; each object's position is followed by its quaternion.
    """
    data = env.data
    fingers = data.body("rightclaw").xpos - data.body("leftclaw").xpos
    # as linalg.norm computes it
    apart = math.sqrt(fingers.dot(fingers)) / MAX_OPENING
    position, quaternion = env._get_pos_objects(), env._get_quat_objects()
    obs = np.zeros(4 + env._obs_obj_max_len)
    obs[:3] = env.get_endeff_pos()
    obs[3] = min(max(apart, 0.0), 1.0)
    for i in range(len(position) // 3):
        of_one = obs[4 + 7 * i : 11 + 7 * i]
        of_one[:3] = position[3 * i : 3 * i + 3]
        of_one[3:] = quaternion[4 * i : 4 * i + 4]
    return obs


def stacked_obs(env: SawyerXYZEnv) -> np.ndarray:
    """Observation, the one before, and the goal or zeros: ``_get_obs``."""
    goal = env._get_pos_goal()
    if env._partially_observable:
        goal = np.zeros_like(goal)
    current = current_obs(env)
    obs = np.concatenate((current, env._prev_obs, goal))
    env._prev_obs = current
    return obs


def tolerance(
    x: Any,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = reward_utils._DEFAULT_VALUE_AT_MARGIN,
) -> Any:
    """Reward of a number in or near its bounds: ``reward_utils.tolerance``.

    Anything but a sound number within sound bounds is left to the package.
    """
    lower, upper = bounds
    if not isinstance(x, float) or lower > upper or margin < 0:
        return _tolerance(x, bounds, margin, sigmoid, value_at_margin)
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    # numpy's number, as the package's, which divides by zero without an exception
    distance = np.float64(lower - x if x < lower else x - upper) / margin
    return float(reward_utils._sigmoids(distance, value_at_margin, sigmoid))


_tolerance = reward_utils.tolerance


@contextmanager
def accelerated() -> Iterator[None]:
    """Let the package's environments run on the replacements."""
    rotating = [
        module
        for name, module in sys.modules.items()
        if name.startswith("metaworld.envs.")
        and getattr(module, "Rotation", None) is Rotation
    ]
    replacements = [
        (SawyerXYZEnv, "touching_object", touching_object),
        (SawyerXYZEnv, "set_xyz_action", move_hand),
        (SawyerXYZEnv, "_get_curr_obs_combined_no_goal", current_obs),
        (SawyerXYZEnv, "_get_obs", stacked_obs),
        (reward_utils, "tolerance", tolerance),
        *((module, "Rotation", MujocoRotation) for module in rotating),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    try:
        for owner, name, ours in replacements:
            setattr(owner, name, ours)
        yield
    finally:
        for owner, name, theirs in before:
            setattr(owner, name, theirs)
