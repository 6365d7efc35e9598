"""Settings of the baselines; free of torch, so that planning a run stays quick.

Defaults are those of the sweeps on branch full_code of jonasrothfuss/ProMP (@9e7fc51,
``run_scripts/*_run_sweep.py``), most likely the PEARL paper's baselines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pearl_bench.config.checks import require_positive


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
            actuators' range: with a deviation of 1 it explores a tenth of the range.
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
    gae_lambda: float = 1.0
    ridge: float = 1e-5

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        require_positive(self, may_be_zero={"kl_weight"})
        if max(self.discount, self.gae_lambda) > 1:
            raise ValueError("discount and gae_lambda must not exceed 1")


@dataclass(frozen=True)
class MamlTrpoConfig(GradientConfig):
    """Settings of MAML-TRPO.

    Attributes:
        inner_objective: the inner surrogate; ``likelihood_ratio`` is what the PEARL
            paper's baseline used, ``log_likelihood`` the one of the MAML paper, and
            ``dice`` has an unbiased Hessian.
        max_kl: delta, bound of the outer step.
        cg_iterations: conjugate gradient iterations.
        line_search_tries: step sizes tried.
        line_search_shrink: factor from one to the next.
    """

    inner_objective: Literal["likelihood_ratio", "log_likelihood", "dice"] = (
        "likelihood_ratio"
    )
    max_kl: float = 0.01
    cg_iterations: int = 10
    line_search_tries: int = 15
    line_search_shrink: float = 0.8


@dataclass(frozen=True)
class PrompConfig(GradientConfig):
    """Settings of ProMP.

    Attributes:
        outer_steps: Adam steps per batch.
        learning_rate: of Adam.
        clip: epsilon of the outer ratio.
        kl_weight: eta, weight of the divergence before each inner step.
        adaptive_kl: halve or double eta when the divergence leaves its target.
        kl_target: of the adaptive eta.
    """

    outer_steps: int = 5
    learning_rate: float = 1e-3
    clip: float = 0.3
    kl_weight: float = 5e-4
    adaptive_kl: bool = False
    kl_target: float = 1e-2
