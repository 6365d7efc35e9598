"""Pictures of MuJoCo's environments, without a screen."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import atexit
import copy
import importlib
import os
import sys
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

import mujoco
import numpy as np

from suites.view import View

MARK_COLOUR = 0.35, 0.7, 0.35
"""Red, green and blue of what marks a place."""


class Mark(NamedTuple):
    """What marks a place in pictures, and is no part of the simulation.

    Attributes:
        at: its middle (m), ``[3]``.
        radius: metres.
        half_height: metres of a disc that lies flat; None of a ball, which is seen
            through.
    """

    at: np.ndarray
    radius: float
    half_height: float | None = None

    def draw(self, geom: mujoco.MjvGeom) -> None:
        """Make a geom of a scene of it."""
        kinds, radius = mujoco.mjtGeom, self.radius
        ball = self.half_height is None
        mujoco.mjv_initGeom(
            geom,
            kinds.mjGEOM_SPHERE if ball else kinds.mjGEOM_CYLINDER,
            np.array([radius, radius, radius if ball else self.half_height]),
            np.asarray(self.at, float),
            np.eye(3).reshape(9),
            np.array([*MARK_COLOUR, 0.5 if ball else 1.0], np.float32),
        )


class MujocoCamera:
    """Looks at one simulation, which it only reads.

    Attributes:
        fps: pictures per second of simulated time.
        mark: what marks a place in the next pictures, if any.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        fps: int,
        view: View,
        size: int,
        *,
        follow: int | None = None,
        mark: Mark | None = None,
    ):
        """Open an off-screen context.

        Args:
            model: what is drawn, of the sizes of the model that is stepped.
            data: the simulation.
            fps: pictures per second of simulated time.
            view: where the camera stands.
            size: pixels per side.
            follow: number of the body whose centre of mass, limbs included, the camera
                moves with; it stands still if None.
            mark: what marks a place, if any.

        Raises:
            RuntimeError: there is no OpenGL library; the message says what to install.
        """
        self.fps, self.mark = fps, mark
        self._model, self._data = model, data
        self._at, self._follow = view.at, follow
        self._size = size
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        for effect in (
            mujoco.mjtRndFlag.mjRND_REFLECTION,  # draws everything twice
            mujoco.mjtRndFlag.mjRND_SHADOW,  # so does this, and ends somewhere
            mujoco.mjtRndFlag.mjRND_HAZE,  # a white line at the horizon
        ):
            self._scene.flags[effect] = False
        self._gl, self._context = _open(model, size)
        _cameras().add(self)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.distance = view.distance
        self._camera.elevation = view.elevation
        self._camera.azimuth = view.azimuth

    def picture(self) -> np.ndarray:
        """Return the current view, ``[H, W, 3]`` uint8; the simulation is only read."""
        self._gl.make_current()
        self._camera.lookat[:] = self._at
        if self._follow is not None:
            self._camera.lookat[:2] += self._data.subtree_com[self._follow, :2]
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            mujoco.MjvOption(),
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        if self.mark is not None:  # the scene is made anew for every picture
            self.mark.draw(self._scene.geoms[self._scene.ngeom])
            self._scene.ngeom += 1
        view = mujoco.MjrRect(0, 0, self._size, self._size)
        pixels = np.empty((self._size, self._size, 3), np.uint8)
        mujoco.mjr_render(view, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, None, view, self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL counts rows from below

    def close(self) -> None:
        """Release the context; again does nothing."""
        if self not in _cameras():
            return
        _cameras().remove(self)
        self._gl.make_current()
        self._context.free()
        self._gl.free()


@cache
def _cameras() -> WeakSet[MujocoCamera]:
    """Return the open cameras, which are closed when Python ends.

    It is asked for when one is open, and not before: what is registered last is called
    first, and MuJoCo registers the end of the display with the first context.
    """
    found: WeakSet[MujocoCamera] = WeakSet()

    def close() -> None:
        for camera in list(found):
            camera.close()

    atexit.register(close)
    return found


def with_endless_floor(model: mujoco.MjModel) -> mujoco.MjModel:
    """Return a copy for pictures, whose floor never ends: squares of a metre each.

    Physics knows no other planes; the size in the file is that of the drawn part.
    """
    drawn = copy.copy(model)
    for plane in np.flatnonzero(drawn.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        drawn.geom_size[plane, :2] = 0  # endless, and drawn around the camera
        material = drawn.geom_matid[plane]
        drawn.mat_texrepeat[material] = 1  # of two by two squares
        _soften(drawn, drawn.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB])
    return drawn


def _soften(model: mujoco.MjModel, texture: int) -> None:
    """Take away contrast, which is what the size of a film goes into."""
    start = model.tex_adr[texture]
    length = (
        model.tex_height[texture]
        * model.tex_width[texture]
        * model.tex_nchannel[texture]
    )
    pixels = model.tex_data[start : start + length]
    pixels[:] = 120 + pixels // 3


def _open(model: mujoco.MjModel, size: int) -> tuple[Any, mujoco.MjrContext]:
    """Open OpenGL by way of ``MUJOCO_GL`` or, where that is not set, of what fits."""
    fitting = "cgl" if sys.platform == "darwin" else "glfw"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        fitting = "egl"
    backend = os.environ.get("MUJOCO_GL") or fitting
    try:
        gl = importlib.import_module(f"mujoco.{backend}").GLContext(size, size)
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
