"""A run's raw rows made into its published curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

from pearl_bench.records.published.identity import Row, StoreError, title
from pearl_bench.records.run_folder import (
    EVAL,
    EVAL_COLUMNS,
    LATER_COLUMNS,
    read_run,
)

ALL = "all"
"""The group of all tasks of a split."""


class _Episode(NamedTuple):
    """One line of a raw eval.csv."""

    line: int
    env_steps: int
    protocol: str
    split: str
    task: int
    group: str
    repetition: int
    episode: int
    total: float
    success: float | None
    unstable: int


def curve_of(folder: Path, run: Row, say: Callable[[str], None]) -> list[Row]:
    """Average the raw rows of each evaluation over tasks and repetitions."""
    path = folder / EVAL
    due = {
        (part["protocol"], part["split"]): part
        for part in read_run(folder)["meta_test"]
    }
    blocks = [
        (env_steps, list(rows))
        for env_steps, rows in groupby(_raw_rows(path, say), lambda row: row.env_steps)
    ]
    points: list[Row] = []
    tasks: dict[tuple[str, str], set[int]] = {}
    previous = -1
    for env_steps, rows in blocks:
        by_part: dict[tuple[str, str], list[_Episode]] = {key: [] for key in due}
        for row in rows:
            by_part.setdefault((row.protocol, row.split), []).append(row)
        complaint = _incomplete(by_part, due, tasks)
        if complaint and env_steps == blocks[-1][0] and run["status"] != "done":
            say(
                f"{path}: the last evaluation, at {env_steps} environment steps, is "
                f"incomplete ({complaint}) and left out"
            )
            break
        if complaint or env_steps <= previous:
            why = complaint or f"after those at {previous}"
            raise StoreError(
                f"{path}, line {rows[0].line}: {title(run)} at {env_steps} "
                f"environment steps has {why}. Due are tasks x repetitions x "
                "episodes rows of each protocol, of the same tasks each time, later "
                "than the rows before. Restore the file, or move the folder away."
            )
        previous = env_steps
        for (protocol, split), found in by_part.items():
            for group in (ALL, *sorted({row.group for row in found} - {""})):
                some = [row for row in found if group in (ALL, row.group)]
                for episode in sorted({row.episode for row in some}):
                    place = {"protocol": protocol, "split": split, "group": group}
                    alike = [row for row in some if row.episode == episode]
                    points.append(_point(run, env_steps, place, episode, alike))
    return points


def _incomplete(
    by_part: Mapping[tuple[str, str], list[_Episode]],
    due: Mapping[tuple[str, str], Mapping[str, Any]],
    tasks: dict[tuple[str, str], set[int]],
) -> str:
    """Say what an evaluation lacks or has too much; ``""`` if nothing.

    Args:
        by_part: its rows by protocol and split.
        due: what run.json says of each part.
        tasks: the tasks of each part so far; filled in by the first evaluation.
    """
    for key, rows in by_part.items():
        name = " ".join(key)
        if key not in due:
            return f"{len(rows)} rows of an unknown part, {name}"
        part = due[key]
        last = part["exploration_episodes"] + part["test_episodes"]
        episodes = range(0 if part.get("unadapted") else 1, last + 1)
        repetitions = range(1, part.get("repetitions", 1) + 1)
        found = {(row.task, row.repetition, row.episode) for row in rows}
        known = tasks.setdefault(key, {row.task for row in rows})
        complete = set(product(known, repetitions, episodes))
        wanted = part["tasks"] * len(repetitions) * len(episodes)
        if len(rows) != wanted:
            return f"{len(rows)} of {wanted} rows of {name}"
        if len(complete) != wanted or found != complete:
            return f"other tasks or episodes than are due in {name}"
    return ""


def _point(
    run: Row,
    env_steps: int,
    place: Mapping[str, str],
    episode: int,
    rows: Sequence[_Episode],
) -> Row:
    """Return the published row of one episode, a mean over tasks and repetitions."""
    successes = [row.success for row in rows if row.success is not None]
    return {
        "run": run["run"],
        "family": run["family"],
        "seed": run["seed"],
        "env_steps": str(env_steps),
        **place,
        "episode": str(episode),
        "return": _mean([row.total for row in rows]),
        "success": _mean(successes) if successes else "",
        "tasks": str(len({row.task for row in rows})),
        "unstable": str(sum(row.unstable for row in rows)),
        "fingerprint": run["fingerprint"],
    }


def _raw_rows(path: Path, say: Callable[[str], None]) -> Iterator[_Episode]:
    """Read a raw eval.csv; a last line that was cut off in writing is left out."""
    text = path.read_text() if path.exists() else ""
    lines = text.split("\n")
    if lines.pop():
        say(f"{path}: line {len(lines) + 1}, the last, is cut off and left out")
    header = lines[0].split(",") if lines else list(EVAL_COLUMNS)
    older = [name for name in EVAL_COLUMNS if name not in LATER_COLUMNS]
    if header not in (list(EVAL_COLUMNS), older):
        raise StoreError(
            f"{path}, line 1: the columns are {lines[0]}; expected are "
            f"{','.join(EVAL_COLUMNS)}"
        )
    for number, line in enumerate(lines[1:], start=2):
        try:
            values = line.split(",")
            if len(values) != len(header):
                raise ValueError(f"{len(values)} values; {len(header)} are due")
            cells = dict(zip(header, values, strict=True))
            success = cells["success"]
            row = _Episode(
                line=number,
                env_steps=int(cells["env_steps"]),
                protocol=cells["protocol"],
                split=cells["split"],
                task=int(cells["task"]),
                group=cells["group"],
                repetition=int(cells.get("repetition", 1)),
                episode=int(cells["episode"]),
                total=float(cells["return"]),
                success=float(success) if success else None,
                unstable=int(cells["unstable"]),
            )
        except ValueError as error:
            raise StoreError(f"{path}, line {number}: {error}: {line!r}") from error
        if not math.isfinite(row.total):
            raise StoreError(f"{path}, line {number}: return is {row.total}")
        yield row


def order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a curve's row in its file."""
    return (
        row["family"],
        int(row["seed"]),
        row["run"],
        int(row["env_steps"]),
        row["protocol"] != "suite",
        row["protocol"],
        row["split"],
        row["group"] != ALL,
        row["group"],
        int(row["episode"]),
    )


def last_step(curve: list[Row]) -> int:
    """Return the environment steps of the last evaluation; -1 without one."""
    return max((int(row["env_steps"]) for row in curve), default=-1)


def _mean(values: list[float]) -> str:
    # fsum rounds once, so the mean does not depend on the order of the tasks.
    return repr(math.fsum(values) / len(values))
