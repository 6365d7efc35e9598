"""The meta-test protocol, watched by a learner that plays by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pearl_bench import registry
from pearl_bench.records import schema
from pearl_bench.training.evaluate import (
    EvalRow,
    description,
    episodes_due,
    evaluate,
    protocols,
    reported_return,
)
from pearl_bench.training.rollout import run_episode
from pearl_bench.training.types import Metrics, StopRequested, Transition
from suites.base import (
    Counted,
    MetaTest,
    Player,
    Protocol,
    Step,
    Task,
    TaskFamily,
)
from suites.navigation import MAX_MOVE, PointBatch


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

    def unadapted(self, tasks: Sequence[Task]) -> GoToGoal:
        self.inexperienced = GoToGoal(tasks)
        return self.inexperienced

    def estimate_seconds(self, env_steps: int) -> float:
        raise AssertionError("evaluation must not train")

    def policy_state(self) -> dict[str, Any]:
        return {}

    def load_policy_state(self, state: dict[str, Any]) -> None:
        assert not state

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert not state


def compact(diary: list[str]) -> str:
    return " ".join(word for word in diary if word != "step")


def test_two_exploration_episodes_then_the_reported_one(families):
    family, learner = families["point-robot"], ByHand()
    rows = evaluate(learner, family, seed=0, threads=1)
    assert len(rows) == 20 * 4
    assert compact(learner.last.diary) == "end end adapt end adapt"
    assert learner.last.diary.count("step") == 3 * family.horizon
    horizon = family.horizon
    assert learner.last.explored == [True] * 2 * horizon + [False] * horizon
    # episode 0 is another adapter's, which neither explores nor adapts
    assert learner.inexperienced.diary == ["step"] * horizon
    assert learner.inexperienced.explored == [False] * horizon
    by_episode = [np.mean([r.total for r in rows if r.episode == k]) for k in (1, 2, 3)]
    assert max(by_episode[:2]) < by_episode[2] - 8
    assert reported_return(rows, family) == by_episode[2]
    assert [row.task for row in rows[::4]] == [task.index for task in family.test]
    assert [row.episode for row in rows[:4]] == [0, 1, 2, 3]


def test_sparse_navigation_explores_five_episodes_and_reports_the_twentieth(families):
    family, learner = families["sparse-point-robot"], ByHand()
    rows = evaluate(learner, family, seed=0, threads=1)
    assert len(rows) == 20 * 21
    diary = compact(learner.last.diary).split()
    assert diary[:6] == ["end"] * 5 + ["adapt"]
    assert diary[6:] == ["end", "adapt"] * 15
    assert {row.total for row in rows if row.episode <= 5} == {0.0}
    # what going straight to every test goal can give; 0 without adaptation
    assert reported_return(rows, family) == pytest.approx(13.4, abs=0.05)


def test_a_learners_own_setting_is_played_beside_the_suites(families):
    family = replace(families["point-robot"], test=families["point-robot"].test[:4])
    alone = evaluate(ByHand(), family, seed=0, threads=1)
    learner = ByHand(own_exploration=4)
    rows = evaluate(learner, family, seed=0, threads=1)
    assert rows[:16] == alone  # whatever else is played
    own = rows[16:]
    assert {(row.protocol, row.split) for row in own} == {("own", "test")}
    assert [(row.task, row.episode) for row in own] == [
        (task.index, k) for task in family.test for k in range(1, 6)
    ]
    assert compact(learner.last.diary) == "end end end end adapt end adapt"
    assert reported_return(rows, family) == reported_return(alone, family)
    assert evaluate(ByHand(own_exploration=2), family, seed=0, threads=1) == alone


def test_the_reported_protocol_can_be_played_alone(families):
    learner, family = ByHand(own_exploration=4), families["point-robot"]
    whole = evaluate(learner, family, seed=0, threads=1)
    alone = evaluate(learner, family, seed=0, threads=1, reported_only=True)
    assert alone == [row for row in whole if row.protocol == "suite"]
    assert len(alone) < len(whole)


def test_checked_training_tasks_are_rows_of_their_own(families):
    family = families["point-robot"]
    checked = Protocol("suite", "train", 1, MetaTest(), goals=3)
    few = replace(family, test=family.test[:2], protocols=(*family.protocols, checked))
    rows = evaluate(ByHand(), few, seed=0, threads=1)
    splits = [(row.split, row.task) for row in rows[::4]]
    assert splits == [("test", task.index) for task in few.test] + [
        ("train", task.index) for task in family.train[:3]
    ]
    assert reported_return(rows, few) == np.mean([r.total for r in rows[3:8:4]])


def test_chance_comes_from_the_seed_and_the_step_count_alone(families):
    family = families["point-robot"]
    learners = [ByHand(100), ByHand(100), ByHand(200), ByHand(100)]
    starts, actions = [], []
    for learner, seed in zip(learners, (0, 0, 0, 1), strict=True):
        starts.append(evaluate(learner, family, seed=seed, threads=1))
        actions.append(learner.seed)
    for first, again, later, other in (starts, actions):
        assert first == again
        assert first not in (later, other)


def test_what_is_reported_is_the_familys_first_protocol(families):
    """Streams only keep the draws of protocols apart; an extension may number them."""
    one, *_ = families["point-robot"].protocols
    first = replace(one, stream=7)
    others = [replace(one, name=f"other{k}", stream=k) for k in (4, 3)]
    family = replace(families["point-robot"], protocols=(first, *others))
    found = protocols(ByHand(own_exploration=1), family)
    assert [each.name for each in found] == ["suite", "own", "other3", "other4"]


def test_protocols_have_starts_of_their_own(families):
    (first,) = families["point-robot"].protocols
    both = first, replace(first, name="other", stream=3)
    few = families["point-robot"].test[:3]
    family = replace(families["point-robot"], test=few, protocols=both)
    rows = evaluate(ByHand(), family, seed=0, threads=1)
    assert len({row.total for row in rows}) == 2 * 3 * 4


class Referee:
    """An evaluator of a suite's own: explores for two steps, and plays two more."""

    def episodes(self, family: TaskFamily, protocol: Protocol) -> int:
        return 2 * len(protocol.tasks(family))

    def play(
        self,
        family: TaskFamily,
        protocol: Protocol,
        player: Player,
        seeds: np.random.SeedSequence,
    ) -> list[Counted]:
        tasks = protocol.tasks(family)
        self.played: list[tuple[np.ndarray, Step]] = []
        env, rng = family.make_batch(tasks, threads=1), np.random.default_rng(seeds)
        player.begin(tasks, 11)
        for explore in (True, False):
            obs = env.reset(rng)
            for _ in range(2):
                step = env.step(player.act(obs, explore=explore))
                player.observe(step.reward, step.obs)
                self.played.append((obs, step))
                obs = step.obs
            player.end_episode()
            if explore:
                player.adapt()
        return [Counted(task, 1, -task.index, 2, success=True) for task in tasks]


def test_a_suites_own_evaluator_plays_the_learners_adapter(families):
    """It observes what was played, and is told when to explore, adapt and begin."""
    family, referee, learner = families["point-robot"], Referee(), Observant()
    (first,) = family.protocols
    other = replace(first, name="referee", stream=3, goals=2, evaluator=referee)
    family = replace(family, protocols=(first, other))
    rows = evaluate(learner, family, seed=0, threads=1)[20 * 4 :]
    assert [(r.protocol, r.split, r.task, r.episode) for r in rows] == [
        ("referee", "test", task.index, 1) for task in family.test[:2]
    ]
    assert [(r.total, r.length, r.success) for r in rows] == [
        (-task.index, 2, True) for task in family.test[:2]
    ]
    assert learner.seed == 11
    assert compact(learner.last.diary) == "end adapt end"
    assert learner.last.explored == [True, True, False, False]
    for seen, (obs, step) in zip(learner.last.seen, referee.played, strict=True):
        np.testing.assert_array_equal(seen.obs, obs)
        moved = obs + MAX_MOVE * seen.action
        np.testing.assert_allclose(seen.next_obs, moved, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(seen.next_obs, step.obs)
        np.testing.assert_array_equal(seen.reward, step.reward)
        np.testing.assert_array_equal(seen.sparse_reward, step.reward)
        assert seen.alive.all()
        assert not seen.terminated.any()


@pytest.mark.parametrize(("success", "reported"), [(None, 3.5), (False, 5.75)])
def test_the_reported_return_is_of_the_last_episode_or_of_all_that_may_succeed(
    families, success, reported
):
    family = families["point-robot"].tested_by(MetaTest(1, 2))
    rows = [
        EvalRow(
            *("suite", "test", task, "", k, episode, float(total), 20, success),
            unstable=False,
            distance=None,
        )
        for task, k, totals in [
            (0, 1, (99, 9, 1)),
            (0, 2, (99, 7, 3)),
            (1, 1, (99, 8, 4)),
            (1, 2, (99, 8, 6)),
        ]
        for episode, total in enumerate(totals, start=1)
    ]
    assert reported_return(rows, family) == reported


def test_repetitions_have_starts_and_exploration_of_their_own(families):
    family = families["point-robot"]
    once = replace(family, test=family.test[:2])
    thrice = once.tested_by(MetaTest(repetitions=3))
    rows = evaluate(ByHand(), thrice, seed=0, threads=1)
    assert [(row.task, row.repetition, row.episode) for row in rows] == [
        (task.index, repetition, episode)
        for task in once.test
        for repetition in (1, 2, 3)
        for episode in range(4)
    ]
    # side by side, and each from a start of its own
    assert len({row.total for row in rows}) == len(rows)
    reported = [row.total for row in rows if row.episode == 3]
    assert reported_return(rows, thrice) == np.mean(reported)
    learner = ByHand(own_exploration=4)
    own = evaluate(learner, thrice, seed=0, threads=1)[len(rows) :]
    assert episodes_due(learner, thrice) == len(rows) + len(own)
    assert [(row.repetition, row.episode) for row in own[:15]] == [
        (repetition, episode) for repetition in (1, 2, 3) for episode in range(1, 6)
    ]


def test_more_than_fit_side_by_side_are_all_played(families, monkeypatch):
    family = families["point-robot"].tested_by(MetaTest(repetitions=2))
    monkeypatch.setattr("pearl_bench.training.evaluate.SIDE_BY_SIDE", 15)
    rows = evaluate(ByHand(), family, seed=0, threads=1)
    assert len(rows) == 20 * 2 * 4
    assert len({(row.task, row.repetition, row.episode) for row in rows}) == len(rows)
    one = replace(family, test=family.test[:1]).tested_by(MetaTest(repetitions=40))
    rows = evaluate(ByHand(), one, seed=0, threads=1)
    assert len({row.total for row in rows}) == 40 * 4  # no start is played twice


def test_what_was_there_before_repetitions_is_played_as_it_was(families):
    """One repetition without episode 0 are the episodes of an evaluation with it."""
    family = families["ant-goal-2d"]
    family = replace(family, test=family.test[:3], horizon=10)
    older = family.meta_tested(None, protocol="suite", repetitions=None)
    now = family.meta_tested(None, protocol="suite", repetitions=1)
    config = registry.config_class("rl2")(hidden_size=8)
    learner = registry.learner_class("rl2")(
        config, family, seed=0, device="cpu", precision="float32", threads=1
    )
    before = evaluate(learner, older, seed=0, threads=1)
    after = evaluate(learner, now, seed=0, threads=1)
    first = [row for row in after if row.protocol == "suite" and row.episode]
    assert first == [row for row in before if row.protocol == "suite"]
    descriptions = [description(one, older) for one in protocols(learner, older)]
    assert {"repetitions", "unadapted"}.isdisjoint(set().union(*descriptions))


@pytest.mark.parametrize("polls", [0, 5, 70])
def test_a_stop_within_an_evaluation_abandons_it(families, polls):
    asked = iter(range(polls))
    family = families["point-robot"]
    with pytest.raises(StopRequested):
        evaluate(
            ByHand(),
            family,
            seed=0,
            threads=1,
            stop=lambda: next(asked, None) is None,
        )
    answers: list[bool] = []

    def never() -> bool:
        answers.append(False)
        return False

    whole = evaluate(ByHand(), family, seed=0, threads=1, stop=never)
    assert whole == evaluate(ByHand(), family, seed=0, threads=1)
    assert len(answers) == 4 * family.horizon  # at every step


def test_distances_are_the_goals(families):
    family = families["point-robot"]
    rows = evaluate(ByHand(), replace(family, test=family.test[:4]), seed=0, threads=1)
    ends = [row.distance for row in rows if row.episode == 3]
    assert ends == pytest.approx([0.0] * 4, abs=1e-7)
    # a point that stands still returns its distance in each of 20 steps
    for row in rows:
        if row.episode == 1:
            assert row.distance == pytest.approx(-row.total / 20, abs=1e-9)


class Fragile(PointBatch):
    """The first point breaks down in the third step of an episode."""

    def reset(self, rng: np.random.Generator, rows: Any = None) -> np.ndarray:
        self.steps = 0
        return super().reset(rng, rows)

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        self.steps += 1
        broken = (np.arange(self.num_envs) == 0) & (self.steps == 3)
        step = super().step(action, active)
        return step._replace(unstable=broken, terminated=broken)


class Lost(Fragile):
    """Returns of the first point are no numbers."""

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        step = super().step(action, active)
        nothing = np.where(step.unstable, np.nan, step.reward)
        return step._replace(reward=nothing, sparse_reward=nothing)


class Witness(GoToGoal):
    """Keeps what it observes, breakdowns too."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__(tasks)
        self.seen: list[Transition] = []

    def observe(self, step: Transition) -> None:
        self.seen.append(step)


class Observant(ByHand):
    """Its adapters keep what they observe."""

    def adapter(self, tasks: Sequence[Task], seed: int) -> Witness:
        self.last, self.seed = Witness(tasks), seed
        return self.last


class Patient(ByHand):
    """Its adapters do not mind what breaks down."""

    def adapter(self, tasks: Sequence[Task], seed: int) -> Witness:
        return Witness(tasks)

    def unadapted(self, tasks: Sequence[Task]) -> Witness:
        return Witness(tasks)


def two_of(family: TaskFamily, kind: type[PointBatch]) -> TaskFamily:
    def make_batch(tasks: Sequence[Task], *, threads: int) -> PointBatch:
        return kind(tasks, sparse=False)

    return replace(family, test=family.test[:2], make_batch=make_batch)


def test_a_breakdown_ends_its_own_episode_and_is_no_experience(families):
    family = two_of(families["point-robot"], Fragile)
    env, rng = family.make_batch(family.test, threads=1), np.random.default_rng(0)
    adapter = Witness(family.test)
    episode = run_episode(env, adapter, family.horizon, rng, explore=True)
    assert episode.unstable.tolist() == [True, False]
    assert episode.length.tolist() == [3, 20]
    assert episode.steps.alive.sum(0).tolist() == [2, 20]
    alive = np.array([step.alive for step in adapter.seen])
    np.testing.assert_array_equal(alive, episode.steps.alive)
    for row in evaluate(Patient(), family, seed=0, threads=1):
        broken = row.task == family.test[0].index
        assert (row.unstable, row.length) == (broken, 3 if broken else 20)
        assert (row.distance is None) == broken


def test_a_time_limit_is_no_termination(families):
    family = families["point-robot"]
    env, adapter = (
        family.make_batch(family.test[:2], threads=1),
        Witness(family.test[:2]),
    )
    rng = np.random.default_rng(0)
    steps = run_episode(env, adapter, family.horizon, rng, explore=True).steps
    assert steps.alive.shape == (family.horizon, 2)
    assert steps.alive.all()
    assert not steps.terminated.any()


def test_only_active_environments_are_run(families):
    family = families["point-robot"]
    tasks, active = family.test[:3], np.array([True, False, True])
    env, adapter = family.make_batch(tasks, threads=1), Witness(tasks)
    words: dict[str, Any] = {"explore": True, "active": active}
    episode = run_episode(env, adapter, 20, np.random.default_rng(0), **words)
    assert episode.length.tolist() == [20, 0, 20]
    assert (episode.steps.alive == active).all()
    assert (episode.total != 0).tolist() == active.tolist()
    assert active.tolist() == [True, False, True]


def test_a_return_that_is_no_number_is_refused(families):
    with pytest.raises(ArithmeticError, match=r"a return that is no number: .*nan"):
        evaluate(Patient(), two_of(families["point-robot"], Lost), seed=0, threads=1)


def test_rows_in_files_have_the_columns_of_the_schema():
    row = EvalRow(
        protocol="suite",
        split="test",
        task=3,
        group="",
        repetition=2,
        episode=1,
        total=1.5,
        length=20,
        success=None,
        unstable=True,
        distance=None,
    )
    found = row.in_file(100, 2.5)
    assert tuple(found) == schema.EVAL.names
    assert found == {
        "env_steps": 100,
        "protocol": "suite",
        "split": "test",
        "task": 3,
        "group": "",
        "repetition": 2,
        "episode": 1,
        "return": 1.5,
        "length": 20,
        "success": "",
        "unstable": True,
        "distance": "",
        "wall_s": 2.5,
    }
