"""Published results: raw run folders made into small CSV files that stay.

``results/<suite>/<learner>.csv`` holds the curves and ``results/<suite>/runs.csv``
where each comes from; ``results/README.md`` describes the columns. Publishing merges:
what was published before and is not in the raw folders stays, and the same input gives
the same bytes.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pearl_bench.config.types import FREE_ON_RESUME
from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, write_atomic
from pearl_bench.records.provenance import PACKAGES
from pearl_bench.records.run_folder import CONFIG, EVAL, EVAL_COLUMNS, RUN, read_run
from pearl_bench.records.table import SEPARATOR

CURVE_COLUMNS = schema.CURVES.names
RUN_COLUMNS = schema.RUNS.names
RUNS = "runs.csv"
ALL = "all"
"""The group of all tasks of a split."""
LOCK = ".lock"

Row = dict[str, str]


class StoreError(RecordError):
    """A result file cannot be used as it is; the message names it and the place."""


class _Episode(NamedTuple):
    """One line of a raw eval.csv."""

    line: int
    env_steps: int
    protocol: str
    split: str
    task: int
    group: str
    episode: int
    total: float
    success: float | None
    unstable: int


def publish(
    out: Path, results: Path, suite: str, say: Callable[[str], None] = print
) -> list[Path]:
    """Bring the published curves of a suite up to date with the raw run folders.

    A published curve is never replaced by a shorter one of the same run.

    Args:
        out: raw run folders, ``<out>/<suite>/<family>/<learner>/seed=<k>/``.
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        say: is told what was left out or kept, and why.

    Returns:
        The files that changed.

    Raises:
        RecordError: a raw or published file is damaged; the message says where.
    """
    folders = sorted(path.parent for path in (out / suite).glob(f"*/*/seed=*/{RUN}"))
    if not folders:
        return []
    target = results / suite
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        runs = {row["run"]: row for row in _read_table(target / RUNS, RUN_COLUMNS)}
        curves: dict[str, dict[str, list[Row]]] = {}
        seen: dict[str, Path] = {}
        for folder in folders:
            run = describe(folder)
            name, learner = run["run"], run["learner"]
            if name in seen:
                raise StoreError(
                    f"{folder} and {seen[name]} hold the same run: {_title(run)}. Move "
                    "one of them away."
                )
            seen[name] = folder
            if learner not in curves:
                curves[learner] = _read_curves(target / f"{learner}.csv")
            before = curves[learner].get(name, [])
            if before and run == runs.get(name) and run["status"] == "done":
                continue  # published when it was done, and not touched since
            curve = sorted(_curve(folder, run, say), key=_order)
            if _last_step(curve) < _last_step(before):
                say(
                    f"{folder} ends at {_last_step(curve)} environment steps; the "
                    f"published curve of {_title(run)} at {_last_step(before)} is kept"
                )
                continue
            if before != curve[: len(before)]:
                say(
                    f"the published curve of {_title(run)} came from another execution "
                    f"({runs[name]['started'] if name in runs else 'unknown'}); that "
                    f"of {folder} replaces it"
                )
            runs[name] = run
            curves[learner][name] = curve
        return _write(target, runs, curves)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time read, merge and write."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def publish_trajectories(results: Path, suite: str, rows: Sequence[Row]) -> Path:
    """Publish rows of ``trajectories.csv``; they replace those of the same runs.

    Args:
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        rows: whole runs, with the columns of the schema.

    Returns:
        The file.

    Raises:
        StoreError: the published file is damaged.
    """
    path = results / suite / schema.TRAJECTORIES_FILE
    names = schema.TRAJECTORIES.names
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        fresh = {row["run"] for row in rows}
        kept = [row for row in _read_table(path, names) if row["run"] not in fresh]
        ordered = sorted(
            [*kept, *rows],
            key=lambda row: (
                row["family"],
                int(row["seed"]),
                row["run"],
                *(int(row[name]) for name in ("task", "episode", "t")),
            ),
        )
        write_atomic(path, _csv(names, ordered))
    return path


def describe(folder: Path) -> Row:
    """Return a run folder's row of runs.csv.

    Raises:
        RecordError: it does not hold a run, or not a whole one.
    """
    run = read_run(folder)
    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_bytes())
        sessions = run["sessions"]
        parts = {(p["protocol"], p["split"]): p for p in run["meta_test"]}
        meta_test = parts["suite", "test"]
        own = parts.get(("own", "test"), {})

        def over_sessions(key: str) -> str:
            values = (_text(session[key]) for session in sessions)
            return SEPARATOR.join(dict.fromkeys(values))

        def versions(package: str) -> str:
            values = (_text(session["versions"][package]) for session in sessions)
            return SEPARATOR.join(dict.fromkeys(values))

        return {
            "run": _identity(config, run["fingerprint"], sessions[0]["device"]),
            "family": config["family"],
            "learner": config["learner"],
            "seed": _text(config["seed"]),
            "budget": config["budget"],
            "device": over_sessions("device"),
            "precision": config["precision"],
            "steps": _text(run["env_steps"]),
            "status": run["status"],
            "training_hours": _text(round(run["seconds"] / 3600, 4)),
            "peak_memory_mib": _text(run["peak_memory_mib"]),
            "started": sessions[0]["started"],
            "sessions": _text(len(sessions)),
            "commit": over_sessions("commit"),
            "dirty": over_sessions("dirty"),
            "python": versions("python"),
            **{package: versions(package) for package in PACKAGES},
            "cpu": over_sessions("cpu"),
            "gpu": over_sessions("gpu"),
            "fingerprint": run["fingerprint"],
            "exploration_episodes": _text(meta_test["exploration_episodes"]),
            "test_episodes": _text(meta_test["test_episodes"]),
            "test_tasks": _text(meta_test["tasks"]),
            "own_exploration_episodes": _text(own.get("exploration_episodes")),
            "eval_every": _text(config["eval_every"]),
            "settings": json.dumps(config["config"], sort_keys=True),
        }
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise StoreError(
            f"{folder}: {CONFIG} and {RUN} do not describe a run "
            f"({type(error).__name__}: {error}). Restore them, or move the folder away."
        ) from error


def _identity(config: Mapping[str, Any], fingerprint: str, device: str) -> str:
    """Return ``r`` and 12 hex digits of everything that determines a run's results.

    The letter keeps programs from reading digits alone as a number. The device it was
    begun on is part of it: a CPU and a GPU give different curves for the same seed,
    and neither may overwrite the other.
    """
    decisive = {key: config[key] for key in config if key not in FREE_ON_RESUME}
    text = json.dumps([decisive, fingerprint, device], sort_keys=True)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _curve(folder: Path, run: Row, say: Callable[[str], None]) -> list[Row]:
    """Average the raw rows of each evaluation over its tasks."""
    path = folder / EVAL
    due = {
        (part["protocol"], part["split"]): part
        for part in read_run(folder)["meta_test"]
    }
    blocks = [
        (env_steps, list(rows))
        for env_steps, rows in groupby(_raw_rows(path, say), lambda row: row.env_steps)
    ]
    curve: list[Row] = []
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
                f"{path}, line {rows[0].line}: {_title(run)} at {env_steps} "
                f"environment steps has {why}. Due are tasks x episodes rows of each "
                "protocol, of the same tasks each time, later than the rows before. "
                "Restore the file, or move the folder away."
            )
        previous = env_steps
        for (protocol, split), found in by_part.items():
            for group in (ALL, *sorted({row.group for row in found} - {""})):
                some = [row for row in found if group in (ALL, row.group)]
                for episode in sorted({row.episode for row in some}):
                    place = {"protocol": protocol, "split": split, "group": group}
                    alike = [row for row in some if row.episode == episode]
                    curve.append(_point(run, env_steps, place, episode, alike))
    return curve


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
        episodes = part["exploration_episodes"] + part["test_episodes"]
        found = {(row.task, row.episode) for row in rows}
        known = tasks.setdefault(key, {row.task for row in rows})
        product = {(t, k) for t in known for k in range(1, episodes + 1)}
        wanted = part["tasks"] * episodes
        if len(rows) != wanted:
            return f"{len(rows)} of {wanted} rows of {name}"
        if len(product) != wanted or found != product:
            return f"other tasks or episodes than are due in {name}"
    return ""


def _point(
    run: Row,
    env_steps: int,
    place: Mapping[str, str],
    episode: int,
    rows: Sequence[_Episode],
) -> Row:
    """Return the published row of one episode, a mean over tasks."""
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
        "tasks": str(len(rows)),
        "unstable": str(sum(row.unstable for row in rows)),
        "fingerprint": run["fingerprint"],
    }


def _raw_rows(path: Path, say: Callable[[str], None]) -> Iterator[_Episode]:
    """Read a raw eval.csv; a last line that was cut off in writing is left out."""
    text = path.read_text() if path.exists() else ""
    lines = text.split("\n")
    if lines.pop():
        say(f"{path}: line {len(lines) + 1}, the last, is cut off and left out")
    if lines and lines[0] != ",".join(EVAL_COLUMNS):
        raise StoreError(
            f"{path}, line 1: the columns are {lines[0]}; expected are "
            f"{','.join(EVAL_COLUMNS)}"
        )
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = line.split(",")
            steps, protocol, split, task, group, episode, total, *rest = cells
            _, success, unstable, _ = rest
            row = _Episode(
                line=number,
                env_steps=int(steps),
                protocol=protocol,
                split=split,
                task=int(task),
                group=group,
                episode=int(episode),
                total=float(total),
                success=float(success) if success else None,
                unstable=int(unstable),
            )
        except ValueError as error:
            raise StoreError(f"{path}, line {number}: {error}: {line!r}") from error
        if not math.isfinite(row.total):
            raise StoreError(f"{path}, line {number}: return is {total}")
        yield row


def _read_table(path: Path, columns: tuple[str, ...]) -> list[Row]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    if header != list(columns):
        raise StoreError(
            f"{path} has the columns {','.join(header)}; this version writes "
            f"{','.join(columns)}. Move it away, or choose another results=."
        )
    remedy = "Restore the file (git has it), or move it away."
    if not text.endswith("\n"):
        raise StoreError(f"{path} ends within a line. {remedy}")
    rows: list[Row] = []
    for cells in lines:
        row = dict(zip(columns, cells, strict=False))
        counts = [row.get(name, "0") for name in ("seed", "env_steps", "episode")]
        if len(cells) != len(columns) or not all(map(str.isdecimal, counts)):
            raise StoreError(
                f"{path}, line {lines.line_num}: {','.join(cells)!r} is no row of "
                f"{','.join(columns)}. {remedy}"
            )
        rows.append(row)
    return rows


def _read_curves(path: Path) -> dict[str, list[Row]]:
    curves: dict[str, list[Row]] = {}
    for row in _read_table(path, CURVE_COLUMNS):
        curves.setdefault(row["run"], []).append(row)
    return curves


def _write(
    target: Path, runs: dict[str, Row], curves: dict[str, dict[str, list[Row]]]
) -> list[Path]:
    tables: dict[str, tuple[tuple[str, ...], list[Row]]] = {
        f"{learner}.csv": (
            CURVE_COLUMNS,
            sorted(
                (row for rows in of_learner.values() for row in rows),
                key=_order,
            ),
        )
        for learner, of_learner in sorted(curves.items())
    }
    # Last, so that a run it calls done has its whole curve published.
    tables[RUNS] = (
        RUN_COLUMNS,
        sorted(
            runs.values(),
            key=lambda row: (
                row["family"],
                row["learner"],
                int(row["seed"]),
                row["run"],
            ),
        ),
    )
    changed: list[Path] = []
    for name, (columns, rows) in tables.items():
        if write_atomic(target / name, _csv(columns, rows)):
            changed.append(target / name)
    return changed


def _order(row: Row) -> tuple[str | int, ...]:
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


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _title(run: Row) -> str:
    return f"{run['family']} {run['learner']} seed {run['seed']} (run {run['run']})"


def _last_step(curve: list[Row]) -> int:
    return max((int(row["env_steps"]) for row in curve), default=-1)


def _mean(values: list[float]) -> str:
    # fsum rounds once, so the mean does not depend on the order of the tasks.
    return repr(math.fsum(values) / len(values))


def _text(value: object) -> str:
    return "" if value is None else str(value)
