"""What PEARL collects in one iteration, and what it reports of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pearl_bench.training.rollout import Episode
from pearl_bench.training.types import Metrics


class Block(NamedTuple):
    """A block of whole episodes on a task; it starts with z from the prior.

    Attributes:
        steps: the block ends with the episode that reaches them.
        posterior: infer the posterior after every episode; so even here the first
            episode acts on the prior.
        recent: the data join the task's recent context, not only its replay.
    """

    steps: int
    posterior: bool
    recent: bool


class EpisodeMeans:
    """Mean training returns of an iteration, by kind of block."""

    def __init__(self) -> None:
        self.returns: dict[str, list[float]] = {"prior": [], "posterior": []}
        self.unstable = 0

    def add(self, episode: Episode, block: Block) -> None:
        """Take note of the episodes of the environments that ran."""
        kind = "posterior" if block.posterior else "prior"
        self.returns[kind] += episode.total[episode.length > 0].tolist()
        self.unstable += int(episode.unstable.sum())

    def result(self) -> Metrics:
        """Return the means and the number of simulations that broke down."""
        means = {
            f"return/train_{kind}": float(np.mean(returns))
            for kind, returns in self.returns.items()
            if returns
        }
        return {**means, "episodes/unstable": float(self.unstable)}


def waves(drawn: np.ndarray) -> Iterator[np.ndarray]:
    """Split drawn tasks into groups without repeats, in the order they were drawn.

    A task drawn twice is collected twice, the second time with a fresh context.
    """
    waiting = drawn
    while len(waiting):
        first = np.sort(np.unique(waiting, return_index=True)[1])
        yield waiting[first]
        waiting = np.delete(waiting, first)
