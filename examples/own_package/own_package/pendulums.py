"""A suite of one family: Gymnasium's pendulum in other gravities, of other lengths."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium

from suites import from_gym
from suites.base import ScoreRange, Suite, Task, TaskFamily

GRAVITIES = (6.0, 8.0, 10.0, 12.0, 14.0)
LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2)


def pendulum(task: Task) -> gymnasium.Env[Any, Any]:
    """Build the environment of a task; what it cannot be asked for is set on it."""
    gravity, length = task.params
    env = gymnasium.make("Pendulum-v1", g=gravity)
    inside: Any = env.unwrapped
    inside.l = length
    return env


def suite() -> Suite:
    """Return the suite; every other task of the grid is for the test."""
    grid = [*product(GRAVITIES, LENGTHS)]
    train, test = grid[::2], grid[1::2]
    tasks = [Task("pendulum", i, params) for i, params in enumerate(train + test)]
    family = TaskFamily(
        name="pendulum",
        version=0,
        horizon=200,  # no more than gymnasium.make's own limit
        obs_dim=3,
        action_dim=1,
        train=tuple(tasks[: len(train)]),
        test=tuple(tasks[len(train) :]),
        score=ScoreRange(-1280, 0, "no torque (test tasks)", "standing upright"),
        source="examples/own_package",
        make_batch=partial(from_gym.make_batch, pendulum),
        tell=lambda task: "gravity {:g}, length {:g}".format(*task.params),
    )
    conf = Path(__file__).with_name("pendulums.yaml")
    return Suite("pendulums", (family,), conf=conf)
