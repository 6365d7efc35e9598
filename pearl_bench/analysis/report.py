"""Writes what a suite's published files say: figures, tables, the page."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pearl_bench.analysis import captions, figures, page, style, tables
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.selection import own_first, select
from pearl_bench.records.files import remove_files, write_atomic
from pearl_bench.records.published import drawn

FIGURES, TABLES, CUSTOM = "figures", "tables", "custom"
CAPTION = "md"


def folder_of(config: AnalysisConfig) -> Path:
    """Return where a command line's figures, tables and page go."""
    if config.out:
        return Path(config.out).expanduser()
    folder = Path(config.results[0]).expanduser() / config.suite
    return folder / CUSTOM if config.is_custom else folder


def write(config: AnalysisConfig) -> list[Path]:
    """Write all figures and tables that the words ask for, and the page if wanted.

    Returns:
        The files that changed; those of figures that have nothing to say any more are
        gone.

    Raises:
        PublishedError: nothing is published, or the files do not fit together.
        ConfigError: a word names something that there is not, or leaves nothing.
    """
    return _write(select(config), config)


def _write(published: Published, config: AnalysisConfig) -> list[Path]:
    folder = folder_of(config)
    sheets, changed = draw(published, config, folder / FIGURES)
    found = tables.tables(published)
    changed += tables.write(published, found, folder / TABLES)
    if config.html:
        with style.taste(config):
            shown = page.with_narrow(published, config, sheets)
            text = page.page(published, shown, found, folder)
        if write_atomic(folder / drawn.PAGE, text.encode()):
            changed.append(folder / drawn.PAGE)
    return changed


def draw(
    published: Published,
    config: AnalysisConfig,
    folder: Path,
    only: Collection[str] = (),
) -> tuple[dict[str, Sheet], list[Path]]:
    """Draw the figures of a suite, all or some, and write them.

    Files of a figure that has nothing to say any more are removed.

    Returns:
        The sheets by name, and the files that changed.
    """
    sheets: dict[str, Sheet] = {}
    changed: list[Path] = []
    with style.taste(config):
        for name, module in figures.of_suite(published.suite).items():
            if only and name not in only:
                continue
            sheet = module.draw(published, config)
            if sheet is None:
                suffixes = (*style.METADATA, CAPTION)
                changed += remove_files(folder / f"{name}.{x}" for x in suffixes)
                continue
            sheets[name] = sheet
            changed += style.save(sheet.figure, folder / name, config.format)
            if config.caption != "none":
                text = captions.markdown(published, module.TITLE, sheet)
                path = folder / f"{name}.{CAPTION}"
                if write_atomic(path, text.encode()):
                    changed.append(path)
    return sheets, changed


def refresh(results: Path, suite: str, *behind: Path) -> list[Path]:
    """Redraw what a suite has where its published files have changed since.

    The learning curves are always drawn; the other figures, the tables and the page
    where they are there, so that none of them is older than the rest.

    Args:
        results: folder of the published results.
        suite: name of the suite.
        behind: other such folders; what they have of methods that the first lacks is
            drawn as well.

    Returns:
        The files that changed.

    Raises:
        PublishedError: nothing is published, or the files do not fit together.
    """
    folders, folder = [results, *behind], results / suite
    drawn_from = drawn.inputs(*(one / suite for one in folders))
    html = (folder / drawn.PAGE).exists()
    config = AnalysisConfig(suite, [*map(str, folders)], out=str(folder), html=html)
    published = own_first(select(config))
    if drawn.has_more(folder):
        changed = _write(published, config)
    else:
        changed = draw(published, config, folder / FIGURES, only=["learning-curves"])[1]
    drawn.stamp(folder, drawn_from)
    return changed
