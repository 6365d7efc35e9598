"""One HTML page with all that is known of a suite.

Figures, tables, text, style and script are in the page itself. What it refers to, and
shows well without, lies beside it: the published CSV files and the clips.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from pearl_bench.analysis import comparison, figures, notes, style, tables
from pearl_bench.analysis.arms import REPORTED_IS
from pearl_bench.analysis.options import COLUMN_WIDTH, AnalysisConfig
from pearl_bench.analysis.page import clips, runs
from pearl_bench.analysis.page.links import link
from pearl_bench.analysis.page.table import in_code, table
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.records.schema import RUNS_FILE

NARROW = "(max-width: 45rem)"
"""Screens that are shown figures of a column's width."""


class Shown(NamedTuple):
    """A figure of the page.

    Attributes:
        sheet: as wide as the words ask for.
        narrow: as wide as a column, for a phone; None if the other is no wider.
    """

    sheet: Sheet
    narrow: Sheet | None


class Section(NamedTuple):
    """A part of the page: its anchor, its heading, and what stands below, in HTML."""

    anchor: str
    title: str
    html: str


def with_narrow(
    published: Published, config: AnalysisConfig, sheets: Mapping[str, Sheet]
) -> dict[str, Shown]:
    """Draw figures for a phone as well.

    A figure that is not drawn in a column's width is that of another in this width,
    and has no place on the page.
    """
    if config.width <= COLUMN_WIDTH:
        return {name: Shown(sheet, None) for name, sheet in sheets.items()}
    column = replace(config, width=COLUMN_WIDTH)
    known = figures.of_suite(published.suite)
    return {
        name: Shown(sheet, narrow)
        for name, sheet in sheets.items()
        if (narrow := known[name].draw(published, column))
    }


def page(
    published: Published,
    shown: Mapping[str, Shown],
    found: Sequence[tables.PrintedTable],
    folder: Path,
) -> str:
    """Return the page; it asks no network for anything.

    Args:
        published: the suite.
        shown: its figures by name.
        found: its tables.
        folder: where the page will lie.
    """
    groups = _groups(published, shown, found, folder)
    sections = [section for group in groups.values() for section in group]
    body = "\n".join(
        f'<section id="{i}">\n<h2>{escape(title)}</h2>\n{html}\n</section>'
        for i, title, html in sections
    )
    title = f"pearl_bench: {escape(published.suite)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # A browser asks for an icon otherwise.
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>\n{_file('page.css')}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{_lead(published, folder)}\n{_contents(groups)}\n"
        f"{body}\n<script>\n{_file('page.js')}</script>\n</body>\n</html>\n"
    )


def _groups(
    published: Published,
    shown: Mapping[str, Shown],
    found: Sequence[tables.PrintedTable],
    folder: Path,
) -> dict[str, list[Section]]:
    """Return the sections by the heading that they have in the contents."""
    titles = {name: m.TITLE for name, m in figures.of_suite(published.suite).items()}
    names = runs.names(published)
    filmed = clips.clips(published, folder)
    return {
        "Figures": [
            *(
                Section("figure-" + name, titles[name], _figure(name, figure))
                for name, figure in shown.items()
            ),
            *([Section("clips", "Adaptation, filmed", filmed)] if filmed else []),
        ],
        "Tables": [
            Section(f"table-{of.name}", of.title, _table(of, names))
            for of in tables.filled(found)
        ],
        "What they rest on": [
            Section("runs", "Runs", runs.runs(published, folder)),
            Section("protocol", "Protocol", _protocol(published)),
            Section("notes", "Notes", _notes(published)),
        ],
    }


def _file(name: str) -> str:
    return (resources.files(__name__) / name).read_text("utf-8")


def _contents(groups: Mapping[str, Sequence[Section]]) -> str:
    lists = "\n".join(
        f"<div><h2>{heading}</h2><ul>"
        + "".join(
            f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in group
        )
        + "</ul></div>"
        for heading, group in groups.items()
    )
    return f"<nav>\n{lists}\n</nav>"


def _lead(published: Published, folder: Path) -> str:
    count = len(runs.names(published))
    having = sum(bool(family.arms) for family in published.families)
    files = ", ".join(link(folder, at / RUNS_FILE) for at in published.folders)
    return (
        f"<p>{count} run{'s' * (count != 1)} on {having} of "
        f"{len(published.families)} families, published in {files} and the files "
        "beside it, from which all of this is drawn.</p>"
    )


def _figure(name: str, shown: Shown) -> str:
    """Return a figure and its caption as text that can be read on a phone."""
    source = ""
    if shown.narrow:
        source = f'<source media="{NARROW}" srcset="{_png(shown.narrow)}">'
    inches = shown.sheet.figure.get_figwidth()
    caption = "".join(f"<p>{in_code(text)}</p>" for text in shown.sheet.about)
    return (
        f'<figure>\n<div class="scroll" tabindex="0"><picture>{source}'
        f'<img alt="{escape(name)}" style="--inches: {inches:g}" '
        f'src="{_png(shown.sheet)}"></picture></div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def _png(sheet: Sheet) -> str:
    data = io.BytesIO()
    sheet.figure.savefig(data, format="png", metadata=style.METADATA["png"])
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def _table(found: tables.PrintedTable, names: frozenset[str]) -> str:
    """Return a table; one of where runs are from is folded away."""
    html = table(found, names)
    if found.name != "provenance":
        return html
    return f"<details><summary>A row per run</summary>\n<div>{html}</div></details>"


def _protocol(published: Published) -> str:
    paragraphs = [
        "One evaluation is a meta-test: every test task is played for some exploration "
        "episodes, the method adapts after the last of them and after each later one. "
        f"What is reported is {REPORTED_IS}. All methods pass the same evaluator. "
        "Environment steps count every training step in every environment, "
        "adaptation included, and no evaluation.",
        f"{comparison.SCORE_IS}.",
    ]
    items = "".join(f"<li>{escape(x)}</li>" for x in map(_family, published.families))
    return (
        "".join(f"<p>{escape(text)}</p>" for text in paragraphs) + f"<ul>{items}</ul>"
    )


def _family(family: Family) -> str:
    row = family.row
    return (
        f"{row.name}, version {row.version}: {len(row.train)} training and "
        f"{len(row.test)} test tasks, {row.horizon} steps an episode, "
        f"{row.meta_test.exploration_episodes} exploration episodes, "
        f"{row.meta_test.test_episodes} after them, each task played "
        f"{row.meta_test.repetitions} x; fingerprint {row.fingerprint()}; "
        f"{row.source}"
    )


def _notes(published: Published) -> str:
    found: Iterator[str] = (f"<li>{escape(x)}</li>" for x in notes.notes(published))
    return f"<ul>{''.join(found) or '<li>Nothing is missing or uneven.</li>'}</ul>"
