"""Test return against environment steps: figure 3 of Rakelly et al. 2019."""

from __future__ import annotations

from pearl_bench.analysis.curves import learning_curves
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Learning curves"
SUITES = ()
ORDER = 1


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family."""
    return learning_curves(published, config, log=config.log)
