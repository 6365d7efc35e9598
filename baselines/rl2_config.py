"""RL²'s settings; free of torch, so that planning a run stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from baselines.gradient_config import require_std
from pearl_bench.config.checks import MAY_BE_ZERO, require_positive
from pearl_bench.config.memory import FLOAT32, trained_network
from pearl_bench.registry import CONF, Method

if TYPE_CHECKING:
    from suites.base import TaskFamily


@dataclass(frozen=True)
class Rl2Config:
    """Settings of RL²; defaults are those of the sweep on jonasrothfuss/ProMP@9e7fc51.

    Three differ: the sweep, most likely the PEARL paper's baseline, has ``tasks=100``,
    ``trials=1`` and ``credit=episode``. A baseline that is fitted to a lone trial hides
    how that trial compares with others, and what exploration was worth with it.

    Attributes:
        tasks: M, train tasks per iteration; all, if the family has fewer.
        trials: trials per task; of fewer tasks more, as many of each as the batch has
            room for: 80 trials of 40 tasks where it is 100 tasks by one.
        episodes: E, episodes per trial.
        cell: the recurrent layer.
        hidden_size: its width.
        initial_std: standard deviation of the actions at the start.
        learning_rate: of Adam.
        epochs: passes over a batch.
        minibatch: what an Adam step is taken on: the whole ``batch``, or in turn each
            ``chunk`` of ``bptt_steps`` of all its trials, which goes on from the state
            that the policy of the step before has left.
        clip: epsilon of PPO's ratio.
        entropy_weight: of the policy's entropy, which is added to the objective.
        max_grad_norm: the gradient is shortened to this length; 0 leaves it as it is.
        reward_input: factor of the previous reward where the policy reads it.
        bptt_steps: steps after which the gradient through time is cut.
        discount: gamma.
        gae_lambda: lambda of the advantages.
        ridge: of the linear feature baseline's fit.
        fit: what a baseline is fitted to and advantages are standardised over: the
            trials of a ``task``, as in the sweep, or the whole ``batch``. It must hold
            many more steps than the baseline has features (2 O + 4): otherwise every
            return is fitted, and the advantages are rounding errors.
        credit: what an action is held responsible for: rewards to the end of the
            ``trial`` (Duan et al. 2016, section 2.2) or of its ``episode``.
    """

    tasks: int = 20
    trials: int = 5
    episodes: int = 2
    cell: Literal["lstm", "gru"] = "lstm"
    hidden_size: int = 64
    initial_std: float = 1.0
    learning_rate: float = 1e-3
    epochs: int = 5
    minibatch: Literal["batch", "chunk"] = "batch"
    clip: float = 0.2
    entropy_weight: float = field(default=0.0, metadata=MAY_BE_ZERO)
    max_grad_norm: float = field(default=0.0, metadata=MAY_BE_ZERO)
    reward_input: float = 1.0
    bptt_steps: int = 32
    discount: float = 0.99
    gae_lambda: float = field(default=1.0, metadata=MAY_BE_ZERO)
    ridge: float = 1e-5
    fit: Literal["task", "batch"] = "task"
    credit: Literal["trial", "episode"] = "trial"

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        require_positive(self)
        if max(self.discount, self.gae_lambda) > 1:
            raise ValueError("discount and gae_lambda must not exceed 1")
        require_std(self.initial_std)


def memory(config: Rl2Config, family: TaskFamily, steps: int) -> int:
    """Return the bytes that a run takes at least: the policy, an iteration's trials."""
    del steps  # nothing is kept from one iteration to the next
    obs, action, hidden = family.obs_dim, family.action_dim, config.hidden_size
    # a recurrent layer has a network for each of its gates, of input and state
    gates = {"lstm": 4, "gru": 3}[config.cell]
    policy = gates * trained_network([obs + action + 1 + hidden, hidden])
    played = config.tasks * config.trials * config.episodes * family.horizon
    return policy + FLOAT32 * played * (obs + 2 * action + 1)


METHOD = Method(Rl2Config, "baselines.rl2:Rl2Learner", CONF / "rl2.yaml", memory=memory)
