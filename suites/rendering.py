"""Pictures of environments, without a screen."""

from __future__ import annotations

import importlib
import os

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
        self._gl = _open_gl(SIZE, SIZE)
        self._gl.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
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


def _open_gl(width: int, height: int):
    """Open a context of ``MUJOCO_GL`` or, where that is not set, of what fits."""
    screen = os.environ.get("DISPLAY") or os.name == "nt"
    backend = os.environ.get("MUJOCO_GL") or ("glfw" if screen else "egl")
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise RuntimeError(
            f"rendering needs the OpenGL library of {backend!r}, which did not open "
            f"({error}). Install it (Debian, Ubuntu: apt install libegl1 "
            "libgl1-mesa-dri) or choose another with MUJOCO_GL=egl, osmesa or glfw."
        ) from error
