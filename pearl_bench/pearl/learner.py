"""PEARL's meta-training: what is collected, what is learnt from, when.

Algorithm 1 of Rakelly et al. 2019 (arXiv 1903.08254), with the schedule of its authors'
implementation, oyster (katerakelly/oyster@44e20fd). The losses stand in ``update.py``,
meta-testing in ``adapter.py``.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_bench.pearl.adapter import PearlAdapter
from pearl_bench.pearl.buffer import ReplayBuffer, Spans
from pearl_bench.pearl.capture import WARM_UP_STEPS, CapturedStep
from pearl_bench.pearl.collection import Block, EpisodeMeans, waves
from pearl_bench.pearl.config import PearlConfig, require_room
from pearl_bench.pearl.encoder import Belief
from pearl_bench.pearl.inference import build_inference
from pearl_bench.pearl.networks import PearlNetworks
from pearl_bench.pearl.update import Batch, PearlUpdate
from pearl_bench.training.learner import Learner
from pearl_bench.training.rollout import run_episode
from pearl_bench.training.types import Metrics
from suites.base import Task, TaskFamily

UPDATES_PER_SLICE = 20
"""Gradient steps between two polls of a request to stop."""
TRIAL_UPDATES = 5
"""Gradient steps that an estimate is made from."""
POOL_WAVE = 200
"""Tasks side by side while the initial pool is collected."""


class PearlLearner(Learner):
    """Meta-trains PEARL on the train tasks of a family.

    Args:
        config: PEARL's settings.
        family: the tasks.
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bf16`` for GEMMs in bfloat16.
        place: see ``Learner``.
    """

    precisions = ("float32", "bf16")
    counters = (*Learner.counters, "iterations")
    config: PearlConfig

    def __init__(
        self,
        config: PearlConfig,
        family: TaskFamily,
        *,
        device: str,
        precision: str,
        **place: Any,
    ) -> None:
        super().__init__(config, family, device=device, precision=precision, **place)
        require_room(config, family)
        self.iterations = 0
        self.inference = build_inference(config, family, device, self.init)
        self.nets = PearlNetworks(
            self.inference.encoder,
            family.obs_dim,
            family.action_dim,
            self.inference.latent_dim,
            hidden_size=config.hidden_size,
            adaptive_temperature=config.adaptive_temperature,
            rng=self.init,
        )
        self.nets.to(device)
        self.buffer = ReplayBuffer(
            len(family.train),
            family.obs_dim,
            family.action_dim,
            capacity=config.replay_capacity,
            device=device,
        )
        self.gradient_step = PearlUpdate(
            config, self.nets, self.inference, device=device, precision=precision
        )
        self._captured: CapturedStep[Batch] | None = None

    @property
    def own_exploration(self) -> None:
        """PEARL infers the task from whatever it is given."""
        return None

    # Meta-training ------------------------------------------------------------------

    def collect(self) -> Metrics:
        """Collect one iteration's data (algorithm 1, its loop over training tasks)."""
        config, means = self.config, EpisodeMeans()
        train_tasks = len(self.family.train)
        if self.iterations == 0:
            pool = Block(config.initial_steps, posterior=False, recent=True)
            for first in range(0, train_tasks, POOL_WAVE):
                last = min(first + POOL_WAVE, train_tasks)
                self.collect_blocks(np.arange(first, last), [pool], means)
        blocks = [
            Block(config.prior_steps, posterior=False, recent=True),
            Block(config.posterior_steps, posterior=True, recent=True),
            Block(config.extra_posterior_steps, posterior=True, recent=False),
        ]
        drawn = self.rng.integers(train_tasks, size=config.tasks_per_iteration)
        for tasks in waves(drawn):
            self.buffer.clear_recent(tasks)
            self.collect_blocks(tasks, blocks, means)
        self.iterations += 1
        self.updates_due += config.updates_per_iteration
        return means.result()

    def collect_blocks(
        self, tasks: np.ndarray, blocks: Sequence[Block], means: EpisodeMeans
    ) -> None:
        """Run blocks of whole episodes on train tasks side by side, and store them.

        Args:
            tasks: ``[N]`` distinct train tasks.
            blocks: what each of them plays, one after the other.
            means: take note of the episodes.
        """
        drawn = [self.family.train[i] for i in tasks]
        env = self.family.make_batch(drawn, threads=self.threads)
        adapter = self._adapter(drawn, self._acting_noise(), deterministic=False)
        try:
            for block in blocks:
                adapter.forget()
                taken = np.zeros(len(tasks), dtype=np.int64)
                while (taken < block.steps).any():
                    episode = run_episode(
                        env,
                        adapter,
                        self.family.horizon,
                        self.rng,
                        explore=True,
                        active=taken < block.steps,
                    )
                    for i, task in enumerate(tasks):
                        self.buffer.add(task, episode.rows(i), recent=block.recent)
                    means.add(episode, block)
                    stored = episode.steps.alive.sum(0)
                    # what breaks down at once, time after time, comes to an end too
                    taken += np.where(stored > 0, stored, episode.length)
                    self.env_steps += int(episode.length.sum())
                    # either lets go of what was observed: the replay has it
                    if block.posterior:
                        adapter.believe(self._posterior(tasks))
                    else:
                        adapter.forget()
        finally:
            env.close()

    def _acting_noise(self) -> torch.Generator:
        """Return the CPU's generator of what is collected next.

        On a GPU ``noise`` is the GPU's, so one is seeded that no state need keep.
        """
        if self.device == "cpu":
            return self.noise
        seed = int(self.rng.integers(2**63))
        return torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def _posterior(self, tasks: np.ndarray) -> Belief:
        """Infer the tasks' posterior from a draw of their context."""
        return self.inference.belief(self._context(self._spans(tasks)[1]))

    def update(self) -> Metrics:
        """Take the next slice of gradient steps (algorithm 1, its training steps)."""
        steps = min(UPDATES_PER_SLICE, self.updates_due)
        train_tasks, meta_batch = len(self.family.train), self.config.meta_batch
        # one transfer for the whole slice: none waits for the device in between
        tasks = self.rng.integers(train_tasks, size=(steps, meta_batch))
        rows, context = self._spans(tasks)
        step, names = self._step, self.gradient_step.metrics
        metrics = [step(self._sample(rows.at(i), context.at(i))) for i in range(steps)]
        values = torch.stack(metrics).double().cpu()
        finite = values.isfinite().all(dim=1)
        if not finite.all():
            row = int(finite.int().argmin())
            self.check_finite(dict(zip(names, values[row].tolist(), strict=True)), row)
        self.updates_done += steps
        self.updates_due -= steps
        return dict(zip(names, values.mean(0).tolist(), strict=True))

    def meta_batch(self, tasks: np.ndarray) -> Batch:
        """Draw what one gradient step takes.

        Args:
            tasks: ``[M]`` train tasks that have been collected on.
        """
        return self._sample(*self._spans(tasks))

    @property
    def _step(self) -> Callable[[Batch], Tensor]:
        """A gradient step as training takes it."""
        return self.gradient_step if self.device == "cpu" else self._replay

    def _replay(self, batch: Batch) -> Tensor:
        """Take a gradient step by its CUDA graph."""
        if self._captured is None:
            self._captured = CapturedStep(self.gradient_step)
        return self._captured(batch)

    def _spans(self, tasks: np.ndarray) -> tuple[Spans, Spans]:
        """Return what the tasks' transitions and contexts are drawn from."""
        config = self.config
        recent = config.context_sampler != "whole-buffer"
        window = config.context_size if config.recurrent else 1
        return (
            self.buffer.spans(tasks, recent=False),
            self.buffer.spans(tasks, recent=recent, at_least=window),
        )

    def _sample(self, rows_from: Spans, context_from: Spans) -> Batch:
        """Draw a meta-batch: transitions, contexts and noise."""
        config = self.config
        rows = self.buffer.sample(rows_from, config.batch_size, self.noise)
        if config.context_sampler == "rl-batch":
            context = self.inference.context(rows_from.task[:, 0], rows)
        else:
            context = self._context(context_from)
        z_shape = (len(rows.obs), self.inference.latent_dim)
        return Batch(
            context,
            rows.obs,
            rows.action,
            rows.reward,
            rows.next_obs,
            rows.terminated,
            torch.randn(z_shape, generator=self.noise, device=self.device),
            torch.randn(rows.action.shape, generator=self.noise, device=self.device),
        )

    def _context(self, spans: Spans) -> Tensor:
        """Draw ``[M, C, D]`` context rows."""
        ordered = self.config.recurrent
        draw = self.buffer.sample_window if ordered else self.buffer.sample
        rows = draw(spans, self.config.context_size, self.noise)
        return self.inference.context(spans.task[:, 0], rows)

    def estimate_seconds(self, env_steps: int) -> float:
        """Time one episode per task of an iteration and a few gradient steps."""
        config = self.config
        horizon = self.family.horizon
        pool, *blocks = (
            -(-steps // horizon) * horizon  # whole episodes
            for steps in (
                config.initial_steps,
                config.prior_steps,
                config.posterior_steps,
                config.extra_posterior_steps,
            )
        )
        pool *= len(self.family.train)
        per_iteration = config.tasks_per_iteration * sum(blocks)
        iterations = max(1, -(-(env_steps - pool) // per_iteration))
        tasks = np.arange(min(config.tasks_per_iteration, len(self.family.train)))
        steps = max(horizon, config.context_size)
        start = time.perf_counter()
        self.collect_blocks(
            tasks, [Block(steps, posterior=False, recent=True)], EpisodeMeans()
        )
        per_step = (time.perf_counter() - start) / self.env_steps
        batch = self.meta_batch(np.resize(tasks, config.meta_batch))
        # the first one touches fresh memory; a GPU's graph is captured after several
        for _ in range(1 if self.device == "cpu" else WARM_UP_STEPS + 1):
            self._step(batch).cpu()
        start = time.perf_counter()
        for _ in range(TRIAL_UPDATES):
            self._step(batch).cpu()
        per_update = (time.perf_counter() - start) / TRIAL_UPDATES
        updates = iterations * config.updates_per_iteration
        return (pool + iterations * per_iteration) * per_step + updates * per_update

    # Meta-testing -------------------------------------------------------------------

    def adapter(self, tasks: Sequence[Task], seed: int) -> PearlAdapter:
        """Return an adapter that starts from the prior."""
        noise = torch.Generator().manual_seed(seed)
        return self._adapter(tasks, noise, deterministic=True)

    def unadapted(self, tasks: Sequence[Task]) -> PearlAdapter:
        """Return an adapter whose z is the prior's mean."""
        adapter = self.adapter(tasks, 0)
        mean = adapter.belief.mean
        adapter.believe(Belief(mean, torch.zeros_like(mean)))
        return adapter

    def _adapter(
        self, tasks: Sequence[Task], noise: torch.Generator, *, deterministic: bool
    ) -> PearlAdapter:
        policy = self.nets.policy
        if self.device != "cpu":
            # an action at a time is faster there than the way to the GPU and back
            policy = copy.deepcopy(policy).cpu()
        return PearlAdapter(
            policy, self.inference, tasks, noise, deterministic=deterministic
        )

    # State --------------------------------------------------------------------------

    def policy_state(self) -> dict[str, Tensor]:
        """Return policy and encoder, if any; the critics only train them."""
        tensors = self.nets.state_dict()
        used = ("encoder.", "policy.")
        return {key: value for key, value in tensors.items() if key.startswith(used)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to continue exactly."""
        return {
            **super().state_dict(),
            "gradient_step": self.gradient_step.state_dict(),
            "buffer": self.buffer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.gradient_step.load_state_dict(state["gradient_step"])
        self.buffer.load_state_dict(state["buffer"])
        self._captured = None  # the graph refers to the old optimiser state
