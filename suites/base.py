"""Tasks, task families and suites as plain data."""

from __future__ import annotations

import hashlib
import json
import typing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Task:
    """One MDP of a family as plain data.

    Attributes:
        family: name of the family.
        index: position in the family's task list (train tasks first).
        params: the numbers that distinguish the task; their meaning is the family's.
        group: the class of tasks it belongs to, empty where a family has none.
    """

    family: str
    index: int
    params: tuple[float, ...]
    group: str = ""


class Step(NamedTuple):
    """What N environments return for one step; rows of inactive ones are zero.

    Attributes:
        obs: ``[N, O]`` float32 observation after the step.
        reward: ``[N]`` float64 dense reward.
        sparse_reward: ``[N]`` float64, equal to ``reward`` where the family has no
            sparse variant.
        terminated: ``[N]`` bool.
        unstable: ``[N]`` bool, the simulation broke down in this step; such a step is
            also ``terminated``, its reward is 0 and its observation is the one before.
        success: ``[N]`` bool where the family defines success, else None.
    """

    obs: np.ndarray
    reward: np.ndarray
    sparse_reward: np.ndarray
    terminated: np.ndarray
    unstable: np.ndarray
    success: np.ndarray | None


def check_actions(
    action: np.ndarray, shape: tuple[int, ...], active: np.ndarray | None
) -> None:
    """Refuse actions that no environment can take.

    Raises:
        ValueError: the shape is not ``[N, A]``, or an active row is not finite.
    """
    if action.shape != shape:
        raise ValueError(f"actions must have the shape {shape}, got {action.shape}")
    if not np.isfinite(action).all():
        bad = ~np.isfinite(action).all(1)
        if active is not None:
            bad &= active
        if bad.any():
            raise ValueError(
                f"actions of environments {np.flatnonzero(bad).tolist()} are not "
                "finite; look at the policy that chose them"
            )


class BatchEnv(typing.Protocol):
    """N environments of one family stepped in lock step, each with its own task."""

    num_envs: int

    def reset(
        self, rng: np.random.Generator, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Start a new episode in the ``[N]`` bool ``rows``, in all by default.

        Returns:
            ``[N, O]`` float32 current observations of all environments.
        """
        ...

    def step(self, action: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Apply ``[N, A]`` actions in [-1, 1] to the active (``[N]`` bool) rows."""
        ...

    def distance(self) -> np.ndarray | None:
        """Return what ``TaskFamily.distance`` says, None if the family measures none.

        Returns:
            ``[N]`` float64 as of now, since each row's last reset. Rows that are not
            stepped any more keep theirs; after a breakdown it means nothing.
        """
        ...

    def close(self) -> None:
        """Release the threads."""
        ...


class MakeBatch(typing.Protocol):
    """Builds the batch environment of a family."""

    def __call__(self, tasks: Sequence[Task], *, threads: int) -> BatchEnv:
        """Return one environment per task (repeats allowed)."""
        ...


@dataclass(frozen=True)
class ScoreRange:
    """Fixed returns that scores are normalised by.

    Attributes:
        low: the return whose score is 0.
        high: the return whose score is 1.
        low_is: what gets that return, and its source.
        high_is: the same of the other.
    """

    low: float
    high: float
    low_is: str
    high_is: str


LEAST_PLAYED = 20
"""Times that tasks are played in a meta-test, all together, at the least."""


@dataclass(frozen=True)
class MetaTest:
    """The meta-test protocol of a family.

    Attributes:
        exploration_episodes: K, episodes before the first adaptation.
        test_episodes: episodes after it; see ``reported_episodes``.
        repetitions: how often each task is played, from the beginning each time.
        unadapted: whether an episode 0 is played besides: without chance in the
            actions, before any experience, and unknown to the adaptation.
    """

    exploration_episodes: int = 2
    test_episodes: int = 1
    repetitions: int = 1
    unadapted: bool = True

    @property
    def episodes(self) -> int:
        """Episodes of a repetition that follow each other; episode 0 is none."""
        return self.exploration_episodes + self.test_episodes

    @property
    def numbers(self) -> range:
        """Numbers of all episodes of a repetition, episode 0 included."""
        return range(0 if self.unadapted else 1, self.episodes + 1)


def reported_episodes(last: int, test_episodes: int, *, success: bool) -> range:
    """Return which episodes of a task are reported, by their mean.

    It is the last one, or where tasks have a success every test episode, as
    Meta-World's protocol has it.

    Args:
        last: number of the last episode.
        test_episodes: how many there are after the exploration.
        success: whether tasks have one.
    """
    return range(last + 1 - (test_episodes if success else 1), last + 1)


def repetitions_for(tasks: Sequence[Task]) -> int:
    """Return how often to play each of some test tasks to come to LEAST_PLAYED."""
    return -(-LEAST_PLAYED // len(tasks))


class Player(typing.Protocol):
    """A method as a suite's own evaluator sees it."""

    def begin(self, tasks: Sequence[Task], seed: int) -> None:
        """Face N tasks afresh; everything drawn comes from ``seed``."""
        ...

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Choose actions ``[N, A]`` in [-1, 1] for observations ``[N, O]``."""
        ...

    def observe(self, reward: np.ndarray, next_obs: np.ndarray) -> None:
        """Take note of what the last actions led to, ``[N]`` and ``[N, O]``."""
        ...

    def end_episode(self) -> None:
        """All N environments are about to start a new episode of the same tasks."""
        ...

    def adapt(self) -> None:
        """Adapt to the N tasks from the episodes so far, or as many as it can use."""
        ...


class Counted(NamedTuple):
    """An episode that a suite's own evaluator counts.

    Attributes:
        task: the task, or where the evaluator mixes them a label of it.
        episode: its number within the task, from 1.
        total: undiscounted return.
        length: environment steps.
        success: whether it succeeded.
    """

    task: Task
    episode: int
    total: float
    length: int
    success: bool


class Evaluator(typing.Protocol):
    """A suite's own way to play a protocol."""

    def episodes(self, family: TaskFamily, protocol: Protocol) -> int:
        """Return how many episodes it plays at least, not only those it counts."""
        ...

    def play(
        self,
        family: TaskFamily,
        protocol: Protocol,
        player: Player,
        seeds: np.random.SeedSequence,
    ) -> list[Counted]:
        """Play; return the protocol's test episodes of every task, each's in order."""
        ...


@dataclass(frozen=True)
class Protocol:
    """One part of an evaluation: which tasks are played, and how.

    Attributes:
        name: as in the column ``protocol``: ``suite`` gives every method the same
            exploration, ``own`` as much as its training adapts from; others are of an
            evaluator of the suite's.
        split: where the tasks come from.
        stream: key of its random stream, another one for each protocol of a family.
        meta_test: the episodes.
        goals: only the first tasks of each group; all if None.
        evaluator: plays it in place of the harness; only the episodes that it counts
            are rows.
        on_request: whether it is played only if it is asked for by name, which
            ``TaskFamily.meta_tested`` does.
    """

    name: str
    split: Literal["train", "test"]
    stream: int
    meta_test: MetaTest
    goals: int | None = None
    evaluator: Evaluator | None = None
    on_request: bool = False

    def tasks(self, family: TaskFamily) -> tuple[Task, ...]:
        """Return the tasks of a family that it plays."""
        split = family.train if self.split == "train" else family.test
        return split if self.goals is None else first_of_each_group(split, self.goals)


def suite_protocol(meta_test: MetaTest) -> Protocol:
    """Return the protocol that a family's reported numbers are of."""
    return Protocol("suite", "test", 0, meta_test)


def point(*coordinates: float) -> str:
    """Write a place as people do, in centimetres of the unit: ``(1.20, -0.35)``."""
    return f"({', '.join(f'{round(x, 2) + 0.0:.2f}' for x in coordinates)})"


def tell_numbers(task: Task) -> str:
    """Tell a task by its class and its first numbers, where nobody has better words."""
    shown = [f"{x:.3g}" for x in task.params[:6]] + ["..."] * (len(task.params) > 6)
    return f"{task.group or f'task {task.index}'}: {', '.join(shown)}"


@dataclass(frozen=True)
class TaskFamily:
    """A row of the table of families.

    Attributes:
        name: the family's name.
        version: raised when anything that changes a return changes.
        horizon: steps of an episode (a truncation, not a termination).
        obs_dim: O.
        action_dim: A.
        train: meta-training tasks.
        test: meta-test tasks; disjoint from ``train`` unless ``source`` says otherwise.
        score: the range that normalises returns.
        source: where the definition comes from.
        make_batch: builds N environments.
        protocols: how the family is evaluated; the first is reported.
        distance: what the batch's ``distance`` is, empty where it is None: ``covered``,
            metres from the start of the episode along the task's direction (forwards
            where a task has none); ``remaining``, length from the goal.
        tell: says in a few words what a task asks for.
    """

    name: str
    version: int
    horizon: int
    obs_dim: int
    action_dim: int
    train: tuple[Task, ...]
    test: tuple[Task, ...]
    score: ScoreRange
    source: str
    make_batch: MakeBatch
    protocols: tuple[Protocol, ...] = (suite_protocol(MetaTest()),)
    distance: Literal["", "covered", "remaining"] = ""
    tell: Callable[[Task], str] = tell_numbers

    @property
    def meta_test(self) -> MetaTest:
        """The episodes of the protocol that is reported."""
        return self.protocols[0].meta_test

    @property
    def param_dim(self) -> int | None:
        """P, the numbers in each task's ``params``; None where tasks differ in it."""
        sizes = {len(task.params) for task in (*self.train, *self.test)}
        return sizes.pop() if len(sizes) == 1 else None

    def meta_tested(
        self, goals: int | None, *, protocol: str, repetitions: int | None
    ) -> TaskFamily:
        """Return the family with another meta-test.

        Args:
            goals: take the first tasks of each group only, and at most as many training
                tasks; all if None.
            protocol: play the one of that name too.
            repetitions: how often each task is played; None for once and without
                episode 0, as before there were repetitions.
        """
        protocols = []
        for one in self.protocols:
            changed = replace(one, on_request=one.on_request and one.name != protocol)
            if goals is not None and one.goals is not None:
                changed = replace(changed, goals=min(goals, one.goals))
            if one.evaluator is None:
                meta_test = replace(
                    one.meta_test,
                    repetitions=repetitions or 1,
                    unadapted=repetitions is not None,
                )
                changed = replace(changed, meta_test=meta_test)
            protocols.append(changed)
        test = self.test if goals is None else first_of_each_group(self.test, goals)
        return replace(self, test=test, protocols=tuple(protocols))

    def tested_by(self, meta_test: MetaTest) -> TaskFamily:
        """Return the family with nothing but its first protocol, of other episodes."""
        first = replace(self.protocols[0], meta_test=meta_test)
        return replace(self, protocols=(first,))

    def fingerprint(self) -> str:
        """Return 16 hex digits of name, version, horizon and every task of the splits.

        Equal fingerprints mean comparable returns.
        """
        rows = [
            [t.index, *([t.group] if t.group else []), *map(float.hex, t.params)]
            for t in (*self.train, *self.test)
        ]
        text = json.dumps([self.name, self.version, self.horizon, rows])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def first_of_each_group(tasks: Sequence[Task], number: int) -> tuple[Task, ...]:
    """Return the first ``number`` tasks of each group, in order."""
    seen: Counter[str] = Counter()
    kept = []
    for task in tasks:
        seen[task.group] += 1
        if seen[task.group] <= number:
            kept.append(task)
    return tuple(kept)


@dataclass(frozen=True)
class Suite:
    """A named set of families.

    Attributes:
        name: the suite's name.
        families: all there are.
        default: names of those that run when none is named; all if None, and if there
            are none, the user has to name some. ``usual`` says it.
        conf: YAML file of what methods need to know of these families, as in their
            own files, under each method's name; those of this project say it there.
    """

    name: str
    families: tuple[TaskFamily, ...]
    default: tuple[str, ...] | None = None
    conf: Path | None = None

    @property
    def usual(self) -> tuple[str, ...]:
        """Names of the families that run when none is named, if the suite has such."""
        if self.default is not None:
            return self.default
        return tuple(family.name for family in self.families)

    @property
    def typical(self) -> tuple[str, ...]:
        """Names of the usual families, or the first where some have to be named."""
        return self.usual or tuple(family.name for family in self.families[:1])
