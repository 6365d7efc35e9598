"""One environment of the package plays any number of episodes in turns.

A Meta-World environment holds a model of 20 MB and takes a tenth of a second to build,
and resetting it simulates the arm's way home twice, which costs as much as 15 to 50
steps. What a task starts from is always the same, though, and what distinguishes two
episodes under way is little: some hundred numbers of MuJoCo's state, where the task put
bodies and sites, and the environment's own attributes. So there is one environment per
class; episodes take turns in it, and a task is reset by the package once.
"""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.types import Task as PackageTask

from suites.simulation import BREAKDOWN, STATE


class Start(NamedTuple):
    """What an episode of a task begins with.

    Attributes:
        obs: ``[39]`` the first observation.
        state: MuJoCo's state.
        body_pos: where the model's bodies are, ``[bodies, 3]``.
        site_pos: where its sites are, ``[sites, 3]``.
        attributes: the environment's own.
    """

    obs: np.ndarray
    state: np.ndarray
    body_pos: np.ndarray
    site_pos: np.ndarray
    attributes: dict[str, Any]


class Outcome(NamedTuple):
    """One step of one episode.

    Attributes:
        obs: ``[39]`` the observation after it.
        reward: the package's.
        success: whether the task is solved at this step.
        unstable: whether the simulation broke down.
    """

    obs: np.ndarray
    reward: float
    success: bool
    unstable: bool


class Ongoing:
    """An episode under way, while another one has the environment.

    Attributes:
        start: what it began with.
        state: MuJoCo's state when it last left the environment.
        attributes: the environment's own.
    """

    def __init__(self, start: Start):
        self.start = start
        self.state = start.state.copy()
        self.attributes = {
            name: value.copy() if _owned(value) else value
            for name, value in start.attributes.items()
        }


class Simulator:
    """The environment of one class.

    Args:
        name: the class, such as ``push-v3``.
        reward_version: ``v1`` or ``v2``.
    """

    def __init__(self, name: str, reward_version: str):
        self.env = ALL_V3_ENVIRONMENTS[name](reward_function_version=reward_version)
        model, data = self.env.model, self.env.data
        self._model, self._data = model, data
        self._state = np.empty(mujoco.mj_stateSize(model, STATE))
        self._body_pos, self._site_pos = model.body_pos, model.site_pos
        self._warnings = data.warning.number[BREAKDOWN]
        self._pristine = self._capture(np.empty(0))
        self._starts: dict[tuple[float, ...], Start] = {}
        self._inside: Ongoing | None = None

    def reset(self, params: tuple[float, ...]) -> tuple[Ongoing, np.ndarray]:
        """Begin an episode of a task; return it and its first observation ``[39]``."""
        if params not in self._starts:
            self._starts[params] = self._reset_by_package(params)
        start = self._starts[params]
        return Ongoing(start), start.obs

    def step(self, episode: Ongoing, action: np.ndarray) -> Outcome:
        """Step an episode by an action ``[4]``."""
        if self._inside is not episode:
            self._enter(episode)
        obs, reward, _, _, info = self.env.step(action)
        unstable = bool(self._warnings.any())
        if unstable:
            mujoco.mj_resetData(self._model, self._data)  # clears the warnings too
        return Outcome(obs, float(reward), bool(info["success"]), unstable)

    def save_model(self, path: Path) -> None:
        """Write the compiled model, for a camera elsewhere."""
        mujoco.mj_saveModel(self._model, str(path), None)

    def look(self, episode: Ongoing) -> np.ndarray:
        """Return what a picture of an episode needs besides the model; flat.

        MuJoCo's state, where the task put bodies and sites, where the package shows
        sites (NaN: where they are), which it says of the goal's, and the goal ``[3]``.
        """
        if self._inside is not episode:
            self._enter(episode)
        mujoco.mj_getState(self._model, self._data, self._state, STATE)
        shown = np.full_like(self._site_pos, np.nan)
        for name, position in self.env._target_site_config:
            shown[self._model.site(name).id] = position[:3]
        goal = np.asarray(self.env._target_pos)[:3]
        places = (episode.start.body_pos, episode.start.site_pos, shown, goal)
        return np.concatenate([self._state, *(place.reshape(-1) for place in places)])

    def _reset_by_package(self, params: tuple[float, ...]) -> Start:
        self._enter(Ongoing(self._pristine))
        mujoco.mj_forward(self._model, self._data)
        self.env.set_task(package_task(self.env, params))
        obs, _ = self.env.reset()
        return self._capture(obs)

    def _enter(self, episode: Ongoing) -> None:
        """Let an episode have the environment; the one that had it is kept."""
        if self._inside is not None:
            mujoco.mj_getState(self._model, self._data, self._inside.state, STATE)
        self._inside = episode
        self.env.__dict__ = episode.attributes
        mujoco.mj_setState(self._model, self._data, episode.state, STATE)
        self._body_pos[:] = episode.start.body_pos
        self._site_pos[:] = episode.start.site_pos

    def _capture(self, obs: np.ndarray) -> Start:
        mujoco.mj_getState(self._model, self._data, self._state, STATE)
        attributes = {
            name: value.copy() if _owned(value) else value
            for name, value in vars(self.env).items()
        }
        return Start(
            obs.copy(),
            self._state.copy(),
            self._body_pos.copy(),
            self._site_pos.copy(),
            attributes,
        )


def package_task(env: Any, params: tuple[float, ...]) -> PackageTask:
    """Return a task in the package's own form, the goal hidden."""
    data = {
        "rand_vec": np.array(params),
        "env_cls": type(env),
        "partially_observable": True,
    }
    return PackageTask(env_name="", data=pickle.dumps(data))


def _owned(value: object) -> bool:
    """Whether it is an array with memory of its own, not a window on MuJoCo's."""
    if not isinstance(value, np.ndarray):
        return False
    while isinstance(value.base, np.ndarray):
        value = value.base
    return value.base is None
