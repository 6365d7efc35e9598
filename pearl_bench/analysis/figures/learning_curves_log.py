"""The learning curves on a logarithmic axis, whole, as in the paper's appendix."""

from __future__ import annotations

from pearl_bench.analysis import curves
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Learning curves, logarithmic"
SUITES = ()
ORDER = 2


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family; nothing if linear axes show every curve whole."""
    if config.log or not curves.outgrown(published, config):
        return None
    return curves.learning_curves(published, config, log=True)
