"""ProMP's settings; free of torch, so that planning a run stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from baselines.gradient_config import GradientConfig, memory
from pearl_bench.config.checks import MAY_BE_ZERO
from pearl_bench.registry import CONF, Method


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
    kl_weight: float = field(default=5e-4, metadata=MAY_BE_ZERO)
    adaptive_kl: bool = False
    kl_target: float = 1e-2

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        super().__post_init__()
        if self.adaptive_kl and not self.kl_weight:
            raise ValueError(
                "adaptive_kl=true doubles and halves kl_weight, which must be positive "
                "then, not 0"
            )


METHOD = Method(
    PrompConfig,
    "baselines.promp:PrompLearner",
    CONF / "promp.yaml",
    memory=memory,
)
