"""A run's folder: configuration, provenance, rows, and the lock that guards them.

``<out>/<suite>/<family>/<learner>/seed=<k>/`` holds ``config.yaml``, ``run.json``,
``train.csv``, ``eval.csv``, the checkpoint and the lock. Rows are only ever appended;
a resumed run first cuts them back to where its checkpoint was taken. This module
imports no torch: the planner reads many folders and must answer at once.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, write_atomic
from pearl_bench.records.provenance import peak_memory_mib, timestamp

RUN_FORMAT = 1

CONFIG, RUN, TRAIN, EVAL, LOCK = (
    "config.yaml",
    "run.json",
    "train.csv",
    "eval.csv",
    "lock",
)

TEXT_COLUMNS = ("protocol", "split", "group")

EVAL_COLUMNS = schema.EVAL.names

MAY_BE_EMPTY = {column.name for column in schema.EVAL.columns if column.may_be_empty}

LATER_COLUMNS = {"repetition", "distance"}
"""Of eval.csv; a file of a version that knew none of them goes on without."""


class FolderInUse(RecordError):  # noqa: N818 (a state, not a fault)
    """Another process holds the run's folder; the message names it."""


class RunStatus(NamedTuple):
    """How far a run has come.

    Attributes:
        state: ``begun`` covers running, stopped and killed runs alike.
        env_steps: environment steps at the last checkpoint.
        seconds: training time up to it, over all sessions.
    """

    state: Literal["missing", "begun", "done", "failed"]
    env_steps: int
    seconds: float


def read_run(folder: Path) -> dict[str, Any]:
    """Return what run.json holds.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged or of another format.
    """
    path = folder / RUN
    try:
        run = json.loads(path.read_bytes())
        if run["format"] != RUN_FORMAT:
            raise RecordError(
                f"{path} has format {run['format']}; this version reads format "
                f"{RUN_FORMAT}. Use the version that wrote it, or another out=."
            )
        run |= {"env_steps": int(run["env_steps"]), "seconds": float(run["seconds"])}
        run |= {"status": str(run["status"]), "sessions": list(run["sessions"])}
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is damaged or no run's record ({type(error).__name__}: {error}). "
            "Restore it, or move the folder away to start this run over."
        ) from error
    return run


def status(folder: Path) -> RunStatus:
    """Say how far the run in a folder has come.

    Raises:
        RecordError: run.json is damaged or of another format.
    """
    try:
        run = read_run(folder)
    except (FileNotFoundError, NotADirectoryError):
        return RunStatus("missing", 0, 0.0)
    state = run["status"]
    known = state if state in ("done", "failed") else "begun"
    return RunStatus(known, run["env_steps"], run["seconds"])


class RunRecord:
    """A run's folder, held by one process for as long as the context lasts.

    The order of calls is ``begin``, ``rewind`` to the checkpoint's position, then
    ``append_*`` at will; with each checkpoint ``position`` goes into the state and
    ``progress`` follows once it is written; ``finish`` last.

    Args:
        folder: created when the context is entered.
        mirror: called whenever a checkpoint has made the rows so far final.
    """

    def __init__(self, folder: Path, mirror: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self._mirror = mirror
        self._lock: int | None = None
        self._run: dict[str, Any] = {}
        self._rewound = False

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            FolderInUse: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / LOCK
        # The lock belongs to the open file, so it ends with the process, however that
        # ends; the file's content only tells others who it is.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 65536)
            os.close(handle)
            raise FolderInUse(_in_use(self.folder, holder)) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": timestamp(),
            "command": sys.argv,
        }
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(holder).encode())
        self._lock = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the folder."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def begin(self, config_yaml: str, provenance: Mapping[str, Any]) -> None:
        """Start a session: the run's first, or one that goes on with it.

        Args:
            config_yaml: the run's configuration; a run that goes on takes it over.
            provenance: what ``provenance`` returned, and ``meta_test`` with the
                description of each part of an evaluation.

        Raises:
            RecordError: the folder holds another run, or one that cannot be trusted.
        """
        if self._lock is None:
            raise RecordError(f"{self.folder} is not locked: use `with RunRecord(...)`")
        session = dict(provenance)
        shared = {key: session.pop(key) for key in ("fingerprint", "meta_test")}
        try:
            self._run = read_run(self.folder)
        except FileNotFoundError:
            leftover = [n for n in (EVAL, TRAIN) if self._size(n)]
            if leftover:
                raise RecordError(
                    f"{self.folder} has a {leftover[0]} but no {RUN}: whose rows these "
                    f"are is unknown. Move the folder away, or restore {RUN}."
                ) from None
            self._run = {
                "format": RUN_FORMAT,
                "status": "begun",
                "message": "",
                "env_steps": 0,
                "seconds": 0.0,
                "peak_memory_mib": 0.0,
                **shared,
                "sessions": [],
            }
            self._rewound = True
        else:
            self._refuse_other_tasks(shared)
        session["resumed_at_env_steps"] = self._run["env_steps"]
        session["resumed_at_seconds"] = self._run["seconds"]
        self._run["sessions"].append(session)
        self._run |= {"status": "begun", "message": ""}
        write_atomic(self.folder / CONFIG, config_yaml.encode())
        self._write()

    def rewind(self, position: Mapping[str, int] | None) -> None:
        """Cut train.csv and eval.csv back to where the checkpoint was taken.

        Args:
            position: what ``position`` returned then; None when there is no checkpoint:
                the run starts from nothing.

        Raises:
            RecordError: a file is shorter than it was, or ends elsewhere; or there was
                a checkpoint, and now there is none.
        """
        if position is None and self._run["env_steps"]:
            raise RecordError(
                f"{self.folder} had a checkpoint at {self._run['env_steps']} "
                "environment steps, and now it has none. Restore it, or move the "
                "folder away to start this run over."
            )
        lengths = {name: (position or {}).get(name, 0) for name in (TRAIN, EVAL)}
        for name, length in lengths.items():
            path = self.folder / name
            if self._size(name) < length:
                raise RecordError(
                    f"{path} has {self._size(name)} bytes, and {length} when the "
                    "checkpoint was taken: rows have been removed. Restore the file, "
                    "or move the folder away to start this run over."
                )
            with path.open("ab+") as file:
                file.seek(max(length - 1, 0))
                if length and file.read(1) != b"\n":
                    raise RecordError(
                        f"{path} has no end of line after {length} bytes, where the "
                        "checkpoint was taken: it has been edited. Restore the file, "
                        "or move the folder away to start this run over."
                    )
                file.truncate(length)
                os.fsync(file.fileno())
        self._rewound = True

    def position(self) -> dict[str, int]:
        """Return the lengths in bytes of train.csv and eval.csv."""
        return {name: self._size(name) for name in (TRAIN, EVAL)}

    def append_train(self, row: Mapping[str, float]) -> None:
        """Append one row of training metrics; the first row fixes the columns.

        Raises:
            RecordError: other columns than before, or a value that is no number.
        """
        self._append(TRAIN, None, [row])

    def append_eval(self, rows: Sequence[Mapping[str, float | str]]) -> None:
        """Append one evaluation: a row with ``EVAL_COLUMNS`` per episode.

        Empty strings stand where the schema allows it.

        Raises:
            RecordError: other columns, or a value that is no number.
        """
        self._append(EVAL, EVAL_COLUMNS, rows, LATER_COLUMNS)

    def progress(self, env_steps: int, seconds: float) -> None:
        """Note that a checkpoint has been written.

        Args:
            env_steps: environment steps in it.
            seconds: training time up to it, over all sessions.
        """
        self._run |= {
            "env_steps": int(env_steps),
            "seconds": float(seconds),
            "peak_memory_mib": max(self._run["peak_memory_mib"], peak_memory_mib()),
        }
        self._write()
        if self._mirror is not None:
            self._mirror()

    def finish(
        self, status: Literal["done", "stopped", "failed"], message: str = ""
    ) -> None:
        """Note how the session ended; ``message`` says why it failed."""
        self._run |= {"status": status, "message": message}
        self._write()

    def _refuse_other_tasks(self, shared: Mapping[str, Any]) -> None:
        for key, now in shared.items():
            if self._run.get(key) != now:
                raise RecordError(
                    f"{self.folder} was begun with {key} {self._run.get(key)}, and it "
                    f"is now {now}: the returns would not be comparable. Choose "
                    "another out=, or move the folder away."
                )

    def _append(
        self,
        name: str,
        columns: Sequence[str] | None,
        rows: Sequence[Mapping[str, float | str]],
        later: Collection[str] = (),
    ) -> None:
        if not self._rewound:
            raise RecordError(f"{self.folder}: rewind to the checkpoint before adding")
        path = self.folder / name
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with path.open("ab+") as file:
            file.seek(0)
            header = file.readline().decode().rstrip("\n")
            columns = header.split(",") if header else columns or list(rows[0])
            if not header:
                writer.writerow(columns)
            for row in rows:
                if row.keys() - (set(later) - set(columns)) != set(columns):
                    raise RecordError(
                        f"{path}: the columns are {', '.join(columns)}; a row lacks "
                        f"{sorted(set(columns) - row.keys())} and has "
                        f"{sorted(row.keys() - set(columns))} besides"
                    )
                writer.writerow([_text(path, row, column) for column in columns])
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def _write(self) -> None:
        text = json.dumps(self._run, indent=2, allow_nan=False) + "\n"
        write_atomic(self.folder / RUN, text.encode())


def _text(path: Path, row: Mapping[str, float | str], column: str) -> str:
    """Write a value so that reading it back gives the same number."""
    value = row[column]
    if value == "" and column in MAY_BE_EMPTY:
        return ""
    if isinstance(value, str) and column in TEXT_COLUMNS:
        return value
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and math.isfinite(value):
        return repr(float(value))
    raise RecordError(
        f"{path}: {column} is {value!r}, not a finite number (row {dict(row)})"
    )


def _in_use(folder: Path, holder: bytes) -> str:
    try:
        who = json.loads(holder)
        name = (
            f"process {who['pid']} on {who['host']}, since {who['started']} "
            f"({' '.join(who['command'])})"
        )
    except ValueError:  # it holds the lock, and has not yet written its name
        name = "a process that has just started"
    return (
        f"{folder} is in use by {name}. Wait for it, stop it, or choose another out=."
    )
