"""What every method must do on every family, for the tests of whoever adds one.

A package with a method or a suite of its own runs these under its own test runner::

    @pytest.mark.parametrize(("suite", "family"), contract.families())
    def test_my_method(suite, family):
        contract.check_learner("my-method", suite, family)

    @pytest.mark.parametrize(("suite", "family"), contract.families(["my-suite"]))
    def test_my_family(suite, family):
        contract.check_family(suite, family)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import Tensor

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.types import RunConfig
from pearl_bench.execution.work import POLICY, build_learner, save_policy
from pearl_bench.records import checkpoint, policy_file
from pearl_bench.records.schema import NOT_METRICS
from pearl_bench.training.evaluate import evaluate, protocols
from pearl_bench.training.learner import differing
from pearl_bench.training.rollout import require_horizon
from pearl_bench.training.types import MetaLearner, Metrics
from suites.base import BatchEnv, Step, TaskFamily

LONGEST = 200
"""Horizons beyond it are cut to ``SHORT`` steps: only that it runs is of interest."""
SHORT = 40

_DTYPES = ("float32", "float64", "float64", "bool", "bool", "bool")
"""Of the fields of a ``Step``."""


def families(suites: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return suite and name of the families to check a method on.

    Args:
        suites: their names; all that are registered if None. Of a suite that asks for
            a name (one family per task) it is the first.
    """
    chosen = registry.suites_there() if suites is None else map(registry.suite, suites)
    return [(suite.name, family) for suite in chosen for family in suite.typical]


def check_learner(
    learner: str,
    suite: str,
    family: str,
    *,
    settings: Sequence[str] = (),
    knows_the_task: bool = False,
) -> None:
    """Check that a method trains, evaluates and continues exactly, at budget=smoke.

    It continues from a checkpoint, and is played from the file of its policy.

    Args:
        learner: the method's registered name.
        suite: the suite's registered name.
        family: a family of the suite, which the method must be for.
        settings: words that change the method, as ``pearl.inference=none``.
        knows_the_task: it is told the task, and so need not act alike in all of them
            before any experience.

    Raises:
        AssertionError: it does not; the message says what.
        ConfigError: it has no settings for that family, is not for it, or lacks a
            member.
    """
    words = [f"suite={suite}", f"families={family}", f"learners={learner}"]
    bench = configuration.load([*words, "budget=smoke", "device=cpu", *settings])
    run = configuration.run_config(bench, family, learner, 0, threads=1)
    tasks = few_tasks(registry.family(suite, family))
    ends_early = registry.method(learner).ends_updates_early
    ours = build_learner(run, tasks)
    _check_counters(ours, ends_early=ends_early)
    state = _through_a_checkpoint(ours)
    _check_rows(ours, tasks)
    _check_unadapted(ours, tasks, knows_the_task)
    _check_continuation(ours, state, run, tasks, ends_early=ends_early)
    _check_policy(ours, run, tasks)
    _check_estimate(build_learner(run, tasks), run.steps)


def check_family(suite: str, family: str) -> None:
    """Check that a family's tasks and its batch are what methods rely on.

    Three environments are stepped a few times; what a reward is worth is not judged.

    Args:
        suite: the suite's registered name.
        family: a family of the suite.

    Raises:
        AssertionError: they are not; the message says what.
        ConfigError: there is no such family, or its horizon is beyond its
            environments' own.
    """
    configuration.load([f"suite={suite}", f"families={family}"])  # refuses as any run
    found = registry.family(suite, family)
    every = [*dict.fromkeys((*found.train, *found.test))]
    numbers = [task.index for task in every]
    assert numbers == [*range(len(every))], f"tasks are numbered {numbers}, not 0, 1.."
    named = {task.family for task in every}
    assert named == {found.name}, f"tasks are said to be of {sorted(named)}"
    batches = [found.make_batch((every * 3)[:3], threads=1) for _ in range(2)]
    try:
        require_horizon(batches[0], found.horizon)
        _check_batch(found, *batches)
    finally:
        for batch in batches:
            batch.close()


def _check_batch(family: TaskFamily, one: BatchEnv, other: BatchEnv) -> None:
    """Check two batches of the same three tasks: shapes, starts and the mask."""
    shape = (3, family.obs_dim)
    starts = [batch.reset(np.random.default_rng(0)) for batch in (one, other)]
    for obs in starts:
        found = (obs.shape, obs.dtype.name)
        assert found == (shape, "float32"), f"reset() returns {found}, not {shape}"
    first = starts[0].copy()
    assert np.array_equal(starts[0], starts[1]), (
        "starts depend on more than the generator"
    )
    active = np.array([True, False, True])
    draw = np.random.default_rng(1).uniform
    action = draw(-1, 1, (3, family.action_dim)).astype(np.float32)
    some, every = one.step(action, active), other.step(action)
    for name, expected, a, b in zip(Step._fields, _DTYPES, some, every, strict=True):
        if name == "success" and a is b is None:
            continue
        a, b = np.asarray(a), np.asarray(b)  # noqa: PLW2901 (no field may be None)
        wanted = (shape if name == "obs" else (3,), expected)
        found = (a.shape, a.dtype.name)
        assert found == wanted, f"{name} of a step is {found}, not {wanted}"
        assert not a[~active].any(), f"{name} of an inactive row is not zero"
        alike = np.array_equal(a[active], b[active])
        assert alike, f"{name} of a row depends on which others are active"
    assert not (every.unstable & ~every.terminated).any(), "unstable, not terminated"
    kept = some.obs.copy()
    one.step(action, active & ~some.terminated)
    assert np.array_equal(starts[0], first), "a step changes what reset() returned"
    assert np.array_equal(some.obs, kept), "a step changes what the one before returned"
    stayed = one.reset(np.random.default_rng(2), active)[~active]
    assert np.array_equal(stayed, first[~active]), "a reset changes other rows"
    measured = one.distance()
    assert (measured is not None) == bool(family.distance), (
        f"distance() is {measured}, and the family's distance {family.distance!r}"
    )


def few_tasks(family: TaskFamily) -> TaskFamily:
    """Return a family with few tasks and, if they are long, short episodes."""
    repetitions = min(2, family.meta_test.repetitions)
    played = tuple(
        replace(
            one,
            goals=1 if one.split == "train" else one.goals,
            meta_test=replace(one.meta_test, repetitions=repetitions),
        )
        for one in family.protocols
    )
    return replace(
        family,
        train=family.train[:4],
        test=family.test[:4],
        protocols=played,
        horizon=family.horizon if family.horizon <= LONGEST else SHORT,
    )


def _check_counters(learner: MetaLearner, *, ends_early: bool) -> None:
    """Take the first iteration's data and a slice of its updates."""
    counters = (learner.env_steps, learner.updates_done, learner.updates_due)
    assert counters == (0, 0, 0), f"a new learner has counters {counters}"
    metrics = learner.collect()
    assert learner.env_steps > 0, "collect() leaves env_steps at 0"
    assert learner.updates_due > 0, "collect() leaves updates_due at 0"
    _check_metrics("collect", metrics)
    steps = learner.env_steps
    metrics = _update(learner, ends_early=ends_early)
    assert metrics, "update() returns no metrics"
    _check_metrics("update", metrics)
    assert learner.updates_done > 0, "update() leaves updates_done at 0"
    assert learner.env_steps == steps, "update() changes env_steps"


def _update(learner: MetaLearner, *, ends_early: bool) -> Metrics:
    """Take a slice of the updates due, of which none may get lost unsaid."""
    before = learner.updates_done + learner.updates_due
    metrics = learner.update()
    after = learner.updates_done + learner.updates_due
    assert after == before or (ends_early and after < before), (
        f"{before} updates were done or due before update(), and {after} are after it; "
        "a method that may let the rest go has ends_updates_early=True in its Method"
    )
    return metrics


def _check_metrics(of: str, metrics: Metrics) -> None:
    """Check that metrics are finite and leave the loop's columns alone."""
    assert np.isfinite([*metrics.values()]).all(), f"{of}() returns {metrics}"
    taken = sorted(metrics.keys() & set(NOT_METRICS))
    assert not taken, f"{of}() returns {taken}, other columns of train.csv"


def _through_a_checkpoint(learner: MetaLearner) -> dict[str, Any]:
    """Return a learner's state as a run that is killed finds it again."""
    with TemporaryDirectory() as folder:
        try:
            checkpoint.save(Path(folder), learner.state_dict())
        except TypeError as error:
            raise AssertionError(f"state_dict(): {error}") from error
        state = checkpoint.load(Path(folder), print)
    assert state is not None  # it was written just now
    return state


def _check_rows(learner: MetaLearner, family: TaskFamily) -> None:
    """Check that a meta-test has each task, repetition and episode once."""
    rows = evaluate(learner, family, seed=3, threads=1)
    found = [(r.protocol, r.split, r.task, r.repetition, r.episode) for r in rows]
    assert found == [
        (protocol.name, protocol.split, task.index, repetition, number)
        for protocol in protocols(learner, family)
        for task in protocol.tasks(family)
        for repetition in range(1, protocol.meta_test.repetitions + 1)
        for number in protocol.meta_test.numbers
    ], "the rows of a meta-test are not one per task, repetition and episode"
    lengths = [row.length for row in rows]
    assert all(0 < length <= family.horizon for length in lengths), lengths
    assert not any(row.unstable for row in rows), "the simulation broke down"
    measured = [row.distance for row in rows]
    if family.distance:
        assert np.isfinite(np.array(measured, float)).all(), "a distance is no number"
    else:
        assert set(measured) == {None}, "there are distances that nothing measures"


def _check_unadapted(
    learner: MetaLearner, family: TaskFamily, knows_the_task: bool
) -> None:
    """Check that a policy without experience knows neither chance nor the task."""
    one, other = (learner.unadapted(family.test) for _ in range(2))
    obs = np.ones((len(family.test), family.obs_dim), np.float32)
    chosen = one.act(obs, explore=False)
    again = other.act(obs, explore=False)
    assert np.array_equal(chosen, again), "unadapted() acts by chance"
    alike = np.allclose(chosen, chosen[:1], rtol=1e-7, atol=1e-6)
    assert alike or knows_the_task, "unadapted() acts differently in different tasks"
    assert not (alike and knows_the_task), "what is told of a task changes no action"


def _check_continuation(
    ours: MetaLearner,
    state: dict[str, Any],
    run: RunConfig,
    family: TaskFamily,
    *,
    ends_early: bool,
) -> None:
    """Check that a learner with another seed goes on from a state in the same way."""
    theirs = build_learner(replace(run, seed=run.seed + 1), family)
    theirs.load_state_dict(state)
    for one in (ours, theirs):
        while one.updates_due:
            _update(one, ends_early=ends_early)
    what_comes: list[tuple[str, Callable[[MetaLearner], object]]] = [
        ("the next collect()", lambda one: one.collect()),
        ("the next update()", lambda one: one.update()),
        ("env_steps", lambda one: one.env_steps),
        ("a meta-test", lambda one: evaluate(one, family, seed=3, threads=1)),
    ]
    for name, result in what_comes:
        a, b = result(ours), result(theirs)
        assert a == b, f"{name} differs after load_state_dict(): {a}, {b}"


def _check_policy(ours: MetaLearner, run: RunConfig, family: TaskFamily) -> None:
    """Check that a policy file brings back what was trained, into another learner."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / POLICY
        _check_tensors(ours)
        save_policy(path, run, family, ours)
        tensors, _ = policy_file.read(path)
    theirs = build_learner(replace(run, seed=run.seed + 1), family)
    try:
        theirs.load_policy_state(tensors)
    except ValueError as error:
        raise AssertionError(f"load_policy_state(): {error}") from error
    theirs.env_steps = ours.env_steps
    name = differing(theirs.policy_state(), ours.policy_state())
    assert name is None, (
        f"policy_state() has another {name} after load_policy_state(): it has to "
        "return the tensors themselves that adapter() reads, not copies of them, or "
        "load_policy_state() has to set these"
    )
    a, b = (evaluate(one, family, seed=3, threads=1) for one in (ours, theirs))
    assert a == b, (
        f"a meta-test differs after load_policy_state(): {a}, {b}; policy_state() has "
        "to return all that adapter() reads"
    )


def _check_tensors(learner: MetaLearner) -> None:
    """Check that a policy is tensors, which is all that its file holds."""
    for name, value in learner.policy_state().items():
        assert isinstance(value, Tensor), (
            f"policy_state() has a {type(value).__name__}, {name}; it has to return "
            "tensors by name"
        )


def _check_estimate(learner: MetaLearner, steps: int) -> None:
    """Check that a new learner says how long its training takes."""
    seconds = learner.estimate_seconds(steps)
    assert isinstance(seconds, Real), f"estimate_seconds() returns {seconds!r}"
    assert 0 < seconds < np.inf, (
        f"estimate_seconds({steps}) returns {seconds}; it has to be a positive number "
        "of seconds"
    )
