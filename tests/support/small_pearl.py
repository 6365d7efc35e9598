"""A PEARL that is quick to train."""

from dataclasses import replace

import numpy as np

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.learner import PearlLearner
from pearl_bench.pearl.update import Batch
from suites.base import TaskFamily

SMALL = PearlConfig(
    hidden_size=32,
    encoder_hidden_size=32,
    meta_batch=4,
    batch_size=32,
    context_size=16,
    initial_steps=40,
    tasks_per_iteration=3,
    prior_steps=40,
    extra_posterior_steps=40,
    updates_per_iteration=30,
)
ENOUGH_FOR_TWO = replace(
    SMALL,
    batch_size=64,
    initial_steps=200,
    prior_steps=100,
    extra_posterior_steps=100,
    updates_per_iteration=250,
    learning_rate=1e-3,
)
"""With six iterations, enough to learn two goals of the point robot."""


def learner_on(family, config=SMALL, *, seed=0, precision="float32") -> PearlLearner:
    return PearlLearner(
        config, family, seed=seed, device="cpu", precision=precision, threads=1
    )


def draw(learner: PearlLearner) -> Batch:
    tasks = np.arange(SMALL.meta_batch) % len(learner.family.train)
    return learner.meta_batch(tasks)


def opposite_corners(point_robot: TaskFamily) -> TaskFamily:
    """Return the family with two goals, as far apart as any, to train and test."""
    by_corner = sorted(point_robot.train, key=lambda task: sum(task.params))
    two = (by_corner[0], by_corner[-1])
    return replace(point_robot, train=two, test=two)


def train(learner: PearlLearner, iterations: int = 6) -> None:
    for _ in range(iterations):
        learner.collect()
        while learner.updates_due:
            learner.update()
