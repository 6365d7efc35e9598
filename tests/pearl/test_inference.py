"""What is told of tasks where PEARL need not infer it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_pearl import (
    ENOUGH_FOR_TWO,
    SMALL,
    draw,
    learner_on,
    opposite_corners,
    train,
)

from pearl_bench.pearl.inference import scaled_parameters
from pearl_bench.training.evaluate import evaluate, reported_return
from suites.base import Task


def tasks(*params, group=""):
    return [Task("made up", i, p, group) for i, p in enumerate(params)]


class TestScaledParameters:
    def test_span_the_training_tasks(self):
        known = tasks((0.0, 5.0), (10.0, 7.0), (2.0, 6.0))
        z = scaled_parameters(known)(known)
        np.testing.assert_allclose(z, [[-1, -1], [1, 1], [-0.6, 0]])

    def test_of_other_tasks_are_scaled_alike(self):
        z = scaled_parameters(tasks((0.0,), (10.0,)))(tasks((5.0,), (11.0,)))
        np.testing.assert_allclose(z, [[0], [1.2]])

    def test_that_do_not_differ_are_zero(self):
        z = scaled_parameters(tasks((3.0, 1.0), (3.0, 2.0)))(tasks((3.0, 2.0)))
        np.testing.assert_allclose(z, [[0, 1]])

    def test_tell_the_class_where_there_are_several(self):
        known = [
            *tasks((0.0, 0.0), (2.0, 4.0), group="push"),
            *tasks((1.0,), group="a"),
        ]
        z = scaled_parameters(known)(known)
        np.testing.assert_allclose(z, [[-1, -1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]])
        unknown = scaled_parameters(known)(tasks((2.0, 0.0, 9.0), group="new"))
        np.testing.assert_allclose(unknown, [[1, -1, 0, 0]])


def test_the_oracle_is_told_each_task_in_training_and_meta_test(point_robot):
    learner = learner_on(point_robot, replace(SMALL, inference="oracle"))
    learner.collect()
    z_of = scaled_parameters(point_robot.train)
    told = learner.inference.belief(draw(learner).context)
    expected = torch.from_numpy(z_of(point_robot.train[: SMALL.meta_batch])).float()
    assert torch.equal(told.mean, expected)
    assert not told.variance.any()
    adapter = learner.adapter(point_robot.test, seed=0)
    expected = torch.from_numpy(z_of(point_robot.test)).float()
    assert torch.equal(adapter.z, expected)
    evaluate(learner, point_robot, seed=0, threads=1)
    adapter.end_episode()
    assert torch.equal(adapter.z, expected)


def test_without_a_word_every_task_looks_alike(point_robot):
    learner = learner_on(point_robot, replace(SMALL, inference="none"))
    learner.collect()
    adapter = learner.adapter(point_robot.test, seed=0)
    assert adapter.z.shape == (len(point_robot.test), SMALL.latent_dim)
    assert not adapter.z.any()
    assert not learner.inference.belief(draw(learner).context).mean.any()


@pytest.mark.parametrize("inference", ["oracle", "none"])
def test_there_is_no_encoder_and_no_kl(point_robot, inference):
    learner = learner_on(point_robot, replace(SMALL, inference=inference))
    learner.collect()
    metrics = learner.update()
    assert metrics["kl/posterior"] == metrics["z/variance"] == 0
    for names in (learner.nets.state_dict(), learner.policy_state()):
        assert not [name for name in names if name.startswith("encoder")]


@pytest.mark.parametrize("kind", [{"recurrent": True}, {"probabilistic": False}])
def test_kinds_of_encoder_are_refused_where_there_is_none(kind):
    with pytest.raises(ValueError, match="inference=oracle has no encoder"):
        replace(SMALL, inference="oracle", **kind)


def test_told_tasks_are_solved_and_untold_ones_are_not(point_robot):
    """Two goals in opposite corners: what is told makes the difference."""
    family = opposite_corners(point_robot)
    returns = {}
    for inference in ("oracle", "none"):
        learner = learner_on(family, replace(ENOUGH_FOR_TWO, inference=inference))
        train(learner)
        rows = evaluate(learner, family, seed=0, threads=1)
        returns[inference] = reported_return(rows, family)
    assert returns["oracle"] > returns["none"] + 3
