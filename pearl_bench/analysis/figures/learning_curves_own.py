"""The learning curves after as much exploration as each method trains with."""

from __future__ import annotations

from pearl_bench.analysis import curves
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Learning curves, each method's own exploration"
SUITES = ()
ORDER = 2


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family; nothing if no method has a protocol of its own."""
    log = config.log or curves.outgrown(published, config)
    return curves.learning_curves(published, config, log=log, own=True)
