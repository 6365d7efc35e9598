"""One self-contained HTML page with all that is known of a suite."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from pearl_bench.analysis import comparison, figures, notes, style, tables
from pearl_bench.analysis.arms import REPORTED_IS
from pearl_bench.analysis.panels import Sheet
from pearl_bench.analysis.scores import Family, Published

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; color: #222; background: #fff;
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem; }
nav ul { columns: 16rem; padding-left: 1.2rem; }
a { color: #0b5394; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
figcaption, .about, li { font-size: .85rem; color: #444; }
figcaption p { margin: .3rem 0; }
.scroll { overflow-x: auto; border: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .8rem; overflow-wrap: normal; }
th, td { padding: .25rem .6rem; text-align: left; white-space: nowrap; }
th { background: #f3f3f3; }
tr:nth-child(even) td { background: #fafafa; }
/* On a phone a figure keeps a size at which its text can be read, and scrolls. */
@media (max-width: 45rem) { img { max-width: none; width: 52rem; } }
"""


def page(
    published: Published,
    sheets: Mapping[str, Sheet],
    found: Sequence[tables.PrintedTable],
) -> str:
    """Return the page; it refers to nothing outside itself.

    Args:
        published: the suite.
        sheets: its figures by name.
        found: its tables.
    """
    sections = [
        *(
            ("figure-" + name, figures.of_suite(published.suite)[name].TITLE, html)
            for name, sheet in sheets.items()
            if (html := _figure(name, sheet))
        ),
        *(
            ("table-" + table.name, f"Table: {table.title}", _table(table))
            for table in tables.filled(found)
        ),
        ("protocol", "Protocol", _protocol(published)),
        ("notes", "Notes", _notes(published)),
    ]
    links = "".join(f'<li><a href="#{i}">{escape(t)}</a></li>' for i, t, _ in sections)
    body = "\n".join(
        f'<section id="{i}">\n<h2>{escape(t)}</h2>\n{html}\n</section>'
        for i, t, html in sections
    )
    title = f"pearl_bench: {escape(published.suite)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # A browser asks for an icon otherwise.
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<nav><ul>{links}</ul></nav>\n{body}\n</body>\n</html>\n"
    )


def _figure(name: str, sheet: Sheet) -> str:
    """Return a figure and its caption as text that can be read on a phone."""
    data = io.BytesIO()
    sheet.figure.savefig(data, format="png", metadata=style.METADATA["png"])
    image = base64.b64encode(data.getvalue()).decode()
    caption = "".join(f"<p>{escape(text)}</p>" for text in sheet.about)
    return (
        f'<figure>\n<div class="scroll" tabindex="0"><img alt="{escape(name)}" '
        f'src="data:image/png;base64,{image}"></div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def _table(table: tables.PrintedTable) -> str:
    header, *rows = tables.cells_in_words(table)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<p class="about">{escape(table.caption)}</p>\n<div class="scroll" '
        f'tabindex="0">\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n</div>'
    )


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
        f"{row.meta_test.repetitions} times; fingerprint {row.fingerprint()}; "
        f"{row.source}"
    )


def _notes(published: Published) -> str:
    found: Iterator[str] = (f"<li>{escape(x)}</li>" for x in notes.notes(published))
    return f"<ul>{''.join(found) or '<li>Nothing is missing or uneven.</li>'}</ul>"
