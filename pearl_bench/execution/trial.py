"""What a run takes on this machine, from a short trial."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.runs import meta_tested
from pearl_bench.config.types import RunConfig
from pearl_bench.execution.pace import Pace
from pearl_bench.execution.work import build_learner, prepare

if TYPE_CHECKING:
    from pearl_bench.training.types import MetaLearner
    from suites.base import TaskFamily

TRIAL_TASKS, TRIAL_HORIZON = 20, 50
"""Test tasks and steps of an episode, at most, of the meta-test that is timed."""


def measure(run: RunConfig, folder: Path) -> Pace:
    """Return what a run takes, from a short trial in this process.

    Runs that differ in the seed only are measured once.

    Args:
        run: the run; as if it began now.
        folder: its folder, which has no say.
    """
    del folder
    return _measured(configuration.to_yaml(replace(run, seed=0)))


@cache
def _measured(config_yaml: str) -> Pace:
    run = configuration.from_yaml(config_yaml)
    prepare(run)
    family = meta_tested(registry.family(run.suite, run.family), run)
    learner = build_learner(run, family)
    from pearl_bench.training.evaluate import episodes_due  # noqa: PLC0415

    test_steps = episodes_due(learner, family) * family.horizon
    meta_tests = -(-run.steps // run.eval_every)
    tested = meta_tests * test_steps * _meta_test_pace(learner, family, run)
    seconds = tested + learner.estimate_seconds(run.steps)
    return Pace(seconds / run.steps, test_steps)


def _meta_test_pace(learner: MetaLearner, family: TaskFamily, run: RunConfig) -> float:
    """Return the seconds that a step of a meta-test takes, from a small one."""
    from pearl_bench.training.evaluate import evaluate  # noqa: PLC0415

    trial = replace(
        family,
        horizon=min(family.horizon, TRIAL_HORIZON),
        test=family.test[:TRIAL_TASKS],
    ).tested_by(
        replace(family.meta_test, exploration_episodes=1, test_episodes=1),
    )
    family.make_batch(trial.test, threads=run.threads).close()  # the first is slow
    start = time.perf_counter()
    rows = evaluate(learner, trial, seed=run.seed, threads=run.threads)
    return (time.perf_counter() - start) / sum(row.length for row in rows)
