"""Test return against environment steps: figure 3 of Rakelly et al. 2019."""

from __future__ import annotations

from pearl_bench.analysis.curves import learning_curves
from pearl_bench.analysis.options import COLUMN_WIDTH, AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published

TITLE = "Learning curves"
SUITES = ()
ORDER = 1


def draw(published: Published, config: AnalysisConfig) -> Sheet | None:
    """Draw one panel per family, all in a row, or two a row in a column's width."""
    columns = 2 if config.width <= COLUMN_WIDTH else None
    families = sum(bool(family.headline) for family in published.families)
    return learning_curves(
        published, config, log=config.log, columns=columns or max(1, families)
    )
