"""What every registered method must do on every registered family that it is for."""

from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from place import PLACE

from baselines.rl2 import Rl2Learner
from baselines.rl2_config import Rl2Config
from pearl_bench import contract, registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.work import build_learner
from pearl_bench.training.learner import Learner
from suites import from_gym
from suites.navigation import PointBatch

POINTS = registry.family("navigation", "point-robot")
PAIRS = [
    (learner, suite, family)
    for learner in registry.learner_names()
    for suite, family in contract.families()
    if not registry.why_not(learner, suite, registry.family(suite, family))
]


@pytest.mark.parametrize(("learner", "suite", "family"), PAIRS, ids=lambda x: x)
def test_trains_evaluates_and_continues_exactly(learner, suite, family):
    contract.check_learner(learner, suite, family)


@pytest.mark.parametrize(("suite", "family"), contract.families(), ids=lambda x: x)
@pytest.mark.parametrize("inference", ["oracle", "none"])
def test_pearl_told_the_task_or_not_does_the_same(inference, suite, family):
    contract.check_learner(
        "pearl",
        suite,
        family,
        settings=[f"pearl.inference={inference}"],
        knows_the_task=inference == "oracle",
    )


@pytest.mark.parametrize("learner", registry.learner_names())
def test_what_an_adapter_draws_is_of_its_seed(learner):
    bench = configuration.load(
        ["suite=navigation", f"learners={learner}", "budget=smoke", "device=cpu"]
    )
    run = configuration.run_config(bench, "point-robot", learner, 0, threads=1)
    ours, obs = build_learner(run, POINTS), np.zeros((20, 2), np.float32)
    first, again, other = (
        ours.adapter(POINTS.test, seed).act(obs, explore=True) for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).any(1).all()


@pytest.mark.parametrize("learner", registry.learner_names())
def test_every_random_stream_of_a_learner_is_of_its_seed(learner):
    bench = configuration.load(
        ["suite=navigation", f"learners={learner}", "budget=smoke", "device=cpu"]
    )

    def streams(seed):
        run = configuration.run_config(bench, "point-robot", learner, seed, threads=1)
        ours = build_learner(run, POINTS)
        assert isinstance(ours, Learner)
        return ours.init.initial_seed(), ours.noise.initial_seed(), ours.rng.random()

    first, again, other = map(streams, (3, 3, 4))
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))
    assert first[0] != first[1]


class Early(Rl2Learner):
    """Ends its updates with the one whose number is ``last``."""

    last = 1

    def update(self):
        metrics = super().update()
        if self.updates_done == self.last:
            self.updates_due = 0
        return metrics


class Later(Early):
    last = 2


@pytest.mark.parametrize("kind", [Early, Later])
def test_updates_get_lost_only_where_the_method_says_so(kind, monkeypatch):
    def build(run, family):
        small = Rl2Config(tasks=2, trials=1, hidden_size=8)
        return kind(small, family, **PLACE | {"seed": run.seed})

    usual = registry.method("rl2")
    monkeypatch.setattr(contract, "build_learner", build)
    with pytest.raises(AssertionError, match=r"5 updates were .*, and [12] are after"):
        contract.check_learner("rl2", "navigation", "point-robot")
    says = replace(usual, ends_updates_early=True)
    monkeypatch.setattr(registry, "method", lambda learner: says)
    contract.check_learner("rl2", "navigation", "point-robot")


class Copies(Rl2Learner):
    """Its policy file would load without a word, as an untrained policy."""

    def policy_state(self):
        return {name: value.clone() for name, value in super().policy_state().items()}


class CopiesSilently(Copies):
    def load_policy_state(self, state):
        pass


class ForgetsHalf(Rl2Learner):
    def policy_state(self):
        return dict([*super().policy_state().items()][:2])


class OfNumpy(Rl2Learner):
    def policy_state(self) -> dict[str, Any]:
        return {name: value.numpy() for name, value in super().policy_state().items()}


class Unsaveable(Rl2Learner):
    def state_dict(self):
        return super().state_dict() | {"seen": np.zeros(2)}


class Timeless(Rl2Learner):
    def estimate_seconds(self, env_steps):
        return 0.0


class Begun(Rl2Learner):
    def __init__(self, config, family, **place):
        super().__init__(config, family, **place)
        self.updates_due = 1


class Standing(Rl2Learner):
    def collect(self):
        metrics = super().collect()
        self.env_steps = 0
        return metrics


class Infinite(Rl2Learner):
    def collect(self):
        return super().collect() | {"loss": np.inf}


class Taking(Rl2Learner):
    def update(self):
        return super().update() | {"wall_s": 1.0}


class Counting(Rl2Learner):
    def update(self):
        self.env_steps += 1
        return super().update()


class ForgetsChance(Rl2Learner):
    def load_state_dict(self, state):
        super().load_state_dict(state | {"rng": self.rng.bit_generator.state})


class ByChance(Rl2Learner):
    """Explores where there is nothing to explore for."""

    def unadapted(self, tasks):
        self.asked = getattr(self, "asked", 0) + 1
        adapter: Any = self.adapter(tasks, self.asked)
        act = adapter.act
        adapter.act = lambda obs, *, explore: act(obs, explore=True)
        return adapter


class Knowing(Rl2Learner):
    def unadapted(self, tasks):
        adapter: Any = super().unadapted(tasks)
        act, index = adapter.act, np.array([[task.index / 1000] for task in tasks])
        adapter.act = lambda obs, *, explore: act(obs, explore=explore) + index
        return adapter


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Begun, "a new learner has counters (0, 0, 1)"),
        (Standing, "collect() leaves env_steps at 0"),
        (Infinite, "collect() returns {"),
        (Taking, "update() returns ['wall_s'], other columns of train.csv"),
        (Counting, "update() changes env_steps"),
        (ForgetsChance, "the next collect() differs after load_state_dict()"),
        (ByChance, "unadapted() acts by chance"),
        (Knowing, "unadapted() acts differently in different tasks"),
        (Copies, "policy_state() of Copies returns a copy"),
        (CopiesSilently, "has to return the tensors themselves"),
        (ForgetsHalf, "a meta-test differs after load_policy_state()"),
        (OfNumpy, "policy_state() has a ndarray"),
        (Unsaveable, "state_dict(): state['seen'] is a numpy.ndarray, which a"),
        (Timeless, "has to be a positive number of seconds"),
    ],
)
def test_what_a_method_does_not_keep_to_is_said(kind, said, monkeypatch):
    def build(run, family):
        small = Rl2Config(tasks=2, trials=1, hidden_size=8)
        return kind(small, family, **PLACE | {"seed": run.seed})

    monkeypatch.setattr(contract, "build_learner", build)
    with pytest.raises(AssertionError) as caught:
        contract.check_learner("rl2", "navigation", "point-robot")
    assert said in str(caught.value)


def test_what_is_told_has_to_change_an_action():
    with pytest.raises(AssertionError, match="what is told of a task changes no act"):
        contract.check_learner(
            "rl2",
            "navigation",
            "point-robot",
            settings=["rl2.tasks=2", "rl2.trials=1", "rl2.hidden_size=8"],
            knows_the_task=True,
        )


class Half(Learner):
    """What is abstract is lacking."""

    own_exploration = None

    def adapter(self, tasks, seed):
        raise NotImplementedError

    def policy_state(self):
        return {}


class Unknowing(Rl2Learner):
    @property
    def own_exploration(self):
        raise AttributeError


class Bare:
    """A learner without the base class."""

    env_steps = updates_done = updates_due = 0

    def __init__(self, config, family, **place):
        pass


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        (Half, "collect, estimate_seconds, update"),
        (Unknowing, "own_exploration"),
        (
            Bare,
            "adapter, collect, estimate_seconds, load_policy_state, load_state_dict, "
            "own_exploration, policy_state, state_dict, unadapted, update",
        ),
    ],
)
def test_a_method_that_is_not_whole_is_refused(kind, lacking, monkeypatch):
    monkeypatch.setattr(registry, "learner_class", lambda learner: kind)
    with pytest.raises(
        ConfigError, match=rf"^rl2: .* lacks {lacking}\. A method needs"
    ):
        contract.check_learner("rl2", "navigation", "point-robot")


@pytest.mark.parametrize(("suite", "family"), contract.families(), ids=lambda x: x)
def test_tasks_and_batches_are_what_methods_rely_on(suite, family):
    contract.check_family(suite, family)


@pytest.mark.parametrize(
    ("suite", "family", "said"),
    [
        ("nope", "nope", "suite=nope is unknown"),
        ("navigation", "nope", "families=nope is unknown; known are: point-robot"),
    ],
)
def test_an_unknown_family_is_refused_as_by_a_run(suite, family, said):
    with pytest.raises(ConfigError) as caught:
        contract.check_family(suite, family)
    assert str(caught.value).startswith(said)


def test_a_horizon_beyond_the_environments_own_is_refused(monkeypatch):
    def make(task):
        return gymnasium.make("Pendulum-v1", max_episode_steps=15)

    other = replace(
        POINTS,
        horizon=20,
        obs_dim=3,
        action_dim=1,
        distance="",
        make_batch=partial(from_gym.make_batch, make),
    )
    monkeypatch.setattr(registry, "family", lambda suite, family: other)
    for check in (contract.check_family, partial(contract.check_learner, "rl2")):
        with pytest.raises(ConfigError, match="20 is beyond the 15 steps after which"):
            check("navigation", "point-robot")
    at_most = replace(other, horizon=15)
    monkeypatch.setattr(registry, "family", lambda suite, family: at_most)
    contract.check_family("navigation", "point-robot")


def points(**methods):
    """Return a ``make_batch`` of point robots with other methods."""
    kind = type("Other", (PointBatch,), methods)
    return {"make_batch": lambda tasks, threads: kind(tasks, sparse=False)}


def reset_by_chance(self, rng, rows=None):
    return PointBatch.reset(self, np.random.default_rng(), rows)


def reset_all(self, rng, rows=None):
    return PointBatch.reset(self, rng)


def step_all(self, action, active=None):
    return PointBatch.step(self, action)


def step_in_single_precision(self, action, active=None):
    step = PointBatch.step(self, action, active)
    return step._replace(reward=step.reward.astype(np.float32))


def step_by_their_number(self, action, active=None):
    step = PointBatch.step(self, action, active)
    return step._replace(reward=step.reward * np.count_nonzero(step.reward))


def break_down_only(self, action, active=None):
    step = PointBatch.step(self, action, active)
    return step._replace(unstable=step.reward != 0)


def reset_and_keep(self, rng, rows=None):
    self.shown = PointBatch.reset(self, rng, rows)
    return self.shown


def step_what_was_shown(self, action, active=None):
    step = PointBatch.step(self, action, active)
    self.shown[:] = step.obs
    return step


def keep(self, action, active=None):
    """The observations of all steps are one array."""
    step = PointBatch.step(self, action, active)
    self.kept = getattr(self, "kept", step.obs)
    self.kept[:] = step.obs
    return step._replace(obs=self.kept)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train": POINTS.test, "test": POINTS.train}, "numbered [80, 81"),
        ({"name": "other"}, "tasks are said to be of ['point-robot']"),
        ({"obs_dim": 3}, "reset() returns ((3, 2), 'float32'), not (3, 3)"),
        ({"distance": ""}, "and the family's distance ''"),
        (points(reset=reset_by_chance), "starts depend on more than the generator"),
        (points(reset=reset_all), "a reset changes other rows"),
        (points(step=step_all), "obs of an inactive row is not zero"),
        (points(step=step_in_single_precision), "reward of a step is ((3,), 'float32'"),
        (points(step=step_by_their_number), "reward of a row depends on which others"),
        (points(step=break_down_only), "unstable, not terminated"),
        (
            points(reset=reset_and_keep, step=step_what_was_shown),
            "a step changes what reset() returned",
        ),
        (points(step=keep), "a step changes what the one before returned"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_a_family_does_not_keep_to_is_said(changed, said, monkeypatch):
    other = replace(POINTS, **changed)
    monkeypatch.setattr(registry, "family", lambda suite, family: other)
    with pytest.raises(AssertionError) as caught:
        contract.check_family("navigation", "point-robot")
    assert said in str(caught.value)
