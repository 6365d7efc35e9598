"""Gymnasium environments as a batch."""

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import suites
from pearl_bench.training.agent import Agent
from suites import from_gym
from suites.base import Task
from suites.from_gym import GymBatch
from suites.gym import TaskEnv

FAMILIES = {
    family.name: family
    for suite in ("locomotion", "navigation")
    for family in suites.load(suite).families
}
TASKS = [Task("pendulum", i, (gravity,)) for i, gravity in enumerate((5.0, 9.0, 14.0))]


def pendulum(task: Task) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("Pendulum-v1", g=task.params[0])


def pendulums() -> GymBatch:
    return from_gym.make_batch(pendulum, TASKS, threads=1)


class Scripted(gymnasium.Env[np.ndarray, np.ndarray]):
    """Counts its steps; ``script`` changes what those of some numbers return."""

    def __init__(self, script=None, low=-2.0, high=6.0, size=2):
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(low, high, (size,), np.float32)
        self.script = {} if script is None else script
        self.closed = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.elapsed, self.done = 0, []
        return self.np_random.uniform(size=2), {}

    def step(self, action):
        self.elapsed += 1
        self.done.append(action)
        found = {"obs": [self.elapsed, 0], "reward": 1.0, "ended": False}
        found |= {"cut": False, "info": {}} | self.script.get(self.elapsed, {})
        return tuple(found.values())

    def close(self):
        self.closed = True


def begun(*envs: Any) -> GymBatch:
    batch = GymBatch(envs)
    batch.reset(np.random.default_rng(0))
    return batch


@pytest.mark.parametrize("name", ["sparse-point-robot", "half-cheetah-vel"])
def test_a_batch_of_the_familys_own_environments_says_what_they_say(name):
    family = FAMILIES[name]
    tasks = family.train[:2]
    batch = from_gym.make_batch(partial(TaskEnv, family), tasks, threads=1)
    singles = [TaskEnv(family, task) for task in tasks]
    obs = batch.reset(np.random.default_rng(1))
    seeds = np.random.default_rng(1).integers(2**31, size=2)
    starts = [one.reset(seed=int(s))[0] for one, s in zip(singles, seeds, strict=True)]
    np.testing.assert_array_equal(obs, starts)
    for action in np.random.default_rng(0).uniform(-1, 1, (10, 2, family.action_dim)):
        step = batch.step(action.astype(np.float32))
        for i, one in enumerate(singles):
            obs, reward, terminated, _, info = one.step(action[i].astype(np.float32))
            np.testing.assert_array_equal(step.obs[i], obs)
            assert (step.reward[i], step.terminated[i]) == (reward, terminated)
            assert step.sparse_reward[i] == info["sparse_reward"]
    batch.close()


def test_shapes_types_and_ownership():
    batch = pendulums()
    obs = batch.reset(np.random.default_rng(0))
    assert (obs.shape, obs.dtype) == ((3, 3), np.float32)
    first = batch.step(np.ones((3, 1)))
    assert (first.obs.shape, first.obs.dtype) == ((3, 3), np.float32)
    assert (first.reward.shape, first.reward.dtype) == ((3,), np.float64)
    assert first.terminated.dtype == first.unstable.dtype == bool
    assert first.success is None
    assert batch.distance() is None
    kept = first.obs.copy(), obs.copy()
    batch.step(-np.ones((3, 1)))
    np.testing.assert_array_equal(first.obs, kept[0])
    np.testing.assert_array_equal(obs, kept[1])
    assert len(np.unique(first.reward)) == 3  # a start of its own, and a gravity


def test_starts_come_from_the_generator_and_no_row_from_what_the_others_do():
    some, every = pendulums(), pendulums()
    before = some.reset(np.random.default_rng(0))
    np.testing.assert_array_equal(before, every.reset(np.random.default_rng(0)))
    rows = np.array([False, True, False])
    found = some.reset(np.random.default_rng(4), rows)
    new = every.reset(np.random.default_rng(4))
    np.testing.assert_array_equal(found[rows], new[rows])
    np.testing.assert_array_equal(found[~rows], before[~rows])
    assert (before != new).any(1).all()


def test_inactive_rows_stand_still_and_are_zero():
    idle, twin = pendulums(), pendulums()
    for batch in (idle, twin):
        batch.reset(np.random.default_rng(0))
    active = np.array([True, False, True])
    action = np.array([[0.3], [np.nan], [-0.7]])
    step = idle.step(action, active)
    full = twin.step(np.nan_to_num(action))
    for a, b in zip(step[:-1], full[:-1], strict=True):
        np.testing.assert_array_equal(a[active], b[active])
        assert not a[~active].any()
    twin.reset(np.random.default_rng(0))
    action = np.full((3, 1), 0.5)
    woken, fresh = idle.step(action, ~active), twin.step(action)
    np.testing.assert_array_equal(woken.obs[~active], fresh.obs[~active])


def test_actions_are_mapped_to_each_environments_bounds():
    wide, narrow = Scripted(), Scripted(low=-0.4, high=0.4)
    batch = begun(wide, narrow)
    batch.step(np.array([[1, -1], [7, -0.5]]))
    batch.step(np.array([[0, 0.5], [0, -7]]))
    np.testing.assert_array_equal(wide.done, [[6, -2], [2, 4]])
    expected = np.array([[0.4, -0.2], [0, -0.4]], np.float32)
    np.testing.assert_array_equal(narrow.done, expected)
    assert wide.done[0].dtype == np.float32


def test_a_time_limit_is_no_termination_and_ends_the_episode():
    batch = begun(Scripted({2: {"cut": True}}), Scripted({1: {"ended": True}}))
    action = np.zeros((2, 2))
    assert batch.step(action).terminated.tolist() == [False, True]
    with pytest.raises(RuntimeError, match=r"environments \[1\] have no episode"):
        batch.step(action)
    active = np.array([True, False])
    assert batch.step(action, active).terminated.tolist() == [False, False]
    with pytest.raises(RuntimeError, match=r"\[0\].*horizon must not be beyond"):
        batch.step(action, active)
    batch.reset(np.random.default_rng(0), active)
    with pytest.raises(RuntimeError, match=r"environments \[1\] have no episode"):
        batch.step(action)  # the other one was not reset
    batch.step(action, active)


def test_the_first_limit_counts():
    assert GymBatch([Scripted()]).longest is None  # as far as Gymnasium knows
    limits = 20, 15
    made = [gymnasium.make("Pendulum-v1", max_episode_steps=limit) for limit in limits]
    assert GymBatch(made).longest == 15


def test_every_environment_is_closed():
    envs = Scripted(), Scripted()
    GymBatch(envs).close()
    assert [env.closed for env in envs] == [True, True]


@pytest.mark.parametrize(
    "broken",
    [{"obs": [np.nan, 0]}, {"reward": np.inf}, {"info": {"unstable": True}}],
    ids=lambda x: next(iter(x)),
)
def test_a_breakdown_ends_its_episode_only(broken):
    batch = begun(Scripted({2: broken}), Scripted())
    action = np.zeros((2, 2))
    batch.step(action)
    step = batch.step(action)
    assert step.unstable.tolist() == step.terminated.tolist() == [True, False]
    assert step.reward.tolist() == step.sparse_reward.tolist() == [0, 1]
    assert step.obs.tolist() == [[1, 0], [2, 0]]  # the one before


def test_info_may_say_a_sparse_reward_and_success():
    script = {1: {"info": {"sparse_reward": 0.25, "success": True}}}
    step = begun(Scripted(script), Scripted()).step(np.zeros((2, 2)))
    assert step.reward.tolist() == [1, 1]
    assert step.sparse_reward.tolist() == [0.25, 1]
    assert step.success is not None
    assert step.success.tolist() == [True, False]


def test_refused_actions():
    batch = begun(Scripted(), Scripted())
    with pytest.raises(ValueError, match=r"shape \(2, 2\), got \(2, 3\)"):
        batch.step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"environments \[1\] are not finite"):
        batch.step(np.array([[0, 0], [0, np.nan]]))


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"observation_space": Discrete(3)}, r"observations must be.*Discrete\(3\)"),
        ({"observation_space": Box(0, 1, (2, 2))}, "observations must be a Box of one"),
        ({"action_space": Discrete(3)}, "actions must be a Box of one dimension"),
        ({"action_space": Box(0, np.inf, (2,))}, "actions must be bounded"),
    ],
)
def test_refused_spaces(spaces, message):
    env = Scripted()
    env.__dict__.update(spaces)
    with pytest.raises(ValueError, match=message):
        GymBatch([env])


def test_refused_batches():
    with pytest.raises(ValueError, match="at least one environment"):
        GymBatch([])
    with pytest.raises(ValueError, match=r"actions have the shapes \[\(1,\), \(2,\)\]"):
        GymBatch([Scripted(size=2), Scripted(size=1)])
    with pytest.raises(RuntimeError, match=r"environments \[0\] have no episode"):
        GymBatch([Scripted()]).step(np.zeros((1, 2)))
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(GymBatch([Scripted()]))


class Given:
    """An adapter that acts as it is told."""

    def __init__(self, *actions):
        self.actions = iter(actions)

    def act(self, obs, *, explore):
        return np.array([next(self.actions)], np.float32)

    def observe(self, transition):
        assert abs(transition.action).max() <= 1

    def end_episode(self):
        pass


def test_an_agent_steps_an_environment_as_its_batch_does():
    actions = [[-1.0, 0.5], [0.25, 1.0]]
    ends = {2: {"ended": True}}
    alone, batched = Scripted(ends), Scripted(ends)
    batch = begun(batched)
    for action in actions:
        batch.step(np.array([action]))
    assert Agent(Given(*actions)).play(alone) == 2  # type: ignore[arg-type]
    np.testing.assert_array_equal(alone.done, batched.done)
    np.testing.assert_array_equal(alone.done, [[-2, 4], [3, 6]])
    assert {done.dtype for done in alone.done} == {np.dtype(np.float32)}


def test_an_agent_leaves_actions_between_minus_one_and_one_as_they_are():
    tiny = [[1e-9, -1e-9]]
    env = Scripted({1: {"ended": True}}, low=-1.0, high=1.0)
    Agent(Given(*tiny)).play(env)  # type: ignore[arg-type]
    np.testing.assert_array_equal(env.done, np.array(tiny, np.float32))


@pytest.mark.parametrize("space", [Box(-np.inf, np.inf, (2,)), Discrete(2)])
def test_an_agent_refuses_actions_without_bounds(space):
    env = Scripted()
    env.action_space = space
    with pytest.raises(ValueError, match="actions must be bounded, got"):
        Agent(Given()).play(env)  # type: ignore[arg-type]
