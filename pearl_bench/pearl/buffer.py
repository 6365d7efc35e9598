"""Replay of all train tasks in one growing table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pearl_bench.pearl.config import PAGE, whole_pages
from pearl_bench.training.types import Transition


class Rows(NamedTuple):
    """Sampled transitions of M tasks, each ``[M, B, ...]`` float tensors."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    sparse_reward: Tensor
    next_obs: Tensor
    terminated: Tensor


class Spans(NamedTuple):
    """Which transitions of which tasks to draw from; ``[..., M, 1]`` on the device.

    Attributes:
        task: index of the task.
        first: number of the span's first transition.
        length: transitions in the span.
    """

    task: Tensor
    first: Tensor
    length: Tensor

    def at(self, i: int) -> Spans:
        """Return the i-th of several stacked meta-batches."""
        return Spans(self.task[i], self.first[i], self.length[i])


class ReplayBuffer:
    """Transitions per task, and which of them are the task's recent context.

    Rows of all tasks lie in pages of one table that grows with what is stored; a page
    table per task finds them, so a meta-batch is one gather. A task's transitions are
    numbered in order of arrival; the encoder's buffer of the original is the range of
    numbers since it was last cleared, not a second copy.

    Args:
        tasks: number of train tasks.
        obs_dim: O.
        action_dim: A.
        capacity: transitions kept per task, rounded up to whole pages; the oldest are
            overwritten.
        device: where the table lies.
    """

    def __init__(
        self, tasks: int, obs_dim: int, action_dim: int, *, capacity: int, device: str
    ) -> None:
        self.widths = [obs_dim, action_dim, 1, 1, obs_dim, 1]
        self.capacity = whole_pages(capacity)
        self.table = torch.empty(0, sum(self.widths), device=device)
        self.pages = torch.zeros(tasks, 1, dtype=torch.long, device=device)
        self.pages_used = 0
        self.count = np.zeros(tasks, dtype=np.int64)
        self.recent = np.zeros((tasks, 2), dtype=np.int64)

    def clear_recent(self, tasks: np.ndarray) -> None:
        """Forget the tasks' recent context; the transitions stay."""
        self.recent[tasks] = self.count[tasks, None]

    def add(self, task: int, rows: Transition, *, recent: bool) -> None:
        """Append a task's transitions ``[T, ...]`` in order.

        Args:
            task: index of the train task.
            rows: the transitions; all of them are stored.
            recent: whether they extend the task's recent context.
        """
        columns = (
            rows.obs,
            rows.action,
            rows.reward[:, None],
            rows.sparse_reward[:, None],
            rows.next_obs,
            rows.terminated[:, None],
        )
        block = np.concatenate([np.asarray(c, dtype=np.float32) for c in columns], 1)
        start, stop = self.count[task], self.count[task] + len(block)
        self._reserve(task, min(stop, self.capacity))
        numbers = torch.arange(start, stop, device=self.table.device)
        where = self._locate(torch.full_like(numbers, task), numbers)
        self.table[where] = torch.from_numpy(block).to(self.table.device)
        self.count[task] = stop
        if recent:
            self.recent[task, 1] = stop

    def spans(self, tasks: np.ndarray, *, recent: bool, at_least: int = 1) -> Spans:
        """Return the tasks' transitions to draw from, moved to the device at once.

        Args:
            tasks: ``[..., M]`` indices.
            recent: the recent context only.
            at_least: transitions that each of them must have, such as a window's.

        Raises:
            ValueError: a task has fewer.
        """
        stop = self.count[tasks]
        first = np.maximum(stop - self.capacity, 0)
        if recent:
            first = np.maximum(first, self.recent[tasks, 0])
            stop = self.recent[tasks, 1]
        few = stop - first < at_least
        if few.any():
            kind = "recent transitions" if recent else "transitions"
            found = max(0, (stop - first)[few][0])
            raise ValueError(
                f"task {tasks[few][0]} has {found or 'no'} {kind}; a draw needs at "
                f"least {at_least}"
            )
        host = np.stack([tasks, first, stop - first])[..., None]
        return Spans(*torch.from_numpy(host).to(self.table.device))

    def sample(self, spans: Spans, size: int, rng: torch.Generator) -> Rows:
        """Draw ``size`` transitions per task uniformly, with replacement."""
        draws = self._uniform(len(spans.task), size, rng)
        return self._gather(spans, (draws * spans.length).long())

    def sample_window(self, spans: Spans, size: int, rng: torch.Generator) -> Rows:
        """Draw one run of ``size`` consecutive transitions per task."""
        draws = self._uniform(len(spans.task), 1, rng)
        offset = (draws * (spans.length - size + 1)).long()
        window = torch.arange(size, device=offset.device)
        return self._gather(spans, offset + window)

    def state_dict(self) -> dict[str, Any]:
        """Return the used part of the table and the bookkeeping.

        It is a view, of which torch writes the whole table: up to a quarter more, and
        no second copy in memory.
        """
        return {
            "table": self.table[: self.pages_used * PAGE],
            "pages": self.pages,
            "count": torch.from_numpy(self.count),
            "recent": torch.from_numpy(self.recent),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        device = self.table.device
        self.table = state["table"].to(device)
        self.pages = state["pages"].to(device)
        self.pages_used = len(self.table) // PAGE
        self.count = state["count"].numpy().copy()
        self.recent = state["recent"].numpy().copy()

    def _uniform(self, tasks: int, size: int, rng: torch.Generator) -> Tensor:
        # float64: 24 bits would leave some of a million transitions undrawn
        return torch.rand(
            tasks, size, dtype=torch.float64, generator=rng, device=self.table.device
        )

    def _reserve(self, task: int, rows: int) -> None:
        """Give the task pages for that many rows; grow the table when it is full."""
        had = -(-min(int(self.count[task]), self.capacity) // PAGE)
        needed = -(-rows // PAGE)
        if needed > self.pages.shape[1]:
            wider = self.pages.new_zeros(len(self.pages), 2 * needed)
            wider[:, : self.pages.shape[1]] = self.pages
            self.pages = wider
        used = self.pages_used + needed - had
        if used * PAGE > len(self.table):
            # a quarter more than needed: the copy is rare, the slack small
            grown = self.table.new_zeros(used * PAGE * 5 // 4, self.table.shape[1])
            grown[: len(self.table)] = self.table
            self.table = grown
        fresh = torch.arange(self.pages_used, used, device=self.pages.device)
        self.pages[task, had:needed] = fresh
        self.pages_used = used

    def _locate(self, tasks: Tensor, numbers: Tensor) -> Tensor:
        """Return the table rows of the tasks' transition numbers."""
        slots = numbers % self.capacity
        return self.pages[tasks, slots // PAGE] * PAGE + slots % PAGE

    def _gather(self, spans: Spans, offset: Tensor) -> Rows:
        rows = self.table[self._locate(spans.task, spans.first + offset)]
        return Rows(*rows.split(self.widths, dim=-1))
