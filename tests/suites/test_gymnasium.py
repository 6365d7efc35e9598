"""Families as Gymnasium environments: registration, API, autoreset, rendering."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import suites.gym
from suites.gym import TaskVectorEnv

ALL = [family for suite in suites.SUITES for family in suites.load(suite).families]
FAMILIES = {
    family.name: family
    for suite in ("locomotion", "navigation")
    for family in suites.load(suite).families
}
IDS = [suites.gym.id_of(family) for family in FAMILIES.values()]


def test_every_family_is_registered():
    names = {key for key in gymnasium.registry if key.startswith("pearl_bench/")}
    assert names == {suites.gym.id_of(family) for family in ALL}
    assert len(names) == len(ALL)


@pytest.mark.filterwarnings("ignore:.*space m(ax|in)imum value is -?infinity")
def test_gymnasium_accepts_a_class_of_metaworld():
    env = gymnasium.make("pearl_bench/reach-v0", task=3)
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    *_, info = env.step(np.zeros(4))
    assert info["success"] is False
    env.close()


def test_what_has_no_camera_cannot_be_seen():
    class Unseen:
        num_envs = 1

    family = FAMILIES["point-robot"]
    unseen: Any = replace(family, make_batch=lambda tasks, threads: Unseen())
    with pytest.raises(ValueError, match="point-robot cannot be seen"):
        suites.gym.TaskEnv(unseen, family.train[0], render_mode="rgb_array")


@pytest.mark.parametrize("name", ["half-cheetah-vel", "walker-2d-params"])
def test_a_reset_goes_to_another_task(name):
    family = FAMILIES[name]
    env = gymnasium.make(suites.gym.id_of(family), task=1)
    other = gymnasium.make(suites.gym.id_of(family), task=5)
    _, info = env.reset(seed=0)
    assert info["task"] == 1
    obs, info = env.reset(seed=3, options={"task": 5})
    expected, _ = other.reset(seed=3)
    assert info["task"] == 5
    assert tuple(info["params"]) == family.train[5].params
    action = np.full(family.action_dim, 0.5, np.float32)
    for _ in range(5):
        np.testing.assert_array_equal(obs, expected)
        obs, reward, *_ = env.step(action)
        expected, wanted, *_ = other.step(action)
        assert reward == wanted
    _, info = env.reset()
    assert info["task"] == 5  # for good


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": 1.5}, r"task 1\.5 is no whole number"),
        ({"task": 10**6}, "has no task 1000000"),
        ({"goal": 1}, "unknown reset option goal"),
    ],
)
def test_reset_refuses_other_options(options, message):
    env = gymnasium.make("pearl_bench/point-robot-v0", task=2)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    _, info = env.reset()
    assert info["task"] == 2


def test_a_vector_refuses_options():
    envs = gymnasium.make_vec("pearl_bench/point-robot-v0", num_envs=2)
    with pytest.raises(ValueError, match="unknown reset options task; which tasks"):
        envs.reset(options={"task": 5})
    envs.reset(options={})
    envs.close()


def test_a_vector_tells_its_tasks():
    envs = gymnasium.make_vec("pearl_bench/point-robot-v0", num_envs=3)
    _, info = envs.reset(seed=0)
    assert info["task"].tolist() == [0, 1, 2]
    params = [task.params for task in FAMILIES["point-robot"].train[:3]]
    np.testing.assert_array_equal(info["params"], params)


def test_the_module_can_be_named_in_the_id():
    env = gymnasium.make("suites.gym:pearl_bench/point-robot-v0", task=3)
    assert env.observation_space.shape == (2,)


# Observations are unbounded, as in Gymnasium's own MuJoCo environments.
@pytest.mark.filterwarnings("ignore:.*space m(ax|in)imum value is -?infinity")
@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_accepts_the_environment(name):
    env = gymnasium.make(name, task=1)
    check_env(env.unwrapped)
    env.close()


def test_task_is_the_index_in_the_list():
    family = FAMILIES["half-cheetah-vel"]
    for index in (0, 7, 99, 100, 129):
        env = gymnasium.make("pearl_bench/half-cheetah-vel-v0", task=index)
        env.reset(seed=0)
        inner: Any = env.unwrapped
        data = inner._batch.simulations[0][1]
        before = data.qpos[0]
        _, reward, *_ = env.step(np.zeros(6))
        velocity = (data.qpos[0] - before) / 0.05
        wanted = (*family.train, *family.test)[index].params[0]
        assert reward == pytest.approx(-abs(velocity - wanted))


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("half-cheetah-vel", r"130; its tasks are 0\.\.99 train, 100\.\.129 test"),
        ("ant-fwd-back", r"130; its tasks are 0\.\.1, train and test"),
    ],
)
def test_missing_task(name, tasks):
    with pytest.raises(ValueError, match=f"{name} has no task {tasks}"):
        gymnasium.make(f"pearl_bench/{name}-v0", task=130)


def test_unknown_render_mode():
    task = FAMILIES["point-robot"].train[0]
    with pytest.raises(ValueError, match="render_mode is 'rgb_array' or None"):
        suites.gym.TaskEnv(FAMILIES["point-robot"], task, render_mode="human")


def test_single_environment_is_the_batch_of_one():
    family = FAMILIES["sparse-point-robot"]
    env = gymnasium.make("pearl_bench/sparse-point-robot-v0", task=0)
    goal = np.array(family.train[0].params)
    obs, _ = env.reset(seed=0)
    for t in range(1, family.horizon + 1):
        action = ((goal - obs) / 0.1).clip(-1, 1).astype(np.float32)
        obs, reward, terminated, truncated, info = env.step(action)
        distance = np.linalg.norm(obs - goal)
        assert reward == pytest.approx(-distance, abs=1e-6)
        near = 1 - distance if distance <= 0.2 else 0
        assert info["sparse_reward"] == pytest.approx(near, abs=1e-6)
        assert info["unstable"] is False
        assert not terminated
        assert truncated == (t == family.horizon)
        if truncated:
            assert near > 0.99


def test_episodes_are_reproduced_by_the_seed():
    env = gymnasium.make("pearl_bench/half-cheetah-fwd-back-v0")
    first, again = env.reset(seed=1)[0], env.reset(seed=1)[0]
    np.testing.assert_array_equal(first, again)
    assert (env.reset()[0] != first).any()
    assert (env.reset(seed=2)[0] != first).any()


def test_vector_environment_restarts_rows_in_the_step_after_their_last():
    """The ant falls at different times; each row must follow NEXT_STEP by itself."""
    n = 16
    envs = gymnasium.make_vec("pearl_bench/ant-fwd-back-v0", num_envs=n, threads=2)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs.action_space.seed(0)
    obs, _ = envs.reset(seed=0)
    first = obs
    assert first.shape == (n, 27)
    ended, restarts, elapsed = np.zeros(n, bool), 0, np.zeros(n, int)
    for _ in range(250):
        obs, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
        elapsed = np.where(ended, 0, elapsed + 1)
        restarts += ended.sum()
        np.testing.assert_array_equal(info["_unstable"], ~ended)
        assert not reward[ended].any()
        assert not (terminated | truncated)[ended].any()
        # A row that restarted stands where the reset noise puts it, upright.
        assert (np.abs(obs[ended, 0] - 0.75) <= 0.1).all()
        np.testing.assert_array_equal(truncated, elapsed >= 200)
        np.testing.assert_array_equal(
            terminated, ~ended & ((obs[:, 0] < 0.2) | (obs[:, 0] > 1))
        )
        ended = terminated | truncated
    assert restarts > n / 2
    envs.close()


def test_vector_environment_is_the_batch():
    family = FAMILIES["half-cheetah-vel"]
    tasks = family.test[:3]
    envs = TaskVectorEnv(family, tasks, threads=1)
    batch = family.make_batch(tasks, threads=1)
    obs, _ = envs.reset(seed=5)
    np.testing.assert_array_equal(obs, batch.reset(seeding.np_random(5)[0]))
    envs.action_space.seed(0)
    for t in range(1, family.horizon + 1):
        action = envs.action_space.sample()
        obs, reward, terminated, truncated, info = envs.step(action)
        step = batch.step(action)
        np.testing.assert_array_equal(obs, step.obs)
        np.testing.assert_array_equal(reward, step.reward)
        np.testing.assert_array_equal(info["sparse_reward"], step.sparse_reward)
        assert truncated.all() == (t == family.horizon)
        assert not terminated.any()
    envs.close()


def test_vector_tasks():
    family = FAMILIES["point-robot"]
    envs = gymnasium.make_vec(
        "pearl_bench/point-robot-v0", num_envs=3, tasks=[5, 5, 99]
    )
    goals = [family.train[5].params, family.train[5].params, family.test[19].params]
    obs, _ = envs.reset(seed=0)
    _, reward, *_ = envs.step(np.zeros((3, 2), np.float32))
    expected = -np.linalg.norm(obs - np.array(goals), axis=1)
    np.testing.assert_allclose(reward, expected, atol=1e-6)
    with pytest.raises(ValueError, match="num_envs=2 but tasks= names 1"):
        gymnasium.make_vec("pearl_bench/point-robot-v0", num_envs=2, tasks=[0])


@pytest.mark.usefixtures("opengl")
def test_looking_does_not_change_the_simulation():
    name = "pearl_bench/ant-goal-2d-v0"
    seen, unseen = gymnasium.make(name, render_mode="rgb_array"), gymnasium.make(name)
    assert seen.metadata["render_fps"] == 20
    seen.action_space.seed(0)
    for env in (seen, unseen):
        env.reset(seed=0)
    pictures: list[Any] = []
    for _ in range(10):
        action = seen.action_space.sample()
        pictures.append(seen.render())
        one, other = seen.step(action), unseen.step(action)
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]
    assert pictures[0].shape == (480, 480, 3)
    assert pictures[0].dtype == np.uint8
    assert pictures[0].std() > 10
    assert (pictures[0] != pictures[-1]).any()
    seen.close()


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize(
    ("first", "last"),
    [("", ""), ("", "env.close()"), ("atexit.register(lambda: env.close())", "")],
)
def test_python_ends_in_silence_whoever_closes_the_camera(first, last):
    """Within a process where something else is tidied up at its end already."""
    code = f"""
import atexit, gymnasium, suites.gym, weakref
{first}
weakref.finalize(suites.gym.TaskEnv, print, "tidied")
env = gymnasium.make("pearl_bench/ant-goal-2d-v0", render_mode="rgb_array")
env.reset(seed=0)
env.render()
{last}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "tidied\n", "")


def test_point_robot_picture_shows_point_and_goal():
    env = gymnasium.make(
        "pearl_bench/sparse-point-robot-v0", task=0, render_mode="rgb_array"
    )
    env.reset(seed=0)
    picture: Any = env.render()
    x, y = FAMILIES["sparse-point-robot"].train[0].params
    row, column = (round((3 - v) / 6 * 480) for v in (y, -x))
    assert tuple(picture[row, column]) == (90, 180, 90)
    assert tuple(picture[240, 240]) == (40, 70, 160)
    assert tuple(picture[0, 0]) == (255, 255, 255)


def test_missing_opengl_is_explained(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonesuch")
    with pytest.raises(RuntimeError, match="apt install libegl1"):
        gymnasium.make("pearl_bench/ant-fwd-back-v0", render_mode="rgb_array")


def copies(env: Any) -> list[Any]:
    return [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]


@pytest.mark.parametrize("name", IDS)
def test_copies_go_on_from_the_same_state(name):
    env, twin = (gymnasium.make(name, task=1) for _ in range(2))
    twin.action_space.seed(0)
    first, other, *actions = (twin.action_space.sample() for _ in range(7))
    for one in (env, twin):
        one.reset(seed=0)
        one.step(first)
    copied = copies(env)
    env.step(other)
    played = [twin.step(action) for action in actions]
    restarted, _ = twin.reset()  # the randomness of starts goes on, too
    for one in copied:
        for action, expected in zip(actions, played, strict=True):
            found = one.step(action)
            np.testing.assert_array_equal(found[0], expected[0])
            assert found[1:] == expected[1:]
        np.testing.assert_array_equal(one.reset()[0], restarted)


def test_copied_vector_environments_go_on_from_the_same_state():
    envs = gymnasium.make_vec("pearl_bench/walker-2d-params-v0", num_envs=3)
    envs.reset(seed=0)
    action = envs.action_space.sample()
    for _ in range(30):  # some have fallen and restarted
        envs.step(action)
    copied = copies(envs)
    for _ in range(30):
        expected = envs.step(action)
        for one in copied:
            for a, b in zip(one.step(action)[:4], expected[:4], strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_copy_is_seen_through_its_own_camera():
    env = gymnasium.make("pearl_bench/point-robot-v0", task=0, render_mode="rgb_array")
    env.reset(seed=0)
    for one in copies(env):
        before: Any = env.render()
        np.testing.assert_array_equal(one.render(), before)
        for _ in range(5):
            one.step(np.ones(2))
        assert (one.render() != before).any()
        np.testing.assert_array_equal(env.render(), before)
