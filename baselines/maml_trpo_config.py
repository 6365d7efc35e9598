"""MAML-TRPO's settings; free of torch, so that planning a run stays quick."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.gradient_config import GradientConfig, InnerObjective, memory
from pearl_bench.registry import CONF, Method


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

    inner_objective: InnerObjective = "likelihood_ratio"
    max_kl: float = 0.01
    cg_iterations: int = 10
    line_search_tries: int = 15
    line_search_shrink: float = 0.8

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        super().__post_init__()
        if self.line_search_shrink >= 1:
            raise ValueError(
                f"line_search_shrink ({self.line_search_shrink:g}) must be below 1, so "
                "that each step tried is shorter than the one before"
            )


METHOD = Method(
    MamlTrpoConfig,
    "baselines.maml_trpo:MamlTrpoLearner",
    CONF / "maml_trpo.yaml",
    memory=memory,
)
