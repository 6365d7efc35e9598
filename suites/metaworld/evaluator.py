"""Meta-World's own evaluation, for comparison with numbers that were born there.

``metaworld.evaluation.metalearning_evaluation`` of release 3.1.1 ends an episode at
success, restarts it on the same goal, and counts the first three episodes of a class to
end, whichever goals they are on. Solved goals end first, so an agent that solves one
goal of ten is reported as 1.0 (Farama-Foundation/Metaworld#577); its success rates are
no estimate of the share of goals solved, and stand under a protocol of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import metaworld
import numpy as np
from gymnasium.vector import SyncVectorEnv
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.evaluation import metalearning_evaluation

from suites.base import Counted, Player, Protocol, Task, TaskFamily
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
    """A player in the form that the package's evaluator asks for.

    After the adaptation episodes end one by one, which players are not told: RL² goes
    from one into the next without the mark of a new episode that it was trained with.

    It shows its agents neither an episode's last observation nor the rewards of the
    test, which players observe; so the environments' ``step`` is watched.

    Args:
        player: begins anew with each repetition.
        family: whose classes are played.
        envs: the package's environments.
        seeds: one per repetition.
    """

    def __init__(
        self,
        player: Player,
        family: TaskFamily,
        envs: SyncVectorEnv,
        seeds: Sequence[int],
    ) -> None:
        self.player = player
        self.family = family
        self.envs = envs
        self.seeds = iter(seeds)
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
        self.player.begin(tasks, next(self.seeds))
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
        self.player.adapt()
        self.adapted = True

    def reset(self, env_mask: np.ndarray) -> None:
        """Nothing: episodes end one by one, what a player knows goes on."""

    def first_of_class(self, group: str, number: int) -> list[_Ended]:
        """Return the first episodes of a class that ended: those that count."""
        return [episode for episode in self.ended if episode.group == group][:number]

    def _act(self, observations: np.ndarray, *, explore: bool) -> np.ndarray:
        return self.player.act(observations.astype(np.float32), explore=explore)

    def _watched_step(self, actions: np.ndarray) -> tuple[Any, ...]:
        result = self._step(actions)
        obs, reward, terminated, truncated, info = result
        ended = terminated | truncated
        next_obs = obs.astype(np.float32)
        for i in np.flatnonzero(ended):
            next_obs[i] = info["final_obs"][i]  # obs is the next episode's first
        self.player.observe(reward, next_obs)
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
            self.player.end_episode()
        return result


def play(
    package: str,
    family: TaskFamily,
    protocol: Protocol,
    player: Player,
    environments: int,
    seeds: Sequence[int],
) -> list[Counted]:
    """Let the package evaluate a player.

    Args:
        package: what the package calls the family.
        family: provides the horizon and the exploration of its reported protocol.
        protocol: as many repetitions as it has tasks of each class. What is counted
            stands for an episode of a repetition; its task is but a label.
        player: begins anew with each repetition.
        environments: side by side, of all classes together.
        seeds: one per repetition.

    Raises:
        RuntimeError: the package's numbers are not those of the episodes it is known to
            count, so its evaluator has changed.
    """
    benchmark = package if package in SEEDS else "ml1"
    envs = metaworld.make_ml_envs_test(
        package.upper() if package in SEEDS else package,
        seed=SEEDS[benchmark],
        meta_batch_size=environments,
        total_tasks_per_cls=GOALS,
        max_episode_steps=family.horizon,
    )
    agent = PackageAgent(player, family, cast(SyncVectorEnv, envs), seeds)
    labels: dict[str, list[Task]] = {}
    for task in protocol.tasks(family):
        labels.setdefault(task.group, []).append(task)
    counted: list[Counted] = []
    episodes = protocol.meta_test.test_episodes
    try:
        with accelerated():
            for repetition in zip(*labels.values(), strict=True):
                rate, _, _ = metalearning_evaluation(
                    agent,
                    cast(SyncVectorEnv, envs),
                    num_evals=1,
                    adaptation_episodes=family.meta_test.exploration_episodes,
                    evaluation_episodes=episodes,
                )
                found = [
                    Counted(task, number, ended.total, ended.length, ended.success)
                    for task in repetition
                    for number, ended in enumerate(
                        agent.first_of_class(task.group, episodes), 1
                    )
                ]
                _check(rate, found)
                counted += found
    finally:
        envs.close()
    return counted


def _check(rate: float, counted: Sequence[Counted]) -> None:
    """Refuse episodes that the package's success rate was not computed from."""
    ours = float(np.mean([episode.success for episode in counted]))
    if not np.isclose(ours, rate):
        raise RuntimeError(
            f"metaworld's evaluator reports a success rate of {rate}, the first "
            f"episodes of each class to end have {ours}: it has changed; leave "
            "meta_test.protocol= out"
        )
