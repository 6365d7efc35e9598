"""The meta-test protocol: the only place where a reported number is born."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from pearl_bench.records import schema
from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import MetaLearner
from suites.base import MetaTest, Task, TaskFamily, first_of_each_group

SIDE_BY_SIDE = 50
"""Tasks played at a time; with long episodes their transitions fill the memory."""

PACKAGE_REPETITIONS, PACKAGE_ENVIRONMENTS = 10, 20
"""Of the package's evaluator by default; at most one repetition per goal of a class."""

EVALUATION_STREAM = 1
"""Key that separates the evaluation's random stream from all others of a seed."""

UNADAPTED_STREAM = 1
"""Key of episode 0's starts within a part: other episodes do not depend on it."""


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
        """Return what the rows of this part must be, as plain data.

        What there was not from the beginning is said only where it makes a difference:
        a run that was begun before has to find its own description again.
        """
        said: dict[str, Any] = {
            "protocol": self.protocol,
            "split": self.split,
            "tasks": len(self.tasks),
            "exploration_episodes": self.meta_test.exploration_episodes,
            "test_episodes": self.meta_test.test_episodes,
        }
        if self.meta_test.repetitions > 1:
            said["repetitions"] = self.meta_test.repetitions
        if self.meta_test.unadapted:
            said["unadapted"] = True
        return said


def parts(learner: MetaLearner, family: TaskFamily) -> list[Part]:
    """Return what an evaluation of a learner consists of; the first is reported."""
    found = [Part("suite", "test", family.test, family.meta_test, 0)]
    if family.checked_train:
        found.append(Part("suite", "train", family.checked_train, family.meta_test, 1))
    own = learner.own_exploration
    if own not in (None, family.meta_test.exploration_episodes):
        repetitions = family.meta_test.repetitions
        alone = MetaTest(own, 1, repetitions, unadapted=False)
        found.append(Part("own", "test", family.test, alone, 2))
    if family.package_test:
        some = first_of_each_group(family.test, PACKAGE_REPETITIONS)
        counted = MetaTest(0, family.meta_test.test_episodes, unadapted=False)
        found.append(Part("metaworld", "test", some, counted, 3))
    return found


def episodes_due(learner: MetaLearner, family: TaskFamily) -> int:
    """Return how many episodes an evaluation plays, those without a row included."""
    due = 0
    for part in parts(learner, family):
        tasks = len(part.tasks) * part.meta_test.repetitions
        episodes = len(part.meta_test.numbers)
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
        repetition: how often the task has been begun, 1 the first time.
        episode: 0 is played without chance and experience, 1 is the first exploration
            episode; the last is the reported one.
        total: undiscounted return.
        length: environment steps.
        success: whether the episode succeeded, None without a notion of success.
        unstable: whether the simulation broke down.
        distance: see ``TaskFamily.distance``; None without, and after a breakdown.
    """

    protocol: str
    split: str
    task: int
    group: str
    repetition: int
    episode: int
    total: float
    length: int
    success: bool | None
    unstable: bool
    distance: float | None

    def in_file(self, env_steps: int, wall_s: float) -> dict[str, float | str]:
        """Return the row of ``eval.csv``, with the columns of ``schema.EVAL``."""
        known = self._asdict() | {
            "env_steps": env_steps,
            "return": self.total,
            "wall_s": wall_s,
        }
        return {
            name: "" if known[name] is None else known[name]
            for name in schema.EVAL.names
        }


def evaluate(
    learner: MetaLearner,
    family: TaskFamily,
    *,
    seed: int,
    threads: int,
    stop: Callable[[], bool] | None = None,
) -> list[EvalRow]:
    """Meta-test the learner on every test task of the family.

    Every random number comes from the seed and the learner's step count, so that
    training never notices when or how often it is evaluated.

    Args:
        learner: its own state is left as it is.
        family: provides the test tasks and the protocol ``meta_test``.
        seed: the run's seed.
        threads: threads of the environments.
        stop: polled at every step; true abandons the evaluation.

    Returns:
        Of each part exactly tasks x repetitions x episodes rows, in that order.

    Raises:
        ArithmeticError: a return is no number.
        StopRequested: ``stop`` said so; the same call again gives the whole evaluation.
    """
    rows = [
        row
        for part in parts(learner, family)
        for row in _play(learner, family, part, seed=seed, threads=threads, stop=stop)
    ]
    broken = [row for row in rows if not np.isfinite(row.total)]
    if broken:
        raise ArithmeticError(
            f"evaluation gave a return that is no number: {broken[0]}"
        )
    return rows


def _play(
    learner: MetaLearner,
    family: TaskFamily,
    part: Part,
    *,
    seed: int,
    threads: int,
    stop: Callable[[], bool] | None,
) -> list[EvalRow]:
    """Play one part.

    Up to SIDE_BY_SIDE tasks run at a time, repetitions beside each other: the
    exploration episodes, adaptation after the last of them and after each later episode
    (oyster ``rlkit/core/rl_algorithm.py``). How a method acts in an exploration episode
    is its own affair; PEARL explores by posterior sampling with deterministic actions,
    policy gradients have to sample. Later episodes are deterministic for all, and so is
    episode 0, which an adapter of its own plays.
    """
    entropy = [seed, EVALUATION_STREAM, learner.env_steps, part.stream]
    sequence = np.random.SeedSequence(entropy)
    if part.protocol == "metaworld":
        from pearl_bench.training import package_test  # noqa: PLC0415  (imports metaworld)

        seeds = sequence.generate_state(PACKAGE_REPETITIONS).tolist()
        return package_test.play(learner, family, part, seeds, stop)
    start_sequence = np.random.SeedSequence([*entropy, UNADAPTED_STREAM])
    played = [
        _Played(task, repetition)
        for repetition in range(1, part.meta_test.repetitions + 1)
        for task in part.tasks
    ]
    rows: list[EvalRow] = []
    for first in range(0, len(played), SIDE_BY_SIDE):
        some = played[first : first + SIDE_BY_SIDE]
        seeds = [*start_sequence.spawn(1), *sequence.spawn(2)]
        env = family.make_batch([task for task, _ in some], threads=threads)
        try:
            play = partial(run_episode, env, horizon=family.horizon, stop=stop)
            episodes = _episodes(learner, part.meta_test, some, play, seeds)
            for number, episode in episodes:
                rows += _rows(part, some, number, episode)
        finally:
            env.close()
    return sorted(rows, key=lambda row: (row.task, row.repetition, row.episode))


class _Played(NamedTuple):
    """One row of a batch of environments."""

    task: Task
    repetition: int


def _episodes(
    learner: MetaLearner,
    meta_test: MetaTest,
    played: Sequence[_Played],
    play: Callable[..., Episode],
    seeds: Sequence[np.random.SeedSequence],
) -> Iterator[tuple[int, Episode]]:
    """Play all episodes of one batch of environments; yield each with its number.

    Args:
        learner: provides the adapters.
        meta_test: which episodes there are.
        played: the tasks of the batch.
        play: ``run_episode`` in it.
        seeds: of episode 0's starts, the other starts, and the adapter.
    """
    tasks = [task for task, _ in played]
    first_rng, rng = (np.random.default_rng(seed) for seed in seeds[:2])
    if meta_test.unadapted:
        yield 0, play(learner.unadapted(tasks), rng=first_rng, explore=False)
    adapter = learner.adapter(tasks, int(seeds[2].generate_state(1)[0]))
    for number in range(1, meta_test.episodes + 1):
        explore = number <= meta_test.exploration_episodes
        episode = play(adapter, rng=rng, explore=explore)
        adapter.end_episode()
        if number >= meta_test.exploration_episodes:
            adapter.adapt()
        yield number, episode


def _rows(
    part: Part, played: Sequence[_Played], number: int, episode: Episode
) -> list[EvalRow]:
    distance = episode.distance
    return [
        EvalRow(
            protocol=part.protocol,
            split=part.split,
            task=task.index,
            group=task.group,
            repetition=repetition,
            episode=number,
            total=float(episode.total[i]),
            length=int(episode.length[i]),
            success=None if episode.success is None else bool(episode.success[i]),
            unstable=bool(episode.unstable[i]),
            distance=None
            if distance is None or episode.unstable[i]
            else float(distance[i]),
        )
        for i, (task, repetition) in enumerate(played)
    ]


def reported_return(rows: list[EvalRow]) -> float:
    """Return the mean return of the last episode of the first part."""
    first = [
        r for r in rows if (r.protocol, r.split) == (rows[0].protocol, rows[0].split)
    ]
    last = max(row.episode for row in first)
    return float(np.mean([row.total for row in first if row.episode == last]))
