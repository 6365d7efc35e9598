"""A run's raw rows made into its published curve."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

from pearl_bench.records.published.identity import StoreError, title
from pearl_bench.records.published.late import place, repetition_of
from pearl_bench.records.run_folder import EVAL, TRAIN, read_run
from pearl_bench.records.schema import EVAL as EVAL_TABLE
from pearl_bench.records.schema import TRAIN as TRAIN_TABLE
from pearl_bench.records.table import Flaw, Line, Row

ALL = "all"
"""The group of all tasks of a split."""
OF_A_SESSION = ("wall_s",)
"""Columns that differ when a resumed run plays an evaluation again."""

_REMEDY = "Restore the file, or move the folder away."


class Curve(NamedTuple):
    """What a run's eval.csv gives.

    Attributes:
        points: rows of ``<learner>.csv``, in their order.
        raw: the rows of single tasks that they are means of.
    """

    points: list[Row]
    raw: list[Line]

    @property
    def steps(self) -> list[int]:
        """Environment steps of the evaluations, ascending."""
        return sorted({int(row["env_steps"]) for row in self.points})


def curve_of(folder: Path, run: Row, say: Callable[[str], None]) -> Curve:
    """Average the raw rows of each evaluation over tasks and repetitions.

    Raises:
        StoreError: eval.csv is damaged, an evaluation is not whole, or one is not there
            that was followed by more training, or is the last of a run that is done.
    """
    path = folder / EVAL
    # first: a run that is under way adds to both files
    followed = _followed(folder, int(run["eval_every"]))
    due = {
        (part["protocol"], part["split"]): part
        for part in read_run(folder)["meta_test"]
    }
    blocks = [
        (env_steps, list(rows))
        for env_steps, rows in groupby(
            _raw_rows(path, say), lambda row: row.values["env_steps"]
        )
    ]
    points: list[Row] = []
    raw: list[Line] = []
    tasks: dict[tuple[str, str], set[int]] = {}
    previous = -1
    for env_steps, rows in blocks:
        by_part: dict[tuple[str, str], list[Line]] = {key: [] for key in due}
        for row in rows:
            key = row.values["protocol"], row.values["split"]
            by_part.setdefault(key, []).append(row)
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
                f"{path}, line {rows[0].number}: {title(run)} at {env_steps} "
                f"environment steps has {why}. Due are tasks x repetitions x episodes "
                "rows of each protocol, of the same tasks each time, later than the "
                f"rows before. {_REMEDY}"
            )
        previous = env_steps
        raw += rows
        for (protocol, split), found in by_part.items():
            groups = sorted({row.text["group"] for row in found} - {""})
            for group in (ALL, *groups):
                some = [row for row in found if group in (ALL, row.text["group"])]
                for episode in sorted({row.values["episode"] for row in some}):
                    where = {"protocol": protocol, "split": split, "group": group}
                    alike = [row for row in some if row.values["episode"] == episode]
                    points.append(_point(run, where, episode, alike))
    if run["status"] == "done" and previous < int(run["steps"]):
        ends = f"ends at {previous}" if points else "has no evaluation"
        raise StoreError(
            f"{path} {ends}, and {title(run)} is done at {run['steps']} environment "
            f"steps, where it was evaluated. {_REMEDY}"
        )
    known = {int(env_steps) for env_steps, _ in blocks}
    lost = [at for at in followed if at not in known]
    if lost:
        more = f" and {len(lost) - 1} later ones" if len(lost) > 1 else ""
        raise StoreError(
            f"{path} has no evaluation at {lost[0]} environment steps{more}, and by "
            f"{TRAIN} {title(run)} was evaluated there and trained on. {_REMEDY}"
        )
    return Curve(sorted(points, key=order), raw)


def _followed(folder: Path, every: int) -> list[int]:
    """Return the steps of the evaluations that a run has trained on after.

    They are at the iterations that passed a multiple of the interval, which train.csv
    tells, as far as it can be read; the last of them may have been under way.

    Args:
        folder: the run's.
        every: environment steps from one to the next.
    """
    found = TRAIN_TABLE.scan(folder / TRAIN, cut=True)
    rows = [row.values for row in found if isinstance(row, Line)]
    steps = [row["env_steps"] for row in rows if "env_steps" in row]
    due = [
        after
        for before, after in pairwise([0, *steps])
        if after // every > before // every
    ]
    return [at for at in due if at < steps[-1]]


def _incomplete(
    by_part: Mapping[tuple[str, str], list[Line]],
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
        found = {
            (row.values["task"], repetition_of(row), row.values["episode"])
            for row in rows
        }
        known = tasks.setdefault(key, {row.values["task"] for row in rows})
        wanted = part["tasks"] * len(repetitions) * len(episodes)
        if len(rows) != wanted:
            return f"{len(rows)} of {wanted} rows of {name}"
        if len(known) != part["tasks"] or found != set(
            product(known, repetitions, episodes)
        ):
            return f"other tasks or episodes than are due in {name}"
    return ""


def _point(
    run: Row, where: Mapping[str, str], episode: int, rows: Sequence[Line]
) -> Row:
    """Return the published row of one episode, a mean over tasks and repetitions."""
    values = [row.values for row in rows]
    successes = [v["success"] for v in values if v["success"] is not None]
    return {
        "run": run["run"],
        "family": run["family"],
        "seed": run["seed"],
        "env_steps": rows[0].text["env_steps"],
        **where,
        "episode": str(episode),
        "return": _mean([v["return"] for v in values]),
        "success": _mean(successes) if successes else "",
        "tasks": str(len({v["task"] for v in values})),
        "unstable": str(sum(v["unstable"] for v in values)),
        "fingerprint": run["fingerprint"],
        "wall_s": rows[-1].text["wall_s"],
    }


def _raw_rows(path: Path, say: Callable[[str], None]) -> Iterator[Line]:
    """Read a raw eval.csv; a last line that was cut off in writing is left out."""
    if path.is_symlink():  # not another file's text in a message, nor in a curve
        raise StoreError(f"{path} is a link; put the file itself in its place.")
    if not path.exists() or not path.stat().st_size:
        return
    for found in EVAL_TABLE.scan(path, cut=True):
        if isinstance(found, Line) and not found.flaws:
            yield found
        elif isinstance(found, Flaw) and found.what == EVAL_TABLE.CUT:
            say(f"{path}: line {found.line}, the last, is cut off and left out")
        else:
            number, what = (
                (found.line, found.what)
                if isinstance(found, Flaw)
                else (found.number, found.flaws[0])
            )
            where = f"{path}, line {number}:" if number else f"{path}"
            raise StoreError(f"{where} {what}. {_REMEDY}")


def order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a curve's row in its file."""
    group = row["group"]
    return (*place(row), group != ALL, group, int(row["episode"]))


def digest(points: Iterable[Row]) -> str:
    """Return the ``curve`` of runs.csv: of a run's rows, in their order.

    Cells without a value are left out: a file of an older version that is written anew
    keeps its digests.
    """
    sha256 = hashlib.sha256()
    for row in points:
        cells = (f"{key}={value}\n" for key, value in row.items() if value)
        sha256.update("".join(sorted(cells)).encode() + b"\n")
    return sha256.hexdigest()[:16]


def last_step(curve: Sequence[Row]) -> int:
    """Return the environment steps of the last evaluation; -1 without one."""
    return max((int(row["env_steps"]) for row in curve), default=-1)


def _mean(values: Sequence[float]) -> str:
    # fsum rounds once, so the mean does not depend on the order of the tasks.
    return repr(math.fsum(values) / len(values))
