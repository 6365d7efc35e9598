"""What the methods here have in common: arguments, counters and random streams."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pearl_bench.training.types import Adapter, MetaLearner, Metrics, NonFiniteLoss
from suites.base import Task, TaskFamily


class Learner(ABC):
    """The part of a meta-learner that is no method's own.

    A method adds what is abstract here, and ``own_exploration`` (see ``MetaLearner``),
    which may be an attribute or a property.

    Args:
        config: the method's settings.
        family: the tasks.
        seed: of every random stream of the run.
        device: ``cpu`` or ``cuda``.
        precision: one of ``precisions``.
        threads: threads of the environments.

    Attributes:
        rng: draws tasks and initial states.
        noise: draws actions and batches, on the device; a method may draw its actions
            elsewhere.
        init: draws the initial parameters; of no use afterwards.
        moved: whether its state is of another kind of device.

    Raises:
        ValueError: the method does not compute in that precision.
    """

    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    counters: ClassVar[tuple[str, ...]] = ("env_steps", "updates_done", "updates_due")

    def __init__(
        self,
        config: Any,
        family: TaskFamily,
        *,
        seed: int,
        device: str,
        precision: str,
        threads: int,
    ) -> None:
        self.require_precision(precision)
        self.config = config
        self.family = family
        self.device = device
        self.threads = threads
        self.env_steps = self.updates_done = self.updates_due = 0
        init_seed, noise_seed, env_seed = np.random.SeedSequence(seed).spawn(3)
        self.rng = np.random.default_rng(env_seed)
        self.noise = _generator(device, noise_seed)
        self.init = _generator("cpu", init_seed)
        self.moved = False

    @classmethod
    def require_precision(cls, precision: str) -> None:
        """Refuse arithmetic that the method does not offer.

        Raises:
            ValueError: says which it offers.
        """
        if precision not in cls.precisions:
            raise ValueError(
                f"precision={precision} is not offered; this method computes in "
                f"{' or '.join(cls.precisions)}. Choose that, or other learners="
            )

    def shuffled_tasks(self) -> np.ndarray:
        """Return the train tasks' indices in random order, their classes in turns.

        So the first of them are of every class equally often.
        """
        order = self.rng.permutation(len(self.family.train))
        seen: Counter[str] = Counter()
        turn = np.empty(len(order), dtype=np.int64)
        for i, index in enumerate(order):
            group = self.family.train[index].group
            turn[i] = seen[group]
            seen[group] += 1
        return order[turn.argsort(kind="stable")]

    @abstractmethod
    def collect(self) -> Metrics:
        """Collect one iteration's data; raises ``env_steps`` and ``updates_due``."""

    @abstractmethod
    def update(self) -> Metrics:
        """Take a slice of the steps due and return the mean of each metric over it."""

    def unadapted(self, tasks: Sequence[Task]) -> Adapter:
        """Return an adapter that draws nothing while it does not explore."""
        return self.adapter(tasks, 0)

    @abstractmethod
    def adapter(self, tasks: Sequence[Task], seed: int) -> Adapter:
        """Return a fresh adapter for N tasks; its randomness comes from ``seed``."""

    @abstractmethod
    def estimate_seconds(self, env_steps: int) -> float:
        """Return the seconds that meta-training takes from zero to ``env_steps``."""

    def check_finite(self, metrics: Metrics, since: int = 0) -> None:
        """Refuse what is no number.

        Args:
            metrics: of one gradient step.
            since: gradient steps before it that are not counted yet.

        Raises:
            NonFiniteLoss: names the first such metric, the step, and what to do.
        """
        for name, value in metrics.items():
            if not math.isfinite(value):
                step = self.updates_done + since + 1
                raise NonFiniteLoss(
                    f"{name} is {value} at gradient step {step} ({self.env_steps} "
                    "environment steps). The same command would come to the same; take "
                    "smaller rates, or another seed, and another out="
                )

    def state_dict(self) -> dict[str, Any]:
        """Return counters and random streams."""
        return {
            **{name: getattr(self, name) for name in self.counters},
            "rng": self.rng.bit_generator.state,
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned, here or on another kind of device.

        The generators of CPUs and GPUs have nothing in common. One that is given a
        state of the other kind is seeded by it: the run goes on the same way whenever
        it is moved, only not as it would have there, and ``moved`` is true.
        """
        for name in self.counters:
            setattr(self, name, state[name])
        self.rng.bit_generator.state = state["rng"]
        noise = state["noise"]
        self.moved = len(noise) != len(self.noise.get_state())
        if self.moved:
            digest = hashlib.sha256(noise.numpy().tobytes()).digest()
            self.noise.manual_seed(int.from_bytes(digest[:4], "little"))
        else:
            self.noise.set_state(noise)

    @abstractmethod
    def policy_state(self) -> dict[str, Tensor]:
        """Return by name the tensors that ``adapter`` needs, and no others."""

    def load_policy_state(self, state: dict[str, Tensor]) -> None:
        """Restore what ``policy_state`` returned; training cannot go on from it.

        Raises:
            ValueError: a tensor is missing, unknown or of another shape, or the
                learner's own tensors are not what ``policy_state`` returns.
        """
        own = self.policy_state()
        for name in sorted(own.keys() | state.keys()):
            if name not in own or name not in state:
                where = "unknown here" if name in state else "missing"
                raise ValueError(f"the policy's tensor {name} is {where}")
            if own[name].shape != state[name].shape:
                raise ValueError(
                    f"the policy's tensor {name} has the shape "
                    f"{tuple(state[name].shape)}, here {tuple(own[name].shape)}"
                )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])
        if name := differing(self.policy_state(), own):
            raise ValueError(
                f"the policy's tensor {name} is not what was loaded: policy_state() "
                f"of {type(self).__name__} returns a copy. It has to return the "
                "tensors themselves that adapter() reads, or else the method needs "
                "a load_policy_state() of its own"
            )


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that two policies do not share.

    Devices and types may differ; values may not.
    """
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            return name
        a, b = one[name].detach(), other[name].detach().to(one[name])
        if a.shape != b.shape or not ((a == b) | (a.isnan() & b.isnan())).all():
            return name
    return None


def restore(
    learner: MetaLearner, state: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Restore what a learner's ``state_dict`` returned.

    Args:
        learner: a fresh learner of the same run.
        state: what was returned, wherever that was.
        say: is told where it goes on otherwise than it would have there.
    """
    learner.load_state_dict(state)
    if isinstance(learner, Learner) and learner.moved:
        say(
            f"it was trained on another kind of device and is now on {learner.device}: "
            "random numbers go on from a new seed, which that state determines"
        )


def _generator(device: str, seed: np.random.SeedSequence) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(seed.generate_state(1)[0]))
