"""The types every part of the harness shares, and the glossary of shape letters.

Shape letters, used in every docstring and assertion:

- ``T`` time steps of an episode, ``N`` tasks (environments) side by side,
- ``M`` tasks of a meta-batch, ``B`` transitions per task in a batch,
- ``C`` transitions per task in a context,
- ``O`` observation, ``A`` action and ``Z`` latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from suites.base import Task, TaskFamily

if TYPE_CHECKING:
    from torch import Tensor

Metrics = dict[str, float]
"""Named scalars of one phase of training, such as ``loss/critic``."""


class NonFiniteLoss(ArithmeticError):  # noqa: N818
    """A loss became NaN or infinite; the message names the loss and the step."""


class StopRequested(Exception):  # noqa: N818 (no error)
    """Work that can be repeated was abandoned, since the run is to stop."""


class Transition(NamedTuple):
    """One step of N environments (``[N, ...]``) or T steps of them (``[T, N, ...]``).

    Attributes:
        obs: ``[..., O]`` observation before the step.
        action: ``[..., A]`` policy action in [-1, 1].
        reward: ``[...]`` the reward that actor and critic learn from.
        sparse_reward: ``[...]`` the reward that contexts and reported returns use;
            equal to ``reward`` except in families with a sparse variant.
        next_obs: ``[..., O]`` observation after the step.
        terminated: ``[...]`` bool, true terminal state; a time limit is not one.
        alive: ``[...]`` bool, whether the row carries data: the environment was
            stepped, and its simulation did not break down in that step.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    sparse_reward: np.ndarray
    next_obs: np.ndarray
    terminated: np.ndarray
    alive: np.ndarray


class Adapter(Protocol):
    """A fast learner facing N tasks; the meta-learner behind it stays untouched.

    It is called in the order of episodes: ``act`` and ``observe`` by turns, at least
    once, then ``end_episode``; ``adapt`` comes between two episodes, if at all.
    """

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Choose actions ``[N, A]`` in [-1, 1] for observations ``[N, O]``.

        Args:
            obs: current observations.
            explore: the episode serves to gather information; if false, act as well
                as possible and take the policy's mode.
        """
        ...

    def observe(self, step: Transition) -> None:
        """Take note of one step ``[N, ...]``."""
        ...

    def end_episode(self) -> None:
        """All N environments are about to start a new episode of the same tasks."""
        ...

    def adapt(self) -> None:
        """Adapt to the N tasks from the episodes so far, or as many as it can use."""
        ...


class MetaLearner(Protocol):
    """All that the harness knows of a method.

    Attributes:
        env_steps: training steps taken in all environments, adaptation included.
        updates_done: gradient (or outer) steps taken so far.
        updates_due: gradient steps still owed to the data collected so far; the loop
            collects when it is zero and updates otherwise. ``update`` may let the rest
            of them go if the method says so (``Method.ends_updates_early``).
        own_exploration: exploration episodes that its training adapts from, None
            where it takes however many the suite's protocol gives.
    """

    env_steps: int
    updates_done: int
    updates_due: int

    @property
    def own_exploration(self) -> int | None:
        """See above; fixed for a run."""
        ...

    def collect(self) -> Metrics:
        """Collect one iteration's data; raises ``env_steps`` and ``updates_due``."""
        ...

    def update(self) -> Metrics:
        """Take a slice of the steps due and return the mean of each metric over it.

        A slice is short (seconds), so that a run can stop between two.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite.
        """
        ...

    def adapter(self, tasks: Sequence[Task], seed: int) -> Adapter:
        """Return a fresh adapter for N tasks; its randomness comes from ``seed``."""
        ...

    def unadapted(self, tasks: Sequence[Task]) -> Adapter:
        """Return an adapter whose actions know no chance while it does not explore.

        It stands for what the method does before any experience: PEARL with the prior's
        mean for z.
        """
        ...

    def estimate_seconds(self, env_steps: int) -> float:
        """Return the seconds that meta-training takes from zero to ``env_steps``.

        Measured in a short trial, after which this learner is of no further use.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to continue exactly: tensors and plain data."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        ...

    def policy_state(self) -> dict[str, Tensor]:
        """Return by name the tensors that ``adapter`` needs, and no others."""
        ...

    def load_policy_state(self, state: dict[str, Tensor]) -> None:
        """Restore what ``policy_state`` returned; training cannot go on from it.

        Raises:
            ValueError: a tensor is missing, unknown or of another shape.
        """
        ...


MEMBERS = (
    *MetaLearner.__annotations__,
    *(name for name in vars(MetaLearner) if not name.startswith("_")),
)
"""Names of all that a ``MetaLearner`` has."""


class BuildLearner(Protocol):
    """What a learner class is to the harness: a function that builds a learner."""

    def __call__(
        self,
        config: Any,
        family: TaskFamily,
        *,
        seed: int,
        device: str,
        precision: str,
        threads: int,
    ) -> MetaLearner:
        """Build a learner that has taken no step yet."""
        ...


class Progress(Protocol):
    """Where a run tells how far it is."""

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Tell the counters, and the last test return once there is one."""
        ...

    def say(self, line: str) -> None:
        """Tell something worth a line."""
        ...
