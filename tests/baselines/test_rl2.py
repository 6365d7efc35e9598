"""RL²: packed trials against loops over them, the hidden state, exact continuation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from place import PLACE
from torch import Tensor
from torch.distributions import Independent, Normal

from baselines.rl2 import Rl2Learner, Trials, pack, ppo_loss, trial_advantages
from baselines.rl2_config import Rl2Config
from baselines.rl2_policy import RecurrentPolicy, Rl2Adapter
from pearl_bench.records import checkpoint
from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import NonFiniteLoss
from suites.base import TaskFamily

TASKS, REPEATS, EPISODES, STEPS = 2, 2, 3, 7
TRIALS = TASKS * REPEATS
OBS, ACTIONS = 3, 2
INPUTS = OBS + ACTIONS + 2
LENGTHS = torch.tensor([[7, 2, 5], [1, 1, 1], [4, 7, 7], [6, 3, 1]])
ALIVE = torch.arange(STEPS) < LENGTHS.unsqueeze(-1)
WALKER = "walker-2d-params"  # its episodes end early
CELLS = pytest.mark.parametrize("cell", ["lstm", "gru"])


def draws(seed: int, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def garbage_in_padding(x: Tensor) -> Tensor:
    alive = ALIVE.reshape(*ALIVE.shape, *[1] * (x.dim() - 3))
    return torch.where(alive, x, 1e3)


def policy(cell: Any, seed: int = 0) -> RecurrentPolicy:
    rng = torch.Generator().manual_seed(seed)
    config = Rl2Config(cell=cell, hidden_size=8, initial_std=0.7)
    return RecurrentPolicy(INPUTS, ACTIONS, config, rng).double()


def episodes_of(x: Tensor, trial: int) -> list[Tensor]:
    return [x[trial, e, : LENGTHS[trial, e]] for e in range(EPISODES)]


def learner(family: TaskFamily, **settings: Any) -> Rl2Learner:
    shared: dict[str, Any] = {"tasks": 3, "trials": 1, "hidden_size": 8}
    return Rl2Learner(Rl2Config(**(shared | settings)), family, **PLACE)


def run_trial(
    ours: Rl2Learner, family: TaskFamily, episodes: int, *, forget: bool = False
) -> tuple[Rl2Adapter, list[Episode]]:
    """One trial of each train task; ``forget`` starts every episode as a new trial."""
    env = family.make_batch(family.train, threads=1)
    adapter = ours.adapter(family.train, seed=1)
    rng, done = np.random.default_rng(0), []
    for _ in range(episodes):
        done.append(run_episode(env, adapter, family.horizon, rng, explore=True))
        adapter.end_episode()
        if forget:
            adapter = ours.adapter(family.train, seed=2)
    env.close()
    return adapter, done


class TestPacking:
    def test_equals_a_loop_over_trials(self):
        x = garbage_in_padding(draws(0, TRIALS, EPISODES, STEPS, OBS))
        packed, alive = pack(x, ALIVE), pack(ALIVE, ALIVE)
        lengths = LENGTHS.sum(1)
        assert packed.shape == (TRIALS, lengths.max(), OBS)
        for i, length in enumerate(lengths.tolist()):
            assert torch.equal(packed[i, :length], torch.cat(episodes_of(x, i)))
            assert not packed[i, length:].any()
            assert alive[i].tolist() == [t < length for t in range(alive.shape[1])]

    @CELLS
    @pytest.mark.parametrize("bptt_steps", [4, 100])
    def test_masked_loss_equals_that_of_unpadded_sequences(self, cell, bptt_steps):
        old, new = policy(cell), policy(cell)
        with torch.no_grad():
            for parameter in new.parameters():
                parameter.add_(0.2 * draws(9, *parameter.shape))
        shape = (TRIALS, EPISODES, STEPS)
        inputs, noise = draws(1, *shape, INPUTS), draws(2, *shape, ACTIONS)
        mean, advantage = draws(3, *shape, ACTIONS), draws(4, *shape)
        action = mean + old.log_std.detach().exp() * noise
        raw = [inputs, action, mean, advantage]
        inputs_, action_, mean_, advantage_ = (
            pack(garbage_in_padding(x), ALIVE) for x in raw
        )
        trials = Trials(
            inputs_,
            action_,
            mean_,
            old.log_std.detach(),
            pack(ALIVE, ALIVE),
            advantage_,
        )
        loss, kl, _ = ppo_loss(
            new,
            trials,
            new.initial_state(TRIALS),
            clip=0.2,
            bptt_steps=bptt_steps,
        )

        surrogates, divergences = [], []
        for i in range(TRIALS):
            x, a, m, weight = (torch.cat(episodes_of(y, i)) for y in raw)
            state = new.initial_state(1)
            for t in range(len(x)):
                if t % bptt_steps == 0:
                    state = tuple(part.detach() for part in state)
                now, state = new(x[t].reshape(1, 1, -1), state)
                pi = Independent(Normal(now.flatten(), new.log_std.exp()), 1)
                mu = Independent(Normal(m[t], old.log_std.detach().exp()), 1)
                ratio = (pi.log_prob(a[t]) - mu.log_prob(a[t])).exp()
                clipped = ratio.clamp(0.8, 1.2)
                surrogates.append(torch.min(ratio * weight[t], clipped * weight[t]))
                divergences.append(torch.distributions.kl_divergence(mu, pi))
        assert len(surrogates) == ALIVE.sum()
        expected = -torch.stack(surrogates).mean()
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(kl, torch.stack(divergences).mean())
        parameters = list(new.parameters())
        for one, other in zip(
            torch.autograd.grad(loss, parameters),
            torch.autograd.grad(expected, parameters),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


class TestCredit:
    @pytest.mark.parametrize("credit", ["trial", "episode"])
    @pytest.mark.parametrize("fit", ["task", "batch"])
    def test_advantages_equal_a_double_loop(self, credit, fit):
        config = Rl2Config(
            credit=credit, fit=fit, discount=0.9, gae_lambda=0.8, ridge=1e-3
        )
        obs = draws(0, TRIALS, EPISODES, STEPS, OBS)
        reward = draws(1, TRIALS, EPISODES, STEPS)
        ours = trial_advantages(
            garbage_in_padding(obs), garbage_in_padding(reward), ALIVE, TASKS, config
        )
        size = REPEATS if fit == "task" else TRIALS
        for begin in range(0, TRIALS, size):
            own = range(begin, begin + size)
            # what is credited as a whole: a trial or an episode
            wholes = [
                [(torch.cat(episodes_of(obs, i)), torch.cat(episodes_of(reward, i)))]
                if credit == "trial"
                else list(zip(episodes_of(obs, i), episodes_of(reward, i), strict=True))
                for i in own
            ]
            flat = [(o.numpy(), r.numpy()) for trial in wholes for o, r in trial]
            rows, targets = [], []
            for o, r in flat:
                t = np.arange(len(r))[:, None] / 100
                rows.append(np.hstack([o, o**2, t, t**2, t**3, np.ones_like(t)]))
                targets.append(
                    [sum(0.9 ** (k - s) * r[k] for k in range(s, len(r)))
                     for s in range(len(r))]
                )  # fmt: skip
            x, y = np.concatenate(rows), np.concatenate(targets)
            weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ y)
            advantages = []
            for features, (_, r) in zip(rows, flat, strict=True):
                value = np.append(features @ weights, 0)
                delta = r + 0.9 * value[1:] - value[:-1]
                advantages += [
                    sum((0.9 * 0.8) ** (k - s) * delta[k] for k in range(s, len(r)))
                    for s in range(len(r))
                ]
            expected = (np.array(advantages) - np.mean(advantages)) / np.std(advantages)
            lengths = LENGTHS.sum(1)[list(own)]
            found = torch.cat([ours[i, :n] for i, n in zip(own, lengths, strict=True)])
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-8)
        assert not ours[~pack(ALIVE, ALIVE)].any()

    def test_only_the_whole_trial_credits_the_first_episode_with_the_second(self):
        obs = draws(0, 1, 2, 5, OBS)
        reward = torch.zeros(1, 2, 5, dtype=torch.float64)
        reward[0, 1, 2] = 1.0
        alive = torch.ones(1, 2, 5, dtype=torch.bool)
        # a large ridge leaves the baseline at 0
        config = Rl2Config(discount=0.9, ridge=1e12)
        trial = trial_advantages(obs, reward, alive, 1, config)[0]
        episode = trial_advantages(
            obs, reward, alive, 1, replace(config, credit="episode")
        )[0]
        assert (trial[:5].diff() > 0.1).all()
        np.testing.assert_allclose(episode[:4], episode[4], atol=1e-6)


class TestHiddenState:
    @CELLS
    def test_one_chunk_is_full_back_propagation(self, cell):
        net, inputs = policy(cell), draws(1, TRIALS, STEPS, INPUTS)
        weight = dict(net.named_parameters())["layer.weight_hh_l0"]

        def gradient(mean: Tensor) -> Tensor:
            return torch.autograd.grad(mean.square().sum(), weight)[0]

        full = net(inputs, net.initial_state(TRIALS))[0]
        state = net.initial_state(TRIALS)
        (one, _), (cut, _) = (net.unroll(inputs, state, n) for n in (STEPS, 3))
        torch.testing.assert_close(one, full, rtol=0, atol=1e-14)
        torch.testing.assert_close(cut, full, rtol=0, atol=1e-14)  # the state runs on
        whole = gradient(full)
        torch.testing.assert_close(gradient(one), whole, rtol=1e-12, atol=1e-14)
        assert (gradient(cut) - whole).abs().max() > 1e-3

    @CELLS
    def test_steps_equal_the_whole_sequence(self, cell):
        net, inputs = policy(cell), draws(1, TRIALS, STEPS, INPUTS)
        means, end = net(inputs, net.initial_state(TRIALS))
        state = net.initial_state(TRIALS)
        for t in range(STEPS):
            mean, state = net.step(inputs[:, t], state)
            torch.testing.assert_close(mean, means[:, t], rtol=0, atol=1e-14)
        for ours, theirs in zip(state, end, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)

    def test_gradient_ends_at_the_chunk_border(self):
        net = policy("lstm")
        inputs = draws(1, 1, 6, INPUTS).requires_grad_()
        mean, _ = net.unroll(inputs, net.initial_state(1), 3)
        (gradient,) = torch.autograd.grad(mean[0, 4].sum(), inputs)
        reached = gradient[0].abs().sum(-1) > 0
        assert reached.tolist() == [False, False, False, True, True, False]

    @CELLS
    def test_crosses_episodes_but_neither_trials_nor_dead_steps(self, families, cell):
        family = families[WALKER]
        ours = learner(family, cell=cell, episodes=2)
        for _ in range(2):  # the second batch must not know of the first
            ours.collect()
            trials = ours.trials
            assert trials is not None
            assert len(trials.alive.sum(1).unique()) > 1  # of unequal lengths
            with torch.no_grad():
                state = ours.policy.initial_state(len(trials.inputs))
                mean, _ = ours.policy.unroll(trials.inputs, state, 32)
                difference = (mean - trials.mean)[trials.alive]
                assert difference.abs().max() < 1e-5
                for i in range(len(mean)):
                    begin = int(trials.inputs[i, :, -1].nonzero().item())
                    rest = trials.inputs[i : i + 1, begin:]
                    state = ours.policy.initial_state(1)
                    again, _ = ours.policy.unroll(rest, state, 32)
                    first = (again[0, 0] - trials.mean[i, begin]).abs().max()
                    assert first > 1e-3  # the first episode is remembered

    @pytest.mark.parametrize("name", ["sparse-point-robot", WALKER])
    def test_reads_the_last_action_reward_and_the_boundary(self, families, name):
        family = families[name]
        family = replace(family, train=family.train[:3])
        adapter, episodes = run_trial(learner(family), family, 3)
        sampled = adapter.recorded()
        inputs = pack(sampled.inputs, sampled.alive).numpy()
        for i in range(3):
            rows = [episode.rows(i) for episode in episodes]
            steps = type(rows[0])(
                *(np.concatenate(field) for field in zip(*rows, strict=True))
            )
            found = inputs[i, : len(steps.reward)]
            o, a = family.obs_dim, family.action_dim
            np.testing.assert_array_equal(found[:, :o], steps.obs)
            np.testing.assert_array_equal(found[1:, o : o + a], steps.action[:-1])
            reward = steps.sparse_reward[:-1].astype(np.float32)
            np.testing.assert_array_equal(found[1:, -2], reward)
            learnt = pack(sampled.reward, sampled.alive)[i, : len(steps.reward)].numpy()
            np.testing.assert_array_equal(learnt, steps.reward.astype(np.float32))
            assert not found[0, o:].any()
            begins = np.cumsum([len(row.reward) for row in rows])[:-1]
            assert np.flatnonzero(found[:, -1]).tolist() == begins.tolist()
            assert set(found[:, -1]) == {0.0, 1.0}

    def test_reads_the_reward_by_its_factor(self, families):
        family = families["point-robot"]
        family = replace(family, train=family.train[:3])
        inputs = [
            run_trial(learner(family, reward_input=factor), family, 3)[0]
            .recorded()
            .inputs[:, 0, :2]
            for factor in (1.0, 0.125)
        ]
        # the second step is the first to see a reward, and the last to see the same
        torch.testing.assert_close(inputs[1][..., 1, -2], 0.125 * inputs[0][..., 1, -2])
        assert inputs[0][..., 1, -2].abs().min() > 0

    def test_an_lstms_forget_gate_starts_open(self):
        weights = dict(policy("lstm").layer.named_parameters())
        biases = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        gates = torch.tensor([[0.0], [1.0], [0.0], [0.0]])  # torch: input, forget, ...
        assert (biases.reshape(4, -1) == gates).all()

    @CELLS
    def test_the_boundary_reaches_the_network(self, families, cell):
        family = families["point-robot"]
        ours = learner(family, cell=cell)
        obs = np.ones((3, family.obs_dim), dtype=np.float32)
        adapters = [ours.adapter(family.train[:3], seed=0) for _ in range(2)]
        adapters[1].end_episode()
        inside, beyond = (x.act(obs, explore=False) for x in adapters)
        assert np.abs(inside - beyond).min() > 1e-4


class TestLearner:
    def test_takes_every_task_equally_often(self, families):
        many, few = families["point-robot"], families["half-cheetah-fwd-back"]
        drawn = learner(many, tasks=30, trials=2)._draw_tasks()
        assert drawn.shape == (30, 2)
        assert np.unique(drawn, return_counts=True)[1].tolist() == [2] * 30
        drawn = learner(few, tasks=5, trials=2)._draw_tasks()
        assert drawn.shape == (2, 5)
        assert np.unique(drawn, return_counts=True)[1].tolist() == [5, 5]

    def test_advantages_are_of_what_each_task_was_seen_to_give(
        self, families, monkeypatch
    ):
        ours, seen = learner(families["point-robot"], trials=2), []
        packed = ours._packed
        monkeypatch.setattr(
            ours,
            "_packed",
            lambda x, *, tasks: seen.append(x) or packed(x, tasks=tasks),
        )
        ours.collect()
        (sampled,) = seen
        obs = sampled.inputs[..., :2]
        assert ours.trials is not None
        expected = trial_advantages(obs, sampled.reward, sampled.alive, 3, ours.config)
        assert torch.equal(ours.trials.advantage, expected)

    def test_the_deviation_of_actions_does_not_vanish(self):
        net = policy("lstm")
        with torch.no_grad():
            net.raw_log_std.fill_(-30)
        assert (net.log_std.exp() > 0.9e-6).all()

    def test_entropy_and_the_bound_reach_the_gradient(self, families):
        def gradients(**settings):
            ours = learner(families["point-robot"], **settings)
            ours.collect()
            ours.update()
            return {
                name: value.grad
                for name, value in ours.policy.named_parameters()
                if value.grad is not None
            }

        plain = gradients()
        entropy = gradients(entropy_weight=0.25)
        bounded = gradients(max_grad_norm=1e-3)
        for name, value in plain.items():
            expected = value - 0.25 if name == "raw_log_std" else value
            torch.testing.assert_close(entropy[name], expected)
        lengths = [
            float(torch.cat([v.flatten() for v in of.values()]).norm())
            for of in (plain, bounded)
        ]
        assert lengths[0] > 1e-2
        assert lengths[1] == pytest.approx(1e-3, rel=1e-2)

    def test_a_variant_may_have_another_loss(self, families):
        class Variant(Rl2Learner):
            def loss(self, trials, state):
                loss, kl, state = super().loss(trials, state)
                return 2 * loss, kl, state

        plain = learner(families["point-robot"])
        variant = Variant(plain.config, plain.family, **PLACE)
        for one in (plain, variant):
            one.collect()
        expected = 2 * plain.update()["loss/policy"]
        assert variant.update()["loss/policy"] == pytest.approx(expected)

    def test_chunks_are_learnt_from_in_turn(self, families):
        """Adam after each chunk, whose state the policy before that step has left."""
        family = families["point-robot"]
        ours, alike = (
            learner(family, minibatch=kind, epochs=2, bptt_steps=16)
            for kind in ("chunk", "batch")
        )
        for one in (ours, alike):
            one.collect()
        trials = alike.trials
        assert trials is not None
        assert trials.alive.shape == (3, 40)  # two episodes of 20 steps
        assert (ours.updates_due, alike.updates_due) == (6, 2)
        metrics, losses = ours.update(), []
        assert (ours.updates_done, ours.updates_due) == (3, 3)
        state = alike.policy.initial_state(3)
        for first in (0, 16, 32):
            part = Trials(
                **{
                    name: x if name == "log_std" else x[:, first : first + 16]
                    for name, x in trials._asdict().items()
                }
            )
            loss, _, state = ppo_loss(
                alike.policy, part, state, clip=0.2, bptt_steps=40
            )
            state = tuple(x.detach() for x in state)
            alike.optimizer.zero_grad()
            loss.backward()
            alike.optimizer.step()
            losses.append(loss.item())
        assert metrics["loss/policy"] == pytest.approx(np.mean(losses))
        for name, value in ours.policy.state_dict().items():
            torch.testing.assert_close(value, alike.policy.state_dict()[name])

    def test_actions_are_drawn_from_the_gaussian_that_is_recorded(self, families):
        ours = learner(families["point-robot"], tasks=20, initial_std=0.25)
        ours.collect()
        trials = ours.trials
        assert trials is not None
        drawn = ((trials.action - trials.mean) / trials.log_std.exp())[trials.alive]
        torch.testing.assert_close(drawn.mean(0), torch.zeros(2), rtol=0, atol=0.15)
        torch.testing.assert_close(drawn.std(0), torch.ones(2), rtol=0, atol=0.15)

    def test_explores_as_many_episodes_as_it_is_trained_to(self, families):
        three, one = (
            learner(families["point-robot"], episodes=episodes) for episodes in (3, 1)
        )
        assert three.own_exploration == 2
        assert one.own_exploration is None

    def test_counts_the_steps_taken(self, families):
        ours = learner(families[WALKER])
        ours.collect()
        assert ours.trials is not None
        assert ours.env_steps == int(ours.trials.alive.sum())
        assert ours.env_steps < 3 * 2 * 200

    @CELLS
    def test_continues_exactly_from_a_checkpoint(self, families, tmp_path, cell):
        family = families["point-robot"]
        ours = learner(family, cell=cell)
        ours.collect()
        ours.update()
        checkpoint.save(tmp_path, ours.state_dict())
        state = checkpoint.load(tmp_path, print)
        assert state is not None
        theirs = Rl2Learner(ours.config, family, **{**PLACE, "seed": 1})
        theirs.load_state_dict(state)
        histories = []
        for one in (ours, theirs):
            history = []
            for _ in range(2):
                while one.updates_due:
                    history.append(one.update())
                history.append(one.collect())
            histories.append(history)
        assert histories[0] == histories[1]
        for name, value in ours.policy.state_dict().items():
            assert torch.equal(value, theirs.policy.state_dict()[name])

    def test_names_a_loss_that_is_no_number(self, families):
        ours = learner(families["point-robot"])
        ours.collect()
        ours.update()
        assert ours.trials is not None
        ours.trials.advantage[0, 0] = float("nan")
        with pytest.raises(NonFiniteLoss, match=r"loss/policy is nan .* step 2 "):
            ours.update()

    def test_refuses_what_no_run_could_use(self, families):
        with pytest.raises(ValueError, match="computes in float32"):
            Rl2Learner(
                Rl2Config(), families["point-robot"], **{**PLACE, "precision": "bf16"}
            )
        with pytest.raises(ValueError, match="clip must be positive"):
            Rl2Config(clip=0.0)

    def test_learns_to_do_better_in_the_second_episode(self, families):
        family = families["point-robot"]
        family = replace(family, train=family.train[:10])
        ours = learner(
            family,
            tasks=10,
            trials=8,
            hidden_size=32,
            initial_std=0.6,
            learning_rate=5e-3,
            epochs=8,
            discount=0.95,
            bptt_steps=40,
        )
        for _ in range(80):
            ours.collect()
            while ours.updates_due:
                ours.update()
        family = replace(family, train=family.train * 10)
        gains = []
        for forget in (False, True):
            _, episodes = run_trial(ours, family, 2, forget=forget)
            gains.append(float((episodes[1].total - episodes[0].total).mean()))
        assert gains[0] > 1.2
        assert abs(gains[1]) < 0.5  # without the hidden state there is no gain
