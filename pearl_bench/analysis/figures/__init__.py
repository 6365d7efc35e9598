"""The figures: every module in this folder is one.

A module has a ``TITLE``, the ``SUITES`` it is about (all if empty), its ``ORDER`` on
the page, and ``draw``, which returns a sheet, or None where it would say nothing: no
data, or no more than another figure or a single number. The file's name, with dashes,
is the figure's.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol, cast

from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published


class FigureModule(Protocol):
    """What a module in this folder has."""

    TITLE: str
    SUITES: tuple[str, ...]
    ORDER: int

    def draw(self, published: Published, config: AnalysisConfig) -> Sheet | None:
        """Draw the figure of a suite as the words ask for it, if it says something."""
        ...


def of_suite(suite: str) -> dict[str, FigureModule]:
    """Return the figures of a suite by name, in the order of the page."""
    found: dict[str, FigureModule] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found[info.name.replace("_", "-")] = cast(FigureModule, module)
    ordered = sorted(found.items(), key=lambda item: (item[1].ORDER, item[0]))
    return {name: m for name, m in ordered if not m.SUITES or suite in m.SUITES}
