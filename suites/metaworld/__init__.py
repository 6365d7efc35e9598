"""Meta-World's ML1, ML10 and ML45 (Yu et al. 2019, arXiv 1910.10897), package 3.1.1.

The benchmark objects' own tasks with hidden goals, on environments that are built and
stepped here: the package's Gymnasium ids train ML1 on the test goals, and its evaluator
counts the episodes that end first (Farama-Foundation/Metaworld#573 and #577).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from suites.base import (
    Counted,
    MetaTest,
    Player,
    Protocol,
    ScoreRange,
    Suite,
    Task,
    TaskFamily,
    suite_protocol,
)
from suites.metaworld.batch import HORIZON, MetaWorldBatch, shared_workers
from suites.metaworld.tasks import family_tasks, read, tell

ADAPTATION = MetaTest(exploration_episodes=10, test_episodes=3)
"""Of the package's evaluator and of Meta-World+ (arXiv 2505.11289)."""


PACKAGE_REPETITIONS, PACKAGE_ENVIRONMENTS = 10, 20
"""Of the package's evaluator by default; at most one repetition per goal of a class."""


@dataclass(frozen=True)
class PackageEvaluator:
    """The package's own evaluator, of the protocol that has its name.

    Attributes:
        package: what the package calls the family.
    """

    package: str

    def episodes(self, family: TaskFamily, protocol: Protocol) -> int:
        """Count the environments' episodes before and after the adaptation.

        Unsolved goals go on while solved ones fill the count: they are never fewer.
        """
        tasks = protocol.tasks(family)
        repetitions = len(tasks) // len({task.group for task in tasks})
        return repetitions * PACKAGE_ENVIRONMENTS * family.meta_test.episodes

    def play(
        self,
        family: TaskFamily,
        protocol: Protocol,
        player: Player,
        seeds: np.random.SeedSequence,
    ) -> list[Counted]:
        """Let the package play; return the episodes that it counts."""
        from suites.metaworld import evaluator  # noqa: PLC0415  (imports metaworld)

        drawn = seeds.generate_state(PACKAGE_REPETITIONS).tolist()
        return evaluator.play(
            self.package, family, protocol, player, PACKAGE_ENVIRONMENTS, drawn
        )


@dataclass(frozen=True)
class MetaWorldRow:
    """A row of the table: a family of Meta-World tasks.

    Attributes:
        name: the family's name.
        benchmark: whose tasks it has.
        reward: version of the reward functions.
        only: the class it keeps to, all of the benchmark's if None.
        checked: training goals per class that are meta-tested beside the test tasks.
    """

    name: str
    benchmark: str
    reward: Literal["v1", "v2"]
    checked: int
    only: str | None = None

    def make_batch(self, tasks: Sequence[Task], *, threads: int) -> MetaWorldBatch:
        """Return one environment per task, stepped by ``threads`` processes."""
        workers = shared_workers(threads)
        return MetaWorldBatch(tasks, workers=workers, reward=self.reward)

    def family(self) -> TaskFamily:
        """The family as the harness sees it."""
        train, test = family_tasks(self.benchmark, self.name, self.only)
        return TaskFamily(
            name=self.name,
            version=0,
            horizon=HORIZON,
            obs_dim=39,
            action_dim=4,
            train=train,
            test=test,
            score=ScoreRange(0.0, 5000.0, "not used", "not used: success is"),
            source=f"metaworld 3.1.1, {self.benchmark}, reward {self.reward}",
            make_batch=self.make_batch,
            protocols=self._protocols(),
            tell=tell,
        )

    def _protocols(self) -> tuple[Protocol, ...]:
        checked = Protocol("suite", "train", 1, ADAPTATION, goals=self.checked)
        found = (suite_protocol(ADAPTATION), checked)
        if self.reward == "v1":
            return found  # which the package does not evaluate
        counted = MetaTest(0, ADAPTATION.test_episodes, unadapted=False)
        by_package = Protocol(
            "metaworld",
            "test",
            3,
            counted,
            goals=PACKAGE_REPETITIONS,
            evaluator=PackageEvaluator(self.only or self.benchmark),
            on_request=True,
        )
        return (*found, by_package)


REWARDS: tuple[Literal["v2", "v1"], ...] = ("v2", "v1")


def _name(base: str, reward: str) -> str:
    return base if reward == "v2" else f"{base}-reward-{reward}"


def ml1() -> Suite:
    """One family per class, of which one has to be chosen: new goals, same class."""
    classes = dict.fromkeys(group for _, group, _ in read("ml1"))
    rows = [
        MetaWorldRow(_name(group.removesuffix("-v3"), reward), "ml1", reward, 10, group)
        for reward in REWARDS
        for group in classes
    ]
    return Suite("ml1", tuple(row.family() for row in rows), default=())


def ml10() -> Suite:
    """Ten training classes, five others for the test."""
    return _of_classes("ml10", checked=2)


def ml45() -> Suite:
    """45 training classes, five others for the test."""
    return _of_classes("ml45", checked=1)


def _of_classes(benchmark: str, *, checked: int) -> Suite:
    rows = [
        MetaWorldRow(_name(benchmark, reward), benchmark, reward, checked)
        for reward in REWARDS
    ]
    families = tuple(row.family() for row in rows)
    return Suite(benchmark, families, default=(benchmark,))
