"""The numbers behind the figures, as CSV for programs and Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pearl_bench.analysis import notes
from pearl_bench.analysis.markdown import cell, plain
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.tables import levels, methods, runs, success
from pearl_bench.analysis.tables.summary import summary
from pearl_bench.analysis.tables.table import PrintedTable, cells_in_words, to_csv
from pearl_bench.records.files import remove_files, write_atomic


def tables(published: Published) -> list[PrintedTable]:
    """Return all tables of a suite, with or without rows."""
    return [
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
        runs.cost(published),
        runs.provenance(published),
    ]


def filled(found: Sequence[PrintedTable]) -> list[PrintedTable]:
    """Return the tables that have a row."""
    return [table for table in found if table.rows]


def to_markdown(published: Published, found: Sequence[PrintedTable]) -> str:
    """Return the tables that have rows, and the notes, as one Markdown text."""
    parts = [f"# {published.suite}"]
    for table in filled(found):
        header, *rows = ([cell(x) for x in cells] for cells in cells_in_words(table))
        lines = [header, ["---"] * len(header), *rows]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {table.title}\n\n{table.caption}\n\n{text}")
    parts.append(notes_in_markdown(published))
    return "\n\n".join(parts)


def notes_in_markdown(published: Published) -> str:
    """Return what is missing or uneven as a list."""
    found = notes.notes(published) or ["Nothing is missing or uneven."]
    return "## Notes\n\n" + "\n".join(f"- {plain(x)}" for x in found) + "\n"


def write(
    published: Published, found: Sequence[PrintedTable], folder: Path
) -> list[Path]:
    """Write the tables of a suite.

    Returns:
        The files that changed; those of tables that have no rows any more are gone.
    """
    texts = {f"{table.name}.csv": to_csv(table) for table in filled(found)}
    texts["tables.md"] = to_markdown(published, found)
    texts["notes.md"] = notes_in_markdown(published)
    folder.mkdir(parents=True, exist_ok=True)
    changed = [
        folder / name
        for name, text in texts.items()
        if write_atomic(folder / name, text.encode())
    ]
    empty = (folder / f"{table.name}.csv" for table in found if not table.rows)
    return [*changed, *remove_files(empty)]
