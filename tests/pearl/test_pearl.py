"""PEARL: which networks learn from what, its options, and that it learns."""

import copy
from dataclasses import replace
from itertools import count

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

from pearl_bench.pearl.collection import Block, EpisodeMeans, waves
from pearl_bench.pearl.learner import TRIAL_UPDATES, UPDATES_PER_SLICE, PearlLearner
from pearl_bench.pearl.update import METRICS
from pearl_bench.training.evaluate import evaluate, reported_return
from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import NonFiniteLoss, Transition


def parameters(learner: PearlLearner) -> dict[str, list[torch.Tensor]]:
    return {
        name: [p.detach().clone() for p in network.parameters()]
        for name, network in learner.nets.named_children()
    }


def changed(before, after) -> set[str]:
    return {
        name
        for name in before
        if not all(
            torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True)
        )
    }


def test_critics_start_apart_and_the_target_where_the_value_does(point_robot):
    nets = parameters(learner_on(point_robot))
    assert not any(map(torch.equal, nets["q1"][::2], nets["q2"][::2]))  # weights
    assert all(map(torch.equal, nets["target_v"], nets["v"]))


class TestGradients:
    """Each optimiser alone moves exactly the networks its loss may train."""

    OPTIMISERS = ("critic", "value", "policy")

    @pytest.mark.parametrize(
        ("optimiser", "networks"),
        [
            ("critic", {"q1", "q2", "encoder"}),
            ("value", {"v", "target_v"}),
            ("policy", {"policy"}),
        ],
    )
    def test_reach_exactly_the_networks_they_should(
        self, point_robot, optimiser, networks
    ):
        learner = learner_on(point_robot)
        learner.collect()
        for other in set(self.OPTIMISERS) - {optimiser}:
            for group in learner.gradient_step.optimizers[other].param_groups:
                group["lr"] = 0.0
        before = parameters(learner)
        learner.gradient_step(draw(learner))
        assert changed(before, parameters(learner)) == networks

    def test_kl_trains_the_encoder_only(self, point_robot):
        with_kl, without = (
            learner_on(point_robot, replace(SMALL, kl_weight=weight))
            for weight in (1.0, 0.0)
        )
        for learner in (with_kl, without):
            learner.collect()
        batch = draw(with_kl)
        for learner in (with_kl, without):
            learner.gradient_step(batch)
        differ = changed(parameters(with_kl), parameters(without))
        assert differ == {"encoder"}

    def test_the_policy_regularisers_have_a_gradient(self, point_robot):
        regularised, free = (
            learner_on(point_robot, replace(SMALL, policy_mean_reg=weight))
            for weight in (100.0, 0.0)
        )
        for learner in (regularised, free):
            learner.collect()
        batch = draw(regularised)
        for learner in (regularised, free):
            learner.gradient_step(batch)
        assert changed(parameters(regularised), parameters(free)) == {"policy"}


class TestCollection:
    @pytest.mark.parametrize("wave", [200, 30])
    def test_steps_are_counted_as_stepped(self, point_robot, monkeypatch, wave):
        monkeypatch.setattr("pearl_bench.pearl.learner.POOL_WAVE", wave)
        learner = learner_on(point_robot)
        learner.collect()
        assert learner.env_steps == 80 * 40 + 3 * 80
        assert learner.env_steps == learner.buffer.count.sum()
        learner.collect()
        assert learner.env_steps == 80 * 40 + 2 * 3 * 80

    def test_actions_are_sampled(self, point_robot):
        learner = learner_on(point_robot)
        learner.collect()
        assert draw(learner).action.std() > 0.1  # the modes differ by a thousandth

    def test_each_block_starts_from_the_prior(self, point_robot, monkeypatch):
        config = replace(SMALL, posterior_steps=40, tasks_per_iteration=1)
        learner, from_prior = learner_on(point_robot, config), []

        def play(env, adapter, *args, **words):
            from_prior.append(bool((adapter.belief.variance == 1).all()))
            return run_episode(env, adapter, *args, **words)

        monkeypatch.setattr("pearl_bench.pearl.learner.run_episode", play)
        learner.collect()
        # two episodes of the pool and of each block
        assert from_prior == [True, True, True, True, True, False, True, False]

    def test_every_episode_has_a_z_of_its_own(self, point_robot, monkeypatch):
        config = replace(SMALL, posterior_steps=40, tasks_per_iteration=1)
        learner, drawn = learner_on(point_robot, config), []

        def play(env, adapter, *args, **words):
            drawn.extend(tuple(z) for z in adapter.z.tolist())
            return run_episode(env, adapter, *args, **words)

        monkeypatch.setattr("pearl_bench.pearl.learner.run_episode", play)
        learner.collect()
        # two episodes of the pool, and of each block on the task that is drawn
        assert len(drawn) == len(set(drawn)) == 2 * 80 + 3 * 2

    def test_early_termination_ends_blocks_with_whole_episodes(self, families):
        config = replace(SMALL, initial_steps=30, tasks_per_iteration=1)
        learner = learner_on(families["walker-2d-params"], config)
        learner.collect()
        assert learner.env_steps == learner.buffer.count.sum()
        assert (learner.buffer.count >= 30).all()
        everyone = np.arange(len(learner.family.train))
        stored = learner.buffer.spans(everyone, recent=False)
        rows = learner.buffer.sample(stored, 2000, learner.noise)
        assert (rows.terminated.amax(1) == 1).all()  # random walkers all fall

    def test_a_task_is_left_with_the_episode_that_reaches_its_steps(
        self, families, monkeypatch
    ):
        learner, lengths = learner_on(families["walker-2d-params"]), []

        def play(*args, **words):
            episode = run_episode(*args, **words)
            lengths.append(episode.length)
            return episode

        monkeypatch.setattr("pearl_bench.pearl.learner.run_episode", play)
        pool = Block(30, posterior=False, recent=True)
        learner.collect_blocks(np.arange(8), [pool], EpisodeMeans())
        played = np.array(lengths)  # [episodes, N]
        assert len(set((played > 0).sum(0))) > 1
        assert ((played.cumsum(0) - played)[played > 0] < 30).all()
        assert (played.sum(0) == learner.buffer.count[:8]).all()
        assert (played.sum(0) >= 30).all()

    def test_only_recent_blocks_become_context(self, point_robot):
        config = replace(SMALL, posterior_steps=60)
        learner = learner_on(point_robot, config)
        learner.collect()
        length = np.diff(learner.buffer.recent, axis=1)[:, 0]
        stored = learner.buffer.count
        assert set(length) == {40, 40 + 60}
        assert set(stored) == {40, 40 + 40 + 60 + 40}

    def test_the_replay_outlasts_an_iteration(self, point_robot):
        blocks = {"prior_steps": 40, "posterior_steps": 60}
        small = replace(
            SMALL, replay_capacity=1000, extra_posterior_steps=1200, **blocks
        )
        with pytest.raises(ValueError, match=r"replay_capacity \(1000\) must be at"):
            learner_on(point_robot, small)
        # what it keeps, a page, would do
        page = replace(SMALL, replay_capacity=117)
        with pytest.raises(ValueError, match=r"replay_capacity \(117\) must be at"):
            learner_on(point_robot, page)
        learner_on(point_robot, replace(page, replay_capacity=118))
        # a block of 985 steps takes 1,000, and the context before it is gone
        least = replace(
            SMALL, replay_capacity=1024, prior_steps=39, extra_posterior_steps=985
        )
        with pytest.raises(ValueError, match=r"at least 1062: .* of up to 20 steps"):
            learner_on(point_robot, least)
        enough = replace(least, replay_capacity=1062, initial_steps=2000)
        learner_on(point_robot, enough).collect()

    def test_nothing_is_kept_that_training_does_not_read(self, point_robot):
        learner, made = learner_on(point_robot), []
        make = learner._adapter
        learner._adapter = lambda *a, **k: made.append(make(*a, **k)) or made[-1]
        pool = Block(100, posterior=False, recent=True)
        learner.collect_blocks(np.arange(4), [pool], EpisodeMeans())
        assert learner.env_steps == 4 * 100
        assert not made[0].context

    def test_every_training_task_is_collected_on_and_learnt_from(
        self, point_robot, monkeypatch
    ):
        family = replace(point_robot, train=point_robot.train[:3])
        learner = learner_on(family, replace(SMALL, tasks_per_iteration=20))
        learner.collect()
        assert (learner.buffer.count > SMALL.initial_steps).all()
        learnt, sample = set(), learner._sample

        def watched(rows, context):
            assert torch.equal(rows.task, context.task)
            learnt.update(rows.task.flatten().tolist())
            return sample(rows, context)

        monkeypatch.setattr(learner, "_sample", watched)
        learner.update()
        assert learnt == {0, 1, 2}

    def test_meta_batches_are_drawn_with_replacement(self, point_robot, monkeypatch):
        family = replace(point_robot, train=point_robot.train[:4])
        learner, spans, drawn = learner_on(family), PearlLearner._spans, []
        learner.collect()
        monkeypatch.setattr(
            learner,
            "_spans",
            lambda tasks: drawn.append(tasks) or spans(learner, tasks),
        )
        learner.update()
        (tasks,) = drawn
        assert tasks.shape == (UPDATES_PER_SLICE, 4)
        assert len({len(set(row)) for row in tasks.tolist()}) > 1

    def test_actor_and_critic_learn_from_all_that_was_collected(self, point_robot):
        one_task = replace(point_robot, train=point_robot.train[:1])
        learner = learner_on(one_task, replace(SMALL, batch_size=2000))
        learner.collect()
        batch = learner.meta_batch(np.array([0]))
        stored, recent = learner.buffer.count[0], np.diff(learner.buffer.recent)[0]
        assert (stored, recent) == (40 + 3 * 80, 40)
        assert batch.obs.unique(dim=1).shape[1] == stored

    def test_chance_of_a_gradient_step_is_standard_normal(self, point_robot):
        config = replace(SMALL, latent_dim=500, batch_size=200)
        learner = learner_on(point_robot, config)
        learner.collect()
        batch = draw(learner)
        for noise in (batch.noise_z, batch.noise_action):
            assert noise.mean().item() == pytest.approx(0, abs=0.1)
            assert noise.std().item() == pytest.approx(1, abs=0.1)
            assert (noise[0] != noise[1]).all()  # each task's own

    def test_training_returns_are_those_of_a_kind_of_block(self):
        def episode(*totals, length, unstable):
            nothing = Transition(*[np.empty(0)] * 7)
            numbers = (np.array(length), np.array(totals), None, np.array(unstable))
            return Episode(nothing, *numbers, None)

        means = EpisodeMeans()
        prior, posterior = (Block(40, kind, recent=True) for kind in (False, True))
        means.add(episode(1.0, 2.0, length=[9, 9], unstable=[True, False]), prior)
        means.add(episode(6.0, 0.0, length=[9, 0], unstable=[False, False]), prior)
        assert means.result() == {"return/train_prior": 3.0, "episodes/unstable": 1.0}
        means.add(episode(8.0, 9.0, length=[9, 9], unstable=[True, True]), posterior)
        assert means.result() == {
            "return/train_prior": 3.0,
            "return/train_posterior": 8.5,
            "episodes/unstable": 3.0,
        }

    def test_a_task_drawn_twice_is_collected_twice(self):
        groups = [wave.tolist() for wave in waves(np.array([3, 1, 3, 3, 2, 1]))]
        assert groups == [[3, 1, 2], [3, 1], [3]]


class TestContext:
    def sampled(self, family, **options):
        learner = learner_on(family, replace(SMALL, **options))
        learner.collect()
        return learner, draw(learner)

    def test_holds_observation_action_and_unscaled_reward(self, point_robot):
        _, batch = self.sampled(point_robot)
        assert batch.context.shape == (4, 16, 2 + 2 + 1)

    def test_may_hold_the_next_observation(self, point_robot):
        _, batch = self.sampled(point_robot, next_obs_in_context=True)
        assert batch.context.shape == (4, 16, 2 + 2 + 1 + 2)
        obs, action, _, next_obs = batch.context.split([2, 2, 1, 2], dim=-1)
        torch.testing.assert_close(next_obs, obs + 0.1 * action)

    def test_may_be_the_rl_batch_itself(self, point_robot):
        _, batch = self.sampled(point_robot, context_sampler="rl-batch")
        rows = torch.cat([batch.obs, batch.action, batch.reward], dim=-1)
        assert torch.equal(batch.context, rows)

    @pytest.mark.parametrize("sampler", ["recent", "whole-buffer"])
    def test_is_recent_or_from_the_whole_buffer(
        self, point_robot, monkeypatch, sampler
    ):
        one_task = replace(point_robot, train=point_robot.train[:1])
        learner, _ = self.sampled(one_task, context_sampler=sampler, initial_steps=2000)
        recent = learner.buffer.spans(np.array([0]), recent=True)
        rows = learner.buffer.sample(recent, 5000, learner.noise)
        seen = {tuple(r) for r in rows.obs[0].tolist()}
        contexts = [draw(learner).context]
        monkeypatch.setattr(learner.inference, "belief", contexts.append)
        learner._posterior(np.array([0]))  # while collecting
        assert len(contexts) == 2
        for context in contexts:
            drawn = {tuple(r) for r in context[0, :, :2].tolist()}
            assert (drawn <= seen) == (sampler == "recent")

    def test_of_a_recurrent_encoder_is_a_run_of_transitions(self, point_robot):
        _, batch = self.sampled(point_robot, recurrent=True, next_obs_in_context=True)
        obs, _, _, next_obs = batch.context.split([2, 2, 1, 2], dim=-1)
        breaks = (next_obs[:, :-1] != obs[:, 1:]).any(-1).sum(1)
        assert (breaks <= 1).all()  # 16 steps, of episodes of 20

    def test_is_sparse_while_actor_and_critic_learn_from_dense(self, families):
        family = families["sparse-point-robot"]
        learner, batch = self.sampled(family, sparse_context=True)
        assert (batch.context[..., -1] >= 0).all()
        assert (batch.reward < 0).all()
        _, dense = self.sampled(family, sparse_context=False)
        assert (dense.context[..., -1] < 0).all()
        rows = evaluate(learner, family, seed=0, threads=1)
        assert all(row.total >= 0 for row in rows)

    @pytest.mark.parametrize("sparse", [True, False])
    def test_is_as_sparse_in_a_meta_test_as_in_training(self, families, sparse):
        family = families["sparse-point-robot"]
        learner = learner_on(family, replace(SMALL, sparse_context=sparse))
        adapter = learner.adapter(family.test[:2], 0)
        env = family.make_batch(family.test[:2], threads=1)
        run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
        env.close()
        seen, beliefs = adapter.context.copy(), []
        for more in (0.0, 1.0):  # of the dense reward alone
            adapter.context = [
                step._replace(reward=step.reward + more) for step in seen
            ]
            adapter.adapt()
            beliefs.append(adapter.belief.mean)
        assert torch.equal(*beliefs) == sparse

    @pytest.mark.parametrize(
        "options",
        [
            {"probabilistic": False},
            {"recurrent": True, "bptt_steps": 8},
            {"recurrent": True, "context_sampler": "whole-buffer"},
            {"next_obs_in_context": True},
            {"context_sampler": "rl-batch"},
        ],
        ids=str,
    )
    def test_every_option_trains_encoder_and_critic(self, point_robot, options):
        learner, batch = self.sampled(point_robot, learning_rate=3e-3, **options)
        before = parameters(learner)
        losses = [float(learner.gradient_step(batch)[0]) for _ in range(60)]
        assert losses[-1] < 0.8 * losses[0]
        assert {"encoder", "q1", "policy"} <= changed(before, parameters(learner))

    def test_recurrent_context_must_fit_the_shortest_that_there_is(self):
        longer = replace(SMALL, initial_steps=60, context_size=41)
        with pytest.raises(ValueError, match=r"initial_steps \(60\) or prior_steps"):
            replace(longer, recurrent=True, posterior_steps=40)
        replace(longer, recurrent=True, context_sampler="whole-buffer")
        whole = replace(SMALL, recurrent=True, context_sampler="whole-buffer")
        with pytest.raises(ValueError, match=r"exceed initial_steps \(40\) or"):
            replace(whole, context_size=41)
        with pytest.raises(ValueError, match=r"or replay_capacity \(1024\)$"):
            replace(whole, initial_steps=2000, context_size=2000, replay_capacity=1024)


class TestDeterminism:
    def test_equal_seeds_give_equal_networks(self, point_robot):
        learners = [learner_on(point_robot, seed=seed) for seed in (3, 3, 4)]
        for learner in learners:
            learner.collect()
            learner.update()
        a, b, c = (parameters(learner) for learner in learners)
        assert not changed(a, b)
        assert changed(a, c) == set(a)

    def test_state_round_trip_continues_exactly(self, point_robot):
        learner, other = learner_on(point_robot), learner_on(point_robot, seed=9)
        learner.collect()
        learner.update()
        other.load_state_dict(copy.deepcopy(learner.state_dict()))
        for one in (learner, other):
            while one.updates_due:
                one.update()
            one.collect()
        assert learner.update() == other.update()
        assert not changed(parameters(learner), parameters(other))

    def test_evaluation_leaves_training_alone(self, point_robot):
        watched, unwatched = learner_on(point_robot), learner_on(point_robot)
        for learner in (watched, unwatched):
            learner.collect()
        first = evaluate(watched, point_robot, seed=5, threads=1)
        assert first == evaluate(watched, point_robot, seed=5, threads=2)
        assert watched.update() == unwatched.update()
        assert watched.collect() == unwatched.collect()
        assert watched.env_steps == unwatched.env_steps


def test_a_loss_that_is_no_number_names_itself_and_the_step(point_robot):
    learner = learner_on(point_robot)
    learner.collect()
    learner.update()
    with torch.no_grad():
        learner.nets.v.output.bias.fill_(float("nan"))
    with pytest.raises(
        NonFiniteLoss, match=r"loss/value is nan at gradient step 21 .*; take"
    ):
        learner.update()


def test_a_step_that_broke_down_is_not_counted_as_stored(point_robot, monkeypatch):
    """A recurrent encoder's window is as long as a block, and needs all of its rows."""
    window = replace(SMALL, recurrent=True, prior_steps=40, context_size=40)
    learner = learner_on(point_robot, window)
    played, broken = run_episode, []

    def breaking(env, adapter, horizon, rng, **words):
        episode = played(env, adapter, horizon, rng, **words)
        if not broken:
            broken.append(True)
            episode.steps.alive[-1] = False
        return episode

    monkeypatch.setattr("pearl_bench.pearl.learner.run_episode", breaking)
    learner.collect()
    recent = learner.buffer.recent
    assert (recent[:, 1] - recent[:, 0]).min() >= 40
    assert learner.env_steps > learner.buffer.count.sum()


@pytest.mark.parametrize(
    "kind", [{}, {"probabilistic": False}, {"recurrent": True, "context_size": 40}]
)
def test_a_task_of_which_nothing_was_seen_keeps_the_prior(point_robot, kind):
    """Every step of it broke down; the other task is inferred as it would be alone."""
    learner = learner_on(point_robot, replace(SMALL, **kind))
    adapter = learner.adapter(point_robot.test[:2], 0)
    env = point_robot.make_batch(point_robot.test[:2], threads=1)
    episode = run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
    env.close()
    seen = adapter.context.copy()
    adapter.adapt()
    other = adapter.belief.mean[1].clone()
    adapter.context = [
        step._replace(alive=step.alive & np.array([False, True])) for step in seen
    ]
    adapter.adapt()
    prior = learner.inference.prior(point_robot.test[:2])
    assert torch.equal(adapter.belief.mean[0], prior.mean[0])
    assert torch.equal(adapter.belief.variance[0], prior.variance[0])
    torch.testing.assert_close(adapter.belief.mean[1], other)
    assert np.isfinite(adapter.act(episode.steps.obs[0], explore=False)).all()


@pytest.mark.parametrize("kind", [{}, {"probabilistic": False}, {"recurrent": True}])
def test_a_task_whose_episode_ended_early_is_inferred_from_its_steps(point_robot, kind):
    learner = learner_on(point_robot, replace(SMALL, **kind))
    adapter = learner.adapter(point_robot.test[:2], 0)
    env = point_robot.make_batch(point_robot.test[:2], threads=1)
    run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
    env.close()
    seen, beliefs = adapter.context.copy(), []
    shorter = [
        step._replace(alive=np.array([t < 7, True])) for t, step in enumerate(seen)
    ]
    for context in (shorter, seen[:7], seen):
        adapter.context = context
        adapter.adapt()
        beliefs.append(adapter.belief.mean)
    torch.testing.assert_close(beliefs[0][0], beliefs[1][0])
    torch.testing.assert_close(beliefs[0][1], beliefs[2][1])
    assert (beliefs[0][0] != beliefs[2][0]).any()


def test_what_breaks_down_at_once_comes_to_an_end(point_robot, monkeypatch):
    played = run_episode

    def broken(*args, **words):
        episode = played(*args, **words)
        episode.steps.alive[:] = False
        return episode

    monkeypatch.setattr("pearl_bench.pearl.learner.run_episode", broken)
    learner = learner_on(point_robot)
    with pytest.raises(ValueError, match="has no transitions"):
        learner.collect()


def test_metrics_are_means_over_the_slice(point_robot, monkeypatch):
    taken = count()

    def step(learner):
        return lambda batch: torch.full((len(METRICS),), float(next(taken)))

    monkeypatch.setattr(PearlLearner, "_step", property(step))
    learner = learner_on(point_robot)
    learner.collect()
    for mean, done, due in ((9.5, 20, 10), (24.5, 30, 0)):
        assert learner.update() == dict.fromkeys(METRICS, mean)
        assert (learner.updates_done, learner.updates_due) == (done, due)


def test_a_trial_times_the_steps_that_training_takes(point_robot, monkeypatch):
    """A GPU's are replays of a graph, several times as fast as the step itself."""
    taken = []

    def step(learner):
        return lambda batch: taken.append(batch) or learner.gradient_step(batch)

    monkeypatch.setattr(PearlLearner, "_step", property(step))
    learner = learner_on(opposite_corners(point_robot))
    assert learner.estimate_seconds(10_000) > 0
    assert len(taken) == 1 + TRIAL_UPDATES
    taken.clear()
    learner.updates_due = UPDATES_PER_SLICE
    learner.update()
    assert len(taken) == UPDATES_PER_SLICE


def test_bfloat16_follows_float32(point_robot):
    """Hidden layers are rounded to 8 bits; a step's losses agree to a few percent."""
    exact = learner_on(point_robot)
    rounded = learner_on(point_robot, precision="bf16")
    exact.collect()
    rounded.load_state_dict(exact.state_dict())
    for name in ("loss/critic", "loss/value", "kl/posterior", "policy/log_prob"):
        batch = draw(exact)
        ours = exact.gradient_step(batch)[METRICS.index(name)]
        theirs = rounded.gradient_step(batch)[METRICS.index(name)]
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.02)
        assert ours != theirs


def test_in_a_meta_test_z_alone_explores(point_robot):
    adapter = learner_on(point_robot).adapter(point_robot.test[:2], seed=0)
    obs = np.zeros((2, 2), np.float32)
    action = adapter.act(obs, explore=True)
    assert (adapter.act(obs, explore=True) == action).all()
    adapter.end_episode()
    assert (adapter.act(obs, explore=True) != action).all()


def test_the_posterior_is_of_all_episodes(point_robot):
    adapter = learner_on(point_robot).adapter(point_robot.test[:2], seed=0)
    env = point_robot.make_batch(point_robot.test[:2], threads=1)
    for _ in range(2):
        run_episode(env, adapter, 20, np.random.default_rng(0), explore=True)
        adapter.end_episode()
    env.close()
    adapter.adapt()
    of_both = adapter.belief.mean.clone()
    del adapter.context[:20]
    adapter.adapt()
    assert (adapter.belief.mean != of_both).any()


def test_unadapted_it_acts_as_the_priors_mean_says(point_robot):
    adapter = learner_on(point_robot).unadapted(point_robot.test[:3])
    for _ in range(2):
        assert adapter.z.shape == (3, SMALL.latent_dim)
        assert not adapter.z.any()
        adapter.end_episode()


def test_posterior_separates_two_tasks_and_adaptation_pays(point_robot):
    """Two goals in opposite corners: after a short training the beliefs part."""
    family = opposite_corners(point_robot)
    learner = learner_on(family, ENOUGH_FOR_TWO)
    untrained = reported_return(evaluate(learner, family, seed=0, threads=1), family)
    train(learner)
    belief = learner._posterior(np.array([0, 1]))
    distance = (belief.mean[0] - belief.mean[1]).abs()
    spread = belief.variance.sqrt().sum(0)
    assert (distance / spread).max() > 3
    rows = evaluate(learner, family, seed=0, threads=1)
    prior = np.mean([row.total for row in rows if row.episode == 1])
    adapted = reported_return(rows, family)
    assert adapted > 0.5 * untrained  # returns are negative distances
    assert adapted > prior + 3
