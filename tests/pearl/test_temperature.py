"""The learnt entropy temperature: its equations, and what it leaves as it was."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from small_pearl import SMALL, draw, learner_on

from pearl_bench import contract
from pearl_bench.pearl.update import METRICS, TEMPERATURE, Batch

ADAPTIVE = replace(SMALL, adaptive_temperature=True)
ALPHA = 0.3
"""A temperature at which leaving it out, or its logarithm in its place, is seen."""


def trained_on(family, config):
    learner = learner_on(family, config)
    learner.collect()
    return learner


def test_losses_and_steps_are_those_of_the_equations(point_robot):
    """In float64, computed anew over three updates but for the critics' own."""
    learner = trained_on(point_robot, ADAPTIVE)
    ours = learner.nets.double()
    assert ours.log_alpha is not None
    with torch.no_grad():
        ours.log_alpha.fill_(math.log(ALPHA))
    expected = copy.deepcopy(ours)
    assert expected.log_alpha is not None
    learnt = {
        "value": [*expected.v.parameters()],
        "policy": [*expected.policy.parameters()],
        "temperature": [expected.log_alpha],
    }
    optimizers = {
        name: torch.optim.Adam(parameters, lr=ADAPTIVE.learning_rate)
        for name, parameters in learnt.items()
    }
    for _ in range(3):
        batch = Batch(*(tensor.double() for tensor in draw(learner)))
        belief = learner.inference.belief(batch.context)
        z = (belief.mean + belief.variance.sqrt() * batch.noise_z).detach()
        update = learner.gradient_step
        metrics = dict(zip(update.metrics, update(batch), strict=True))
        expected.q1.load_state_dict(ours.q1.state_dict())
        expected.q2.load_state_dict(ours.q2.state_dict())

        obs = batch.obs.flatten(0, 1)
        obs_z = torch.cat([obs, z.repeat_interleave(batch.obs.shape[1], 0)], 1)
        noise = batch.noise_action.flatten(0, 1)
        mean, log_std = expected.policy.gaussian(obs_z)
        action = torch.tanh(mean + log_std.exp() * noise)
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise) - log_std
        log_prob = (normal - torch.log(1 - action**2 + 1e-6)).sum(1, keepdim=True)
        obs_action_z = torch.cat([obs, action, obs_z[:, obs.shape[1] :]], 1)
        q = torch.min(expected.q1(obs_action_z), expected.q2(obs_action_z))
        alpha = expected.log_alpha.exp()
        fixed = alpha.item()
        value_error = expected.v(obs_z) - (q - fixed * log_prob).detach()
        losses = {
            "value": value_error.square().mean(),
            "policy": (fixed * log_prob - q).mean()
            + ADAPTIVE.policy_mean_reg * mean.square().mean()
            + ADAPTIVE.policy_std_reg * log_std.square().mean(),
            "temperature": (
                -alpha * (log_prob.detach() - point_robot.action_dim)
            ).mean(),
        }
        torch.testing.assert_close(metrics["loss/value"], losses["value"].detach())
        torch.testing.assert_close(metrics["loss/policy"], losses["policy"].detach())
        torch.testing.assert_close(metrics[TEMPERATURE], alpha.detach())
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss, learnt[name], retain_graph=True)
            for parameter, gradient in zip(learnt[name], gradients, strict=True):
                parameter.grad = gradient
        for optimizer in optimizers.values():
            optimizer.step()
        for name in ("v", "policy"):
            theirs = getattr(expected, name).state_dict()
            for key, value in getattr(ours, name).state_dict().items():
                torch.testing.assert_close(value, theirs[key], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(
            ours.log_alpha, expected.log_alpha, rtol=1e-12, atol=0
        )
    assert ours.log_alpha != math.log(ALPHA)


def test_it_starts_at_1_which_changes_no_loss(point_robot):
    adaptive, fixed = (trained_on(point_robot, config) for config in (ADAPTIVE, SMALL))
    batch = draw(adaptive)
    *metrics, temperature = adaptive.gradient_step(batch)
    assert metrics == [*fixed.gradient_step(batch)]
    assert temperature == 1
    assert adaptive.nets.log_alpha != 0
    batch = draw(adaptive)
    assert adaptive.gradient_step(batch)[2] != fixed.gradient_step(batch)[2]


@pytest.mark.parametrize(("log_std", "rises"), [(-3.0, True), (0.0, False)])
def test_it_rises_while_there_is_too_little_entropy(point_robot, log_std, rises):
    learner = trained_on(point_robot, ADAPTIVE)
    with torch.no_grad():
        learner.nets.policy.log_std_head.bias.fill_(log_std)
    first = learner.update()
    # an action of two dimensions is to have an entropy of -2
    assert (first["policy/log_prob"] > 2) == rises
    assert (learner.update()[TEMPERATURE] > 1) == rises


def test_without_it_there_is_nothing_of_it(point_robot):
    learner = trained_on(point_robot, SMALL)
    state = learner.gradient_step.state_dict()
    assert "log_alpha" not in state["networks"]
    assert set(state["optimizers"]) == {"critic", "value", "policy"}
    assert tuple(learner.update()) == METRICS


def test_a_policy_has_no_temperature(point_robot):
    adaptive, fixed = (learner_on(point_robot, config) for config in (ADAPTIVE, SMALL))
    assert adaptive.policy_state().keys() == fixed.policy_state().keys()
    fixed.load_policy_state(adaptive.policy_state())


@pytest.mark.parametrize("inference", ["posterior", "oracle", "none"])
def test_training_goes_on_from_its_state_exactly(inference):
    contract.check_learner(
        "pearl",
        "navigation",
        "point-robot",
        settings=["pearl.adaptive_temperature=true", f"pearl.inference={inference}"],
        knows_the_task=inference == "oracle",
    )
