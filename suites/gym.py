"""Families as Gymnasium environments, single and vectorised.

Importing this module registers every family of this distribution's suites::

    import gymnasium
    import suites.gym

    env = gymnasium.make("pearl_bench/half-cheetah-vel-v0", task=7)
    envs = gymnasium.make_vec("pearl_bench/ant-goal-2d-v0", num_envs=64, threads=2)

Without the import, put the module before the name:
``gymnasium.make("suites.gym:pearl_bench/half-cheetah-vel-v0")``. A family of another
package has no id: ``TaskEnv(family, task)`` is its environment.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import suites
from suites.base import BatchEnv, Step, Task, TaskFamily
from suites.view import PIXELS

NAMESPACE = "pearl_bench"


class Camera(Protocol):
    """Takes pictures of one environment of a batch."""

    fps: int

    def picture(self) -> np.ndarray:
        """Return the current view, ``[H, W, 3]`` uint8."""
        ...

    def close(self) -> None:
        """Release the context."""
        ...


@runtime_checkable
class Filmed(BatchEnv, Protocol):
    """A batch whose environments can be seen."""

    def camera(self, index: int, size: int = PIXELS) -> Camera:
        """Return a camera on one environment, of ``size`` pixels per side."""
        ...


def spaces(family: TaskFamily) -> tuple[Box, Box]:
    """Observation and action space of one environment."""
    return (
        Box(-np.inf, np.inf, (family.obs_dim,), np.float32),
        Box(-1.0, 1.0, (family.action_dim,), np.float32),
    )


def find_task(family: TaskFamily, index: int) -> Task:
    """Return a task by its position in the family's list, train tasks first.

    Raises:
        ValueError: there is no such task.
    """
    for task in (*family.train, *family.test):
        if task.index == index:
            return task
    train, test = len(family.train), len(family.test)
    split = f"0..{train - 1} train, {train}..{train + test - 1} test"
    if family.train == family.test:
        split = f"0..{train - 1}, train and test"
    raise ValueError(f"{family.name} has no task {index}; its tasks are {split}")


def extras(step: Step) -> dict[str, np.ndarray]:
    """What a step has to say besides the reward, ``[N]`` each."""
    info = {"sparse_reward": step.sparse_reward, "unstable": step.unstable}
    if step.success is not None:
        info["success"] = step.success
    return info


def task_option(options: dict[str, Any] | None, default: int) -> int:
    """Return the index of the task that a reset's options ask for.

    Raises:
        ValueError: they ask for something else, or the task is no whole number.
    """
    asked = {"task": default} | (options or {})
    if asked.keys() != {"task"}:
        unknown = ", ".join(sorted(map(str, asked.keys() - {"task"})))
        raise ValueError(f"unknown reset option {unknown}; there is task=<index>")
    try:
        return operator.index(asked["task"])
    except TypeError as error:
        raise ValueError(f"task {asked['task']!r} is no whole number") from error


class TaskEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One environment of one task: the batch of one.

    A step's ``info`` holds ``sparse_reward`` (equal to the reward where the family has
    no sparse one), ``unstable`` and, where the family has it, ``success``; that of a
    reset ``task``, the index in the family's list, and ``params``, the numbers that
    tell it from others. Episodes are truncated at the family's horizon.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (theirs)

    def __init__(
        self, family: TaskFamily, task: Task, *, render_mode: str | None = None
    ):
        """Build the environment.

        Args:
            family: the task's family.
            task: any task of the family, also one outside its splits.
            render_mode: ``"rgb_array"`` or None.

        Raises:
            ValueError: the render mode is another, or the family cannot be seen.
            RuntimeError: rendering is asked for and there is no OpenGL library.
        """
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is 'rgb_array' or None, got {render_mode!r}")
        self.observation_space, self.action_space = spaces(family)
        self.render_mode = render_mode
        self._family = family
        self._elapsed = 0
        self._camera: Camera | None = None
        self._build(task)
        if self._camera is not None:
            self.metadata = {**self.metadata, "render_fps": self._camera.fps}

    def _build(self, task: Task) -> None:
        self._task = task
        self._batch = self._family.make_batch([task], threads=1)
        if self.render_mode is not None:
            if not isinstance(self._batch, Filmed):
                raise ValueError(
                    f"{self._family.name} cannot be seen; leave render_mode out"
                )
            self._camera = self._batch.camera(0)

    def __getstate__(self) -> dict[str, Any]:
        """A copy looks through a camera of its own."""
        return self.__dict__ | {"_camera": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.render_mode is not None:
            self._camera = cast(Filmed, self._batch).camera(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: restarts the randomness of starts.
            options: ``{"task": index}`` goes to another task of the family, for good.

        Raises:
            ValueError: there is no such task, or another option.
        """
        super().reset(seed=seed, options=options)
        index = task_option(options, self._task.index)
        if index != self._task.index:
            task = find_task(self._family, index)
            self.close()
            self._build(task)
        self._elapsed = 0
        info = {"task": self._task.index, "params": np.array(self._task.params)}
        return self._batch.reset(self.np_random)[0], info

    def step(
        self, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply an ``[A]`` action in [-1, 1]."""
        step = self._batch.step(np.asarray(action)[None])
        self._elapsed += 1
        info = {key: value[0].item() for key, value in extras(step).items()}
        truncated = self._elapsed >= self._family.horizon
        reward, terminated = float(step.reward[0]), bool(step.terminated[0])
        return step.obs[0], reward, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """Return the current view, ``[H, W, 3]`` uint8, if rendering is on."""
        return None if self._camera is None else self._camera.picture()

    def close(self) -> None:
        """Release the camera and the simulation."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        self._batch.close()


class TaskVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N environments, each with its own task, that restart on their own.

    The autoreset mode is ``NEXT_STEP``: the step after an episode's last one ignores
    that row's action and returns the first observation of its next episode with reward
    0. Episodes are truncated at the family's horizon. ``info`` holds ``[N]`` arrays,
    ``sparse_reward`` and ``unstable``; both are zero for rows that restarted. That of
    ``reset`` holds ``task`` ``[N]`` and, where all have as many, ``params`` ``[N, P]``.
    """

    def __init__(self, family: TaskFamily, tasks: Sequence[Task], *, threads: int = 1):
        """Build one environment per task, stepped by ``threads`` threads."""
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = len(tasks)
        self.single_observation_space, self.single_action_space = spaces(family)
        self.observation_space = batch_space(
            self.single_observation_space, self.num_envs
        )
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._horizon = family.horizon
        self._elapsed = np.zeros(self.num_envs, int)
        self._ended = np.zeros(self.num_envs, bool)
        self._tasks = tuple(tasks)
        self._batch = family.make_batch(tasks, threads=threads)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes; ``seed`` restarts the randomness of all starts.

        Raises:
            ValueError: there are options; none is known.
        """
        if options:
            raise ValueError(
                f"unknown reset options {', '.join(sorted(map(str, options)))}; which "
                "tasks are played is said when the environments are made"
            )
        super().reset(seed=seed, options=options)
        self._elapsed[:] = 0
        self._ended[:] = False
        info = {"task": np.array([task.index for task in self._tasks])}
        if len({len(task.params) for task in self._tasks}) == 1:
            info["params"] = np.array([task.params for task in self._tasks])
        return self._batch.reset(self.np_random), info

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Apply ``[N, A]`` actions in [-1, 1]; see the class for ended episodes."""
        restart = self._ended
        step = self._batch.step(actions, ~restart)
        obs = step.obs
        if restart.any():
            obs[restart] = self._batch.reset(self.np_random, restart)[restart]
        self._elapsed = np.where(restart, 0, self._elapsed + 1)
        truncated = self._elapsed >= self._horizon
        self._ended = step.terminated | truncated
        info: dict[str, Any] = {}
        for key, value in extras(step).items():
            info[key], info[f"_{key}"] = value, ~restart
        return obs, step.reward, step.terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Release the threads."""
        self._batch.close()


def _family(suite: str, name: str) -> TaskFamily:
    return next(f for f in suites.load(suite).families if f.name == name)


def make(
    suite: str, family: str, task: int = 0, render_mode: str | None = None
) -> TaskEnv:
    """Entry point of ``gymnasium.make``: one task of a family by its index."""
    row = _family(suite, family)
    return TaskEnv(row, find_task(row, task), render_mode=render_mode)


def make_vec(
    suite: str,
    family: str,
    num_envs: int = 1,
    tasks: Sequence[int] | None = None,
    threads: int = 1,
) -> TaskVectorEnv:
    """Entry point of ``gymnasium.make_vec``.

    Args:
        suite: name of the suite.
        family: name of the family.
        num_envs: N.
        tasks: index of each environment's task; by default the training tasks in
            order, over and over.
        threads: how many step the environments.

    Raises:
        ValueError: there are not ``num_envs`` tasks, or one does not exist.
    """
    row = _family(suite, family)
    if tasks is None:
        tasks = [i % len(row.train) for i in range(num_envs)]
    if len(tasks) != num_envs:
        raise ValueError(f"num_envs={num_envs} but tasks= names {len(tasks)} of them")
    chosen = [find_task(row, task) for task in tasks]
    return TaskVectorEnv(row, chosen, threads=threads)


def id_of(family: TaskFamily) -> str:
    """Return the id of a family, for ``gymnasium.make``."""
    return f"{NAMESPACE}/{family.name}-v{family.version}"


for _suite in suites.SUITES:
    for _row in suites.load(_suite).families:
        gymnasium.register(
            id_of(_row),
            entry_point="suites.gym:make",
            vector_entry_point="suites.gym:make_vec",
            kwargs={"suite": _suite, "family": _row.name},
        )
