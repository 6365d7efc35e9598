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
    """Draw one panel per family, in rows of two in a column's width, of six in others.

    Six are the paper's families.
    """
    families = sum(bool(family.headline) for family in published.families)
    columns = 2 if config.width <= COLUMN_WIDTH else min(6, max(1, families))
    return learning_curves(published, config, log=config.log, columns=columns)
