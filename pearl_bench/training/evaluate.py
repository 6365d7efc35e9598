"""The meta-test protocol: the only place where a reported number is born."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import MetaLearner
from suites.base import MetaTest, Task, TaskFamily, first_of_each_group

WAVE = 50
"""Tasks side by side; with long episodes their transitions fill the memory."""

PACKAGE_REPETITIONS, PACKAGE_ENVIRONMENTS = 10, 20
"""Of the package's evaluator by default; at most one repetition per goal of a class."""

EVALUATION_STREAM = 1
"""Key that separates the evaluation's random stream from all others of a seed."""


@dataclass(frozen=True)
class Part:
    """One part of an evaluation: a protocol on a list of tasks.

    Attributes:
        protocol: ``suite`` gives every learner the same exploration; ``own`` as much
            as the learner's training adapts from; ``metaworld`` is the package's own
            evaluator, of which only the episodes that it counts are rows.
        split: where the tasks come from.
        tasks: the tasks, all played side by side.
        meta_test: episodes before and after the adaptation.
        stream: key of its random stream within the evaluation's.
    """

    protocol: Literal["suite", "own", "metaworld"]
    split: Literal["train", "test"]
    tasks: tuple[Task, ...]
    meta_test: MetaTest
    stream: int

    def describe(self) -> dict[str, Any]:
        """Return what the rows of this part must be, as plain data."""
        return {
            "protocol": self.protocol,
            "split": self.split,
            "tasks": len(self.tasks),
            "exploration_episodes": self.meta_test.exploration_episodes,
            "test_episodes": self.meta_test.test_episodes,
        }


def parts(learner: MetaLearner, family: TaskFamily) -> list[Part]:
    """Return what an evaluation of a learner consists of; the first is reported."""
    found = [Part("suite", "test", family.test, family.meta_test, 0)]
    if family.checked_train:
        found.append(Part("suite", "train", family.checked_train, family.meta_test, 1))
    own = learner.own_exploration
    if own not in (None, family.meta_test.exploration_episodes):
        found.append(Part("own", "test", family.test, MetaTest(own, 1), 2))
    if family.package_test:
        some = first_of_each_group(family.test, PACKAGE_REPETITIONS)
        counted = MetaTest(0, family.meta_test.test_episodes)
        found.append(Part("metaworld", "test", some, counted, 3))
    return found


def episodes_due(learner: MetaLearner, family: TaskFamily) -> int:
    """Return how many episodes an evaluation plays, those without a row included."""
    due = 0
    for part in parts(learner, family):
        tasks, episodes = len(part.tasks), part.meta_test.episodes
        if part.protocol == "metaworld":
            # unsolved goals go on while solved ones fill the count: never fewer
            groups = len({task.group for task in part.tasks})
            tasks = tasks // groups * PACKAGE_ENVIRONMENTS
            episodes += family.meta_test.exploration_episodes
        due += tasks * episodes
    return due


class EvalRow(NamedTuple):
    """One episode of one task.

    Attributes:
        protocol: see ``Part``.
        split: see ``Part``.
        task: index in the family's task list.
        group: the task's class, empty where the family has none.
        episode: 1 is the first exploration episode; the last is the reported one.
        total: undiscounted return.
        length: environment steps.
        success: whether the episode succeeded, None without a notion of success.
        unstable: whether the simulation broke down.
    """

    protocol: str
    split: str
    task: int
    group: str
    episode: int
    total: float
    length: int
    success: bool | None
    unstable: bool


def evaluate(
    learner: MetaLearner, family: TaskFamily, *, seed: int, threads: int
) -> list[EvalRow]:
    """Meta-test the learner on every test task of the family.

    Every random number comes from the seed and the learner's step count, so that
    training never notices when or how often it is evaluated.

    Args:
        learner: its own state is left as it is.
        family: provides the test tasks and the protocol ``meta_test``.
        seed: the run's seed.
        threads: threads of the environments.

    Returns:
        Of each part exactly tasks x episodes rows, by task and episode.

    Raises:
        ArithmeticError: a return is no number.
    """
    rows = [
        row
        for part in parts(learner, family)
        for row in _play(learner, family, part, seed=seed, threads=threads)
    ]
    broken = [row for row in rows if not np.isfinite(row.total)]
    if broken:
        raise ArithmeticError(
            f"evaluation gave a return that is no number: {broken[0]}"
        )
    return rows


def _play(
    learner: MetaLearner, family: TaskFamily, part: Part, *, seed: int, threads: int
) -> list[EvalRow]:
    """Play one part.

    Up to WAVE tasks run side by side: the exploration episodes, adaptation after the
    last of them and after each later episode (oyster ``rlkit/core/rl_algorithm.py``).
    How a method acts in an exploration episode is its own affair; PEARL explores by
    posterior sampling with deterministic actions, policy gradients have to sample.
    Later episodes are deterministic for all.
    """
    entropy = [seed, EVALUATION_STREAM, learner.env_steps, part.stream]
    sequence = np.random.SeedSequence(entropy)
    if part.protocol == "metaworld":
        from pearl_bench.training import package_test  # noqa: PLC0415  (imports metaworld)

        seeds = sequence.generate_state(PACKAGE_REPETITIONS).tolist()
        return package_test.play(learner, family, part, seeds)
    rows: list[EvalRow] = []
    for first in range(0, len(part.tasks), WAVE):
        env_seed, adapter_seed = sequence.spawn(2)
        rng = np.random.default_rng(env_seed)
        tasks = part.tasks[first : first + WAVE]
        adapter = learner.adapter(tasks, int(adapter_seed.generate_state(1)[0]))
        env = family.make_batch(tasks, threads=threads)
        try:
            for number in range(1, part.meta_test.episodes + 1):
                explore = number <= part.meta_test.exploration_episodes
                episode = run_episode(
                    env, adapter, family.horizon, rng, explore=explore
                )
                adapter.end_episode()
                if number >= part.meta_test.exploration_episodes:
                    adapter.adapt()
                rows += _rows(part, tasks, number, episode)
        finally:
            env.close()
    return sorted(rows, key=lambda row: (row.task, row.episode))


def _rows(
    part: Part, tasks: Sequence[Task], number: int, episode: Episode
) -> list[EvalRow]:
    return [
        EvalRow(
            protocol=part.protocol,
            split=part.split,
            task=task.index,
            group=task.group,
            episode=number,
            total=float(episode.total[i]),
            length=int(episode.length[i]),
            success=None if episode.success is None else bool(episode.success[i]),
            unstable=bool(episode.unstable[i]),
        )
        for i, task in enumerate(tasks)
    ]


def reported_return(rows: list[EvalRow]) -> float:
    """Return the mean return of the last episode of the first part."""
    first = [
        r for r in rows if (r.protocol, r.split) == (rows[0].protocol, rows[0].split)
    ]
    last = max(row.episode for row in first)
    return float(np.mean([row.total for row in first if row.episode == last]))
