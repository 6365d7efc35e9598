"""Pictures of environments that live in a worker: it tells the state, this draws it."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from suites.rendering import Mark, MujocoCamera
from suites.simulation import STATE
from suites.view import View

FPS = 80
"""Of the package: five substeps of 2.5 ms."""
VIEW = View(1.8, -30.0, at=(0.03, 0.6, 0.17), azimuth=140.0)
"""From behind the robot's shoulder: it hides neither the table nor the goal."""
GOAL_RADIUS = 0.05
"""Of the ball that marks the goal (m): how near the package's ``reach`` has to come."""


class MetaWorldCamera:
    """Draws a copy of one environment, on which nothing is stepped.

    Attributes:
        fps: pictures per second of simulated time.

    Args:
        ask: ``(what, file)`` lets the worker write the ``model``, or what a ``look`` at
            the environment tells: see ``Simulator.look``.
        size: pixels per side.

    Raises:
        RuntimeError: there is no OpenGL library.
    """

    fps = FPS

    def __init__(self, ask: Callable[[str, Path], None], size: int):
        self._ask = ask
        folder = tempfile.mkdtemp(prefix="pearl-bench-")
        # also where nobody closes it
        self._tidy = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._file = Path(folder, "told")
        ask("model", self._file)
        self._model = mujoco.MjModel.from_binary_path(str(self._file))
        self._data = mujoco.MjData(self._model)
        self._camera = MujocoCamera(self._model, self._data, FPS, VIEW, size)

    def picture(self) -> np.ndarray:
        """Return the current view, ``[H, W, 3]`` uint8."""
        self._ask("look", self._file)
        model, data = self._model, self._data
        told = np.fromfile(self._file)
        sizes = (
            mujoco.mj_stateSize(model, STATE),
            model.body_pos.size,
            model.site_pos.size,
            model.site_pos.size,
        )
        state, bodies, sites, shown, goal = np.split(told, np.cumsum(sizes))
        model.body_pos[:] = bodies.reshape(-1, 3)
        model.site_pos[:] = sites.reshape(-1, 3)
        mujoco.mj_setState(model, data, state, STATE)
        mujoco.mj_forward(model, data)
        shown = shown.reshape(-1, 3)
        data.site_xpos[:] = np.where(np.isnan(shown), data.site_xpos, shown)
        # observations hide it; the package shows a dot, or of many classes nothing
        self._camera.mark = Mark(goal, GOAL_RADIUS)
        return self._camera.picture()

    def close(self) -> None:
        """Release the context, and remove the file."""
        self._camera.close()
        self._tidy()
