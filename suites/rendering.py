"""Pictures of environments, without a screen."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import mujoco
import numpy as np

SIZE = 480
"""Pixels per side."""


class MujocoCamera:
    """Follows the torso of one simulation.

    Attributes:
        fps: pictures per second of simulated time.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, fps: int):
        """Open an off-screen context.

        Raises:
            RuntimeError: there is no OpenGL library; the message says what to install.
        """
        self.fps = fps
        self._model, self._data = model, data
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._gl, self._context = _open(model)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera("track").id

    def picture(self) -> np.ndarray:
        """Return the current view, ``[H, W, 3]`` uint8; the simulation is only read."""
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            mujoco.MjvOption(),
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        view = mujoco.MjrRect(0, 0, SIZE, SIZE)
        pixels = np.empty((SIZE, SIZE, 3), np.uint8)
        mujoco.mjr_render(view, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, None, view, self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL counts rows from below

    def close(self) -> None:
        """Release the context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _open(model: mujoco.MjModel) -> tuple[Any, mujoco.MjrContext]:
    """Open OpenGL by way of ``MUJOCO_GL`` or, where that is not set, of what fits."""
    fitting = "cgl" if sys.platform == "darwin" else "glfw"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        fitting = "egl"
    backend = os.environ.get("MUJOCO_GL") or fitting
    try:
        gl = importlib.import_module(f"mujoco.{backend}").GLContext(SIZE, SIZE)
        gl.make_current()
        context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
        raise RuntimeError(
            f"rendering needs the OpenGL library of {backend!r}, which did not open "
            f"({error}). Install it (Debian, Ubuntu: apt install libegl1 "
            "libgl1-mesa-dri) or choose another with MUJOCO_GL=egl, osmesa or glfw."
        ) from error
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    return gl, context
