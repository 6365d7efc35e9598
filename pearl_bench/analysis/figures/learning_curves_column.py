"""The learning curves, as wide as a column of a page, with two panels a row."""

from __future__ import annotations

from dataclasses import replace

from pearl_bench.analysis.figures import learning_curves
from pearl_bench.analysis.options import COLUMN_WIDTH, AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Learning curves, for a column"
SUITES = ()
ORDER = 1


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family; nothing if the other figures are as narrow."""
    if config.width <= COLUMN_WIDTH:
        return None
    return learning_curves.draw(published, replace(config, width=COLUMN_WIDTH))
