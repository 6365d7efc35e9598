"""Writes what a suite's published files say: figures, tables, the page."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pearl_bench.analysis import figures, page, style, tables
from pearl_bench.analysis.scores import Published, load
from pearl_bench.analysis.style import Sheet
from pearl_bench.records.files import write_atomic

FIGURES, TABLES, PAGE = "figures", "tables", "report.html"


def write(results: Path, suite: str, *, html: bool = False) -> list[Path]:
    """Write all figures and tables of a suite, and the page if wanted.

    Returns:
        The files that changed.

    Raises:
        PublishedError: nothing is published, or the files do not fit together.
    """
    published = load(results, suite)
    sheets, changed = draw(published)
    found = tables.tables(published)
    changed += tables.write(published, found, published.folder / TABLES)
    if html:
        path = published.folder / PAGE
        with style.taste():
            text = page.page(published, sheets, found)
        if write_atomic(path, text.encode()):
            changed.append(path)
    return changed


def draw(
    published: Published, only: Collection[str] = ()
) -> tuple[dict[str, Sheet], list[Path]]:
    """Draw the figures of a suite, all or some, and write them.

    Returns:
        The sheets by name, and the files that changed.
    """
    sheets: dict[str, Sheet] = {}
    changed: list[Path] = []
    with style.taste():
        for name, module in figures.of_suite(published.suite).items():
            if only and name not in only:
                continue
            sheet = module.draw(published)
            if sheet is not None:
                sheets[name] = sheet
                changed += style.save(sheet, published.folder / FIGURES / name)
    return sheets, changed


def learning_curves(results: Path, suite: str) -> list[Path]:
    """Draw a suite's learning curves alone, after its curves have been published.

    Returns:
        The files that changed.

    Raises:
        PublishedError: nothing is published, or curves and runs.csv do not match.
    """
    return draw(load(results, suite), only=["learning-curves"])[1]
