"""Meta-World's own evaluation, for comparison with numbers that were born there.

``metaworld.evaluation.metalearning_evaluation`` of release 3.1.1 ends an episode at
success, restarts it on the same goal, and counts the first three episodes of a class to
end, whichever goals they are on. Solved goals end first, so an agent that solves one
goal of ten is reported as 1.0 (Farama-Foundation/Metaworld#577); its success rates are
no estimate of the share of goals solved, and stand under a protocol of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import metaworld
import numpy as np
from gymnasium.vector import SyncVectorEnv
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.evaluation import metalearning_evaluation

from pearl_bench.training.evaluate import PACKAGE_ENVIRONMENTS, EvalRow, Part
from pearl_bench.training.types import Adapter, MetaLearner, StopRequested, Transition
from suites.base import Task, TaskFamily
from suites.metaworld.accelerate import accelerated
from suites.metaworld.tasks import SEEDS

GOALS = 40
"""Test goals of each class; what the evaluator's defaults assume."""


class _Ended(NamedTuple):
    """An episode that ended after the adaptation."""

    group: str
    total: float
    length: int
    success: bool


class PackageAgent:
    """A learner's adapters in the form that the package's evaluator asks for.

    After the adaptation episodes end one by one, which adapters are not told: RL² goes
    from one into the next without the mark of a new episode that it was trained with.

    It shows its agents neither an episode's last observation nor the rewards of the
    test, which adapters observe; so the environments' ``step`` is watched.

    Args:
        learner: gives a fresh adapter for each repetition.
        family: whose classes are played.
        envs: the package's environments.
        seeds: one per repetition.
        stop: polled at every step.
    """

    adapter: Adapter

    def __init__(
        self,
        learner: MetaLearner,
        family: TaskFamily,
        envs: SyncVectorEnv,
        seeds: Sequence[int],
        stop: Callable[[], bool] | None,
    ) -> None:
        self.learner = learner
        self.family = family
        self.envs = envs
        self.seeds = iter(seeds)
        self.stop = stop
        names = {cls.__name__: name for name, cls in ALL_V3_ENVIRONMENTS.items()}
        self.groups = [names[name] for name in envs.get_attr("task_name")]
        self.adapted = False
        self.ended: list[_Ended] = []
        self._step = envs.step
        envs.step = self._watched_step

    def init(self) -> None:
        """Start anew on the tasks that the environments have drawn."""
        vectors = [
            tuple(cast(Any, env.unwrapped)._last_rand_vec.tolist())
            for env in self.envs.envs
        ]
        tasks = [
            Task(self.family.name, i, vector, group)
            for i, (vector, group) in enumerate(zip(vectors, self.groups, strict=True))
        ]
        self.adapter = self.learner.adapter(tasks, next(self.seeds))
        self.adapted = False
        self.ended = []

    def adapt_action(self, observations: np.ndarray) -> tuple[np.ndarray, dict]:
        """Explore."""
        return self._act(observations, explore=True), {}

    def eval_action(self, observations: np.ndarray) -> np.ndarray:
        """Act as well as possible."""
        return self._act(observations, explore=False)

    def step(self, timestep: object) -> None:
        """Nothing: ``_watched_step`` has seen it, its next observation included."""

    def adapt(self) -> None:
        """Adapt; the episodes that end from now on are counted."""
        self.adapter.adapt()
        self.adapted = True

    def reset(self, env_mask: np.ndarray) -> None:
        """Nothing: episodes end one by one, what an adapter knows goes on."""

    def _act(self, observations: np.ndarray, *, explore: bool) -> np.ndarray:
        if self.stop is not None and self.stop():
            raise StopRequested
        self.obs = observations.astype(np.float32)
        self.action = self.adapter.act(self.obs, explore=explore)
        return self.action

    def _watched_step(self, actions: np.ndarray) -> tuple[Any, ...]:
        result = self._step(actions)
        obs, reward, terminated, truncated, info = result
        ended = terminated | truncated
        next_obs = obs.astype(np.float32)
        for i in np.flatnonzero(ended):
            next_obs[i] = info["final_obs"][i]  # obs is the next episode's first
        everyone = np.ones(len(ended), bool)
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
        if self.adapted:
            final = info.get("final_info", {})
            self.ended += [
                _Ended(
                    self.groups[i],
                    float(final["episode"]["r"][i]),
                    int(final["episode"]["l"][i]),
                    bool(final["success"][i]),
                )
                for i in np.flatnonzero(ended)
            ]
        elif ended.all():
            self.adapter.end_episode()
        return result


def play(
    learner: MetaLearner,
    family: TaskFamily,
    part: Part,
    seeds: Sequence[int],
    stop: Callable[[], bool] | None,
) -> list[EvalRow]:
    """Let the package evaluate a learner.

    Args:
        learner: its own state is left as it is.
        family: provides the horizon and the package's name of it.
        part: as many repetitions as it has tasks of each class. A row stands for an
            episode that was counted in a repetition; its task is but a label.
        seeds: one per repetition.
        stop: polled at every step.

    Raises:
        StopRequested: ``stop`` said so.
        RuntimeError: the package's numbers are not those of the episodes it is known to
            count, so its evaluator has changed.
    """
    benchmark = family.package if family.package in SEEDS else "ml1"
    name = family.package.upper() if family.package in SEEDS else family.package
    envs = metaworld.make_ml_envs_test(
        name,
        seed=SEEDS[benchmark],
        meta_batch_size=PACKAGE_ENVIRONMENTS,
        total_tasks_per_cls=GOALS,
        max_episode_steps=family.horizon,
    )
    agent = PackageAgent(learner, family, cast(SyncVectorEnv, envs), seeds, stop)
    labels: dict[str, list[Task]] = {}
    for task in part.tasks:
        labels.setdefault(task.group, []).append(task)
    rows: list[EvalRow] = []
    try:
        with accelerated():
            for repetition in zip(*labels.values(), strict=True):
                rate, _, _ = metalearning_evaluation(
                    agent,
                    cast(SyncVectorEnv, envs),
                    num_evals=1,
                    adaptation_episodes=family.meta_test.exploration_episodes,
                    evaluation_episodes=part.meta_test.test_episodes,
                )
                found = [
                    row for task in repetition for row in _rows(part, task, agent.ended)
                ]
                _check(rate, found)
                rows += found
    finally:
        envs.close()
    return rows


def _rows(part: Part, task: Task, ended: Sequence[_Ended]) -> list[EvalRow]:
    """Return the episodes of the task's class that the package has counted."""
    of_class = [episode for episode in ended if episode.group == task.group]
    return [
        EvalRow(
            part.protocol,
            part.split,
            task.index,
            task.group,
            1,
            number,
            episode.total,
            episode.length,
            episode.success,
            unstable=False,
            distance=None,
        )
        for number, episode in enumerate(of_class[: part.meta_test.test_episodes], 1)
    ]


def _check(rate: float, rows: Sequence[EvalRow]) -> None:
    """Refuse rows that are not what the package's success rate was computed from."""
    ours = float(np.mean([bool(row.success) for row in rows]))
    if not np.isclose(ours, rate):
        raise RuntimeError(
            f"metaworld's evaluator reports a success rate of {rate}, the first "
            f"episodes of each class to end have {ours}: it has changed; leave "
            "meta_test.protocol= out"
        )
