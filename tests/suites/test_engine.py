"""The batch engines: threads, masks, broken simulations, states, actions, speed."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

import copy
import dataclasses
import pickle
from typing import Any

import mujoco
import numpy as np
import pytest

from suites import engine, locomotion, navigation, speed
from suites.base import Step, Task
from suites.engine import MujocoBatch, load_model
from suites.locomotion import walker
from suites.locomotion.row import State
from suites.speed import bare, measure

ROWS = {row.name: row for row in locomotion.ROWS}
FAMILIES = {
    family.name: family
    for suite in (locomotion.suite(), navigation.suite())
    for family in suite.families
}


def make(name: str, n: int, threads: int = 1) -> Any:
    family = FAMILIES[name]
    tasks = [family.train[i % len(family.train)] for i in range(n)]
    return family.make_batch(tasks, threads=threads)


def assert_equal(one: Step, other: Step) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def pickled(batch: Any) -> Any:
    return pickle.loads(pickle.dumps(batch))


def actions(name: str, n: int, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (steps, n, FAMILIES[name].action_dim))


@pytest.mark.parametrize("name", ROWS)
def test_results_do_not_depend_on_threads(name):
    n, steps = 9, 12
    batches = [make(name, n, threads) for threads in (1, 2, 3)]
    starts = [batch.reset(np.random.default_rng(3)) for batch in batches]
    np.testing.assert_array_equal(starts[0], starts[1])
    np.testing.assert_array_equal(starts[0], starts[2])
    mask = np.random.default_rng(1)
    for action in actions(name, n, steps):
        active = mask.random(n) < 0.8
        first, *others = [batch.step(action, active) for batch in batches]
        for other in others:
            assert_equal(first, other)
    for batch in batches:
        batch.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_is_the_batch_of_one(name):
    n, row = 5, 3
    batch = make(name, n)
    family = FAMILIES[name]
    task = family.train[row % len(family.train)]
    single: Any = family.make_batch([task], threads=1)
    first = batch.reset(np.random.default_rng(0))
    if name in ROWS:
        _, data = batch.simulations[row]
        state = (data.qpos[None].copy(), data.qvel[None].copy())
    else:
        state = (batch._position[row : row + 1].copy(),)
    np.testing.assert_array_equal(single.set_state(*state)[0], first[row])
    for action in actions(name, n, 10):
        many, one = batch.step(action), single.step(action[row : row + 1])
        for a, b in zip(many[:-1], one[:-1], strict=True):
            np.testing.assert_array_equal(a[row], b[0])


@pytest.mark.parametrize("name", ["half-cheetah-vel", "ant-goal-2d", "point-robot"])
def test_inactive_rows_stand_still_and_are_zero(name):
    n = 6
    idle, twin = make(name, n), make(name, n)
    for batch in (idle, twin):
        batch.reset(np.random.default_rng(0))
    active = np.array([True, False] * 3)
    for action in actions(name, n, 4):
        step, full = idle.step(action, active), twin.step(action)
        np.testing.assert_array_equal(step.obs[active], full.obs[active])
        np.testing.assert_array_equal(step.reward[active], full.reward[active])
        assert not step.obs[~active].any()
        assert not step.reward[~active].any()
        assert not step.terminated[~active].any()
    # Woken up, the idle rows go on from where they were: the start.
    twin.reset(np.random.default_rng(0))
    action = actions(name, n, 1, seed=7)[0]
    woken, fresh = idle.step(action, ~active), twin.step(action)
    np.testing.assert_array_equal(woken.obs[~active], fresh.obs[~active])
    np.testing.assert_array_equal(woken.reward[~active], fresh.reward[~active])


@pytest.mark.parametrize("name", FAMILIES)
def test_reset_of_some_rows(name):
    n = 5
    batch, twin = make(name, n), make(name, n)
    batch.reset(np.random.default_rng(0))
    twin.reset(np.random.default_rng(0))
    action = actions(name, n, 1)[0]
    before = batch.step(action).obs
    rows = np.array([False, True, False, True, False])
    some = batch.reset(np.random.default_rng(4), rows)
    every = twin.reset(np.random.default_rng(4))
    np.testing.assert_array_equal(some[rows], every[rows])
    np.testing.assert_array_equal(some[~rows], before[~rows])


@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_copy_goes_on_by_itself_from_the_same_state(name, how):
    """Rows that stand still included, whose quantities lag behind their state."""
    n = 4
    batch, twin = make(name, n, threads=2), make(name, n)
    active = np.array([True, False, True, True])
    first, *later = actions(name, n, 8)
    for one in (batch, twin):
        one.reset(np.random.default_rng(0))
        one.step(first)
        one.step(later[0], active)
    copied = how(batch)
    for action in later[1:4]:  # the original goes its own way
        batch.step(-action)
    for action in later[1:]:
        assert_equal(copied.step(action, active), twin.step(action, active))
        active = np.ones(n, bool)
        np.testing.assert_array_equal(copied.distance(), twin.distance())
    batch.close()
    # it does not live on the original's simulations
    assert_equal(copied.step(first), twin.step(first))


def test_a_closed_batch_is_not_copied():
    batch = make("ant-fwd-back", 1)
    batch.close()
    with pytest.raises(RuntimeError, match="closed"):
        copy.deepcopy(batch)


def of_angle(params: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(params[:, 0]), np.sin(params[:, 0])], axis=1)


def forwards(params: np.ndarray) -> np.ndarray:
    return np.array([[1.0, 0.0]] * len(params))


ALONG = {
    "half-cheetah-fwd-back": lambda params: params[:, :1] * forwards(params),
    "half-cheetah-vel": forwards,
    "ant-fwd-back": of_angle,
    "humanoid-direc-2d": of_angle,
    "walker-2d-params": forwards,
}
"""Directions ``[N, 2]`` of tasks; of a family that is not here the rest is tested."""


def place(name: str, batch: MujocoBatch) -> np.ndarray:
    """Return where each robot is in the plane ``[N, 2]``."""
    if name == "humanoid-direc-2d":
        return np.array([data.subtree_com[0][:2] for _, data in batch.simulations])
    return np.array([data.xpos[1][:2] for _, data in batch.simulations])


@pytest.mark.parametrize("name", ROWS)
def test_distance_is_covered_along_the_task_or_left_to_the_goal(name):
    n, family = 4, FAMILIES[name]
    batch = make(name, n)
    params = np.array([family.train[i % len(family.train)].params for i in range(n)])
    batch.reset(np.random.default_rng(0))
    start = place(name, batch)
    active = np.array([True, True, False, True])
    for action in actions(name, n, 40):
        batch.step(action, active)
    now, found = place(name, batch), batch.distance()
    if family.distance == "covered":
        assert found[2] == 0.0  # it stood still
    # one of them is read a substep later than the other
    if name in ALONG:
        expected = ((now - start) * ALONG[name](params)).sum(1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)
    elif name == "ant-goal-2d":
        expected = np.linalg.norm(params - now, axis=1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)
    assert np.abs(found[active]).max() > 0.1

    again = np.array([False, True, False, False])
    batch.reset(np.random.default_rng(1), again)
    after = batch.distance()
    np.testing.assert_array_equal(after[~again], found[~again])
    if family.distance == "covered":
        assert after[1] == 0.0
    batch.close()


@pytest.mark.parametrize(
    ("name", "position", "velocity"),
    [
        ("half-cheetah-vel", 0.1, 0.1 * np.sqrt(3)),
        ("ant-fwd-back", 0.1, 0.1 * np.sqrt(3)),
        ("humanoid-direc-2d", 0.01, 0.01),
        ("walker-2d-params", 0.005, 0.005),
    ],
)
def test_start_noise(name, position, velocity):
    model = load_model(ROWS[name].xml, ROWS[name].timestep)
    rng = np.random.default_rng(0)
    offset, qvel = ROWS[name].start(rng, 4000, model.nq, model.nv)
    uniform = position / np.sqrt(3)
    np.testing.assert_allclose(offset.std(0), uniform, rtol=0.05)
    np.testing.assert_allclose(qvel.std(0), velocity / np.sqrt(3), rtol=0.05)
    assert np.abs(offset).max() <= position
    bounded = np.abs(qvel).max() <= velocity
    assert bounded == (name in ("humanoid-direc-2d", "walker-2d-params"))


@pytest.mark.parametrize(
    ("name", "column", "low", "high"),
    [
        ("ant-fwd-back", 2, 0.2, 1.0),
        ("humanoid-direc-2d", 2, 1.0, 2.0),
        ("walker-2d-params", 1, 0.8, 2.0),
        ("walker-2d-params", 2, -1.0, 1.0),  # its pitch
    ],
)
def test_an_episode_ends_outside_of_the_originals_bounds(name, column, low, high):
    model, around = load_model(ROWS[name].xml, ROWS[name].timestep), 0.001
    qpos = np.tile(model.qpos0, (4, 1))
    qpos[:, column] = low - around, low + around, high - around, high + around
    now = State(qpos, np.zeros((4, model.nv)), *[np.zeros((4, 0))] * 6)
    assert ROWS[name].terminated(now).tolist() == [True, False, False, True]


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("speed", [1e11, 1e9])
def test_broken_simulation_ends_its_episode_only(
    name, speed, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)  # MuJoCo would write its log here
    n = 4
    batch, twin = make(name, n, threads=2), make(name, n)
    twin.reset(np.random.default_rng(0))
    batch.reset(np.random.default_rng(0))
    broken = np.array([False, False, True, False])
    qpos = np.stack([data.qpos for _, data in batch.simulations])
    qvel = np.stack([data.qvel for _, data in batch.simulations])
    qvel[2] = speed
    before = batch.set_state(qpos, qvel, broken)
    action = actions(name, n, 1)[0]
    step, healthy = batch.step(action), twin.step(action)
    np.testing.assert_array_equal(step.unstable, broken)
    np.testing.assert_array_equal(step.obs[2], before[2])
    assert step.reward[2] == 0
    assert step.terminated[2]
    for a, b in zip(step[:-1], healthy[:-1], strict=True):
        np.testing.assert_array_equal(a[~broken], b[~broken])
    assert "unstable" in caplog.text
    # It is usable at once: from the default state, and without the old warning.
    after = batch.step(action)
    assert not after.unstable.any()
    assert np.isfinite(after.obs).all()
    assert list(tmp_path.iterdir()) == []
    batch.close()


def test_breakdown_of_an_idle_row_is_not_reported():
    batch = make("half-cheetah-vel", 2)
    qpos = np.zeros((2, 9))
    qvel = np.array([np.zeros(9), np.full(9, 1e11)])
    batch.set_state(qpos, qvel)
    step = batch.step(np.zeros((2, 6)), np.array([True, False]))
    assert not step.unstable.any()


@pytest.mark.parametrize("name", ROWS)
def test_used_simulations_are_as_good_as_new(name, monkeypatch):
    monkeypatch.setattr(engine, "_idle", {})
    n, trajectories, seen = 4, [], []

    def play() -> Any:
        batch = make(name, n)
        seen.append({id(data) for _, data in batch.simulations})
        start = batch.reset(np.random.default_rng(0))
        steps = [batch.step(action) for action in actions(name, n, 8)]
        trajectories.append([start, *steps[-1][:-1]])
        for _, data in batch.simulations:
            data.qpos[:] = np.nan
            data.qfrc_applied[:] = 1
        batch.step(actions(name, n, 1)[0])
        batch.close()
        return batch

    batch = play()
    play()
    assert seen[0] == seen[1]
    for new, used in zip(*trajectories, strict=True):
        np.testing.assert_array_equal(new, used)
    with pytest.raises(RuntimeError, match="closed"):
        batch.reset(np.random.default_rng(0))
    with pytest.raises(RuntimeError, match="closed"):
        batch.step(actions(name, n, 1)[0])


def test_actions_map_to_the_float32_range():
    batch = make("humanoid-direc-2d", 3)
    action = np.full((3, 17), [[1.0], [-0.5], [-7.0]])
    batch.step(action)
    limit = float(np.float32(0.4))
    controls = np.array([data.ctrl for _, data in batch.simulations])
    expected = np.array([limit, -limit / 2, -limit])
    np.testing.assert_allclose(controls, np.tile(expected, (17, 1)).T, rtol=1e-15)


@pytest.mark.parametrize("name", ["half-cheetah-vel", "point-robot"])
def test_refused_actions(name):
    batch = make(name, 3)
    batch.reset(np.random.default_rng(0))
    dim = FAMILIES[name].action_dim
    with pytest.raises(ValueError, match=rf"shape \(3, {dim}\), got \(3, {dim + 1}\)"):
        batch.step(np.zeros((3, dim + 1)))
    action = np.zeros((3, dim))
    action[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"environments \[1\] are not finite"):
        batch.step(action)
    step = batch.step(action, np.array([True, False, True]))
    assert np.isfinite(step.obs).all()


def test_states_that_are_not_finite_are_refused():
    batch = make("half-cheetah-vel", 1)
    with pytest.raises(ValueError, match="must be finite"):
        batch.set_state(np.zeros((1, 9)), np.full((1, 9), np.nan))


def test_empty_batches_are_refused():
    with pytest.raises(ValueError, match="at least one task and one thread"):
        make("half-cheetah-vel", 0)
    with pytest.raises(ValueError, match="1 tasks and 0 threads"):
        make("half-cheetah-vel", 1, threads=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_types_and_ownership(name):
    batch = make(name, 4)
    obs = batch.reset(np.random.default_rng(0))
    size = FAMILIES[name].obs_dim
    assert (obs.shape, obs.dtype) == ((4, size), np.float32)
    first, second = (batch.step(action) for action in actions(name, 4, 2))
    kept = first.obs.copy(), first.reward.copy()
    for step in (first, second):
        assert (step.obs.shape, step.obs.dtype) == ((4, size), np.float32)
        assert (step.reward.shape, step.reward.dtype) == ((4,), np.float64)
        assert step.terminated.dtype == step.unstable.dtype == bool
        assert step.success is None
    batch.step(actions(name, 4, 1)[0])
    np.testing.assert_array_equal(first.obs, kept[0])
    np.testing.assert_array_equal(first.reward, kept[1])


def test_walker_tasks_have_their_own_models():
    row, family = ROWS["walker-2d-params"], FAMILIES["walker-2d-params"]
    nominal = load_model(row.xml, row.timestep)
    kept = {name: getattr(nominal, name).copy() for name, _, _ in walker.ARRAYS}
    one, two = family.train[:2]
    batch = MujocoBatch(row, [one, two, one], threads=1)
    models = [model for model, _ in batch.simulations]
    assert models[0] is models[2]
    assert models[0] is not models[1]
    multipliers = np.split(np.array(two.params), np.cumsum([8, 24, 9]))
    for (name, shape, _), factor in zip(walker.ARRAYS, multipliers, strict=True):
        np.testing.assert_array_equal(getattr(nominal, name), kept[name])
        expected = kept[name] * factor.reshape(shape)
        np.testing.assert_array_equal(getattr(models[1], name), expected)
    # Derived constants stay nominal: no mj_setConst.
    np.testing.assert_array_equal(models[1].dof_invweight0, nominal.dof_invweight0)
    assert models[1].opt.timestep == 0.004


def test_nominal_multipliers_are_the_nominal_walker():
    row = ROWS["walker-2d-params"]
    nominal = [Task(row.name, 0, (1.0,) * 65)]
    multiplied = MujocoBatch(row, nominal, threads=1)
    plain = MujocoBatch(dataclasses.replace(row, configure=None), nominal, threads=1)
    for batch in (multiplied, plain):
        batch.reset(np.random.default_rng(0))
    for action in actions(row.name, 1, 10):
        assert_equal(multiplied.step(action), plain.step(action))


def test_contact_forces_and_staleness_are_the_simulators_own():
    """Torso and forces are those mj_step leaves, with mj_rnePostConstraint on top."""
    batch = make("ant-goal-2d", 1)
    batch.reset(np.random.default_rng(0))
    model, data = batch.simulations[0]
    twin = mujoco.MjData(model)
    twin.qpos[:], twin.qvel[:] = data.qpos, data.qvel
    mujoco.mj_forward(model, twin)
    goal = FAMILIES["ant-goal-2d"].train[0].params
    touched = 0
    for action in actions("ant-goal-2d", 1, 60):
        step = batch.step(action)
        twin.ctrl[:] = action[0]
        mujoco.mj_step(model, twin, 5)
        mujoco.mj_rnePostConstraint(model, twin)
        forces = twin.cfrc_ext.clip(-1, 1).ravel()
        touched += forces.any()
        np.testing.assert_array_equal(step.obs[0, 29:], forces.astype(np.float32))
        distance = np.abs(twin.xpos[1, :2] - goal).sum()
        cost = 0.1 * np.square(action).sum() + 5e-4 * np.square(forces).sum()
        assert step.reward[0] == pytest.approx(-distance - cost, rel=1e-12)
    assert touched


def test_a_point_robot_starts_anywhere_in_the_square():
    start = make("point-robot", 2000).reset(np.random.default_rng(0))
    np.testing.assert_allclose(start.min(0), -1, atol=0.01)
    np.testing.assert_allclose(start.max(0), 1, atol=0.01)
    np.testing.assert_allclose(start.mean(0), 0, atol=0.05)


def test_a_point_moves_a_tenth_per_axis_at_most():
    batch = make("sparse-point-robot", 3)
    start = batch.reset(np.random.default_rng(0))
    moved = batch.step(np.array([[0.5, -1.0], [1.0, 0.0], [-7.0, 3.0]])).obs - start
    expected = [[0.05, -0.1], [0.1, 0.0], [-0.1, 0.1]]
    np.testing.assert_allclose(moved, expected, atol=1e-7)


def test_sparse_point_robot_pays_near_the_goal_only():
    away = np.array([0.1, 0.1999, 0.2001])
    batch = make("sparse-point-robot", 3)
    goal = np.array(FAMILIES["sparse-point-robot"].train[0].params)
    assert not batch.reset(np.random.default_rng(0)).any()
    batch.set_state(goal + np.stack([np.zeros(3), away], axis=1))
    batch._goal[:] = goal
    step = batch.step(np.zeros((3, 2)))
    np.testing.assert_allclose(step.reward, -away, atol=1e-7)
    np.testing.assert_allclose(step.sparse_reward, [0.9, 0.8001, 0], atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [("half-cheetah-vel", 0.65), ("ant-fwd-back", 0.85), ("humanoid-direc-2d", 0.85)],
)
@pytest.mark.parametrize("n", [64, 512])
def test_speed(name, least, n):
    assert measure(name, n, seconds=20)["share"] >= least


def test_speed_is_the_ratio_of_what_was_measured():
    result = measure("half-cheetah-vel", 8, seconds=0.1)
    assert result["share"] == result["engine"] / result["raw"]
    assert result["share"] > 0.2


@pytest.mark.parametrize(
    ("cores", "tried"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_speed_is_measured_on_the_cores_that_there_are(cores, tried, monkeypatch):
    """Not on all that the machine has, nor in as many batches."""
    built = []

    class Counted(MujocoBatch):
        def __init__(self, *words: Any, threads: int):
            built.append(threads)
            super().__init__(*words, threads=threads)

    monkeypatch.setattr(speed, "available_cores", lambda: cores)
    monkeypatch.setattr(speed, "MujocoBatch", Counted)
    measure("half-cheetah-vel", 8, seconds=1e-3)
    assert built == tried
    steps = np.zeros((2, 1, FAMILIES["half-cheetah-vel"].action_dim))
    assert bare("half-cheetah-vel", steps, seconds=1e-3) > 0


@pytest.mark.usefixtures("opengl")
def test_the_floor_of_pictures_has_no_end():
    batch = make("half-cheetah-vel", 1)
    model, _ = batch.simulations[0]
    camera = batch.camera(0, size=120)
    views = []
    for x in (0.0, 200.0, 201.0):
        qpos = model.qpos0 + np.eye(model.nq)[0] * x
        batch.set_state(qpos[None], np.zeros((1, model.nv)))
        views.append(camera.picture().astype(float))
    camera.close()
    here, far, odd = (view[-40:] for view in views)
    assert here.std() > 20  # squares
    assert np.abs(here - far).mean() < 2  # 200 m on the same ones,
    assert np.abs(here - odd).mean() > 20  # and 1 m further the others
    assert model.geom_size[0].tolist() == [40, 40, 40]  # what is stepped has its own


@pytest.mark.usefixtures("opengl")
def test_the_goal_is_marked_where_it_is():
    views = []
    for goal in ((0.0, 1.5), (0.0, -1.5), (1.5, 0.0)):
        task = Task("ant-goal-2d", 0, goal)
        batch: Any = FAMILIES["ant-goal-2d"].make_batch([task], threads=1)
        camera = batch.camera(0, 120)
        green = camera.picture().astype(int) @ [-1, 2, -1] > 60
        camera.close()
        views.append(np.argwhere(green).mean(0))
    behind, front, right = views
    assert behind[0] < right[0] < front[0]  # rows count downwards
    assert behind[1] == pytest.approx(front[1], abs=4)
    assert right[1] > front[1] + 10
