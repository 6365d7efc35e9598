"""Meta-World: tasks, the accelerated environments, the worker processes."""

import copy
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import gymnasium
import metaworld
import numpy as np
import psutil
import pytest
from gymnasium.vector import SyncVectorEnv
from metaworld import evaluation
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.utils import reward_utils

import suites
from baselines.maml_trpo import MamlTrpoLearner
from baselines.maml_trpo_config import MamlTrpoConfig
from baselines.rl2 import Rl2Learner
from baselines.rl2_config import Rl2Config
from pearl_bench.training.evaluate import (
    description,
    episodes_due,
    evaluate,
    protocols,
)
from pearl_bench.training.rollout import run_episode
from pearl_bench.training.types import MetaLearner
from suites.base import MetaTest, Task
from suites.metaworld import batch as metaworld_batch
from suites.metaworld import evaluator
from suites.metaworld import tasks as task_lists
from suites.metaworld.accelerate import accelerated, tolerance
from suites.metaworld.batch import (
    MetaWorldBatch,
    WorkerError,
    Workers,
    shared_workers,
)
from suites.metaworld.simulator import Simulator, package_task
from suites.metaworld.worker import Worker

FEW = ("reach-v3", "push-v3", "soccer-v3", "lever-pull-v3", "basketball-v3")
FAMILIES = {
    family.name: family
    for suite in ("ml1", "ml10", "ml45")
    for family in suites.load(suite).families
}


# Tasks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "train", "test"), [("push", 1, 1), ("ml10", 10, 5), ("ml45", 45, 5)]
)
def test_families_have_fifty_goals_of_each_class(name, train, test):
    family = FAMILIES[name]
    for split, classes in ((family.train, train), (family.test, test)):
        goals = {
            group: {task.params for task in tasks}
            for group, tasks in itertools.groupby(split, lambda task: task.group)
        }
        assert len(goals) == classes
        assert all(len(params) == 50 for params in goals.values())
    everything = (*family.train, *family.test)
    assert [task.index for task in everything] == list(range(len(everything)))
    assert {task.family for task in everything} == {name}


@pytest.mark.parametrize("name", FAMILIES)
def test_no_test_goal_is_a_training_goal(name):
    family = FAMILIES[name]
    seen = {(task.group, task.params) for task in family.train}
    assert not any((task.group, task.params) in seen for task in family.test)
    checked = [one.tasks(family) for one in family.protocols if one.split == "train"]
    assert set(*checked) <= set(family.train)


def test_seeds_are_further_apart_than_ml1_uses_them():
    assert min(np.diff(sorted(task_lists.SEEDS.values()))) > 1


def test_ml1_names_its_families_after_the_classes():
    names = [name.removesuffix("-v3") for name in ALL_V3_ENVIRONMENTS]
    found = [family.name for family in suites.load("ml1").families]
    assert found == [*names, *(f"{name}-reward-v1" for name in names)]


def test_files_are_the_installed_packages_tasks_of_one_class(monkeypatch):
    monkeypatch.setattr(metaworld.ML1, "ENV_NAMES", ["push-v3"])
    assert task_lists.draw("ml1") == [
        row for row in task_lists.read("ml1") if row[1] == "push-v3"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", task_lists.SEEDS)
def test_files_are_the_installed_packages_tasks(name):
    assert task_lists.draw(name) == task_lists.read(name)


@pytest.mark.parametrize("name", ["push", "ml10", "ml45"])
def test_fingerprints_are_pinned(name):
    pinned = {
        "push": "2019b6e371d6ef0e",
        "ml10": "ac094e5e6d8549cd",
        "ml45": "83c04121df545bf4",
    }
    assert FAMILIES[name].fingerprint() == pinned[name]


def test_quick_protocol_keeps_the_first_goals_of_each_class():
    family = FAMILIES["ml10"].meta_tested(2, protocol="suite", repetitions=1)
    assert len(family.test) == 10
    assert family.test[:2] == FAMILIES["ml10"].test[:2]
    assert family.test[2] == FAMILIES["ml10"].test[50]
    assert [len(one.tasks(family)) for one in family.protocols] == [10, 20, 10]
    whole = FAMILIES["ml10"]
    assert whole.meta_tested(None, protocol="suite", repetitions=1) == whole


@pytest.mark.parametrize(
    ("learner", "config"),
    [
        (Rl2Learner, Rl2Config(tasks=20, trials=1)),
        (MamlTrpoLearner, MamlTrpoConfig(tasks=20)),
    ],
)
def test_batches_are_of_every_class_and_come_to_every_goal(learner, config):
    place = {"seed": 0, "device": "cpu", "precision": "float32", "threads": 1}
    ours, seen = learner(config, FAMILIES["ml10"], **place), set()
    for _ in range(300):
        drawn = ours._draw_tasks().ravel().tolist()
        groups = Counter(ours.family.train[i].group for i in drawn)
        assert list(groups.values()) == [2] * 10
        assert len(set(drawn)) == 20
        seen |= set(drawn)
    assert len(seen) == 500


# One environment beside the untouched package ---------------------------------------


def goals(name: str, count: int) -> list[tuple[float, ...]]:
    split = task_lists.family_tasks("ml1", name, name)[0]
    return [task.params for task in split[:count]]


def act(expert, obs, goal) -> np.ndarray:
    """Ask a scripted expert, who has to see the goal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constants too high
        return expert.get_action(np.concatenate([obs[:36], goal]))


def package_episode(name, params, steps, rng, *, expert, noise):
    """Play the untouched package; return first observation, actions and steps."""
    env = ALL_V3_ENVIRONMENTS[name]()
    env.set_task(package_task(env, params))
    first, _ = env.reset()
    obs, actions, played = first, [], []
    for _ in range(steps):
        action = rng.uniform(-noise, noise, 4)
        if expert is not None:
            action = action + act(expert, obs, env._target_pos)
        actions.append(np.clip(action, -1, 1).astype(np.float32))
        obs, reward, _, _, info = env.step(actions[-1])
        played.append((obs, reward, bool(info["success"])))
    return first, actions, played


def compare(name: str, steps: int) -> None:
    """Step random, scripted and disturbed episodes in turns, twice over, beside it."""
    rng = np.random.default_rng(0)
    expert = ENV_POLICY_MAP[name]()
    params = goals(name, 3)
    expected = [
        package_episode(name, params[0], steps, rng, expert=None, noise=1.0),
        package_episode(name, params[1], steps, rng, expert=expert, noise=0.0),
        package_episode(name, params[2], steps, rng, expert=expert, noise=0.5),
    ]
    with accelerated():
        simulator = Simulator(name, "v2")
        for _ in range(2):  # the second time from the remembered starts
            ours = [simulator.reset(one) for one in params]
            for (_, first), (reference, _, _) in zip(ours, expected, strict=True):
                np.testing.assert_allclose(first, reference, rtol=0, atol=1e-12)
            for t in range(steps):
                for (episode, _), (_, actions, played) in zip(
                    ours, expected, strict=True
                ):
                    outcome = simulator.step(episode, actions[t])
                    obs, reward, success = played[t]
                    np.testing.assert_allclose(outcome.obs, obs, rtol=0, atol=1e-12)
                    assert outcome.reward == reward  # bit for bit
                    assert outcome.success == success
                    assert not outcome.unstable
                    assert not outcome.obs[36:].any()  # the goal is hidden


@pytest.mark.parametrize("name", FEW)
def test_equals_the_untouched_package(name):
    compare(name, steps=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_V3_ENVIRONMENTS)
def test_equals_the_untouched_package_in_whole_episodes(name):
    compare(name, steps=500)


def test_the_package_is_itself_again_outside():
    module = sys.modules["metaworld.envs.sawyer_push_v3"]
    owners = (module, SawyerXYZEnv, reward_utils)
    before = [dict(vars(owner)) for owner in owners]
    with accelerated():
        for owner, theirs in zip(owners, before, strict=True):
            assert dict(vars(owner)) != theirs
    assert [dict(vars(owner)) for owner in owners] == before


@pytest.mark.parametrize("x", [0.0, 0.05, 0.1, 0.3, -2.0, math.nan, 1, np.arange(3.0)])
@pytest.mark.parametrize("margin", [0.0, 0.2, np.float64(1e-3)])
@pytest.mark.parametrize("sigmoid", ["long_tail", "gaussian", "linear"])
def test_near_its_bounds_a_number_is_worth_what_the_package_says(x, margin, sigmoid):
    for number in (x, np.float64(x) if isinstance(x, float) else x):
        arguments = (number, (0, 0.1), margin, sigmoid)
        ours, theirs = tolerance(*arguments), reward_utils.tolerance(*arguments)
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("bounds", "margin"), [((0.1, 0), 0.1), ((0, 0.1), -0.1)])
def test_bounds_that_are_none_are_the_packages_error(bounds, margin):
    with pytest.raises(ValueError, match=r"Lower bound|non-negative"):
        tolerance(0.5, bounds, margin)


def test_a_breakdown_is_told_and_leaves_the_next_episode_alone():
    simulator = Simulator("reach-v3", "v2")
    (params,) = goals("reach-v3", 1)
    action = np.ones(4, np.float32)
    episode, _ = simulator.reset(params)
    expected = simulator.step(episode, action)
    assert not expected.unstable
    episode, _ = simulator.reset(params)
    episode.state[1] = np.nan  # the first joint; 0 is the time
    assert simulator.step(episode, action).unstable
    episode, _ = simulator.reset(params)
    again = simulator.step(episode, action)
    assert again.reward == expected.reward
    assert not again.unstable


# Batches ----------------------------------------------------------------------------


def play(batch, steps, seed=0):
    rng = np.random.default_rng(seed)
    first = batch.reset(rng)
    actions = rng.uniform(-1.2, 1.2, (steps, batch.num_envs, 4))
    return first, [batch.step(action) for action in actions]


def test_results_do_not_depend_on_the_number_of_workers():
    family = FAMILIES["ml10"]
    tasks = [family.train[i] for i in (0, 60, 1, 0, 61)]
    played = []
    for number in (1, 2):
        batch = family.make_batch(tasks, threads=number)
        played += [play(batch, 20), play(batch, 20)]
        batch.close()
    for first, steps in played[1:]:
        np.testing.assert_array_equal(first, played[0][0])
        for step, expected in zip(steps, played[0][1], strict=True):
            for mine, theirs in zip(step, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)
    first, steps = played[0]
    np.testing.assert_array_equal(first[0], first[3])  # the same task, other actions
    assert (steps[-1].obs[0] != steps[-1].obs[3]).any()
    assert first.dtype == steps[0].obs.dtype == np.float32


def test_rows_that_are_not_active_stand_still():
    family = FAMILIES["reach"]
    batch = family.make_batch(family.train[:2], threads=1)
    alone = family.make_batch(family.train[:1], threads=1)
    one, both = np.array([True, False]), np.array([True, True])
    rng = np.random.default_rng(0)
    batch.reset(rng)
    alone.reset(rng)
    action = np.full((2, 4), 0.3)
    step = batch.step(action, np.array([False, True]))
    assert not step.obs[0].any()
    assert step.reward[0] == 0
    assert step.reward[1] > 0
    step, expected = batch.step(action, both), alone.step(action[:1])
    np.testing.assert_array_equal(step.obs[0], expected.obs[0])
    before = step.obs[1]
    np.testing.assert_array_equal(batch.reset(rng, one)[1], before)
    batch.close()
    alone.close()


def test_success_ends_no_episode():
    family = FAMILIES["drawer-close"]
    batch = family.make_batch(family.test[:1], threads=1)
    expert = ENV_POLICY_MAP["drawer-close-v3"]()
    obs, solved = batch.reset(np.random.default_rng(0)), []
    for _ in range(150):
        step = batch.step(act(expert, obs[0], np.zeros(3))[None])
        obs = step.obs
        assert step.success is not None
        solved.append(bool(step.success[0]))
        assert not step.terminated.any()
    assert solved[-1]
    assert not solved[0]
    batch.close()


def test_version_1_rewards_are_in_units_of_their_size():
    name, (params,) = "reach-v3", goals("reach-v3", 1)
    simulator = Simulator(name, "v1")
    episode, _ = simulator.reset(params)
    action = np.full(4, 0.1, np.float32)
    expected = simulator.step(episode, action).reward
    family = FAMILIES["reach-reward-v1"]
    batch = family.make_batch(family.train[:1], threads=1)
    batch.reset(np.random.default_rng(0))
    assert batch.step(action[None]).reward[0] == expected / 200
    assert abs(expected) > 0
    batch.close()


class Here(Workers):
    """A worker in this process, whose episodes a test can reach."""

    def __init__(self):
        self._batches, self._processes = itertools.count(), [cast(Any, None)]
        self.worker = Worker()

    def _order(self, shared, what, own):
        (words,) = own
        self.worker.obey({"do": what} | shared | words)


def test_a_breakdown_ends_its_episode_without_reward_or_success():
    workers, action = Here(), np.full((2, 4), 0.1)
    batch = reach_batch(workers)
    batch.reset(np.random.default_rng(0))
    before = batch.step(action)
    episodes = workers.worker.slices[0].episodes
    inside = workers.worker.simulators["v2"]["reach-v3"]._inside
    (broken,) = (row for row, episode in episodes.items() if episode is not inside)
    episodes[broken].state[1] = np.nan  # the first joint
    batch._rows["success"] = True  # of the step before
    step = batch.step(action)
    assert step.success is not None
    assert np.flatnonzero(step.unstable).tolist() == [broken]
    assert np.flatnonzero(step.terminated).tolist() == [broken]
    assert not step.success.any()
    assert np.flatnonzero(step.reward).tolist() == [1 - broken]
    np.testing.assert_array_equal(step.obs[broken], before.obs[broken])
    assert (step.obs[1 - broken] != before.obs[1 - broken]).any()


def test_bad_actions_are_refused():
    family = FAMILIES["reach"]
    batch = family.make_batch(family.train[:2], threads=1)
    batch.reset(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"shape \(2, 4\)"):
        batch.step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"environments \[1\] are not finite"):
        batch.step(np.array([[0.0] * 4, [np.nan] * 4]))
    batch.close()
    with pytest.raises(ValueError, match="at least one task"):
        family.make_batch([], threads=1)


# Evaluation -------------------------------------------------------------------------


class ScriptedAdapter:
    """Solves some tasks by script and leaves the others alone."""

    def __init__(self, tasks, solvable):
        self.tasks, self.solvable = tasks, solvable
        self.experts = {task.group: ENV_POLICY_MAP[task.group]() for task in tasks}

    def act(self, obs, *, explore):
        del explore
        action = np.zeros((len(obs), 4), np.float32)
        for i, task in enumerate(self.tasks):
            if task in self.solvable:
                expert = self.experts[task.group]
                action[i] = np.clip(act(expert, obs[i], task.params[-3:]), -1, 1)
        return action

    def observe(self, step):
        pass

    def end_episode(self):
        pass

    def adapt(self):
        pass


class ScriptedLearner:
    env_steps = 0
    own_exploration = None

    def __init__(self, solvable):
        self.solvable = solvable

    def adapter(self, tasks, seed):
        del seed
        return ScriptedAdapter(tasks, self.solvable)

    def unadapted(self, tasks):
        return self.adapter(tasks, 0)


def success_by_group(family, solvable) -> dict[str, float]:
    learner = cast(MetaLearner, ScriptedLearner(solvable))
    rows = evaluate(learner, family, seed=0, threads=1)
    tested = [row for row in rows if row.split == "test"]
    assert len(tested) == len(family.test) * len(family.meta_test.numbers)
    last = [row for row in tested if row.episode == family.meta_test.episodes]
    groups = sorted({row.group for row in last})
    return {
        group: float(np.mean([bool(r.success) for r in last if r.group == group]))
        for group in groups
    }


def test_one_solved_goal_of_twenty_is_a_twentieth():
    family = FAMILIES["reach"]
    family = replace(
        family,
        test=family.test[:20],
        horizon=80,
    ).tested_by(MetaTest(1, 1))
    assert success_by_group(family, {family.test[7]}) == {"reach-v3": 0.05}


def test_one_solved_goal_of_four_per_class_is_a_quarter():
    family = FAMILIES["ml10"]
    drawers = [t for t in family.train if t.group == "drawer-close-v3"][:4]
    reaches = [t for t in family.train if t.group == "reach-v3"][:4]
    family = replace(
        family,
        test=(*reaches, *drawers),
        horizon=120,
    ).tested_by(MetaTest(1, 1))
    found = success_by_group(family, {reaches[0], drawers[3]})
    assert found == {"drawer-close-v3": 0.25, "reach-v3": 0.25}


def test_success_counts_at_any_step():
    """Reach the goal and leave it again: the episode has succeeded."""
    family = FAMILIES["reach"]
    family = replace(family, test=family.test[:2], horizon=160)

    class Leaving(ScriptedAdapter):
        steps = 0

        def act(self, obs, *, explore):
            self.steps += 1
            action = super().act(obs, explore=explore)
            return action if self.steps % 160 < 80 else -np.ones_like(action)

    adapter = Leaving(family.test, set(family.test))
    batch = family.make_batch(family.test, threads=1)
    rng = np.random.default_rng(0)
    episode = run_episode(batch, adapter, family.horizon, rng, explore=False)
    last = batch.step(-np.ones((2, 4)))
    batch.close()
    assert episode.success is not None
    assert episode.success.all()
    assert last.success is not None
    assert not last.success.any()


class FirstOnlyLearner(ScriptedLearner):
    """Solves the first of the tasks it is given."""

    def __init__(self):
        super().__init__(set())

    def adapter(self, tasks, seed):
        del seed
        return ScriptedAdapter(tasks, {tasks[0]})


def test_the_packages_evaluation_stands_under_its_own_name():
    family = FAMILIES["reach"].meta_tested(1, protocol="metaworld", repetitions=1)
    quick = MetaTest(exploration_episodes=1, test_episodes=3)
    suite, _, package = family.protocols
    tested = (replace(suite, meta_test=quick), package)
    family = replace(family, horizon=200, protocols=tested)
    learner = cast(MetaLearner, FirstOnlyLearner())
    described = [description(p, family) for p in protocols(learner, family)]
    assert [d["protocol"] for d in described] == ["suite", "metaworld"]
    rows = evaluate(learner, family, seed=0, threads=1)
    theirs = [row for row in rows if row.protocol == "metaworld"]
    assert [(r.task, r.episode, r.success) for r in theirs] == [
        (family.test[0].index, number, True) for number in (1, 2, 3)
    ]  # one goal of twenty is solved
    assert all(0 < row.length < 80 for row in theirs)  # each ends at success
    assert evaluate(learner, family, seed=0, threads=1) == rows


def test_in_the_packages_evaluation_players_see_an_episodes_last_observation():
    """Not the first of the next, which the package's environments return with it."""
    family = FAMILIES["reach"].meta_tested(1, protocol="metaworld", repetitions=1)
    family = replace(family, horizon=3)
    package = family.protocols[-1]
    assert package.evaluator is not None
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    begun: list[Task] = []

    class Watcher:
        def begin(self, tasks, seed):
            begun[:] = tasks

        def act(self, obs, *, explore):
            return np.ones((len(obs), 4))

        def observe(self, reward, next_obs):
            seen.append((reward, next_obs.copy()))

        def end_episode(self):
            pass

        adapt = end_episode

    package.evaluator.play(family, package, Watcher(), np.random.SeedSequence(0))
    # the three episodes that count are the first of three environments
    assert len(seen) == 3 * (family.meta_test.exploration_episodes + 1)
    batch = family.make_batch(begun, threads=1)
    for start in range(0, len(seen), 3):
        batch.reset(np.random.default_rng(0))
        for reward, next_obs in seen[start : start + 3]:
            step = batch.step(np.ones((len(begun), 4)))
            np.testing.assert_allclose(next_obs, step.obs, atol=1e-6)
            np.testing.assert_allclose(reward, step.reward, atol=1e-6)
    batch.close()


def test_in_the_packages_evaluation_every_repetition_begins_anew():
    """It explores, adapts once, and only then plays what counts."""
    whole = FAMILIES["reach"]
    family = whole.meta_tested(2, protocol="metaworld", repetitions=1)
    suite, _, package = family.protocols
    explored = replace(suite, meta_test=MetaTest(2, 1))
    family = replace(family, horizon=2, protocols=(explored, package))
    diary: list[str] = []
    begun: list[tuple[int, tuple[float, ...]]] = []

    class Diarist:
        def begin(self, tasks, seed):
            diary.append("begin")
            begun.extend((seed, task.params) for task in tasks)

        def act(self, obs, *, explore):
            diary.append("explore" if explore else "play")
            return np.zeros((len(obs), 4))

        def observe(self, reward, next_obs):
            pass

        def end_episode(self):
            diary.append("end")

        def adapt(self):
            diary.append("adapt")

    counted = evaluator.play("reach-v3", family, package, Diarist(), 4, [7, 8])
    exploration = ["explore", "explore", "end"] * 2
    assert diary == ["begin", *exploration, "adapt", "play", "play"] * 2
    assert [seed for seed, _ in begun] == [7] * 4 + [8] * 4
    goals_of = [{task.params for task in split} for split in (whole.test, whole.train)]
    goals = {goal for _, goal in begun}
    assert goals <= goals_of[0]
    assert not goals & goals_of[1]
    assert [(one.task, one.episode, one.success) for one in counted] == [
        (task, number, False) for task in family.test for number in (1, 2, 3)
    ]


def test_the_packages_evaluation_is_refused_if_it_counts_otherwise(monkeypatch):
    family = FAMILIES["reach"].meta_tested(1, protocol="metaworld", repetitions=1)
    family = replace(family, horizon=5, protocols=family.protocols[::2])

    def kinder(*args, **kwargs):
        rate, *rest = evaluation.metalearning_evaluation(*args, **kwargs)
        return rate + 1 / 60, *rest

    monkeypatch.setattr(evaluator, "metalearning_evaluation", kinder)
    learner = cast(MetaLearner, ScriptedLearner(set()))
    with pytest.raises(RuntimeError, match=r"rate of 0\.016.* end have 0\.0: it has"):
        evaluate(learner, family, seed=0, threads=1)


def test_the_plan_counts_what_the_package_plays():
    learner = cast(MetaLearner, ScriptedLearner(set()))
    suite, package = (
        FAMILIES["ml10"].meta_tested(2, protocol=name, repetitions=1)
        for name in ("suite", "metaworld")
    )
    assert episodes_due(learner, suite) == (10 + 20) * 14
    # two repetitions, 20 environments
    assert episodes_due(learner, package) == (10 + 20) * 14 + 2 * 20 * 13


@pytest.mark.usefixtures("opengl")
def test_looking_changes_nothing_and_shows_what_moves():
    tasks = [FAMILIES["push"].test[0], FAMILIES["reach"].test[1]] * 2
    family = FAMILIES["push"]
    seen, unseen = (
        cast(MetaWorldBatch, family.make_batch(tasks, threads=n)) for n in (2, 1)
    )
    cameras = [seen.camera(i, 120) for i in range(4)]
    with pytest.raises(RuntimeError, match="reset the environment before you look"):
        cameras[0].picture()
    rng = np.random.default_rng(0)
    for env in (seen, unseen):
        env.reset(rng)
    pictures = []
    for _ in range(10):
        pictures.append([camera.picture() for camera in cameras])
        action = np.repeat(rng.uniform(-1, 1, (2, 4)), 2, axis=0)
        one, other = seen.step(action), unseen.step(action)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    first, last = pictures[0], pictures[-1]
    assert first[0].shape == (120, 120, 3)
    assert (first[0] == first[2]).all()  # the same task from the same start
    assert (first[0] != first[1]).any()
    for i in range(4):
        assert np.abs(last[i].astype(int) - first[i]).max() > 50
    assert (last[0] != last[2]).any()  # rows 0 and 2 took other actions
    for camera in cameras:
        camera.close()
    for env in (seen, unseen):
        env.close()


@pytest.mark.usefixtures("opengl")
def test_the_goal_is_where_the_package_shows_it():
    goal = FAMILIES["reach"].test[1]
    env = gymnasium.make(
        "pearl_bench/reach-v0", task=goal.index, render_mode="rgb_array"
    )
    env.reset(seed=0)
    inner = cast(Any, env.unwrapped)
    assert np.asarray(env.render()).shape == (480, 480, 3)
    drawn = inner._camera._data.site("goal").xpos
    np.testing.assert_allclose(drawn, goal.params[3:])
    env.close()


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("name", ["reach", "button-press"])
def test_pictures_mark_the_goal(name):
    """Also of a class that the package shows no site for."""
    family = FAMILIES[name]
    batch = cast(MetaWorldBatch, family.make_batch(family.test[:1], threads=1))
    batch.reset(np.random.default_rng(0))
    camera = batch.camera(0, 120)
    marked = camera.picture().astype(int)
    camera._camera.mark = None
    changed = (marked != camera._camera.picture()).any(2)
    assert 20 < changed.sum() < 1000
    assert marked[changed].mean(0).argmax() == 1  # green
    camera.close()
    batch.close()


def test_batches_are_not_copied():
    family = FAMILIES["reach"]
    batch = family.make_batch(family.test[:1], threads=1)
    for copies in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            copies(batch)
    batch.close()


# Defects of the installed package; when one is gone, so is our reason ----------------


def test_the_packages_evaluator_counts_the_episodes_that_end_first():
    """Farama-Foundation/Metaworld#577: one goal of ten solved, reported as all."""
    envs = metaworld.make_ml_envs(
        "reach-v3",
        seed=1,
        meta_batch_size=10,
        total_tasks_per_cls=10,
        split="test",
        vector_strategy="sync",
    )
    envs = cast(SyncVectorEnv, envs)
    first = envs.envs[0].unwrapped

    class Agent:
        expert = ENV_POLICY_MAP["reach-v3"]()

        def eval_action(self, observations):
            action = np.zeros((10, 4))
            goal = cast(SawyerXYZEnv, first)._target_pos
            action[0] = act(self.expert, observations[0], goal)
            return action.clip(-1, 1)

        def reset(self, env_mask):
            pass

    rate, _, by_class, _ = evaluation.evaluation(Agent(), envs, num_episodes=3)
    envs.close()
    assert rate == 1.0
    assert by_class == {"reach-v3": 1.0}


def test_the_packages_id_of_ml1_trains_on_the_test_goals():
    """Farama-Foundation/Metaworld#573."""
    envs = gymnasium.make_vec(
        "Meta-World/ML1-train",
        env_name="reach-v3",
        seed=1,
        meta_batch_size=10,
        total_tasks_per_cls=10,
        vector_strategy="sync",
    )
    envs = cast(SyncVectorEnv, envs)
    benchmark = metaworld.ML1("reach-v3", seed=1)
    test = {task.data for task in benchmark.test_tasks}
    train = {task.data for task in benchmark.train_tasks}
    given = {task.data for tasks in envs.get_attr("tasks") for task in tasks}
    envs.close()
    assert given <= test
    assert not given & train


# Worker processes -------------------------------------------------------------------


def reach_batch(workers: Workers) -> MetaWorldBatch:
    return MetaWorldBatch(FAMILIES["reach"].train[:2], workers=workers, reward="v2")


def pids_of(workers: Workers) -> list[int]:
    return [process.pid for process in workers._processes]


def test_a_worker_that_dies_is_reported_and_takes_the_others_along():
    workers = Workers(2)
    batch = reach_batch(workers)
    pids = pids_of(workers)
    batch.reset(np.random.default_rng(0))
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(WorkerError, match=f"{pids[1]} ended with SIGKILL"):
        batch.step(np.zeros((2, 4)))
    batch.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(WorkerError, match="make a new batch"):
        reach_batch(workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_leaves_the_workers_alive(number):
    workers = Workers(1)
    batch = reach_batch(workers)
    batch.reset(np.random.default_rng(0))
    os.kill(pids_of(workers)[0], number)
    batch.step(np.zeros((2, 4)))
    workers.close()


def test_the_next_batch_gets_new_workers():
    family = FAMILIES["reach"]
    batch = family.make_batch(family.train[:1], threads=1)
    first = batch.reset(np.random.default_rng(0))
    os.kill(pids_of(shared_workers(1))[0], signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        batch.step(np.zeros((1, 4)))
    batch = family.make_batch(family.train[:1], threads=1)
    np.testing.assert_array_equal(batch.reset(np.random.default_rng(0)), first)
    batch.close()


def test_what_goes_wrong_in_a_worker_is_told():
    workers = Workers(1)
    batch = reach_batch(workers)
    batch.reset(np.random.default_rng(0))
    with pytest.raises(WorkerError, match="a worker cannot dance"):
        workers.order(batch._number, "dance")
    assert not workers.alive
    unknown = Task("reach", 0, (0.0,) * 6, "no-such-v3")
    with pytest.raises(WorkerError, match="no-such-v3"):
        MetaWorldBatch([unknown], workers=Workers(1), reward="v2")


def test_workers_import_what_this_process_does(tmp_path, monkeypatch):
    """Not what lies in the current folder, where this one does not look."""
    (tmp_path / "tempfile.py").write_text("raise RuntimeError('of a user')\n")
    monkeypatch.chdir(tmp_path)
    workers = Workers(1)
    reach_batch(workers)
    workers.close()


def test_workers_that_cannot_be_started_leave_nothing_to_close(monkeypatch):
    """As where a limit on processes is reached: Python ends without a traceback."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        with pytest.raises(BlockingIOError) as caught:
            Workers(1)
    metaworld_batch._close_every()
    del caught  # whose frames have held them until now


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_memory_for_files_that_has_no_room_is_not_needed(monkeypatch):
    """As in a container whose /dev/shm is full or read-only."""
    monkeypatch.setattr(metaworld_batch, "RAM", Path("/proc"))
    workers = Workers(1)
    batch = reach_batch(workers)
    batch.reset(np.random.default_rng(0))
    batch.step(np.zeros((2, 4)))
    workers.close()


def test_steps_outside_an_episode_are_refused_and_cost_no_worker():
    workers = Workers(1)
    batch, actions = reach_batch(workers), np.zeros((2, 4))
    with pytest.raises(RuntimeError, match="before its first step"):
        batch.step(actions)
    rng, first = np.random.default_rng(0), np.array([True, False])
    batch.reset(rng, first)
    for _ in range(500):
        batch.step(actions, first)
    with pytest.raises(RuntimeError, match="an episode has 500 steps"):
        batch.step(actions, first)
    with pytest.raises(RuntimeError, match="before its first step"):
        batch.step(actions, ~first)
    batch.reset(rng)
    batch.step(actions)
    workers.close()


def lines_of(code: str) -> list[str]:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


def test_a_forked_process_has_workers_of_its_own():
    code = (
        "import multiprocessing, numpy\n"
        "from pearl_bench import registry\n"
        "family = registry.family('ml1', 'reach')\n"
        "rng = numpy.random.default_rng(0)\n"
        "ours = family.make_batch(family.train[:1], threads=1)\n"
        "first = ours.reset(rng)\n"
        "def child(pipe):\n"
        "    try:\n"
        "        ours.step(numpy.zeros((1, 4)))\n"
        "    except Exception as error:\n"
        "        pipe.send(str(error))\n"
        "    own = family.make_batch(family.train[:1], threads=1)\n"
        "    pipe.send(bool((own.reset(rng) == first).all()))\n"
        "    own.close()\n"
        "here, there = multiprocessing.Pipe()\n"
        "other = multiprocessing.get_context('fork').Process("
        "target=child, args=(there,))\n"
        "other.start()\n"
        "print(here.recv())\n"
        "print(here.recv())\n"
        "other.join()\n"
        "print(ours.step(numpy.zeros((1, 4))).obs.shape)\n"
    )
    said, *others = lines_of(code)
    assert "or are those of the process that this one was forked from" in said
    assert others == ["True", "(1, 39)"]


def test_a_closed_batch_is_refused_and_costs_no_worker():
    workers = Workers(1)
    closed, batch = reach_batch(workers), reach_batch(workers)
    rng, actions = np.random.default_rng(0), np.zeros((2, 4))
    for one in (closed, batch):
        one.reset(rng)
    closed.close()
    with pytest.raises(RuntimeError, match="this batch is closed"):
        closed.step(actions)
    with pytest.raises(RuntimeError, match="this batch is closed"):
        closed.reset(rng)
    batch.step(actions)
    workers.close()


def test_a_process_ends_though_a_forked_one_lives():
    """A fork inherits the pipes of the workers, who wait for all ends to be closed."""
    code = (
        "import multiprocessing, time\n"
        "from pearl_bench import registry\n"
        "family = registry.family('ml1', 'reach')\n"
        "batch = family.make_batch(family.train[:1], threads=1)\n"
        "child = multiprocessing.get_context('fork').Process("
        "target=time.sleep, args=(60,), daemon=True)\n"
        "child.start()\n"
        "start = time.monotonic()\n"
        "batch._workers.close()\n"
        "print(time.monotonic() - start)\n"
        "child.kill()\n"
    )
    (seconds,) = lines_of(code)
    assert float(seconds) < 30


def test_nothing_is_left_when_the_process_is_killed():
    code = (
        "import sys, time, numpy, suites\n"
        "family = suites.load('ml1').families[0]\n"
        "batch = family.make_batch(family.train[:1], threads=2)\n"
        "print(*(p.pid for p in batch._workers._processes), flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.slow
def test_a_run_whose_worker_dies_goes_on_where_it_was(tmp_path):
    def command(out):
        words = [
            f"out={tmp_path / out}",
            f"results={tmp_path / out}-published",
            *("suite=ml1", "task=reach", "learners=maml_trpo", "budget=smoke"),
            *("meta_test.goals=1", "checkpoint_minutes=0.001", "device=cpu"),
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "pearl_bench.run", *words],
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(out, name):
        (path,) = (tmp_path / out).rglob(name)
        return [line.rpartition(",")[0] for line in path.read_text().splitlines()]

    whole = command("whole")
    assert (whole.communicate()[1], whole.returncode) == ("", 0)
    broken = command("broken")
    while not list((tmp_path / "broken").rglob("checkpoint*")):
        assert broken.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(broken.pid).children()
    workers[0].kill()
    errors = broken.communicate()[1]
    assert broken.returncode == 1
    assert "ended with SIGKILL" in errors
    assert "the same command goes on" in errors
    again = command("broken")
    assert (again.communicate()[1], again.returncode) == ("", 0)
    for name in ("train.csv", "eval.csv"):
        assert rows("broken", name) == rows("whole", name)
