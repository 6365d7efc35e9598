"""The meta-test protocol: the only place where a reported number is born."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pearl_bench.records import schema
from pearl_bench.training.rollout import Episode, run_episode
from pearl_bench.training.types import Adapter, MetaLearner, StopRequested, Transition
from suites.base import (
    Counted,
    MetaTest,
    Protocol,
    Task,
    TaskFamily,
    reported_episodes,
)

SIDE_BY_SIDE = 50
"""Environments at a time, one per task and repetition; with long episodes their
transitions fill the memory."""

EVALUATION_STREAM = 1
"""Key that separates the evaluation's random stream from all others of a seed."""

UNADAPTED_STREAM = 1
"""Key of episode 0's starts in a protocol: other episodes do not depend on it."""

OWN_STREAM = 2
"""Key of the protocol that a learner's own exploration makes, beside a family's."""


def protocols(learner: MetaLearner, family: TaskFamily) -> list[Protocol]:
    """Return what an evaluation of a learner consists of; the first is reported.

    It is the family's first, whatever its stream; the others follow by their streams.
    """
    reported, *others = family.protocols
    found = [one for one in others if not one.on_request]
    own = learner.own_exploration
    if own not in (None, reported.meta_test.exploration_episodes):
        repetitions = reported.meta_test.repetitions
        alone = MetaTest(own, 1, repetitions, unadapted=False)
        found.append(Protocol("own", "test", OWN_STREAM, alone))
    return [reported, *sorted(found, key=lambda protocol: protocol.stream)]


def description(protocol: Protocol, family: TaskFamily) -> dict[str, Any]:
    """Return what the rows of a protocol must be, as plain data.

    What there was not from the beginning is said only where it makes a difference: a
    run that was begun before has to find its own description again.
    """
    meta_test = protocol.meta_test
    said: dict[str, Any] = {
        "protocol": protocol.name,
        "split": protocol.split,
        "tasks": len(protocol.tasks(family)),
        "exploration_episodes": meta_test.exploration_episodes,
        "test_episodes": meta_test.test_episodes,
    }
    if meta_test.repetitions > 1:
        said["repetitions"] = meta_test.repetitions
    if meta_test.unadapted:
        said["unadapted"] = True
    return said


def episodes_due(learner: MetaLearner, family: TaskFamily) -> int:
    """Return how many episodes an evaluation plays, those without a row included."""
    due = 0
    for protocol in protocols(learner, family):
        if protocol.evaluator is not None:
            due += protocol.evaluator.episodes(family, protocol)
        else:
            begun = len(protocol.tasks(family)) * protocol.meta_test.repetitions
            due += begun * len(protocol.meta_test.numbers)
    return due


class EvalRow(NamedTuple):
    """One episode of one task.

    Attributes:
        protocol: see ``Protocol``.
        split: see ``Protocol``.
        task: index in the family's task list.
        group: the task's class, empty where the family has none.
        repetition: how often the task has been begun, 1 the first time.
        episode: 0 is played without chance and experience, 1 is the first exploration
            episode; which is reported ``MetaTest`` says.
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
    reported_only: bool = False,
) -> list[EvalRow]:
    """Meta-test the learner by each of its ``protocols``.

    The first plays every test task of the family; others may play training tasks.

    Every random number comes from the seed and the learner's step count, so that
    training never notices when or how often it is evaluated.

    Args:
        learner: its own state is left as it is.
        family: provides the tasks and the protocols.
        seed: the run's seed.
        threads: threads of the environments.
        stop: polled at every step; true abandons the evaluation.
        reported_only: play the first protocol alone, with the same random numbers.

    Returns:
        Of each protocol exactly tasks x repetitions x episodes rows; in that order
        unless an evaluator of the suite's plays it.

    Raises:
        ArithmeticError: a return is no number.
        StopRequested: ``stop`` said so; the same call again gives the whole evaluation.
    """
    rows = [
        row
        for protocol in protocols(learner, family)[: 1 if reported_only else None]
        for row in _play(
            learner, family, protocol, seed=seed, threads=threads, stop=stop
        )
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
    protocol: Protocol,
    *,
    seed: int,
    threads: int,
    stop: Callable[[], bool] | None,
) -> list[EvalRow]:
    """Play one protocol.

    Tasks run side by side, up to SIDE_BY_SIDE with their repetitions counted: the
    exploration episodes, adaptation after the last of them and after each later episode
    (oyster ``rlkit/core/rl_algorithm.py``). How a method acts in an exploration episode
    is its own affair; PEARL explores by posterior sampling with deterministic actions,
    policy gradients have to sample. Later episodes are deterministic for all, and so is
    episode 0, which an adapter of its own plays.
    """
    entropy = [seed, EVALUATION_STREAM, learner.env_steps, protocol.stream]
    sequence = np.random.SeedSequence(entropy)
    if protocol.evaluator is not None:
        player = _Player(learner, stop)
        counted = protocol.evaluator.play(family, protocol, player, sequence)
        return [_counted_row(protocol, episode) for episode in counted]
    start_sequence = np.random.SeedSequence([*entropy, UNADAPTED_STREAM])
    played = [
        _Played(task, repetition)
        for repetition in range(1, protocol.meta_test.repetitions + 1)
        for task in protocol.tasks(family)
    ]
    rows: list[EvalRow] = []
    for first in range(0, len(played), SIDE_BY_SIDE):
        some = played[first : first + SIDE_BY_SIDE]
        seeds = [*start_sequence.spawn(1), *sequence.spawn(2)]
        env = family.make_batch([task for task, _ in some], threads=threads)
        try:
            play = partial(run_episode, env, horizon=family.horizon, stop=stop)
            episodes = _episodes(learner, protocol.meta_test, some, play, seeds)
            for number, episode in episodes:
                rows += _rows(protocol, some, number, episode)
        finally:
            env.close()
    return sorted(rows, key=lambda row: (row.task, row.repetition, row.episode))


class _Player:
    """A learner facing tasks that a suite's own evaluator steps."""

    adapter: Adapter

    def __init__(self, learner: MetaLearner, stop: Callable[[], bool] | None) -> None:
        self.learner = learner
        self.stop = stop

    def begin(self, tasks: Sequence[Task], seed: int) -> None:
        self.adapter = self.learner.adapter(tasks, seed)

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        if self.stop is not None and self.stop():
            raise StopRequested
        self.obs = obs
        self.action = self.adapter.act(obs, explore=explore)
        return self.action

    def observe(self, reward: np.ndarray, next_obs: np.ndarray) -> None:
        everyone = np.ones(len(reward), bool)
        self.adapter.observe(
            Transition(
                obs=self.obs,
                action=self.action,
                reward=reward,
                sparse_reward=reward,
                next_obs=next_obs,
                terminated=~everyone,
                alive=everyone,
            )
        )

    def end_episode(self) -> None:
        self.adapter.end_episode()

    def adapt(self) -> None:
        self.adapter.adapt()


def _counted_row(protocol: Protocol, counted: Counted) -> EvalRow:
    return EvalRow(
        protocol=protocol.name,
        split=protocol.split,
        task=counted.task.index,
        group=counted.task.group,
        repetition=1,
        episode=counted.episode,
        total=counted.total,
        length=counted.length,
        success=counted.success,
        unstable=False,
        distance=None,
    )


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
    protocol: Protocol, played: Sequence[_Played], number: int, episode: Episode
) -> list[EvalRow]:
    distance = episode.distance
    return [
        EvalRow(
            protocol=protocol.name,
            split=protocol.split,
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


def reported_return(rows: list[EvalRow], family: TaskFamily) -> float:
    """Return the mean return of the first protocol's ``reported_episodes``."""
    first = [
        r for r in rows if (r.protocol, r.split) == (rows[0].protocol, rows[0].split)
    ]
    reported = reported_episodes(
        max(row.episode for row in first),
        family.meta_test.test_episodes,
        success=first[0].success is not None,
    )
    return float(np.mean([row.total for row in first if row.episode in reported]))
