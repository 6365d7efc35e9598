"""Checks published files against the schema and against each other."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from pearl_bench import registry
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.check_late import check_late
from pearl_bench.analysis.check_run import check_run
from pearl_bench.analysis.files import (
    NothingPublishedError,
    PublishedError,
    curve_files,
)
from pearl_bench.analysis.grouping import arm_key
from pearl_bench.analysis.origins import lacking, several_commits
from pearl_bench.analysis.scores import load
from pearl_bench.config.words import unknown
from pearl_bench.records import schema
from pearl_bench.records.published import drawn
from pearl_bench.records.published.curves import order
from pearl_bench.records.published.identity import is_identity
from pearl_bench.records.published.late import late_order
from pearl_bench.records.published.publish import run_order
from pearl_bench.records.published.training import training_order
from pearl_bench.records.published.trajectories import trajectory_order
from pearl_bench.records.published.unfinished import UNFINISHED, begun, complaint
from pearl_bench.records.table import Flaw, Line, Row, Table
from suites.base import TaskFamily

Order = Callable[[Row], tuple[str | int, ...]]


class Problem(NamedTuple):
    """Something wrong with a file; line 0 means all of it."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        place = f"{self.path}, line {self.line}" if self.line else str(self.path)
        return f"{place}: {self.what}"


def check(results: Path) -> list[Problem]:
    """Return what is wrong with the published files of all suites, file by file.

    Raises:
        NothingPublishedError: there are none.
        PublishedError: it is the folder of one suite.
    """
    if (results / schema.RUNS_FILE).exists():
        raise PublishedError(
            f"results={results} is the folder of a suite; name the one that it lies "
            f"in, results={results.resolve().parent}"
        )
    folders = suite_folders(results)
    if not any(map(_is_published, folders)):
        raise NothingPublishedError(
            f"results={results}: no suite has published files there; name the "
            f"folder that has <suite>/{schema.RUNS_FILE}"
        )
    return [
        *_part_new(results),
        *_part_new(results / schema.REGRESS),
        *(
            problem
            for folder in folders
            for problem in (
                check_reference(folder)
                if folder.name == schema.REFERENCE
                else check_suite(folder)
            )
        ),
    ]


def _part_new(reference: Path) -> list[Problem]:
    """Find a reference of which only a part is written, though each file is sound."""
    words = begun(reference)
    if words is None:
        return []
    return [Problem(reference / UNFINISHED, 0, complaint(reference, words))]


def check_reference(folder: Path) -> list[Problem]:
    """Return what is wrong with the curves that others have published."""
    about, points = schema.REFERENCE_SOURCES, schema.REFERENCE_CURVES
    sources = _File(folder / schema.REFERENCE_SOURCES_FILE, about, _curve_order)
    curves = _File(folder / schema.REFERENCE_CURVES_FILE, points, _curve_order)
    named, pointed = (
        {line.text["curve"]: line.number for line in reversed(file.lines)}
        for file in (sources, curves)
    )
    return [
        *sources.problems,
        *curves.problems,
        *(
            Problem(sources.path, line, f"the curve {name} has no points")
            for name, line in named.items()
            if name not in pointed
        ),
        *(
            Problem(curves.path, line, f"the curve {name} has no source")
            for name, line in pointed.items()
            if name not in named
        ),
    ]


def _curve_order(row: Row) -> tuple[str, int]:
    steps = row.get("env_steps", "0")
    return row["curve"], int(steps) if steps.isdecimal() else 0


def suite_folders(results: Path) -> list[Path]:
    """Return the folders below ``results`` that hold published files."""
    patterns = ("*/*.csv", f"{schema.REGRESS}/*/*.csv")
    found = (path.parent for pattern in patterns for path in results.glob(pattern))
    names = (folder for folder in found if not folder.name.startswith("."))
    return sorted({folder for folder in names if folder.name != schema.LATE_FOLDER})


def _is_published(folder: Path) -> bool:
    """Whether a folder with CSV files is one of published files, perhaps damaged."""
    known = folder.name in (*registry.suite_names(), schema.REFERENCE)
    return known or (folder / schema.RUNS_FILE).exists()


def check_suite(folder: Path) -> list[Problem]:
    """Return what is wrong with the published files of one suite."""
    try:
        if folder.name not in registry.suite_names():
            what = unknown("suite", folder.name, registry.suite_names())
            return [Problem(folder, 0, what)]
        suite = registry.suite(folder.name)
    except registry.ExtensionError as error:
        return [Problem(folder, 0, str(error))]
    families = {family.name: family for family in suite.families}
    runs = _File(folder / schema.RUNS_FILE, schema.RUNS, run_order)
    known = {line.text["run"]: line for line in runs.lines}
    problems = [*runs.problems, *_unknown_tasks(runs, families), *_same_seeds(runs)]
    files = [_File(path, schema.CURVES, order) for path in curve_files(folder)]
    late = [
        _File(path, schema.LATE, late_order)
        for path in sorted((folder / schema.LATE_FOLDER).glob("*.csv"))
        if not path.name.startswith(".")
    ]
    for file in (*files, *late):
        problems += [*file.problems, *_strangers(file, known, file.path.stem)]
    for file in files:
        problems += _mixed_success(file)
    late_of = _by_run(late)
    curves = _by_run(files)
    for name, line in known.items():
        found = curves.get(name, [])
        whole = not line.flaws and not any(row.flaws for _, row in found)
        if found and whole and line.text["family"] in families:
            family = families[line.text["family"]]
            rows = [row for _, row in found]
            tasks = [row for _, row in late_of.get(name, []) if not row.flaws]
            path = found[0][0]
            problems += [
                Problem(path if number else runs.path, number or line.number, what)
                for number, what in check_run(line, rows, tasks, family)
            ]
            single = folder / schema.LATE_FOLDER / path.name
            problems += [
                Problem(single, number, what)
                for number, what in check_late(line, rows, tasks, family)
            ]
            problems += _altered(runs, line, rows)
        elif not found and not _had_no_evaluation(line.text):
            what = f"the run {name} has no curve in any file"
            problems.append(Problem(runs.path, line.number, what))
    if (folder / schema.TRAJECTORIES_FILE).exists():
        path = folder / schema.TRAJECTORIES_FILE
        traced = _File(path, schema.TRAJECTORIES, trajectory_order)
        problems += [*traced.problems, *_strangers(traced, known, None)]
        problems += _untraced(traced, known)
    for path in sorted((folder / schema.TRAINING_FOLDER).glob("*.csv")):
        training = _File(path, schema.TRAINING, training_order)
        problems += [*training.problems, *_strangers(training, known, path.stem)]
        problems += _unmeasured(training, runs)
    places = {path: i for i, path in enumerate(dict.fromkeys(p.path for p in problems))}
    return sorted(problems, key=lambda p: (places[p.path], p.line))


def remarks(results: Path) -> list[str]:
    """Return what is no fault, and what a reader of the numbers should know.

    They are arms whose seeds ran on several commits, and runs that lack settings.
    """
    return [text for folder in suite_folders(results) for text in _remarks(folder)]


def _remarks(folder: Path) -> Iterator[str]:
    behind = drawn.folders_behind(folder)
    if (folder / drawn.STAMP).exists() and not drawn.is_current(folder, *behind):
        words = shlex.join([f"suite={folder.name}", f"results={folder.parent}"])
        mend = f"pearl-bench analysis {words} draws them anew"
        if behind:
            shown = ", ".join(map(str, behind))
            mend = (
                f"they show {shown} as well, and repeating the pearl-bench run that "
                "drew them draws them anew"
            )
        yield (
            f"{folder}: the figures or tables are older than the published files; "
            f"{mend}"
        )
    path = folder / schema.RUNS_FILE
    lines = [x for x in _File(path, schema.RUNS, run_order).lines if not x.flaws]
    for arm in _labelled(folder):
        if said := several_commits(run.row for run in arm.runs):
            yield f"{path}: {arm.family}, {arm.label}: {said}"
    older: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        if said := lacking(line.text):
            older.setdefault((line.text["learner"], said), []).append(line.text["run"])
    for (learner, said), runs in older.items():
        yield (
            f"{path}: {len(runs)} of {learner} ran before there were the settings "
            f"{said}, and count as runs with these defaults: {', '.join(runs)}"
        )


def _labelled(folder: Path) -> list[Arm]:
    """Return a suite's arms as figures have them; none if something is wrong."""
    try:
        return load(folder.parent, folder.name).arms
    except PublishedError:
        return []


class _File:
    """A file's rows that have all their columns, and what is wrong with it.

    Attributes:
        lines: the rows; cells may still be unfit, as their flaws say.
        problems: what is wrong with the file and its rows, each by itself.
    """

    def __init__(self, path: Path, table: Table, order: Order) -> None:
        self.path = path
        self.lines: list[Line] = []
        self.problems: list[Problem] = []
        for found in table.scan(path):
            if isinstance(found, Flaw):
                self.problems.append(Problem(path, *found))
            else:
                self.lines.append(found)
                flaws = (Problem(path, found.number, flaw) for flaw in found.flaws)
                self.problems += flaws
        sound = [line for line in self.lines if not line.flaws]
        for before, line in pairwise(sound):
            if order(line.text) < order(before.text):
                what = (
                    f"stands after line {before.number}, and belongs before it: rows "
                    "are sorted"
                )
                self.problems.append(Problem(path, line.number, what))


def _had_no_evaluation(run: Row) -> bool:
    """Whether a run that is not done had been published before its first one."""
    none_yet = "0" in (run["steps"], run["evaluations"])
    return none_yet and run["status"] != "done"


def _by_run(files: list[_File]) -> dict[str, list[tuple[Path, Line]]]:
    found: dict[str, list[tuple[Path, Line]]] = {}
    for file in files:
        for line in file.lines:
            found.setdefault(line.text["run"], []).append((file.path, line))
    return found


def _unknown_tasks(runs: _File, families: dict[str, TaskFamily]) -> Iterator[Problem]:
    """Find runs of families, or of tasks, that this version does not have."""
    current = {name: family.fingerprint() for name, family in families.items()}
    for line in runs.lines:
        row = line.text
        name, fingerprint = row["family"], row["fingerprint"]
        if name not in current:
            suite = runs.path.parent.name
            what = f"{name} is no family of {suite}; families: {', '.join(current)}"
            yield Problem(runs.path, line.number, what)
        elif fingerprint != current[name]:
            what = (
                f"fingerprint {fingerprint} is unknown; {name} has {current[name]}, "
                "and returns on other tasks do not compare"
            )
            yield Problem(runs.path, line.number, what)


def _arms(lines: list[Line]) -> list[list[Line]]:
    """Return the rows of runs.csv by arm."""
    keyed = sorted(((arm_key(x.text), x) for x in lines), key=lambda pair: pair[0])
    return [[x for _, x in some] for _, some in groupby(keyed, lambda pair: pair[0])]


def _same_seeds(runs: _File) -> Iterator[Problem]:
    """Find runs that would count as several seeds of an arm, and are of one."""
    for arm in _arms([line for line in runs.lines if not line.flaws]):
        first: dict[tuple[str, str], Line] = {}
        for line in arm:  # of one seed on two devices the longer counts
            seed = line.text["seed"], line.text["device"]
            other = first.setdefault(seed, line)
            if other is not line:
                what = (
                    f"{line.text['run']} is seed {line.text['seed']} of the same arm "
                    f"as {other.text['run']} in line {other.number}: one run under two "
                    "ids would count as two seeds. Take one of them out"
                )
                yield Problem(runs.path, line.number, what)


def _strangers(
    file: _File, known: dict[str, Line], learner: str | None
) -> Iterator[Problem]:
    """Find rows that do not belong to the run they name; the first row of each run."""
    said: set[str] = set()
    for line in file.lines:
        row = line.text
        if row["run"] in said:
            continue
        if row["run"] not in known:
            said.add(row["run"])
            what = f"{schema.RUNS_FILE} has no run {row['run']}"
            yield Problem(file.path, line.number, what)
            continue
        wanted = known[row["run"]].text
        for name in (n for n in ("family", "seed", "fingerprint") if n in row):
            if row[name] != wanted[name]:
                said.add(row["run"])
                what = f"{name} is {row[name]}; {schema.RUNS_FILE} has {wanted[name]}"
                yield Problem(file.path, line.number, what)
        if learner not in (None, wanted["learner"]):
            said.add(row["run"])
            what = f"{row['run']} is a run of {wanted['learner']}, not of {learner}"
            yield Problem(file.path, line.number, what)


def _untraced(file: _File, known: dict[str, Line]) -> Iterator[Problem]:
    """Find traced runs of which a task lacks an episode."""
    played: dict[str, set[tuple[str, str]]] = {}
    for line in file.lines:
        row = line.text
        played.setdefault(row["run"], set()).add((row["task"], row["episode"]))
    for run, found in played.items():
        if run in known and not known[run].flaws:
            of = known[run].values
            due = of["test_tasks"] * (of["exploration_episodes"] + of["test_episodes"])
            if len(found) != due:
                what = f"{run} has {len(found)} episodes of tasks; due are {due}"
                yield Problem(file.path, 0, what)


def _unmeasured(file: _File, runs: _File) -> Iterator[Problem]:
    """Find runs that lack training metrics which others of their family have."""
    metrics: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for line in file.lines:
        row = line.text
        metrics.setdefault(row["family"], set()).add(row["metric"])
        found.setdefault(row["run"], set()).add(row["metric"])
    for line in runs.lines:
        row = line.text
        due = metrics.get(row["family"], set())
        lacking = due - found.get(row["run"], set())
        if row["learner"] == file.path.stem and lacking:
            what = f"{row['run']} lacks {', '.join(sorted(lacking))}"
            yield Problem(file.path, 0, what)


def _altered(runs: _File, line: Line, rows: list[Line]) -> Iterator[Problem]:
    """Find a run whose row has been altered in what its id is of."""
    protocols = {row.text["protocol"] for row in rows}
    if not is_identity(line.text, runs.path.parent.name, protocols):
        what = (
            f"{line.text['run']} is the id of another row: its method, budget, "
            "precision, settings, interval of evaluations or words about the meta-test "
            "are not those that it was published with"
        )
        yield Problem(runs.path, line.number, what)


def _mixed_success(file: _File) -> Iterator[Problem]:
    """Find families that have a success in some rows only."""
    first: dict[str, bool] = {}
    for line in file.lines:
        family, given = line.text["family"], line.text["success"] != ""
        if first.setdefault(family, given) != given:
            what = "is given" if given else "is empty"
            text = f"success {what}, unlike in the rows of {family} before"
            yield Problem(file.path, line.number, text)
