"""The meta-test protocol: the only place where a reported number is born."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pearl_bench.rollout import run_episode
from pearl_bench.types import MetaLearner
from suites.base import TaskFamily

EVALUATION_STREAM = 1
"""Key that separates the evaluation's random stream from all others of a seed."""


class EvalRow(NamedTuple):
    """One episode of one test task.

    Attributes:
        task: index in the family's task list.
        episode: 1 is the first exploration episode; the last is the reported one.
        total: undiscounted return.
        length: environment steps.
        success: whether the episode succeeded, None without a notion of success.
        unstable: whether the simulation broke down.
    """

    task: int
    episode: int
    total: float
    length: int
    success: bool | None
    unstable: bool


def evaluate(
    learner: MetaLearner, family: TaskFamily, *, seed: int, threads: int
) -> list[EvalRow]:
    """Meta-test the learner on every test task of the family.

    All test tasks run side by side: the exploration episodes, adaptation after the
    last of them and after each later episode (oyster ``rlkit/core/rl_algorithm.py``).
    How a method acts in an exploration episode is its own affair; PEARL explores by
    posterior sampling with deterministic actions, policy gradients have to sample.
    Later episodes are deterministic for all. Every random number comes from the seed
    and the learner's step count, so that training never notices when or how often it is
    evaluated.

    Args:
        learner: its own state is left as it is.
        family: provides the test tasks and the protocol ``meta_test``.
        seed: the run's seed.
        threads: threads of the environments.

    Returns:
        Exactly tasks x episodes rows, by task and episode.
    """
    entropy = [seed, EVALUATION_STREAM, learner.env_steps]
    env_seed, adapter_seed = np.random.SeedSequence(entropy).spawn(2)
    rng = np.random.default_rng(env_seed)
    adapter = learner.adapter(family.test, int(adapter_seed.generate_state(1)[0]))
    env = family.make_batch(family.test, threads=threads)
    rows: list[EvalRow] = []
    try:
        for number in range(1, family.meta_test.episodes + 1):
            explore = number <= family.meta_test.exploration_episodes
            episode = run_episode(env, adapter, family.horizon, rng, explore=explore)
            adapter.end_episode()
            if number >= family.meta_test.exploration_episodes:
                adapter.adapt()
            rows += [
                EvalRow(
                    task=task.index,
                    episode=number,
                    total=float(episode.total[i]),
                    length=int(episode.length[i]),
                    success=(
                        None if episode.success is None else bool(episode.success[i])
                    ),
                    unstable=bool(episode.unstable[i]),
                )
                for i, task in enumerate(family.test)
            ]
    finally:
        env.close()
    broken = [r for r in rows if not np.isfinite(r.total)]
    if broken:
        raise ArithmeticError(
            f"evaluation gave a return that is no number: {broken[0]}"
        )
    return sorted(rows)


def reported_return(rows: list[EvalRow]) -> float:
    """Return the mean return of the last episode over tasks."""
    last = max(row.episode for row in rows)
    return float(np.mean([row.total for row in rows if row.episode == last]))
