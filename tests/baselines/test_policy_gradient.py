"""The policy-gradient pieces against closed forms, loops and finite differences."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from place import PLACE
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from baselines import policy_gradient as pg
from baselines.gradient_learner import WAVE, GradientLearner
from baselines.maml_trpo import MamlTrpoLearner, Outer
from baselines.maml_trpo_config import MamlTrpoConfig
from baselines.policy_gradient import Params, Phase
from baselines.promp import Objective, PrompLearner
from baselines.promp_config import PrompConfig
from pearl_bench.training.rollout import run_episode

TASKS, EPISODES, STEPS, OBS, ACTIONS = 3, 2, 6, 4, 2


def draws(seed: int, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def lengths_to_alive(lengths) -> Tensor:
    return torch.arange(STEPS) < torch.tensor(lengths).unsqueeze(-1)


ALIVE = lengths_to_alive([[6, 4], [3, 6], [5, 1]])


def policy(seed: int = 0) -> Params:
    rng = torch.Generator().manual_seed(seed)
    params = pg.initial_params(OBS, ACTIONS, (8, 8), 0.7, rng)
    return {name: value.double() for name, value in params.items()}


def sampled(params: Params, seed: int) -> Phase:
    """A phase of unequal episodes, sampled with the parameters of each task."""
    shape = (TASKS, EPISODES, STEPS)
    obs = draws(seed, *shape, OBS)
    mean, log_std = (x.detach() for x in pg.gaussian(params, obs))
    advantage = draws(seed + 1, *shape) * ALIVE
    return Phase(
        obs=obs,
        action=mean + log_std.exp() * draws(seed + 2, *shape, ACTIONS),
        reward=draws(seed + 3, *shape) * ALIVE,
        alive=ALIVE,
        mean=mean,
        log_std=log_std,
        advantage=advantage,
    )


def adapted(theta: Params, phase: Phase, objective: Any, *, graph: bool) -> Params:
    params = pg.per_task(theta, TASKS)
    return pg.adapt(params, phase, objective, 0.1, create_graph=graph)


class TestAdvantages:
    reward = draws(0, TASKS, EPISODES, STEPS) * ALIVE
    value = draws(1, TASKS, EPISODES, STEPS) * ALIVE

    def test_gae_equals_a_double_loop(self):
        ours = pg.gae(self.reward, self.value, ALIVE, 0.9, 0.8)
        for i, j in np.ndindex(TASKS, EPISODES):
            length = int(ALIVE[i, j].sum())
            reward, value = self.reward[i, j], self.value[i, j]
            for t in range(length):
                expected = 0.0
                for later in range(t, length):
                    after = value[later + 1] if later + 1 < length else 0.0
                    delta = reward[later] + 0.9 * after - value[later]
                    expected += (0.9 * 0.8) ** (later - t) * delta
                assert ours[i, j, t] == pytest.approx(float(expected))
            assert not ours[i, j, length:].any()

    def test_the_baseline_is_a_ridge_regression(self):
        obs = 20 * draws(2, TASKS, EPISODES, STEPS, OBS)
        values = pg.fit_baseline(obs, self.value, ALIVE, 0.3)
        for i in range(TASKS):
            rows, targets = [], []
            for j, t in np.argwhere(ALIVE[i].numpy()):
                o, s = np.clip(obs[i, j, t].numpy(), -10, 10), t / 100
                rows.append([*o, *o**2, s, s**2, s**3, 1])
                targets.append(float(self.value[i, j, t]))
            x = np.array(rows)
            with_ridge = np.vstack([x, np.sqrt(0.3) * np.eye(x.shape[1])])
            y = np.concatenate([targets, np.zeros(x.shape[1])])
            weights = np.linalg.lstsq(with_ridge, y, rcond=None)[0]
            np.testing.assert_allclose(values[i][ALIVE[i]], x @ weights, rtol=1e-6)

    def test_standardised_over_a_tasks_samples(self):
        ours = pg.standardise(self.reward, ALIVE)
        for i in range(TASKS):
            samples = ours[i][ALIVE[i]]
            assert float(samples.mean()) == pytest.approx(0, abs=1e-12)
            assert float(samples.std(correction=0)) == pytest.approx(1)
        assert not pg.standardise(torch.full_like(self.reward, 4.0), ALIVE).any()

    def test_a_ridge_that_is_lost_in_rounding_is_raised(self):
        """Of two equal features, whose sums of squares are 1e12."""
        features = torch.full((1, 1, 1, 2), 1e6, dtype=torch.float64)
        target = torch.ones(1, 1, 1, dtype=torch.float64)
        weights = pg.baseline_weights(features, target, target.bool(), 1e-5)
        assert weights.isfinite().all()


def test_the_baseline_is_sound_on_several_threads():
    """As wide as ant-goal-2d's, on more threads than one."""
    obs = draws(3, 4, 5, 200, 113)
    target = draws(4, 4, 5, 200)
    alive = torch.ones(4, 5, 200, dtype=torch.bool)
    alone = pg.fit_baseline(obs, target, alive, 1e-5)
    torch.set_num_threads(4)
    try:
        shared = pg.fit_baseline(obs, target, alive, 1e-5)
    finally:
        torch.set_num_threads(1)
    torch.testing.assert_close(shared, alone)


def test_densities_and_divergence_equal_torchs():
    mean, log_std = draws(0, 5, ACTIONS), draws(1, 5, ACTIONS)
    other_mean, other_log_std = draws(2, 5, ACTIONS), draws(3, 5, ACTIONS)
    action = draws(4, 5, ACTIONS)
    new = Independent(Normal(mean, log_std.exp()), 1)
    old = Independent(Normal(other_mean, other_log_std.exp()), 1)
    torch.testing.assert_close(pg.log_prob(action, mean, log_std), new.log_prob(action))
    ours = pg.kl_divergence(other_mean, other_log_std, mean, log_std)
    torch.testing.assert_close(ours, kl_divergence(old, new))


def test_a_tasks_mean_is_over_its_steps_however_long_its_episodes():
    x = draws(5, TASKS, EPISODES, STEPS)
    expected = torch.stack([x[i][ALIVE[i]].mean() for i in range(TASKS)])
    torch.testing.assert_close(pg.task_mean(x, ALIVE), expected)


def test_batched_tasks_equal_one_after_the_other():
    theta = policy()
    phase = sampled(pg.per_task(theta, TASKS), 10)
    for objective in ("likelihood_ratio", "log_likelihood"):
        together = adapted(theta, phase, objective, graph=False)
        for i in range(TASKS):
            one = Phase(*(field[i : i + 1] for field in phase))
            params = pg.per_task(theta, 1)
            alone = pg.adapt(params, one, objective, 0.1, create_graph=False)
            for name in theta:
                torch.testing.assert_close(together[name][i], alone[name][0])


def test_conjugate_gradient_solves():
    root = draws(0, 12, 12)
    matrix, b = root @ root.T + torch.eye(12), draws(1, 12)
    x, image = pg.conjugate_gradient(lambda v: matrix @ v, b, 30)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), rtol=1e-4, atol=1e-5)
    x, image = pg.conjugate_gradient(lambda v: matrix @ v, b, 3)  # not yet converged
    torch.testing.assert_close(image, matrix @ x)
    small, _ = pg.conjugate_gradient(lambda v: matrix @ v, 1e-3 * b, 30)
    expected = 1e-3 * torch.linalg.solve(matrix, b)
    torch.testing.assert_close(small, expected, rtol=0, atol=1e-5)


def test_joined_episodes_keep_their_time():
    """They are padded at the end, where no step of theirs is."""
    long = sampled(pg.per_task(policy(), TASKS), 10)
    short = Phase(*(field[:, :, :4] for field in long))
    for dim in (0, 1):
        both = pg.joined([short, long], dim)
        first, second = (
            Phase(*half) for half in zip(*(x.chunk(2, dim) for x in both), strict=True)
        )
        for name in Phase._fields:
            assert torch.equal(getattr(second, name), getattr(long, name))
            assert torch.equal(getattr(first, name)[:, :, :4], getattr(short, name))
            assert not getattr(first, name)[:, :, 4:].any()


class TestMetaGradient:
    """Derivatives of the whole map from meta-parameters to adapted surrogate."""

    theta = policy()
    pre = sampled(pg.per_task(theta, TASKS), 20)

    def post(self, objective: str) -> Phase:
        return sampled(adapted(self.theta, self.pre, objective, graph=False), 30)

    def value(self, vector: Tensor, objective: str, post: Phase, graph: bool) -> Tensor:
        theta = pg.unflatten(vector, self.theta)
        params = adapted(theta, self.pre, objective, graph=graph)
        return pg.task_mean(
            pg.ratio(pg.gaussian(params, post.obs), post) * post.advantage, post.alive
        ).mean()

    def gradient(self, objective: str, post: Phase, at: Tensor) -> Tensor:
        vector = at.clone().requires_grad_()
        value = self.value(vector, objective, post, True)
        return torch.autograd.grad(value, vector)[0]

    @pytest.mark.parametrize("objective", ["likelihood_ratio", "log_likelihood"])
    def test_equals_finite_differences(self, objective):
        post, old = self.post(objective), pg.flatten(self.theta)
        # away from the sampling parameters, where the two objectives differ most
        at = old + 0.05 * draws(5, len(old))
        ours = self.gradient(objective, post, at)
        for k in range(4):
            direction = draws(40 + k, len(old))
            values = [
                self.value(at + h * direction, objective, post, False)
                for h in (1e-5, -1e-5)
            ]
            slope = float(values[0] - values[1]) / 2e-5
            assert slope == pytest.approx(float(ours @ direction), rel=1e-6, abs=1e-8)

    def test_objectives_adapt_alike_but_meta_learn_differently(self):
        """One inner gradient at the sampling parameters, two Hessians."""
        by_ratio, by_density = (
            adapted(self.theta, self.pre, objective, graph=False)
            for objective in ("likelihood_ratio", "log_likelihood")
        )
        for name in self.theta:
            torch.testing.assert_close(by_ratio[name], by_density[name])
        post, old = self.post("likelihood_ratio"), pg.flatten(self.theta)
        gradients = [
            self.gradient(objective, post, old)
            for objective in ("likelihood_ratio", "log_likelihood")
        ]
        difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
        assert difference > 1e-3

    def test_dice_gives_each_step_the_credit_of_what_follows(self):
        """Its gradient is the score of each action times the rewards from then on."""
        phase = self.pre._replace(reward=pg.standardise(self.pre.reward, ALIVE))
        vector = pg.flatten(self.theta).requires_grad_()
        params = pg.per_task(pg.unflatten(vector, self.theta), TASKS)
        new = pg.gaussian(params, phase.obs)
        surrogate = pg.inner_surrogate(new, phase, "dice")[0]
        (ours,) = torch.autograd.grad(surrogate, vector)
        count = ALIVE.sum(1, keepdim=True).clamp(min=1)
        usual = (phase.reward * ALIVE).sum(1, keepdim=True) / count
        reward = pg.standardise((phase.reward - usual) * ALIVE, ALIVE)[0]
        expected = torch.zeros_like(vector)
        for j, t in np.argwhere(ALIVE[0].numpy()):
            mean, log_std = pg.gaussian(
                {name: value[:1] for name, value in params.items()},
                phase.obs[:1, j : j + 1, t : t + 1],
            )
            density = pg.log_prob(phase.action[0, j, t], mean, log_std).sum()
            (score,) = torch.autograd.grad(density, vector, retain_graph=True)
            expected += score * reward[j, t:].sum()
        torch.testing.assert_close(ours, expected / int(ALIVE[0].sum()))


def double(phase: Phase) -> Phase:
    return Phase(*(x if x.dtype == torch.bool else x.double() for x in phase))


SMALL: dict[str, Any] = {"tasks": 6, "episodes": 10, "hidden_size": 32}


class TestTrpo:
    @pytest.mark.parametrize("steps", [1, 2])
    @pytest.mark.parametrize(
        "objective", ["likelihood_ratio", "log_likelihood", "dice"]
    )
    def test_a_step_improves_the_surrogate_within_the_bound(
        self, point_robot, objective, steps
    ):
        config = MamlTrpoConfig(**SMALL, inner_objective=objective, inner_steps=steps)
        learner = MamlTrpoLearner(config, point_robot, **PLACE)
        learner.collect()
        phases, before = learner.phases, copy.deepcopy(learner.theta)
        metrics = learner.update()
        assert metrics["step/accepted"] == 1
        assert metrics["improvement/outer"] > 0
        outer = [learner._judged(theta, [phases]) for theta in (before, learner.theta)]
        assert outer[1].surrogate > outer[0].surrogate
        assert 0 < outer[1].kl <= config.max_kl
        assert abs(float(outer[0].kl)) < 1e-6

    @pytest.mark.parametrize("steps", [1, 2])
    @pytest.mark.parametrize(
        "objective", ["likelihood_ratio", "log_likelihood", "dice"]
    )
    def test_derivatives_equal_those_through_one_graph(
        self, point_robot, objective, steps
    ):
        config = MamlTrpoConfig(
            **SMALL, inner_steps=steps, inner_rate=0.5, inner_objective=objective
        )
        learner = MamlTrpoLearner(config, point_robot, **PLACE)
        learner.collect()
        *inner, last = [double(phase) for phase in learner.phases]
        theta = {k: v.double().requires_grad_() for k, v in learner.theta.items()}
        params = pg.per_task(theta, config.tasks)
        for k, phase in enumerate(inner):  # as sampled, in double precision
            mean, log_std = (x.detach() for x in pg.gaussian(params, phase.obs))
            inner[k] = phase._replace(mean=mean, log_std=log_std)
            params = learner._adapt(params, inner[k], create_graph=True)
        mean, log_std = (x.detach() for x in pg.gaussian(params, last.obs))
        last = last._replace(mean=mean, log_std=log_std)
        outer, weights = learner.outer(params, last), list(theta.values())
        adaptation = learner.adaptation(theta, [*inner, last])

        def flat(value: Tensor, **options: Any) -> Tensor:
            gradients = torch.autograd.grad(value, weights, **options)
            return torch.cat([x.reshape(-1) for x in gradients])

        expected = flat(outer.surrogate, retain_graph=True)
        found = learner.surrogate_gradient(adaptation, last)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        kl_gradient = flat(outer.kl, create_graph=True)
        vector = draws(7, len(expected))
        expected = flat(kl_gradient @ vector)
        assert expected.norm() > 1e-3
        found = learner.kl_hessian(adaptation, last)(vector)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("iterations", [1, 60])
    def test_its_direction_is_solved_for_in_so_many_iterations(
        self, point_robot, iterations
    ):
        """One gives the gradient's, many the natural gradient's."""
        config = MamlTrpoConfig(**SMALL, cg_iterations=iterations)
        learner = MamlTrpoLearner(config, point_robot, **PLACE)
        learner.collect()
        (part,) = pg.slices(learner.phases)
        adaptation = learner.adaptation(learner.theta, part)
        gradient = learner.surrogate_gradient(adaptation, part[-1])
        _, direction, _ = learner._natural_gradient([part])
        alike = torch.cosine_similarity(direction, gradient, dim=0)
        assert (alike > 0.9999) == (iterations == 1)
        solved = learner.kl_hessian(adaptation, part[-1])(direction)
        residual = (solved - gradient).norm() / gradient.norm()
        assert (residual < 0.05) == (iterations == 60)

    def test_a_steps_length_is_the_bounds(self, point_robot):
        """Within so close a bound the divergence is nearly quadratic."""
        config = MamlTrpoConfig(**SMALL, max_kl=1e-5, line_search_shrink=0.9)
        learner = MamlTrpoLearner(config, point_robot, **PLACE)
        learner.collect()
        assert learner.update()["kl/outer"] == pytest.approx(1e-5, rel=0.2)

    def test_the_whole_step_is_tried_first_and_then_shorter_ones(self, point_robot):
        config = MamlTrpoConfig(**SMALL, line_search_shrink=0.5, line_search_tries=3)
        learner, tried = MamlTrpoLearner(config, point_robot, **PLACE), []
        learner.collect()
        _, direction, curvature = learner._natural_gradient(pg.slices(learner.phases))
        whole, old = direction * (2 * config.max_kl / curvature).sqrt(), learner.theta
        worse = Outer(torch.tensor(-1.0), torch.tensor(0.0))
        learner._judged = lambda theta, parts: tried.append(pg.flatten(theta)) or worse
        assert learner.update()["step/accepted"] == 0
        expected = [pg.flatten(old) + share * whole for share in (1, 0.5, 0.25)]
        torch.testing.assert_close(torch.stack(tried), torch.stack(expected))

    def test_a_step_that_cannot_improve_is_not_taken(self, point_robot):
        learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
        learner.collect()
        learner.phases[-1] = learner.phases[-1]._replace(
            advantage=torch.zeros_like(learner.phases[-1].advantage)
        )
        before = copy.deepcopy(learner.theta)
        assert learner.update()["step/accepted"] == 0
        assert all(torch.equal(before[k], learner.theta[k]) for k in before)


@pytest.mark.parametrize(("tasks", "parts"), [(1, 6), (4, 2)])
@pytest.mark.parametrize("make", [MamlTrpoLearner, PrompLearner])
def test_slices_change_nothing_but_the_memory(
    point_robot, monkeypatch, make, tasks, parts
):
    """Also where the last holds fewer tasks than the others."""
    config = MamlTrpoConfig if make is MamlTrpoLearner else PrompConfig
    results = []
    for size, number in ((1 << 30, 1), (tasks * SMALL["episodes"] * 20, parts)):
        monkeypatch.setattr(pg, "SLICE", size)
        learner = make(config(**SMALL), point_robot, **PLACE)
        learner.collect()
        phases = [double(phase) for phase in learner.phases]
        for value in learner.theta.values():
            value.data = value.data.double()
        assert len(pg.slices(phases)) == number
        metrics = learner.outer_update(phases)
        results.append((pg.flatten(learner.theta).detach(), metrics))
    (together, known), (apart, found) = results
    torch.testing.assert_close(apart, together)
    assert found == pytest.approx(known)


def test_promps_objective_equals_a_loop_over_tasks(point_robot):
    config = PrompConfig(**SMALL, inner_steps=2, kl_weight=0.3)
    learner = PrompLearner(config, point_robot, **PLACE)
    learner.collect()
    learner.update()  # so that the parameters are not those that sampled
    learner.kl_weights = torch.tensor([0.3, 0.7])
    ours = learner.objective(learner.theta, learner.phases)
    losses = []
    for i in range(config.tasks):
        phases = [Phase(*(f[i : i + 1] for f in phase)) for phase in learner.phases]
        params = pg.per_task(learner.theta, 1)
        penalty = 0.0
        for weight, phase in zip((0.3, 0.7), phases[:-1], strict=True):
            mean, log_std = pg.gaussian(params, phase.obs)
            kl = pg.kl_divergence(phase.mean, phase.log_std, mean, log_std)
            penalty += weight * kl[phase.alive].mean() / 2
            params = pg.adapt(params, phase, "likelihood_ratio", 0.1, create_graph=True)
        last = phases[-1]
        change = pg.ratio(pg.gaussian(params, last.obs), last)[last.alive]
        advantage = last.advantage[last.alive]
        clipped = change.clamp(0.7, 1.3)
        objective = torch.minimum(change * advantage, clipped * advantage).mean()
        losses.append(penalty - objective)
    torch.testing.assert_close(ours.loss, torch.stack(losses).mean())


def test_a_variant_of_promp_may_clip_otherwise(point_robot):
    class Unclipped(PrompLearner):
        def surrogate(self, change, advantage):
            return change * advantage

    config = PrompConfig(**SMALL, clip=1e-4)
    variant = Unclipped(config, point_robot, **PLACE)
    variant.collect()
    variant.update()
    of_variant, clipped, far = (
        one.objective(variant.theta, variant.phases).surrogate
        for one in (
            variant,
            PrompLearner(config, point_robot, **PLACE),
            PrompLearner(replace(config, clip=1e6), point_robot, **PLACE),
        )
    )
    torch.testing.assert_close(of_variant, far)
    assert of_variant > clipped


@pytest.mark.parametrize(("kl", "weight"), [(0.001, 0.25), (0.01, 0.5), (0.1, 1.0)])
def test_promps_last_step_on_a_batch_moves_the_kls_weight_towards_its_target(
    point_robot, monkeypatch, kl, weight
):
    config = PrompConfig(
        **SMALL, adaptive_kl=True, kl_target=0.01, kl_weight=0.5, outer_steps=2
    )
    learner = PrompLearner(config, point_robot, **PLACE)
    learner.collect()
    found = Objective(torch.zeros(()), torch.zeros(()), torch.tensor([kl]))
    monkeypatch.setattr(learner, "_mean_objective", lambda *_, **__: found)
    for expected in (0.5, weight):
        learner.update()
        assert learner.kl_weights.tolist() == [expected]


def test_promp_goes_on_with_the_kls_weight_that_it_came_to(point_robot):
    config = PrompConfig(**SMALL, adaptive_kl=True, kl_target=10.0, outer_steps=1)
    learner, other = (PrompLearner(config, point_robot, **PLACE) for _ in range(2))
    learner.collect()
    learner.update()
    assert learner.kl_weights.tolist() == other.kl_weights.div(2).tolist()
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    assert other.kl_weights.tolist() == learner.kl_weights.tolist()


def test_a_batch_is_kept_until_its_last_update(point_robot):
    learner = PrompLearner(PrompConfig(**SMALL, outer_steps=2), point_robot, **PLACE)
    learner.collect()
    learner.update()
    assert len(learner.phases) == 2
    learner.update()
    assert not learner.phases


def test_advantages_are_of_the_discount_and_the_lambda_of_the_settings(point_robot):
    config = MamlTrpoConfig(**SMALL, discount=0.9, gae_lambda=0.6)
    learner = MamlTrpoLearner(config, point_robot, **PLACE)
    learner.collect()
    for phase in learner.phases:
        alive = phase.alive
        target = pg.returns(phase.reward, alive, 0.9)
        value = pg.fit_baseline(phase.obs, target, alive, config.ridge)
        expected = pg.standardise(pg.gae(phase.reward, value, alive, 0.9, 0.6), alive)
        torch.testing.assert_close(phase.advantage, expected)


def test_actions_are_drawn_from_the_gaussian_that_is_recorded(point_robot):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    learner.theta["log_std"].copy_(torch.tensor([-2.0, 0.5]))
    learner.collect()
    for phase in learner.phases:
        drawn = (phase.action - phase.mean) / phase.log_std.exp()
        torch.testing.assert_close(
            drawn.mean((0, 1, 2)), torch.zeros(2), rtol=0, atol=0.1
        )
        torch.testing.assert_close(
            drawn.std((0, 1, 2)), torch.ones(2), rtol=0, atol=0.1
        )


def test_an_action_that_is_not_taken_is_not_adapted_from(point_robot):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    tasks = point_robot.test[:2]
    adapter, env = learner.adapter(tasks, 0), point_robot.make_batch(tasks, threads=1)
    adapter.act(np.ones((2, 2), np.float32), explore=True)
    episode = run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
    adapter.end_episode()
    env.close()
    taken = (adapter.explored[0].action[:, 0] / 10).clamp(-1, 1).transpose(0, 1)
    np.testing.assert_array_equal(taken, episode.steps.action)


def test_only_the_outer_step_learns_from_dense_rewards(families):
    family = families["sparse-point-robot"]
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), family, **PLACE)
    learner.collect()
    inner, outer = learner.phases
    assert (inner.reward >= 0).all()
    assert (outer.reward < 0).any()
    adapter = learner.adapter(family.test[:2], 0)
    env = family.make_batch(family.test[:2], threads=1)
    run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
    adapter.end_episode()
    env.close()
    assert (adapter.explored[0].reward >= 0).all()


def test_a_meta_test_adapts_once_and_from_all_that_was_explored(point_robot):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    tasks, rng = point_robot.test[:2], np.random.default_rng(0)
    adapter, env = learner.adapter(tasks, 0), point_robot.make_batch(tasks, threads=1)
    explored = []
    for _ in range(2):
        episode = run_episode(env, adapter, 20, rng, explore=True)
        explored.append(adapter.actor.recorded(episode.steps, outer=False))
        adapter.end_episode()
    phase = learner._phase(pg.joined(explored, 1))
    expected = learner._adapt(adapter.params, phase)
    for _ in range(2):
        adapter.adapt()
        assert all(torch.equal(adapter.params[k], expected[k]) for k in expected)
        run_episode(env, adapter, 20, rng, explore=False)
        adapter.end_episode()
    env.close()


def test_it_explores_as_many_episodes_as_it_is_trained_to_adapt_from(point_robot):
    trpo = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    promp = PrompLearner(PrompConfig(**SMALL), point_robot, **PLACE)
    assert trpo.own_exploration == promp.own_exploration == 10


def test_the_meta_policy_samples_with_the_least_deviation_at_least(point_robot):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    learner.theta["log_std"].fill_(-30)
    adapter = learner.adapter(point_robot.test, 0)
    assert (adapter.params["log_std"] == pg.MIN_LOG_STD).all()


def test_each_row_of_a_phase_is_of_one_task(point_robot, monkeypatch):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    drawn = [5, 0, 3, 7, 1, 2]
    monkeypatch.setattr(learner, "_draw_tasks", lambda: np.array(drawn))
    monkeypatch.setattr("baselines.gradient_learner.WAVE", 4 * SMALL["episodes"])
    learner.collect()
    goals = torch.tensor([point_robot.train[i].params for i in drawn])
    for phase in learner.phases:
        away = (phase.obs[:, :, 1:] - goals[:, None, None]).norm(dim=-1)
        torch.testing.assert_close(phase.reward[:, :, :-1], -away)


def test_training_returns_are_called_after_the_steps_before_them(point_robot):
    config = MamlTrpoConfig(**SMALL, inner_steps=2)
    learner = MamlTrpoLearner(config, point_robot, **PLACE)
    found = learner.collect()
    for name, phase in zip(
        ("unadapted", "step1", "adapted"), learner.phases, strict=True
    ):
        mean = phase.reward.sum(-1).mean().item()
        assert found[f"return/train_{name}"] == pytest.approx(mean, rel=1e-5)


def test_every_sampled_episode_counts_once_however_short(families):
    family = families["walker-2d-params"]
    config = MamlTrpoConfig(tasks=3, episodes=4, hidden_size=16)
    learner = MamlTrpoLearner(config, family, **PLACE)
    learner.collect()
    for phase in learner.phases:
        lengths = phase.alive.sum(-1)
        assert lengths.shape == (3, 4)
        assert (lengths > 0).all()
        assert lengths.unique().numel() > 1
    steps = sum(int(phase.alive.sum()) for phase in learner.phases)
    assert learner.env_steps == steps


def test_the_policy_acts_in_a_tenth_of_the_range(point_robot):
    learner = MamlTrpoLearner(MamlTrpoConfig(**SMALL), point_robot, **PLACE)
    adapter = learner.adapter(point_robot.test, 0)
    action = adapter.act(np.zeros((20, 2), np.float32), explore=True)
    raw = adapter.actor.samples[0][0].reshape(20, 2).numpy()
    np.testing.assert_allclose(action, np.clip(raw / 10, -1, 1), rtol=1e-6)
    assert 0.05 < action.std() < 0.2


def gain(learner: GradientLearner, family, mix: bool) -> float:
    """Return what one inner step on the test tasks adds to the return.

    With ``mix``, every task adapts to the advantages of its neighbour.
    """
    env = family.make_batch([t for t in family.test for _ in range(20)], threads=1)
    rng = np.random.default_rng(0)
    params = learner._sampling_params(len(family.test))
    totals = []
    for _ in range(2):
        actor = type(learner.adapter(family.test, 1).actor)(
            params, learner.config, torch.Generator().manual_seed(1)
        )
        episode = run_episode(env, actor, family.horizon, rng, explore=True)
        totals.append(episode.total.mean())
        phase = learner._phase(actor.recorded(episode.steps, outer=False))
        if mix:
            phase = phase._replace(advantage=phase.advantage.roll(1, 0))
        params = learner._adapt(params, phase)
    return totals[1] - totals[0]


@pytest.mark.parametrize("method", ["maml_trpo", "promp"])
def test_adaptation_pays_after_short_meta_training(point_robot, method):
    shared: dict[str, Any] = {
        "tasks": 20,
        "episodes": 10,
        "hidden_size": 32,
        "action_scale": 1.0,
    }
    if method == "promp":
        config = PrompConfig(**shared, learning_rate=3e-3)
        learner: GradientLearner = PrompLearner(config, point_robot, **PLACE)
    else:
        learner = MamlTrpoLearner(MamlTrpoConfig(**shared), point_robot, **PLACE)
    for _ in range(20):
        learner.collect()
        while learner.updates_due:
            learner.update()
    own, mixed = gain(learner, point_robot, False), gain(learner, point_robot, True)
    assert own > 4.0
    assert mixed < 1.0  # adapting to another task's advantages gains nothing


def test_other_precisions_are_refused(point_robot):
    with pytest.raises(ValueError, match="computes in float32"):
        MamlTrpoLearner(MamlTrpoConfig(), point_robot, **{**PLACE, "precision": "bf16"})


def test_settings_are_checked():
    with pytest.raises(ValueError, match="inner_rate must be positive"):
        replace(MamlTrpoConfig(), inner_rate=0.0)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (MamlTrpoConfig, {"line_search_shrink": 1.0}, r"shrink \(1\) must be below 1"),
        (MamlTrpoConfig, {"initial_std": 1e-7}, r"initial_std \(1e-07\) must be at le"),
        (PrompConfig, {"initial_std": 1e-30}, "must be at least 1e-06"),
        (PrompConfig, {"gae_lambda": -1.0}, "gae_lambda must be zero or more"),
        (PrompConfig, {"gae_lambda": 1.5}, "must not exceed 1"),
        (PrompConfig, {"adaptive_kl": True, "kl_weight": 0.0}, "must be positive then"),
    ],
)
def test_settings_that_no_run_could_use_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)
    assert kind(gae_lambda=0.0).gae_lambda == 0


def test_a_trial_times_a_wave_of_tasks(point_robot):
    """After one task, which pays for set-up."""
    learner = PrompLearner(PrompConfig(tasks=40, episodes=20), point_robot, **PLACE)
    timed = []
    learner.seconds_per_step = lambda: timed.append(learner.config.tasks) or 0.5
    assert learner.estimate_seconds(1000) == 500
    assert timed == [1, WAVE // 20]
