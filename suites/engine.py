"""Steps N MuJoCo environments in lock step on a few threads.

``mj_step`` releases Python's global lock, so plain threads keep the cores busy. What
Python does per environment is that call and a copy of the controls; the states come
back in one gather, and observations and rewards are computed for all N at once. What a
closed batch leaves behind serves the next one: touching the fresh memory of a
half-cheetah for the first time takes as long as stepping it four times or more.
"""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import compress
from pathlib import Path
from typing import Any

import gymnasium.envs.mujoco
import mujoco
import numpy as np

from suites.base import Step, Task, check_actions
from suites.locomotion.row import LocomotionRow, State
from suites.rendering import Mark, MujocoCamera, with_endless_floor
from suites.simulation import BREAKDOWN, STATE
from suites.view import PIXELS

Turn = tuple[mujoco.MjModel, mujoco.MjData, np.ndarray, np.ndarray]
"""A simulation, a view of its controls, and the controls that it is to take."""

ASSETS = Path(gymnasium.envs.mujoco.__file__).with_name("assets")

READERS: dict[str, Callable[[mujoco.MjData], np.ndarray]] = {
    "torso": lambda data: data.xpos[1],
    "com": lambda data: data.subtree_com[0],
    "cinert": lambda data: data.cinert.reshape(-1),
    "cvel": lambda data: data.cvel.reshape(-1),
    "qfrc_actuator": lambda data: data.qfrc_actuator,
    "cfrc_ext": lambda data: data.cfrc_ext.reshape(-1),
}
"""Views of a simulation's memory for the fields of ``State`` that a row may read."""

GOAL_RADIUS, DISC = 0.25, 0.005
"""Of the disc that marks the goal in pictures, and half its height (m)."""
WORTH_WAKING = 200
"""Least work that is shared among threads, in degrees of freedom times evaluations of
the dynamics; a half-cheetah's step is 45, an ant's 280. Waking one takes about 40 us.
"""

_idle: dict[mujoco.MjModel, list[mujoco.MjData]] = {}
"""Simulations of closed batches, by the model that they were made for."""


@cache
def load_model(xml: str, timestep: float | None) -> mujoco.MjModel:
    """Load one of gymnasium's model files; shared by all callers, not to be changed."""
    model = mujoco.MjModel.from_xml_path(str(ASSETS / xml))
    if timestep is not None:
        model.opt.timestep = timestep
    return model


def _simulation(model: mujoco.MjModel) -> mujoco.MjData:
    """Return a simulation in whatever state; ``mj_resetData`` makes it like new."""
    try:
        return _idle.setdefault(model, []).pop()
    except IndexError:
        return mujoco.MjData(model)


class MujocoBatch:
    """N simulations of one family, each with its own task.

    Attributes:
        num_envs: N.
        simulations: model and data of each environment. Rows may share a model.
    """

    def __init__(self, row: LocomotionRow, tasks: Sequence[Task], *, threads: int):
        """Build the simulations in the model's default state.

        Args:
            row: the family.
            tasks: one per environment, repeats allowed.
            threads: how many step the simulations; results do not depend on it.

        Raises:
            ValueError: there are no tasks, or ``threads`` is not positive.
        """
        if not tasks or threads < 1:
            raise ValueError(
                f"a batch needs at least one task and one thread, "
                f"got {len(tasks)} tasks and {threads} threads"
            )
        self.num_envs = len(tasks)
        self._row = row
        self._tasks = tuple(tasks)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self._params = np.array([task.params for task in tasks], np.float64)
        self._model = load_model(row.xml, row.timestep)
        models = self._models(tasks)
        # those of a configured model are of the same sizes
        data = [_simulation(self._model) for _ in models]
        self.simulations = list(zip(models, data, strict=True))

        # The reference's action boxes are float32: 0.4000000059604645 for the humanoid.
        bounds = self._model.actuator_ctrlrange.astype(np.float32).astype(np.float64)
        self._low, self._high = bounds.T
        stages = (
            4 if self._model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4 else 1
        )
        work = self._model.nv * row.frame_skip * stages
        self._share_from = max(2, math.ceil(WORTH_WAKING / work))
        self._u = np.zeros((self.num_envs, self._model.nu))
        self._todo = [
            (model, d, d.ctrl, u)
            for (model, d), u in zip(self.simulations, self._u, strict=True)
        ]

        # Views of the simulations' own memory, bound once, copied by one call.
        self._warnings = [d.warning.number[BREAKDOWN] for d in data]
        self._warned = np.zeros((self.num_envs, len(self._warnings[0])), np.int32)
        readers = [READERS[name] for name in row.reads]
        self._views = [
            view
            for d in data
            for view in (d.qpos, d.qvel, *(reader(d) for reader in readers))
        ]
        self._now, self._before, self._start = (self._buffer() for _ in range(3))
        self.set_state(
            np.tile(self._model.qpos0, (self.num_envs, 1)),
            np.zeros((self.num_envs, self._model.nv)),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by building anew: a copy's views would be of this memory.

        Raises:
            RuntimeError: the batch is closed.
        """
        self._check_open()
        states = np.empty((self.num_envs, mujoco.mj_stateSize(self._model, STATE)))
        for (model, data), state in zip(self.simulations, states, strict=True):
            mujoco.mj_getState(model, data, state, STATE)
        arrays = (states, self._now[0].copy(), self._start[0].copy())
        return _rebuilt, (self._row, self._tasks, self._threads, *arrays)

    def _continue_from(
        self, states: np.ndarray, now: np.ndarray, start: np.ndarray
    ) -> None:
        """Take over what ``__reduce__`` has read of another batch."""
        for (model, data), state in zip(self.simulations, states, strict=True):
            mujoco.mj_setState(model, data, state, STATE)
        self._now[0][:], self._start[0][:] = now, start
        # what lags behind the state, for rows that are not stepped next
        edges = np.cumsum([len(view) for view in self._views])[:-1]
        for view, values in zip(self._views, np.split(now, edges), strict=True):
            view[:] = values

    def _models(self, tasks: Sequence[Task]) -> list[mujoco.MjModel]:
        """One model for all, or one for each distinct task if tasks change it."""
        if self._row.configure is None:
            return [self._model] * len(tasks)
        models: dict[tuple[float, ...], mujoco.MjModel] = {}
        for task in tasks:
            if task.params not in models:
                models[task.params] = copy.copy(self._model)
                self._row.configure(models[task.params], np.array(task.params))
        return [models[task.params] for task in tasks]

    def _buffer(self) -> tuple[np.ndarray, State]:
        """Flat memory for one gather, and its columns by name."""
        names = ("qpos", "qvel", *self._row.reads)
        edges = np.cumsum([0, *map(len, self._views[: len(names)])])
        table = np.zeros((self.num_envs, edges[-1]))
        columns = dict.fromkeys(State._fields, table[:, :0])
        for i, name in enumerate(names):
            columns[name] = table[:, edges[i] : edges[i + 1]]
        return table.reshape(-1), State(**columns)

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start a new episode in the ``[N]`` bool ``rows``, in all by default.

        The draws are made for all N: where a row starts does not depend on ``rows``.

        Returns:
            ``[N, O]`` float32 current observations of all environments.
        """
        model = self._model
        offset, qvel = self._row.start(rng, self.num_envs, model.nq, model.nv)
        return self.set_state(model.qpos0 + offset, qvel, rows)

    def set_state(
        self, qpos: np.ndarray, qvel: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start an episode from given states, for instance to replay a recording.

        Args:
            qpos: ``[N, nq]`` positions.
            qvel: ``[N, nv]`` velocities.
            rows: ``[N]`` bool, the environments to set; all by default.

        Returns:
            ``[N, O]`` float32 current observations of all environments.

        Raises:
            ValueError: a position or velocity is not finite.
            RuntimeError: the batch is closed.
        """
        if not (np.isfinite(qpos).all() and np.isfinite(qvel).all()):
            raise ValueError("positions and velocities to start from must be finite")
        self._check_open()
        chosen = range(self.num_envs) if rows is None else np.flatnonzero(rows)
        for i in chosen:
            model, data = self.simulations[i]
            mujoco.mj_resetData(model, data)
            data.qpos[:] = qpos[i]
            data.qvel[:] = qvel[i]
            mujoco.mj_forward(model, data)
        self._gather()
        self._start[0].reshape(self.num_envs, -1)[chosen] = self._now[0].reshape(
            self.num_envs, -1
        )[chosen]
        return self._row.observe(self._now[1]).astype(np.float32)

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Apply ``[N, A]`` actions in [-1, 1] to the active (``[N]`` bool) rows.

        Actions outside are clipped. A simulation that broke down (``unstable``) is
        back in the model's default state afterwards.

        Raises:
            ValueError: the shape is wrong, or an active row's action is not finite.
            RuntimeError: the batch is closed.
        """
        self._check_open()
        row = self._row
        self._control(action, active)
        if active is None:
            self._run(self._todo)
        else:
            self._run(list(compress(self._todo, active.tolist())))
        self._now, self._before = self._before, self._now
        self._gather()
        unstable = self._recover()
        now, before = self._now[1], self._before[1]

        obs = row.observe(now).astype(np.float32)
        reward = row.reward(before, now, self._u, self._params)
        terminated = row.terminated(now)
        if unstable.any():
            obs[unstable] = row.observe(before)[unstable]
            reward[unstable] = 0
            terminated[unstable] = True
        if active is not None:
            obs[~active] = 0
            reward[~active] = 0
            terminated[~active] = False
        return Step(obs, reward, reward, terminated, unstable, success=None)

    def distance(self) -> np.ndarray:
        """Return each row's distance ``[N]``, of the kind that the family has."""
        return self._row.distance(self._start[1], self._now[1], self._params)

    def _check_open(self) -> None:
        if not self.simulations:
            raise RuntimeError("this batch is closed; others may use its simulations")

    def _control(self, action: np.ndarray, active: np.ndarray | None) -> None:
        """Map actions in [-1, 1] to the actuators' range."""
        action = np.asarray(action, np.float64)
        check_actions(action, self._u.shape, active)
        u = self._low + (action + 1) / 2 * (self._high - self._low)
        np.clip(u, self._low, self._high, out=self._u)

    def _gather(self) -> None:
        """Copy what the row reads of all simulations into the current buffer."""
        np.concatenate(self._views, out=self._now[0])

    def _recover(self) -> np.ndarray:
        """Return which rows broke down, ``[N]``, and put those in the default state."""
        np.concatenate(self._warnings, out=self._warned.reshape(-1))
        now = self._now[1]
        if not self._warned.any() and np.isfinite(now.qpos.sum() + now.qvel.sum()):
            return np.zeros(self.num_envs, bool)
        finite = np.isfinite(now.qpos).all(axis=1) & np.isfinite(now.qvel).all(axis=1)
        unstable = np.logical_or(self._warned.any(axis=1), ~finite)
        if unstable.any():
            for i in np.flatnonzero(unstable):
                mujoco.mj_resetData(*self.simulations[i])  # clears the warnings too
                mujoco.mj_forward(*self.simulations[i])
            self._gather()
        return unstable

    def _run(self, turns: Sequence[Turn]) -> None:
        """Step simulations, each once, on whichever thread is free."""
        todo = iter(turns)  # a list's iterator hands each item to one thread
        helpers = []
        if self._pool is not None and len(turns) >= self._share_from:
            helpers = [
                self._pool.submit(self._walk, todo) for _ in range(self._threads - 1)
            ]
        self._walk(todo)
        for helper in helpers:
            helper.result()

    def _walk(self, todo: Iterator[Turn]) -> None:
        step, frame_skip = mujoco.mj_step, self._row.frame_skip
        contacts = "cfrc_ext" in self._row.reads
        for model, data, control, u in todo:
            control[:] = u
            step(model, data, frame_skip)
            if contacts:
                mujoco.mj_rnePostConstraint(model, data)  # the only one to fill it

    def camera(self, index: int, size: int = PIXELS) -> MujocoCamera:
        """Return a camera that follows one environment."""
        row, (model, data) = self._row, self.simulations[index]
        fps = round(1 / (model.opt.timestep * row.frame_skip))
        mark = None
        if row.goal is not None:
            x, y = row.goal(self._tasks[index].params)
            mark = Mark(np.array([x, y, DISC]), GOAL_RADIUS, DISC)
        drawn = with_endless_floor(model)
        return MujocoCamera(drawn, data, fps, row.view, size, follow=1, mark=mark)

    def close(self) -> None:
        """Release the threads, and the simulations to later batches."""
        if self._pool is not None:
            self._pool.shutdown()
        _idle[self._model].extend(data for _, data in self.simulations)
        self.simulations, self._todo = [], []


def _rebuilt(
    row: LocomotionRow, tasks: Sequence[Task], threads: int, *arrays: np.ndarray
) -> MujocoBatch:
    batch = MujocoBatch(row, tasks, threads=threads)
    batch._continue_from(*arrays)
    return batch
