"""The numbers behind the figures, as CSV for programs and Markdown for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pearl_bench.analysis import comparison, metaworld, notes, stats
from pearl_bench.analysis.arms import OWN, REPORTED, REPORTED_IS, Arm
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.stats import Estimate

Cell = str | float | int
"""NaN is an empty cell: there is no interval of a single run."""


class Table(NamedTuple):
    """A table; every number has its interval in the two columns after it.

    Attributes:
        name: of its files.
        title: in words.
        caption: what the numbers are.
        columns: the header.
        rows: as many cells each.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def tables(published: Published) -> list[Table]:
    """Return all tables of a suite that have a row."""
    every = [
        _final(published),
        _aggregates(published),
        _improvements(published),
        _areas(published),
        _efficiency(published),
        _successes(published),
        _groups(published),
        _runs(published),
    ]
    return [table for table in every if table.rows]


def to_csv(table: Table) -> str:
    """Return a table as CSV; numbers have nine significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def cells_in_words(table: Table) -> Iterator[list[str]]:
    """Yield the header and the rows for people: few digits, intervals in brackets."""
    shown = [i for i, name in enumerate(table.columns) if not _is_end(name)]
    yield [table.columns[i].replace("_", " ") for i in shown]
    for row in table.rows:
        cells = []
        for i in shown:
            text = _short(row[i])
            if i + 2 < len(row) and _is_end(table.columns[i + 1]):
                ends = [_short(row[i + 1]), _short(row[i + 2])]
                text += f" [{ends[0]}, {ends[1]}]" if all(ends) else ""
            cells.append(text)
        yield cells


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


def _final(published: Published) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for family in published.families:
        for arm in family.arms:
            for part in (REPORTED, OWN):
                if not arm.having(part):
                    continue
                last = arm.levels(part, family.measure)
                first = arm.levels(part, family.measure, 1)
                name = f"final {family.name} {arm.label} {part}"
                values = np.stack([last, family.score(last), first, last - first], 1)
                found = stats.mean_curve(name, values)
                numbers = [cell for i in range(4) for cell in _ends(found, i)]
                about = (family.name, arm.label, part.protocol, len(last))
                rows.append((*about, _steps(arm), family.measure, *numbers))
    return Table(
        "final",
        "Final level",
        f"Mean over test tasks of {REPORTED_IS}; over the evaluations of the last "
        "tenth of a run's steps, and over runs. `before` is the first episode, in "
        "which baselines sample their actions; `gain` is the difference. "
        f"{stats.METHOD}.",
        (
            *("family", "method", "protocol", "runs", "steps", "measure"),
            *_with_ends("final"),
            *_with_ends("score"),
            *_with_ends("before"),
            *_with_ends("gain"),
        ),
        rows,
    )


def _aggregates(published: Published) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for label in published.labels:
        scores = comparison.level_scores(published, label)
        found = comparison.aggregate(published, label)
        numbers = [
            cell for i in range(len(stats.AGGREGATES)) for cell in _ends(found, i)
        ]
        runs = sum(map(len, scores.values()))
        rows.append((label, len(scores), runs, *numbers))
    return Table(
        "aggregates",
        "Aggregate scores",
        f"{comparison.score_in_words(published)} Suite's protocol. {stats.METHOD}.",
        (
            *("method", "families", "runs"),
            *(
                column
                for name in stats.AGGREGATES
                for column in _with_ends(name.replace(" ", "_"))
            ),
        ),
        rows,
    )


def _improvements(published: Published) -> Table:
    return Table(
        "improvement",
        "Probability of improvement",
        "That a run of the method ends above one of the baseline with the same budget, "
        f"mean over the families that both have. {stats.METHOD}.",
        ("method", "baseline", "families", *_with_ends("probability")),
        [
            (pair.method, pair.baseline, len(pair.families), *_ends(pair.found, 0))
            for pair in comparison.improvements(published)
        ],
    )


def _areas(published: Published) -> Table:
    return Table(
        "area",
        "Area under the sample-efficiency curve",
        "Mean score over the first so many environment steps, before the first "
        "evaluation its own, mean over the families whose runs had all been evaluated "
        f"by then and still were. {stats.METHOD}.",
        ("method", "steps", "families", *_with_ends("area")),
        [
            (label, int(until), families, *map(float, found))
            for label in published.labels
            for until, (families, found) in comparison.areas(published, label).items()
        ],
    )


def _efficiency(published: Published) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for found in comparison.efficiencies(published):
        claim = found.claim
        needed = [_or_more(float(end), found.last) for end in claim.needed]
        most = (claim.baseline.value, claim.baseline.high, claim.baseline.high)
        ratio = [
            _or_less(float(end), float(steps) / found.last)
            for end, steps in zip(claim.ratio, most, strict=True)
        ]
        about = (found.family, found.method, found.baseline, found.part.protocol)
        level, own = map(float, claim.level), map(float, claim.baseline)
        rows.append((*about, *level, *needed, *own, *ratio))
    return Table(
        "efficiency",
        "Environment steps to a baseline's final level",
        "`needed`: steps of the method's first evaluation, in the mean over its runs, "
        "at the baseline's final level; `baseline steps`: the same of the baseline "
        "itself; `ratio`: how many times fewer the method needs. Equal budgets and "
        "tasks; levels of the baseline under the suite's protocol or its own, of the "
        "steps that its runs share; the method always under the suite's. A level that "
        "was not reached is a bound (`>` its last "
        f"evaluation, `<` the ratio that would be). {stats.METHOD}.",
        (
            *("family", "method", "baseline", "level_protocol"),
            *_with_ends("level"),
            *_with_ends("needed"),
            *_with_ends("baseline_steps"),
            *_with_ends("ratio"),
        ),
        rows,
    )


def _successes(published: Published) -> Table:
    return Table(
        "success",
        "Success on training and test tasks",
        "In percent. Ours: mean over the test episodes of the suite's protocol, or "
        "where it says so of those that the package's evaluator counts, which are too "
        "often successes. Published numbers come from other protocols and budgets. "
        f"{stats.METHOD}.",
        ("family", "method", "source", *_with_ends("train"), *_with_ends("test")),
        [
            (
                *(row.family, row.method, row.source),
                *map(float, row.train),
                *map(float, row.test),
            )
            for row in metaworld.successes(published)
        ],
    )


def _groups(published: Published) -> Table:
    """Classes of tasks, and training tasks, where the suite tests them."""
    rows: list[tuple[Cell, ...]] = []
    for family in published.families:
        for arm in family.arms:
            parts = {part for run in arm.runs for part in run.points}
            for part in sorted(parts - {REPORTED, OWN}):
                last = arm.levels(part, family.measure)
                name = f"group {family.name} {arm.label} {part}"
                found = stats.mean_curve(name, last[:, None])
                about = (family.name, arm.label, part.protocol, part.split, part.group)
                rows.append((*about, len(last), family.measure, *_ends(found, 0)))
    return Table(
        "groups",
        "Classes of tasks and training tasks",
        f"Final level of {REPORTED_IS}. {stats.METHOD}.",
        (
            *("family", "method", "protocol", "split", "group", "runs", "measure"),
            *_with_ends("final"),
        ),
        rows,
    )


def _runs(published: Published) -> Table:
    keys = (
        *("steps", "status", "training_hours", "commit", "dirty", "device"),
        *("cpu", "gpu", "python", "torch", "mujoco", "fingerprint"),
    )
    return Table(
        "provenance",
        "Provenance",
        "One row per run; `results/README.md` explains the columns.",
        ("run", "family", "method", "seed", *keys),
        [
            (
                *(run.row["run"], arm.family, arm.label, run.seed),
                *(run.row[key] for key in keys),
            )
            for arm in published.arms
            for run in arm.runs
        ],
    )


def _steps(arm: Arm) -> int:
    return max(run.last_step for run in arm.runs)


def _with_ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _is_end(column: str) -> bool:
    return column.endswith(("_low", "_high"))


def _ends(found: Estimate, i: int) -> tuple[float, float, float]:
    value, low, high = (float(end[i]) for end in found)
    return value, low, high


def _or_more(steps: float, last: float) -> Cell:
    return f">{last:.0f}" if math.isinf(steps) else steps


def _or_less(ratio: float, bound: float) -> Cell:
    return f"<{bound:.3g}" if ratio == 0 else ratio


def _plain(cell: Cell) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.9g}"
    return str(cell)


def _short(cell: Cell) -> str:
    """Return a cell in few digits; ``2.6M`` for large numbers."""
    if isinstance(cell, str):
        sign, number = cell[:1], cell[1:]
        if sign in ("<", ">"):
            return f"{sign}{_short(float(number))}"
        return cell
    if math.isnan(cell):
        return ""
    if abs(cell) >= 10_000:
        return notes.steps_in_words(cell)
    if isinstance(cell, int) or abs(cell) >= 1000:
        return f"{cell:.0f}"
    return f"{cell:.3g}"


def as_files(published: Published, found: Sequence[Table]) -> dict[str, str]:
    """Return the text of every file of a suite's tables by name."""
    files = {f"{table.name}.csv": to_csv(table) for table in found}
    files["tables.md"] = to_markdown(published, found)
    files["notes.md"] = notes_in_markdown(published)
    return files
