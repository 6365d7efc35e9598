"""Checks published files against the schema and against each other."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pearl_bench import registry
from pearl_bench.analysis.scores import RUNS, curve_files
from pearl_bench.records import schema
from pearl_bench.records.table import Table

Row = dict[str, str]


class Problem(NamedTuple):
    """Something wrong with a file; line 0 means all of it."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        place = f"{self.path}, line {self.line}" if self.line else str(self.path)
        return f"{place}: {self.what}"


def check(results: Path) -> list[Problem]:
    """Return what is wrong with the published files of all suites, file by file."""
    folders = sorted({path.parent for path in results.glob("*/*.csv")})
    if not folders:
        return [Problem(results, 0, "no suite has published files here")]
    return [problem for folder in folders for problem in check_suite(folder)]


def check_suite(folder: Path) -> list[Problem]:
    """Return what is wrong with the published files of one suite."""
    if folder.name not in registry.suite_names():
        known = ", ".join(registry.suite_names())
        return [Problem(folder, 0, f"no suite of that name is known; known: {known}")]
    runs = _File(folder / RUNS, schema.RUNS)
    known = {row["run"]: row for _, row in runs.rows}
    problems = [*runs.problems, *_unknown_tasks(runs, folder.name)]
    seen: set[str] = set()
    for path in curve_files(folder):
        curves = _File(path, schema.CURVES)
        problems += curves.problems
        problems += _strangers(curves, known, path.stem)
        problems += _disorder(curves)
        problems += _mixed_success(curves)
        seen |= {row["run"] for _, row in curves.rows}
    problems += [
        Problem(runs.path, line, f"the run {row['run']} has no curve in any file")
        for line, row in runs.rows
        if row["run"] not in seen and row["steps"] != "0"
    ]
    if (folder / schema.TRAJECTORIES_FILE).exists():
        traced = _File(folder / schema.TRAJECTORIES_FILE, schema.TRAJECTORIES)
        problems += [*traced.problems, *_strangers(traced, known, None)]
    order = {path: i for i, path in enumerate(dict.fromkeys(p.path for p in problems))}
    return sorted(problems, key=lambda p: (order[p.path], p.line))


class _File:
    """A file's rows that have all their columns, and what is wrong with the others.

    Attributes:
        rows: line number and cells; cells may still be unfit.
    """

    def __init__(self, path: Path, table: Table) -> None:
        self.path = path
        self.rows: list[tuple[int, Row]] = []
        self.problems: list[Problem] = []
        if not path.exists():
            self.problems.append(Problem(path, 0, "is missing"))
            return
        text = path.read_text()
        lines = csv.reader(io.StringIO(text))
        header = tuple(next(lines, []))
        if header != table.names:
            expected = ",".join(table.names)
            what = f"the columns are {','.join(header)}; expected are {expected}"
            self.problems.append(Problem(path, 1, what))
            return
        places: dict[tuple[str, ...], int] = {}
        for cells in lines:
            self._take(lines.line_num, cells, table, places)
        if not text.endswith("\n"):
            self.problems.append(
                Problem(path, text.count("\n") + 1, "the file ends within a line")
            )

    def _take(
        self,
        line: int,
        cells: list[str],
        table: Table,
        places: dict[tuple[str, ...], int],
    ) -> None:
        """Check a row on its own and against those of the same key before it."""
        if len(cells) != len(table.columns):
            what = f"{len(cells)} cells; expected are {len(table.columns)}"
            self.problems.append(Problem(self.path, line, what))
            return
        row = dict(zip(table.names, cells, strict=True))
        self.problems += [
            Problem(self.path, line, refusal)
            for column, cell in zip(table.columns, cells, strict=True)
            if (refusal := column.refusal(cell))
        ]
        first = places.setdefault(tuple(row[name] for name in table.key), line)
        if first != line:
            key = ", ".join(f"{name} {row[name]}" for name in table.key)
            self.problems.append(
                Problem(self.path, line, f"repeats line {first}: {key}")
            )
        self.rows.append((line, row))


def _unknown_tasks(runs: _File, suite: str) -> Iterator[Problem]:
    """Find runs of families, or of tasks, that this version does not have."""
    current = {
        family.name: family.fingerprint() for family in registry.suite(suite).families
    }
    for line, row in runs.rows:
        name, fingerprint = row["family"], row["fingerprint"]
        if name not in current:
            what = f"{name} is no family of {suite}; families: {', '.join(current)}"
            yield Problem(runs.path, line, what)
        elif fingerprint != current[name]:
            what = (
                f"fingerprint {fingerprint} is unknown; {name} has {current[name]}, "
                "and returns on other tasks do not compare"
            )
            yield Problem(runs.path, line, what)


def _strangers(
    file: _File, known: dict[str, Row], learner: str | None
) -> Iterator[Problem]:
    """Find rows that do not belong to the run they name; the first row of each run."""
    said: set[str] = set()
    for line, row in file.rows:
        if row["run"] in said:
            continue
        if row["run"] not in known:
            said.add(row["run"])
            yield Problem(file.path, line, f"{RUNS} has no run {row['run']}")
            continue
        wanted = known[row["run"]]
        names = [n for n in ("family", "seed", "fingerprint") if n in row]
        for name in names:
            if row[name] != wanted[name]:
                said.add(row["run"])
                what = f"{name} is {row[name]}; {RUNS} has {wanted[name]}"
                yield Problem(file.path, line, what)
        if learner not in (None, wanted["learner"]):
            said.add(row["run"])
            what = f"{row['run']} is a run of {wanted['learner']}, not of {learner}"
            yield Problem(file.path, line, what)


def _disorder(file: _File) -> Iterator[Problem]:
    """Find environment steps that go back within a run."""
    before: dict[str, int] = {}
    for line, row in file.rows:
        if not row["env_steps"].isdecimal():
            continue  # said already
        steps = int(row["env_steps"])
        if steps < before.get(row["run"], 0):
            what = f"env_steps is {steps} after {before[row['run']]} of the same run"
            yield Problem(file.path, line, what)
        before[row["run"]] = steps


def _mixed_success(file: _File) -> Iterator[Problem]:
    """Find families that have a success in some rows only."""
    first: dict[str, bool] = {}
    for line, row in file.rows:
        given = row["success"] != ""
        if first.setdefault(row["family"], given) != given:
            what = "is given" if given else "is empty"
            text = f"success {what}, unlike in the rows of {row['family']} before"
            yield Problem(file.path, line, text)
