"""Task lists, splits, fingerprints and score ranges."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

import suites
from suites import draw, locomotion, navigation, tasks
from suites.base import MetaTest, Task
from suites.locomotion import walker

ROWS = {row.name: row for row in (*locomotion.ROWS, *navigation.ROWS)}
FAMILIES = {
    family.name: family
    for suite in ("locomotion", "navigation")
    for family in suites.load(suite).families
}
SPLITS = {
    "half-cheetah-fwd-back": (2, 2),
    "half-cheetah-vel": (100, 30),
    "ant-fwd-back": (2, 2),
    "ant-goal-2d": (150, 30),
    "humanoid-direc-2d": (100, 30),
    "walker-2d-params": (40, 10),
    "point-robot": (80, 20),
    "sparse-point-robot": (80, 20),
}
PINNED = {
    "half-cheetah-fwd-back": "f46537891dcaf2cc",
    "half-cheetah-vel": "2d641220ea2083c7",
    "ant-fwd-back": "058139f465957eba",
    "ant-goal-2d": "407138157c1d51b6",
    "humanoid-direc-2d": "2ddd97f3df8dc48a",
    "walker-2d-params": "5b62706726167ee5",
    "point-robot": "e1cd7ac4428d43c0",
    "sparse-point-robot": "59f698488ebec47f",
}
SHARED = ("half-cheetah-fwd-back", "ant-fwd-back")


def params(split: tuple[Task, ...]) -> np.ndarray:
    return np.array([task.params for task in split])


def test_unknown_suite_is_answered_with_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"'locomotion'\? Suites: locomotion, navig"):
        suites.load("locomotoin")


def test_loading_imports_no_simulator():
    code = (
        "import sys, suites; suites.load('locomotion'); suites.load('navigation'); "
        "print(sorted({'mujoco', 'gymnasium', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_families_and_splits():
    for name, sizes in SPLITS.items():
        assert (len(FAMILIES[name].train), len(FAMILIES[name].test)) == sizes
    for family in FAMILIES.values():
        everything = dict.fromkeys((*family.train, *family.test))
        assert [task.index for task in everything] == list(range(len(everything)))
        assert len({task.params for task in everything}) == len(everything)
        assert all(task.family == family.name for task in everything)
        if family.name in SHARED:
            assert family.train == family.test
            assert "train and test" in family.source
        else:
            assert not set(family.train) & set(family.test)


def test_meta_test_protocols():
    protocols = {name: family.meta_test for name, family in FAMILIES.items()}
    assert protocols.pop("sparse-point-robot") == MetaTest(5, 15)
    repetitions = {name: test.repetitions for name, test in protocols.items()}
    assert {name for name in repetitions if repetitions[name] == 10} == set(SHARED)
    assert repetitions["walker-2d-params"] == 2
    for name, meta_test in protocols.items():
        assert meta_test == MetaTest(2, 1, repetitions[name])
        assert repetitions[name] * len(FAMILIES[name].test) >= 20


@pytest.mark.parametrize("name", FAMILIES)
def test_shipped_tasks_are_those_drawn(name):
    family = FAMILIES[name]
    rows = ROWS[name].tasks.rows()
    shipped = dict.fromkeys((*family.train, *family.test))
    drawn = np.array([row for _, row in rows])
    # Sines, cosines and powers may differ in the last bit between C libraries.
    plain = name in ("half-cheetah-vel", "point-robot", "humanoid-direc-2d", *SHARED)
    np.testing.assert_allclose(
        params(tuple(shipped)), drawn, rtol=0, atol=0 if plain else 2e-15
    )
    assert [split for split, _ in rows] == (
        ["both"] * 2
        if name in SHARED
        else ["train"] * len(family.train) + ["test"] * len(family.test)
    )


def test_written_tasks_read_back_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "FOLDER", tmp_path)
    listed = ROWS["walker-2d-params"].tasks
    tasks.write("walker-2d-params", listed)
    train, test = tasks.read.__wrapped__("walker-2d-params")
    assert [task.params for task in (*train, *test)] == [
        row for _, row in listed.rows()
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["walker-2d-params.csv"]


def test_only_the_named_lists_are_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tasks, "FOLDER", tmp_path)
    draw.main(["point-robot", "half-cheetah-vel"])
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["half-cheetah-vel.csv", "point-robot.csv"]
    with pytest.raises(SystemExit, match="2"):
        draw.main(["point-robto"])
    assert "no task list point-robto; they are: half-" in capsys.readouterr().err


def test_half_cheetah_velocities_are_those_of_the_original():
    family = FAMILIES["half-cheetah-vel"]
    train, test = params(family.train)[:, 0], params(family.test)[:, 0]
    first = [0.78607403, 0.47605192, 0.83437956, 1.37795066, 0.96300162]
    np.testing.assert_allclose(train[:5], first, atol=5e-9)
    np.testing.assert_allclose(
        test[-3:], [2.80952517, 1.74419589, 0.55832232], atol=5e-9
    )
    summary = [train.mean(), test.mean(), test.min(), test.max()]
    np.testing.assert_allclose(summary, [1.5246, 1.4177, 0.0831, 2.9785], atol=5e-5)


def test_point_goals_are_those_of_the_original():
    goals = params(FAMILIES["point-robot"].train)
    first = [[-0.47595, -0.68263], [-0.44375, -0.08137]]
    np.testing.assert_allclose(goals[:2], first, atol=5e-6)
    last = params(FAMILIES["point-robot"].test)[-1]
    np.testing.assert_allclose(last, [0.70423, 0.09487], atol=5e-6)


def test_sparse_point_goals_are_those_of_the_original():
    family = FAMILIES["sparse-point-robot"]
    x, y = params((*family.train, *family.test)).T
    order = np.arctan2(y, x) / np.pi * 99
    np.testing.assert_allclose(order[:5], [2, 48, 86, 44, 59], atol=1e-9)
    test = [66, 22, 88, 27, 1, 24, 99, 54, 6, 9]
    test += [72, 84, 82, 90, 96, 89, 39, 92, 61, 23]
    np.testing.assert_allclose(order[80:], test, atol=1e-9)


def test_own_draws_lie_in_their_ranges():
    for split in ("train", "test"):
        goals = params(getattr(FAMILIES["ant-goal-2d"], split))
        radius = np.linalg.norm(goals, axis=1)
        assert radius.max() <= 3
        # Uniform in the disc: the median radius is 3 / sqrt(2).
        assert abs(np.median(radius) - 3 / np.sqrt(2)) < 0.5
        angles = params(getattr(FAMILIES["humanoid-direc-2d"], split))
        assert angles.min() >= 0
        assert angles.max() < 2 * np.pi
        multipliers = params(getattr(FAMILIES["walker-2d-params"], split))
        offset = 0
        for _, shape, base in walker.ARRAYS:
            size = int(np.prod(shape))
            exponent = np.log(multipliers[:, offset : offset + size]) / np.log(base)
            assert np.abs(exponent).max() <= 3
            assert abs(exponent.mean()) < 0.5
            assert exponent.std() == pytest.approx(np.sqrt(3), rel=0.15)
            offset += size
        assert offset == multipliers.shape[1]


def test_seeds_change_no_task():
    before = {name: family.train + family.test for name, family in FAMILIES.items()}
    np.random.seed(5)  # noqa: NPY002 (it must neither matter nor move)
    state = str(np.random.get_state())  # noqa: NPY002
    tasks.read.cache_clear()
    for suite in ("locomotion", "navigation"):
        for family in suites.load(suite).families:
            assert (*family.train, *family.test) == before[family.name]
    for row in ROWS.values():
        row.tasks.rows()
    batch = FAMILIES["half-cheetah-vel"].make_batch(
        FAMILIES["half-cheetah-vel"].train[:2], threads=1
    )
    batch.reset(np.random.default_rng(0))
    assert str(np.random.get_state()) == state  # noqa: NPY002


def test_fingerprints_are_pinned():
    """A changed value means that returns are no longer comparable: raise a version."""
    assert {name: FAMILIES[name].fingerprint() for name in PINNED} == PINNED


def test_fingerprint_changes_with_what_changes_returns():
    family = FAMILIES["half-cheetah-vel"]
    task = family.test[-1]
    nudged = np.nextafter(task.params[0], 9)
    moved = dataclasses.replace(task, params=(float(nudged),))
    changed = [
        dataclasses.replace(family, version=family.version + 1),
        dataclasses.replace(family, horizon=100),
        dataclasses.replace(family, test=(*family.test[:-1], moved)),
        dataclasses.replace(family, train=family.train[:-1]),
    ]
    prints = [family.fingerprint(), *(other.fingerprint() for other in changed)]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_survive_pickling(name):
    family = pickle.loads(pickle.dumps(FAMILIES[name]))
    assert family.fingerprint() == FAMILIES[name].fingerprint()
    batch = family.make_batch(family.train[:1], threads=1)
    assert batch.reset(np.random.default_rng(0)).shape == (1, family.obs_dim)


def mean_return(name: str, episodes: int, policy) -> float:
    """Mean sparse return over the test tasks, ``episodes`` each."""
    family = FAMILIES[name]
    batch = family.make_batch(family.test * episodes, threads=1)
    goal = params(family.test * episodes)
    obs = batch.reset(np.random.default_rng(0))
    total = np.zeros(len(goal))
    for _ in range(family.horizon):
        step = batch.step(policy(obs, goal))
        obs = step.obs
        total += step.sparse_reward
    return float(total.mean())


def greedy(obs: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The optimum: no move comes closer to the goal, on either axis."""
    return ((goal - obs) / 0.1).clip(-1, 1)


def standing(dim: int):
    return lambda obs, goal: np.zeros((len(obs), dim))


@pytest.mark.parametrize(
    ("name", "low", "episodes", "tolerance"),
    [
        ("half-cheetah-vel", standing(6), 1, 4),
        ("point-robot", standing(2), 1000, 0.2),
        ("sparse-point-robot", standing(2), 1, 0),
    ],
)
def test_low_score_is_standing(name, low, episodes, tolerance):
    measured = mean_return(name, episodes, low)
    assert measured == pytest.approx(FAMILIES[name].score.low, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "episodes", "tolerance"),
    [("point-robot", 1000, 0.1), ("sparse-point-robot", 1, 0.005)],
)
def test_high_score_is_greedy(name, episodes, tolerance):
    measured = mean_return(name, episodes, greedy)
    assert measured == pytest.approx(FAMILIES[name].score.high, abs=tolerance)
