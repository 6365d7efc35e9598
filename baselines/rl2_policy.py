"""RL²'s policy and how it runs through a trial.

Shapes beside those of ``policy_gradient.py``: N trials side by side; ``D = O + A + 2``
inputs, o ⊕ previous action ⊕ previous reward ⊕ boundary, which is 1 on the first step
of each later episode of a trial.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from baselines.policy_gradient import MIN_LOG_STD
from baselines.rl2_config import Rl2Config
from pearl_bench.training.types import Transition

State = tuple[Tensor, ...]
"""Hidden state, each ``[1, N, H]``: (h, c) of an LSTM, (h,) of a GRU."""


class Sampled(NamedTuple):
    """One step of N trials ``[N, ...]``, or E episodes ``[N, E, T, ...]`` of them.

    Attributes:
        inputs: ``[..., D]`` what the policy read; the first O are the observation.
        action: ``[..., A]`` as sampled from the Gaussian, before any clipping.
        mean: ``[..., A]`` of that Gaussian.
        reward: ``[...]`` the reward that is learnt from.
        alive: ``[...]`` bool, entries that hold data.
    """

    inputs: Tensor
    action: Tensor
    mean: Tensor
    reward: Tensor
    alive: Tensor


class RecurrentPolicy(nn.Module):
    """A Gaussian policy: recurrent layer, linear mean, state-independent log-std.

    Weights are Glorot-uniform, the recurrent ones orthogonal within each gate, biases 0
    but for the LSTM's forget gate, which starts open at 1 (Jozefowicz et al. 2015).

    Args:
        inputs: D.
        actions: A.
        config: cell, width, initial standard deviation.
        rng: generator of the initial weights.
    """

    def __init__(
        self, inputs: int, actions: int, config: Rl2Config, rng: torch.Generator
    ) -> None:
        super().__init__()
        hidden = config.hidden_size
        layer = nn.LSTM if config.cell == "lstm" else nn.GRU
        # torch's own initialisation would draw from a global stream
        self.layer = layer(inputs, hidden, batch_first=True, device="meta")
        self.head = nn.Linear(hidden, actions, device="meta")
        self.to_empty(device="cpu")
        weights = dict(self.layer.named_parameters())
        with torch.no_grad():
            for gate in weights["weight_ih_l0"].split(hidden):
                nn.init.xavier_uniform_(gate, generator=rng)
            for gate in weights["weight_hh_l0"].split(hidden):
                nn.init.orthogonal_(gate, generator=rng)
            weights["bias_ih_l0"].zero_()
            weights["bias_hh_l0"].zero_()
            if config.cell == "lstm":
                weights["bias_ih_l0"][hidden : 2 * hidden] = 1.0
            nn.init.xavier_uniform_(self.head.weight, generator=rng)
            self.head.bias.zero_()
        self.raw_log_std = nn.Parameter(
            torch.full((actions,), math.log(config.initial_std))
        )

    @property
    def log_std(self) -> Tensor:
        """``[A]``, not below the logarithm of 1e-6 (ProMP's code)."""
        return self.raw_log_std.clamp(min=MIN_LOG_STD)

    def initial_state(self, trials: int) -> State:
        """Return the state before a trial's first step."""
        zeros = self.head.weight.new_zeros(1, trials, self.layer.hidden_size)
        return (zeros, zeros) if isinstance(self.layer, nn.LSTM) else (zeros,)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ``[N, T, D]``; return the means ``[N, T, A]`` and the state after."""
        if isinstance(self.layer, nn.LSTM):
            features, after = self.layer(inputs, state)
            return self.head(features), after
        features, after = self.layer(inputs, state[0])
        return self.head(features), (after,)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one step ``[N, D]``; return the means ``[N, A]`` and the state after.

        The same as ``forward``, which takes half as long again for a single step.
        """
        weights = self.layer.all_weights[0]
        if isinstance(self.layer, nn.LSTM):
            hidden, cell = (x.squeeze(0) for x in state)
            after = torch.lstm_cell(inputs, (hidden, cell), *weights)
        else:
            after = (torch.gru_cell(inputs, state[0].squeeze(0), *weights),)
        return self.head(after[0]), tuple(x.unsqueeze(0) for x in after)

    def unroll(
        self, inputs: Tensor, state: State, bptt_steps: int
    ) -> tuple[Tensor, State]:
        """Return the means of trials that go on from a state, and the state after.

        The state runs on through the trial; its gradient ends every ``bptt_steps``.
        """
        means = []
        for chunk in inputs.split(bptt_steps, dim=1):
            mean, state = self(chunk, tuple(x.detach() for x in state))
            means.append(mean)
        return torch.cat(means, dim=1), state


class Rl2Adapter:
    """Runs N trials; all adaptation happens in the hidden state.

    Args:
        policy: the meta-learned policy; not changed.
        trials: N.
        noise: generator of the actions.
        config: the factor of the reward that is read.
    """

    def __init__(
        self,
        policy: RecurrentPolicy,
        trials: int,
        noise: torch.Generator,
        config: Rl2Config,
    ) -> None:
        self.policy = policy
        self.std = policy.log_std.detach().exp()
        self.noise = noise
        self.reward_input = config.reward_input
        self.state = self.next_state = policy.initial_state(trials)
        actions = policy.head.out_features
        # action, reward and boundary; a trial starts without any
        self.previous = torch.zeros(trials, actions + 2, device=noise.device)
        self.episodes: list[list[Sampled]] = [[]]

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Sample from the Gaussian, or take its mean; return it clipped to [-1, 1]."""
        current = torch.from_numpy(obs).to(self.noise.device)
        self.inputs = torch.cat([current, self.previous], dim=1)
        self.mean, self.next_state = self.policy.step(self.inputs, self.state)
        self.action = self.mean
        if explore:
            noise = torch.randn(
                self.mean.shape, generator=self.noise, device=self.noise.device
            )
            self.action = self.mean + self.std * noise
        return self.action.clamp(-1, 1).cpu().numpy()

    def observe(self, step: Transition) -> None:
        """Go on to the next step where there was one; other trials stand still.

        The policy reads the action as it was carried out and the sparse reward.
        """
        alive = torch.from_numpy(step.alive).to(self.noise.device)
        reward = self.reward_input * step.sparse_reward[:, None]
        rows = [step.action, reward, np.zeros((len(alive), 1))]
        seen = torch.from_numpy(np.concatenate(rows, axis=1)).to(self.previous)
        if step.alive.all():
            self.previous, self.state = seen, self.next_state
        else:
            stepped = alive.unsqueeze(1)
            self.previous = torch.where(stepped, seen, self.previous)
            self.state = tuple(
                torch.where(stepped, new, old)
                for new, old in zip(self.next_state, self.state, strict=True)
            )
        reward = torch.from_numpy(step.reward).to(self.previous)
        self.episodes[-1].append(
            Sampled(self.inputs, self.action, self.mean, reward, alive)
        )

    def end_episode(self) -> None:
        """Mark the boundary for the next step; the state runs on."""
        self.previous = self.previous.clone()
        self.previous[:, -1] = 1.0
        self.episodes.append([])

    def adapt(self) -> None:
        """Nothing to do: the hidden state has adapted at every step."""

    def recorded(self) -> Sampled:
        """Return all that was sampled, ``[N, E, T, ...]``, shorter episodes padded."""
        episodes = [
            [torch.stack(field) for field in zip(*steps, strict=True)]
            for steps in self.episodes
            if steps
        ]
        return Sampled(
            *(
                pad_sequence(list(x)).movedim(2, 0).transpose(1, 2)
                for x in zip(*episodes, strict=True)
            )
        )
