"""Where beliefs over z come from: inferred from context, told, or withheld.

``inference=posterior`` is PEARL. The other two bound it from above and below with the
same updates, replay and meta-test: ``oracle`` feeds the task's parameters as z, as a
policy trained on known tasks would see them, and ``none`` feeds zeros, as a policy that
cannot tell tasks apart. Neither has an encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pearl_bench.pearl.buffer import Rows
from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.encoder import Belief, ContextEncoder
from suites.base import Task, TaskFamily


class Inference(Protocol):
    """What stands between tasks, or what was seen of them, and beliefs over z.

    Attributes:
        latent_dim: Z.
        encoder: what learns to infer, with the critics; None where nothing does.
    """

    latent_dim: int

    @property
    def encoder(self) -> ContextEncoder | None:
        """See above; the same for the whole run."""
        ...

    def prior(self, tasks: Sequence[Task]) -> Belief:
        """Return the belief about tasks of which nothing has been seen."""
        ...

    def posterior(self, tasks: Sequence[Task], rows: Rows, valid: Tensor) -> Belief:
        """Return the belief about tasks after transitions.

        Args:
            tasks: N tasks.
            rows: ``[N, C, ...]`` seen on them, on any device.
            valid: ``[N, C]`` bool, which of them hold data, likewise.
        """
        ...

    def context(self, drawn: Tensor, rows: Rows) -> Tensor:
        """Return what ``belief`` needs to know of M drawn train tasks.

        Args:
            drawn: ``[M]`` positions among the train tasks.
            rows: ``[M, C, ...]`` drawn of them.

        Returns:
            ``[M, C, D]``.
        """
        ...

    def belief(self, context: Tensor) -> Belief:
        """Return the beliefs about M tasks, differentiable in the encoder."""
        ...


class FromContext:
    """Infers q(z|c) from transitions (PEARL, section 4.1).

    Args:
        config: sizes and options of the encoder.
        family: the tasks.
        rng: generator of the encoder's initial weights.
    """

    def __init__(
        self, config: PearlConfig, family: TaskFamily, rng: torch.Generator
    ) -> None:
        self.config = config
        self.latent_dim = config.latent_dim
        row = family.obs_dim + family.action_dim + 1
        self.encoder = ContextEncoder(
            row + family.obs_dim * config.next_obs_in_context,
            config.latent_dim,
            config.encoder_hidden_size,
            probabilistic=config.probabilistic,
            recurrent=config.recurrent,
            bptt_steps=config.bptt_steps,
            rng=rng,
        )

    def prior(self, tasks: Sequence[Task]) -> Belief:
        """Return N(0, I), or 0 with a deterministic encoder."""
        return self.encoder.prior(len(tasks))

    def posterior(self, tasks: Sequence[Task], rows: Rows, valid: Tensor) -> Belief:
        """Infer from the valid transitions; a task without any keeps the prior."""
        device = self.encoder.mlp.output.weight.device
        seen = context_rows(rows, self.config)
        inferred = self.encoder(seen.to(device), valid.to(device))
        blank = ~valid.any(1, keepdim=True).to(device)
        both = zip(self.prior(tasks), inferred, strict=True)
        return Belief(*(torch.where(blank, prior, found) for prior, found in both))

    def context(self, drawn: Tensor, rows: Rows) -> Tensor:
        """Return the encoder's input."""
        return context_rows(rows, self.config)

    def belief(self, context: Tensor) -> Belief:
        """Infer from the context."""
        return self.encoder(context)


class Told:
    """Knows z beforehand, whatever is seen of the task; beliefs have variance 0.

    Args:
        family: the tasks.
        z_of: what is told of tasks, ``[N, Z]``.
        device: where beliefs lie.
    """

    encoder = None

    def __init__(
        self,
        family: TaskFamily,
        z_of: Callable[[Sequence[Task]], np.ndarray],
        device: str,
    ) -> None:
        self.z_of = z_of
        self.train = torch.from_numpy(z_of(family.train)).to(device, torch.float32)
        self.latent_dim = self.train.shape[1]

    def prior(self, tasks: Sequence[Task]) -> Belief:
        """Return what is told."""
        return self.belief(torch.from_numpy(self.z_of(tasks)).to(self.train)[:, None])

    def posterior(self, tasks: Sequence[Task], rows: Rows, valid: Tensor) -> Belief:
        """Return what is told: there is nothing to infer."""
        return self.prior(tasks)

    def context(self, drawn: Tensor, rows: Rows) -> Tensor:
        """Return what is told as the only row, ``[M, 1, Z]``."""
        return self.train[drawn].unsqueeze(1)

    def belief(self, context: Tensor) -> Belief:
        """Believe what is told."""
        mean = context.squeeze(1)
        return Belief(mean, torch.zeros_like(mean))


def build_inference(
    config: PearlConfig, family: TaskFamily, device: str, rng: torch.Generator
) -> Inference:
    """Return the inference that ``config.inference`` names."""
    if config.inference == "oracle":
        return Told(family, scaled_parameters(family.train), device)
    if config.inference == "none":
        nothing = np.zeros(config.latent_dim)
        return Told(family, lambda tasks: np.tile(nothing, (len(tasks), 1)), device)
    return FromContext(config, family, rng)


def scaled_parameters(
    known: Sequence[Task],
) -> Callable[[Sequence[Task]], np.ndarray]:
    """Return what turns tasks into their parameters ``[N, Z]``, scaled to [-1, 1].

    The range is that of the known tasks, so others may lie a little outside; 0 stands
    where the known ones do not differ. Where they are of several classes, one more
    dimension per class is 1 for its tasks, else 0, and parameters that a class lacks
    are 0. It raises ValueError at a task of none, where all known ones have some.
    """
    classes = sorted({task.group for task in known})
    sizes = [len(task.params) for task in known]
    width = max(sizes)

    def table(tasks: Sequence[Task]) -> np.ndarray:
        rows = np.full((len(tasks), width), np.nan)
        for row, task in zip(rows, tasks, strict=True):
            known_here = task.params[:width]
            row[: len(known_here)] = known_here
        return rows

    low, high = np.nanmin(table(known), axis=0), np.nanmax(table(known), axis=0)
    half = np.where(high > low, (high - low) / 2, 1)

    def scaled(tasks: Sequence[Task]) -> np.ndarray:
        if min(sizes) and not all(task.params for task in tasks):
            raise ValueError("pearl.inference=oracle is told its task; give task=")
        parameters = np.nan_to_num((table(tasks) - (low + high) / 2) / half)
        if len(classes) == 1:
            return parameters
        of_class = np.array(
            [[task.group == name for name in classes] for task in tasks]
        )
        return np.concatenate([parameters, of_class.astype(float)], axis=1)

    return scaled


def context_rows(rows: Rows, config: PearlConfig) -> Tensor:
    """Return the encoder's input ``[M, C, D]``: (o, a, r) or (o, a, r, o').

    The reward is unscaled and, with ``sparse_context``, the sparse one.
    """
    reward = rows.sparse_reward if config.sparse_context else rows.reward
    parts = [rows.obs, rows.action, reward]
    if config.next_obs_in_context:
        parts.append(rows.next_obs)
    return torch.cat(parts, dim=-1)
