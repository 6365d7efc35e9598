"""The learning curves on a logarithmic axis up to 1e8 steps, as in the appendix."""

from __future__ import annotations

from pearl_bench.analysis.figures import learning_curves
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.style import Sheet

TITLE = "Learning curves, logarithmic"
SUITES = ()
ORDER = 2


def draw(published: Published) -> Sheet:
    """Draw one panel per family."""
    return learning_curves.draw(published, log=True)
