"""The numbers behind the figures, as CSV for programs and Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence

from pearl_bench.analysis import notes
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.tables import levels, methods, runs, success
from pearl_bench.analysis.tables.summary import summary
from pearl_bench.analysis.tables.table import Table, cells_in_words, to_csv


def tables(published: Published) -> list[Table]:
    """Return all tables of a suite that have a row."""
    every = [
        summary(published),
        levels.levels(published),
        levels.by_run(published),
        methods.efficiency(published),
        methods.aggregates(published),
        methods.improvements(published),
        methods.areas(published),
        success.success(published),
        success.groups(published),
        methods.scores(published),
        runs.provenance(published),
    ]
    return [table for table in every if table.rows]


def to_markdown(published: Published, found: Sequence[Table]) -> str:
    """Return all tables and the notes as one Markdown text."""
    parts = [f"# {published.suite}"]
    for table in found:
        header, *rows = cells_in_words(table)
        lines = [header, ["---"] * len(header), *rows]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {table.title}\n\n{table.caption}\n\n{text}")
    parts.append(notes_in_markdown(published))
    return "\n\n".join(parts)


def notes_in_markdown(published: Published) -> str:
    """Return what is missing or uneven as a list."""
    found = notes.notes(published) or ["Nothing is missing or uneven."]
    return "## Notes\n\n" + "\n".join(f"- {text}" for text in found) + "\n"


def as_files(published: Published, found: Sequence[Table]) -> dict[str, str]:
    """Return the text of every file of a suite's tables by name."""
    files = {f"{table.name}.csv": to_csv(table) for table in found}
    files["tables.md"] = to_markdown(published, found)
    files["notes.md"] = notes_in_markdown(published)
    return files
