"""Checks one run's published rows: nothing missing, nothing that cannot be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from pearl_bench.records.published.curves import ALL, digest
from pearl_bench.records.published.late import LEVEL_EVALUATIONS
from pearl_bench.records.table import Line
from suites.base import TaskFamily

Found = Iterator[tuple[int, str]]
"""Line of the curve's file and what is wrong with it; line 0 is the run's own row."""

RANGES = 1000
"""Score ranges from which on a return is none of the family."""
SPEEDS = 0.1, 1e6
"""Environment steps a second that a run may have been trained at."""
MEMORY = 50.0, 2.0**24
"""Mebibytes that a process may take that trains: Python and numpy alone take more."""
SKIPPED = 1.5
"""Usual distances between evaluations from which on one is missing."""
ROUNDING = 1e-9
HOURS_ROUNDING = 0.18
"""Seconds that ``training_hours`` may be off, with its four decimals."""


class _Part(NamedTuple):
    protocol: str
    split: str
    group: str

    def __str__(self) -> str:
        return " ".join(self)


def check_run(
    run: Line, rows: Sequence[Line], tasks: Sequence[Line], family: TaskFamily
) -> Found:
    """Find what is wrong with a run's rows.

    Args:
        run: its row of runs.csv, sound by itself.
        rows: of its curve, each sound by itself.
        tasks: its rows of single tasks, each sound by itself.
        family: its family.

    Yields:
        The line of the curve's file, 0 for runs.csv, and what is wrong.
    """
    blocks = _blocks(rows)
    yield from whole(run, rows)
    yield from _steps(run, [(steps, some[0].number) for steps, some in blocks])
    yield from _times(run, rows)
    yield from _costs(run)
    yield from _values(run, rows, family)
    yield from _as_recorded(run, rows, len(blocks))
    yield from _means(rows, tasks)


def _due(run: Line, protocol: str, episodes: set[int]) -> tuple[int, int]:
    """Return the first and the last episode that a part must have."""
    values = run.values
    explored, tested = values["exploration_episodes"], values["test_episodes"]
    first = min(episodes & {0, 1}, default=1)
    if protocol == "own":
        return first, (values["own_exploration_episodes"] or 0) + 1
    if protocol == "suite":
        return first, explored + tested
    return min(episodes), max(episodes)  # as many as in the first evaluation


def _blocks(rows: Sequence[Line]) -> list[tuple[int, list[Line]]]:
    """Return a run's rows by evaluation."""
    by_steps = groupby(rows, lambda row: row.values["env_steps"])
    return [(steps, list(some)) for steps, some in by_steps]


def whole(run: Line, rows: Sequence[Line]) -> Found:
    """Every evaluation has every part, every part every episode, of the same tasks."""
    usual: dict[_Part, tuple[set[int], int]] = {}
    for at, (steps, some) in enumerate(_blocks(rows)):
        parts: dict[_Part, dict[int, Line]] = {}
        for row in some:
            v = row.values
            part = _Part(v["protocol"], v["split"], v["group"])
            parts.setdefault(part, {})[v["episode"]] = row
        if at == 0:
            usual = {
                part: (set(found), next(iter(found.values())).values["tasks"])
                for part, found in parts.items()
            }
            yield from _parts_due(run, some[0].number, usual)
        line = some[0].number
        for part in usual.keys() - parts.keys():
            yield line, f"the evaluation at {steps} has no rows of {part}"
        for part, found in parts.items():
            line = next(iter(found.values())).number
            if part not in usual:
                yield line, f"only from {steps} on there are rows of {part}"
                continue
            known, tasks = usual[part]
            first, last = _due(run, part.protocol, known)
            if set(found) != set(range(first, last + 1)):
                shown = ", ".join(map(str, sorted(found)))
                beyond = [n for n in found if not first <= n <= last]
                yield (
                    found[beyond[0]].number if beyond else line,
                    f"the evaluation at {steps} has the episodes {shown} of {part}; "
                    f"due are {first} to {last}",
                )
            for row in found.values():
                if row.values["tasks"] != tasks:
                    yield (
                        row.number,
                        f"tasks is {row.values['tasks']}; {part} has {tasks} in rows "
                        "before",
                    )
                most = row.values["tasks"] * (run.values["repetitions"] or 1)
                if row.values["unstable"] > most:
                    yield (
                        row.number,
                        f"unstable is {row.values['unstable']}, and there were {most} "
                        "episodes",
                    )


def _parts_due(run: Line, line: int, usual: dict[_Part, tuple[set[int], int]]) -> Found:
    """A run has the parts that its row speaks of, and their tasks add up."""
    reported = _Part("suite", "test", ALL)
    if reported not in usual:
        yield line, f"there are no rows of {reported}"
    elif usual[reported][1] != run.values["test_tasks"]:
        yield (
            line,
            f"tasks is {usual[reported][1]}; runs.csv has "
            f"{run.values['test_tasks']} test tasks",
        )
    own = run.values["own_exploration_episodes"] is not None
    if own != any(part.protocol == "own" for part in usual):
        yield line, f"there are {'no ' if own else ''}rows of the protocol own"
    for part, (_, tasks) in usual.items():
        groups = [
            count
            for other, (_, count) in usual.items()
            if other[:2] == part[:2] and other.group != ALL
        ]
        if part.group == ALL and groups and sum(groups) != tasks:
            yield line, f"the groups of {part} have {sum(groups)} of its {tasks} tasks"


def _steps(run: Line, evaluations: Sequence[tuple[int, int]]) -> Found:
    """Evaluations come when they are due, and none after the run's end."""
    every, status = run.values["eval_every"], run.values["status"]
    end, target = run.values["steps"], run.values["target_steps"]
    if status == "done" and target is not None and end < target:
        yield 0, f"status is done at {end} of {target} steps"
    last, line = evaluations[-1]
    if status in ("done", "stopped") and last > end:
        yield line, f"env_steps is {last}; the run ended at {end}"
    elif status == "done" and last < end:
        yield line, f"there is no evaluation at the run's end, {end} steps"
    apart = [b - a for (a, _), (b, _) in pairwise(evaluations)]
    if len(apart) < LEVEL_EVALUATIONS:
        return
    usual = statistics.median(apart)
    for (before, _), (after, line) in pairwise(evaluations):
        passed = after // every - before // every
        if passed > 1 and after - before > SKIPPED * usual:
            yield (
                line,
                f"there is no evaluation between {before} and {after} steps; every "
                f"{usual:.0f} is usual",
            )


def _times(run: Line, rows: Sequence[Line]) -> Found:
    """Training time goes on, is one for each evaluation, and ends with the run."""
    timed = [row for row in rows if row.values["wall_s"] is not None]
    for before, row in pairwise(timed):
        same = before.values["env_steps"] == row.values["env_steps"]
        a, b = before.values["wall_s"], row.values["wall_s"]
        if b < a or (same and a != b):
            yield row.number, f"wall_s is {b} after {a}"
    seconds = run.values["training_hours"] * 3600
    if timed and run.values["status"] in ("done", "stopped"):
        last = timed[-1]
        if last.values["wall_s"] > seconds + 1:
            yield (
                last.number,
                f"wall_s is {last.values['wall_s']}; the run took {seconds:.0f}",
            )


def _costs(run: Line) -> Found:
    """A run took time and memory of an order of magnitude that there is."""
    steps = run.values["steps"]
    if not steps:
        return
    hours, memory = run.values["training_hours"], run.values["peak_memory_mib"]
    slowest, fastest = SPEEDS
    seconds = 3600 * hours
    if not slowest * seconds <= steps <= fastest * (seconds + HOURS_ROUNDING):
        yield (
            0,
            f"training_hours is {hours} for {steps} steps; runs have {slowest} to "
            f"{fastest:.0f} steps a second",
        )
    least, most = MEMORY
    if not least <= memory <= most:
        yield (
            0,
            f"peak_memory_mib is {memory}; a process that trains takes {least:.0f} to "
            f"{most:.0f}",
        )


def _values(run: Line, rows: Sequence[Line], family: TaskFamily) -> Found:
    """Returns are of the family's order of magnitude."""
    del run
    low, high = family.score.low, family.score.high
    margin = RANGES * (high - low)
    for row in rows:
        value = row.values["return"]
        if not low - margin <= value <= high + margin:
            yield (
                row.number,
                f"return is {value!r}; in {family.name} scores go from {low} to {high}",
            )


def _as_recorded(run: Line, rows: Sequence[Line], evaluations: int) -> Found:
    """The rows are those that runs.csv was written with."""
    known = run.values["evaluations"]
    if run.values["target_steps"] is not None and run.values["curve"] is None:
        yield 0, "curve is empty; runs that have target_steps have it"
    if known not in (None, evaluations):
        yield rows[0].number, f"{evaluations} evaluations; runs.csv has {known}"
    digested = run.values["curve"]
    if digested not in (None, digest(row.text for row in rows)):
        yield (
            rows[0].number,
            f"the rows of {run.text['run']} are not those that were published (curve "
            f"in runs.csv is {digested})",
        )


def _means(rows: Sequence[Line], tasks: Sequence[Line]) -> Found:
    """The rows of single tasks have the means and the sums that the curve has."""
    found: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for line in tasks:
        v = line.values
        key = v["env_steps"], v["protocol"], v["split"], v["episode"]
        found.setdefault(key, []).append(v)
    for row in rows:
        v = row.values
        key = v["env_steps"], v["protocol"], v["split"], v["episode"]
        if v["group"] != ALL or key not in found:
            continue
        single = found[key]
        for name, divisor in (
            ("return", len(single)),
            ("success", len(single)),
            ("unstable", 1),
        ):
            values = [of[name] for of in single]
            if v[name] is None or None in values:
                continue
            expected = math.fsum(values) / divisor
            if not math.isclose(v[name], expected, rel_tol=ROUNDING, abs_tol=ROUNDING):
                yield (
                    row.number,
                    f"{name} is {v[name]!r}; its single tasks have {expected}",
                )
