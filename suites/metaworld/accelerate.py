"""Two replacements within the installed package that leave what it computes alone.

``touching_object`` walks every contact in Python, three times per step, and 22 classes
convert a rotation matrix by way of scipy; together more than half of a push step. Both
are replaced by assignment, for as long as the context lasts; the package's files stay
as they are. ``tests/suites/test_metaworld.py`` steps all 50 classes both ways.
"""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import metaworld.env_dict  # noqa: F401  (loads every environment's module)
import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from scipy.spatial.transform import Rotation


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


@contextmanager
def accelerated() -> Iterator[None]:
    """Let the package's environments run on the replacements."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.startswith("metaworld.envs.")
        and getattr(module, "Rotation", None) is Rotation
    ]
    before = SawyerXYZEnv.touching_object
    SawyerXYZEnv.touching_object = touching_object
    for module in modules:
        module.Rotation = MujocoRotation
    try:
        yield
    finally:
        SawyerXYZEnv.touching_object = before
        for module in modules:
            module.Rotation = Rotation
