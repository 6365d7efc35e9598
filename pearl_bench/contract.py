"""What every registered method must do on every registered family."""

import copy
from dataclasses import replace

import numpy as np
import pytest

import suites
from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.training.evaluate import evaluate, parts
from suites.base import TaskFamily

ONE_OF_FIFTY = "pick-place"
FAMILIES = [
    (suite, name)
    for suite, loaded in ((suite, suites.load(suite)) for suite in suites.SUITES)
    for name in loaded.default or [family.name for family in loaded.families]
    if loaded.default != () or name == ONE_OF_FIFTY
]


def smoke_run(learner: str, suite: str, family: str):
    words = [f"suite={suite}", f"families={family}", "budget=smoke", "device=cpu"]
    bench = configuration.load(words)
    return configuration.run_config(bench, family, learner, 0, threads=1)


def few_tasks(suite: str, name: str) -> TaskFamily:
    """The family with few tasks and, if they are long, short episodes: to be quick."""
    family = registry.family(suite, name)
    repetitions = min(2, family.meta_test.repetitions)
    return replace(
        family,
        train=family.train[:4],
        test=family.test[:4],
        checked_train=family.checked_train[:1],
        meta_test=replace(family.meta_test, repetitions=repetitions),
        horizon=family.horizon if family.horizon <= 200 else 40,
    )


def build(learner: str, run, family: TaskFamily, seed: int = 0):
    make = registry.learner_class(learner)
    return make(
        run.config, family, seed=seed, device="cpu", precision="float32", threads=1
    )


@pytest.mark.parametrize(("suite", "name"), FAMILIES, ids=lambda x: x)
@pytest.mark.parametrize("learner", registry.LEARNERS)
def test_trains_evaluates_and_continues_exactly(learner, suite, name):
    run, family = smoke_run(learner, suite, name), few_tasks(suite, name)
    ours = build(learner, run, family)
    assert (ours.env_steps, ours.updates_done, ours.updates_due) == (0, 0, 0)

    metrics = ours.collect()
    assert ours.env_steps > 0
    assert ours.updates_due > 0
    assert all(np.isfinite(value) for value in metrics.values())
    due, steps = ours.updates_due, ours.env_steps
    metrics = ours.update()
    assert metrics
    assert all(np.isfinite(value) for value in metrics.values())
    assert ours.updates_done + ours.updates_due == due
    assert ours.env_steps == steps

    state = copy.deepcopy(ours.state_dict())
    rows = evaluate(ours, family, seed=3, threads=1)
    found = [(r.protocol, r.split, r.task, r.repetition, r.episode) for r in rows]
    assert found == [
        (part.protocol, part.split, task.index, repetition, number)
        for part in parts(ours, family)
        for task in part.tasks
        for repetition in range(1, part.meta_test.repetitions + 1)
        for number in part.meta_test.numbers
    ]
    assert not any(row.unstable for row in rows)
    measured = [row.distance for row in rows if row.protocol != "metaworld"]
    if family.distance:
        assert np.isfinite(np.array(measured, float)).all()
    else:
        assert set(measured) == {None}
    one, other = (ours.unadapted(family.test) for _ in range(2))
    obs = np.ones((len(family.test), family.obs_dim), np.float32)
    chosen = one.act(obs, explore=False)
    np.testing.assert_array_equal(chosen, other.act(obs, explore=False))
    np.testing.assert_allclose(chosen, np.tile(chosen[:1], (len(obs), 1)), atol=1e-6)
    assert all(0 < row.length <= family.horizon for row in rows)

    theirs = build(learner, run, family, seed=1)
    theirs.load_state_dict(state)
    for one in (ours, theirs):
        while one.updates_due:
            one.update()
    assert ours.collect() == theirs.collect()
    assert ours.update() == theirs.update()
    assert ours.env_steps == theirs.env_steps
    assert evaluate(theirs, family, seed=3, threads=1) == evaluate(
        ours, family, seed=3, threads=1
    )
