"""Settings of constant actions; free of torch, so that planning stays quick."""

from dataclasses import dataclass, field
from pathlib import Path

from pearl_bench.config.checks import MAY_BE_ZERO, require_positive
from pearl_bench.registry import Method


@dataclass(frozen=True)
class ConstantActionsConfig:
    """Settings of constant actions.

    Attributes:
        tasks: train tasks per iteration.
        spread: standard deviation of the actions that are tried.
        step: share of the way to the mean of the better half; zero learns nothing.
    """

    tasks: int = 10
    spread: float = 0.3
    step: float = field(default=0.5, metadata=MAY_BE_ZERO)

    def __post_init__(self) -> None:
        """Raise ValueError for values no run could use."""
        require_positive(self)


METHOD = Method(
    settings=ConstantActionsConfig,
    learner="own_package.learner:ConstantActions",
    conf=Path(__file__).with_name("constant_actions.yaml"),
)
