"""What the settings of MAML-TRPO and ProMP have in common; free of torch.

Defaults are those of the sweeps on branch full_code of jonasrothfuss/ProMP (@9e7fc51,
``run_scripts/*_run_sweep.py``), most likely the PEARL paper's baselines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pearl_bench.config.checks import MAY_BE_ZERO, require_positive
from pearl_bench.config.memory import FLOAT32, trained_network

if TYPE_CHECKING:
    from suites.base import TaskFamily

InnerObjective = Literal["likelihood_ratio", "log_likelihood", "dice"]

LEAST_STD = 1e-6
"""Of the actions, as in ProMP's code."""


@dataclass(frozen=True)
class GradientConfig:
    """What MAML-TRPO and ProMP have in common.

    Attributes:
        tasks: M, train tasks per iteration.
        episodes: E, episodes per task before and after each inner step.
        inner_steps: gradient steps of the adaptation.
        inner_rate: alpha, their step size.
        hidden_size: width of the two tanh layers.
        initial_std: standard deviation of the actions at the start.
        action_scale: the policy acts in plus or minus this, which is then scaled to the
            actuators' range: a deviation of 1 is a twentieth of the whole range.
        discount: gamma.
        gae_lambda: lambda of the advantages.
        ridge: of the linear feature baseline's fit.
    """

    tasks: int = 40
    episodes: int = 20
    inner_steps: int = 1
    inner_rate: float = 0.1
    hidden_size: int = 64
    initial_std: float = 1.0
    action_scale: float = 10.0
    discount: float = 0.99
    gae_lambda: float = field(default=1.0, metadata=MAY_BE_ZERO)
    ridge: float = 1e-5

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        require_positive(self)
        if max(self.discount, self.gae_lambda) > 1:
            raise ValueError("discount and gae_lambda must not exceed 1")
        require_std(self.initial_std)


def require_std(initial_std: float) -> None:
    """Refuse a deviation of the actions below which none is drawn.

    Raises:
        ValueError: says the least.
    """
    if initial_std < LEAST_STD:
        raise ValueError(
            f"initial_std ({initial_std:g}) must be at least {LEAST_STD:g}, below "
            "which no action is drawn"
        )


def memory(config: GradientConfig, family: TaskFamily, steps: int) -> int:
    """Return the bytes that a run takes at least: policies and an iteration's steps."""
    del steps  # nothing is kept from one iteration to the next
    obs, action = family.obs_dim, family.action_dim
    policy = trained_network([obs, config.hidden_size, config.hidden_size, action])
    tasks = min(config.tasks, len(family.train))
    sampled = config.tasks * config.episodes * family.horizon * (config.inner_steps + 1)
    return policy * tasks // 4 + FLOAT32 * sampled * (obs + action + 1)
