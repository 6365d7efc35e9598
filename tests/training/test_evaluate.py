"""The meta-test protocol, watched by a learner that plays by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pearl_bench.training.evaluate import EvalRow, evaluate, reported_return
from pearl_bench.training.types import Metrics, Transition
from suites.base import Task


class GoToGoal:
    """Wanders until it adapts, then goes straight to the goal; keeps a diary."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.goals = np.array([task.params for task in tasks])
        self.adapted = False
        self.diary: list[str] = []
        self.explored: list[bool] = []

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        self.explored.append(explore)
        if not self.adapted:
            return np.zeros_like(obs)
        return np.clip((self.goals - obs) / 0.1, -1, 1)

    def observe(self, step: Transition) -> None:
        assert step.alive.all()
        self.diary.append("step")

    def end_episode(self) -> None:
        self.diary.append("end")

    def adapt(self) -> None:
        self.adapted = True
        self.diary.append("adapt")


class ByHand:
    """A meta-learner whose adapter knows the goals."""

    def __init__(self, env_steps: int = 0, own_exploration: int | None = None) -> None:
        self.env_steps = env_steps
        self.updates_done = 0
        self.updates_due = 0
        self.own_exploration = own_exploration

    def collect(self) -> Metrics:
        raise AssertionError("evaluation must not train")

    def update(self) -> Metrics:
        raise AssertionError("evaluation must not train")

    def adapter(self, tasks: Sequence[Task], seed: int) -> GoToGoal:
        self.last = GoToGoal(tasks)
        self.seed = seed
        return self.last

    def estimate_seconds(self, env_steps: int) -> float:
        raise AssertionError("evaluation must not train")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert not state


def compact(diary: list[str]) -> str:
    return " ".join(word for word in diary if word != "step")


def test_two_exploration_episodes_then_the_reported_one(families):
    family, learner = families["point-robot"], ByHand()
    rows = evaluate(learner, family, seed=0, threads=1)
    assert len(rows) == 20 * 3
    assert compact(learner.last.diary) == "end end adapt end adapt"
    assert learner.last.diary.count("step") == 3 * family.horizon
    horizon = family.horizon
    assert learner.last.explored == [True] * 2 * horizon + [False] * horizon
    by_episode = [np.mean([r.total for r in rows if r.episode == k]) for k in (1, 2, 3)]
    assert max(by_episode[:2]) < by_episode[2] - 8
    assert reported_return(rows) == by_episode[2]
    assert [row.task for row in rows[::3]] == [task.index for task in family.test]


def test_sparse_navigation_explores_five_episodes_and_reports_the_twentieth(families):
    family, learner = families["sparse-point-robot"], ByHand()
    rows = evaluate(learner, family, seed=0, threads=1)
    assert len(rows) == 20 * 20
    diary = compact(learner.last.diary).split()
    assert diary[:6] == ["end"] * 5 + ["adapt"]
    assert diary[6:] == ["end", "adapt"] * 15
    assert {row.total for row in rows if row.episode <= 5} == {0.0}
    # what going straight to every test goal can give; 0 without adaptation
    assert reported_return(rows) == pytest.approx(13.4, abs=0.05)


def test_a_learners_own_setting_is_played_beside_the_suites(families):
    family = replace(families["point-robot"], test=families["point-robot"].test[:4])
    alone = evaluate(ByHand(), family, seed=0, threads=1)
    learner = ByHand(own_exploration=4)
    rows = evaluate(learner, family, seed=0, threads=1)
    assert rows[:12] == alone  # whatever else is played
    own = rows[12:]
    assert {(row.protocol, row.split) for row in own} == {("own", "test")}
    assert [(row.task, row.episode) for row in own] == [
        (task.index, k) for task in family.test for k in range(1, 6)
    ]
    assert compact(learner.last.diary) == "end end end end adapt end adapt"
    assert reported_return(rows) == reported_return(alone)
    assert evaluate(ByHand(own_exploration=2), family, seed=0, threads=1) == alone


def test_checked_training_tasks_are_rows_of_their_own(families):
    family = families["point-robot"]
    few = replace(family, test=family.test[:2], checked_train=family.train[:3])
    rows = evaluate(ByHand(), few, seed=0, threads=1)
    splits = [(row.split, row.task) for row in rows[::3]]
    assert splits == [("test", task.index) for task in few.test] + [
        ("train", task.index) for task in few.checked_train
    ]
    assert reported_return(rows) == np.mean([r.total for r in rows[2:6:3]])


def test_chance_comes_from_the_seed_and_the_step_count_alone(families):
    family = families["point-robot"]
    first, again, later, other = (
        (evaluate(learner, family, seed=seed, threads=1), learner.seed)
        for learner, seed in [
            (ByHand(100), 0),
            (ByHand(100), 0),
            (ByHand(200), 0),
            (ByHand(100), 1),
        ]
    )
    assert first == again
    assert first != later
    assert first != other


def test_the_reported_return_is_the_last_episodes_mean():
    rows = [
        EvalRow("suite", "test", task, "", episode, float(total), 20, None, False)
        for task, episode, total in [(0, 1, 9), (0, 2, 1), (1, 1, 9), (1, 2, 4)]
    ]
    assert reported_return(rows) == 2.5
