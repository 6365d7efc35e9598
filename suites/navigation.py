"""Point robots: a point moves in the plane towards a goal it has to find out.

Definitions: katerakelly/oyster@44e20fd, ``rlkit/envs/point_robot.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.base import (
    MetaTest,
    ScoreRange,
    Step,
    Suite,
    Task,
    TaskFamily,
    check_actions,
    point,
    suite_protocol,
)
from suites.tasks import TaskList, read
from suites.view import PIXELS

HORIZON = 20
"""Steps of an episode (oyster ``configs/*point-robot.json``)."""
GOAL_RADIUS = 0.2
"""Distance from the goal within which there is a sparse reward."""
MAX_MOVE = float(np.float32(0.1))
"""Largest move per axis; the reference's action bounds are float32."""


def tell_goal(task: Task) -> str:
    """Say where to go."""
    return f"goal {point(*task.params)}"


def draw_square(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Goals uniform in the square of side 2; ``[n, 2]``."""
    return generator.uniform(-1, 1, size=(n, 2))


def draw_half_circle(generator: np.random.RandomState, n: int) -> np.ndarray:
    """Goals evenly spaced on the upper half unit circle, shuffled; ``[n, 2]``."""
    angle = np.linspace(0, np.pi, n)
    goals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    generator.shuffle(goals)
    return goals


@dataclass(frozen=True)
class PointRobot:
    """A row of the table: a point-robot family.

    Attributes:
        name: the family's name.
        version: raised when anything that changes a return changes.
        tasks: how the goals are drawn.
        sparse: start at the origin and reward only near the goal; otherwise start
            anywhere in the square.
        score: the range that normalises returns.
        meta_test: how the family is evaluated.
    """

    name: str
    version: int
    tasks: TaskList
    sparse: bool
    score: ScoreRange
    meta_test: MetaTest

    def make_batch(self, tasks: Sequence[Task], *, threads: int) -> PointBatch:
        """Return one point per task; it is plain arithmetic, ``threads`` is unused."""
        del threads
        return PointBatch(tasks, sparse=self.sparse)

    def family(self) -> TaskFamily:
        """The family as the harness sees it."""
        train, test = read(self.name)
        return TaskFamily(
            name=self.name,
            version=self.version,
            horizon=HORIZON,
            obs_dim=2,
            action_dim=2,
            train=train,
            test=test,
            score=self.score,
            source="katerakelly/oyster@44e20fd rlkit/envs/point_robot.py",
            make_batch=self.make_batch,
            protocols=(suite_protocol(self.meta_test),),
            distance="remaining",
            tell=tell_goal,
        )


class PlaneCamera:
    """Draws one point robot and its goal on the square [-3, 3].

    Attributes:
        fps: pictures per second.
    """

    fps = 10

    def __init__(
        self, position: np.ndarray, goal: np.ndarray, radius: float, size: int
    ):
        """Draw ``position`` ``[2]`` (a view, read anew every time) and ``goal``."""
        self._position, self._goal, self._radius = position, goal, radius
        self._size = size

    def picture(self) -> np.ndarray:
        """Return the current view, ``[H, W, 3]`` uint8."""
        axis = (np.arange(self._size) + 0.5) / self._size * 6 - 3
        x, y = axis, -axis[:, None]
        pixels = np.full((self._size, self._size, 3), 255, np.uint8)
        for centre, radius, colour in (
            (self._goal, self._radius, (90, 180, 90)),
            (self._position, max(0.07, 24 / self._size), (40, 70, 160)),
        ):
            pixels[np.hypot(x - centre[0], y - centre[1]) <= radius] = colour
        return pixels

    def close(self) -> None:
        """Nothing to release."""


class PointBatch:
    """N points in the plane, each with its own goal."""

    def __init__(self, tasks: Sequence[Task], *, sparse: bool):
        self.num_envs = len(tasks)
        self._sparse = sparse
        self._goal = np.array([task.params for task in tasks]).reshape(-1, 2)
        self._position = np.zeros((self.num_envs, 2))

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start a new episode in the ``[N]`` bool ``rows``, in all by default.

        Returns:
            ``[N, 2]`` float32 positions of all points.
        """
        start = rng.uniform(-1, 1, size=self._position.shape)
        if self._sparse:
            start[:] = 0
        everyone = np.ones(self.num_envs, bool)
        return self.set_state(start, everyone if rows is None else rows)

    def set_state(
        self, position: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Put the points of the ``[N]`` bool ``rows`` (default all) at ``[N, 2]``.

        Returns:
            ``[N, 2]`` float32 positions of all points.
        """
        keep = slice(None) if rows is None else rows
        self._position[keep] = np.asarray(position)[keep]
        return self._position.astype(np.float32)

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Move the active (``[N]`` bool) points by ``[N, 2]`` actions in [-1, 1]."""
        if active is None:
            active = np.ones(self.num_envs, bool)
        action = np.asarray(action, np.float64)
        check_actions(action, self._position.shape, active)
        self._position[active] += MAX_MOVE * action[active].clip(-1, 1)
        distance = self.distance()
        reward = np.where(active, -distance, 0.0)
        sparse_reward = reward
        if self._sparse:
            near = active & (distance <= GOAL_RADIUS)
            sparse_reward = np.where(near, 1 - distance, 0.0)
        return Step(
            obs=np.where(active[:, None], self._position, 0).astype(np.float32),
            reward=reward,
            sparse_reward=sparse_reward,
            terminated=np.zeros(self.num_envs, bool),
            unstable=np.zeros(self.num_envs, bool),
            success=None,
        )

    def distance(self) -> np.ndarray:
        """Return each point's distance to its goal, ``[N]``."""
        return np.linalg.norm(self._position - self._goal, axis=1)

    def camera(self, index: int, size: int = PIXELS) -> PlaneCamera:
        """Return a camera on one point."""
        place, goal = self._position[index], self._goal[index]
        return PlaneCamera(place, goal, GOAL_RADIUS, size)

    def close(self) -> None:
        """Nothing to release."""


STANDING = "standing (test tasks, measured)"
OPTIMUM = "straight on each axis (test tasks, measured)"

ROWS = (
    PointRobot(
        name="point-robot",
        version=0,
        tasks=TaskList(("x", "y"), train=80, test=20, seed=1337, draw=draw_square),
        sparse=False,
        score=ScoreRange(-19.74, -4.64, STANDING, OPTIMUM),
        meta_test=MetaTest(),
    ),
    PointRobot(
        name="sparse-point-robot",
        version=0,
        tasks=TaskList(("x", "y"), train=80, test=20, seed=1337, draw=draw_half_circle),
        sparse=True,
        score=ScoreRange(0.0, 13.42, STANDING, OPTIMUM),
        meta_test=MetaTest(exploration_episodes=5, test_episodes=15),
    ),
)


def suite() -> Suite:
    """The point-robot families."""
    return Suite("navigation", tuple(row.family() for row in ROWS))
