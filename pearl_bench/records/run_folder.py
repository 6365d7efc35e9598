"""A run's folder: configuration, provenance, rows, and the lock that guards them.

``<out>/<suite>/<family>/<learner>/seed=<k>/`` holds ``config.yaml``, ``run.json``,
``train.csv``, ``eval.csv``, the checkpoint and the lock. Rows are only ever appended;
a resumed run first cuts them back to where its checkpoint was taken. This module
imports no torch: the planner reads many folders and must answer at once.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from pearl_bench.records import schema
from pearl_bench.records.files import (
    NoLocksError,
    RecordError,
    explained,
    make_folder,
    open_own,
    read_json,
    take_lock,
    write_atomic,
)
from pearl_bench.records.keys import RUN_KEYS, complaint
from pearl_bench.records.provenance import peak_memory_mib, timestamp
from pearl_bench.records.rows import RowFile

RUN_FORMAT = 1

CONFIG, RUN, TRAIN, EVAL, LOCK = (
    "config.yaml",
    "run.json",
    "train.csv",
    "eval.csv",
    "lock",
)

Position = dict[str, int | str]
"""How long train.csv and eval.csv are, and the SHA-256 of each so far."""

_SEED = re.compile(r"seed=(0|[1-9]\d*)", re.ASCII)


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


def place(
    suite: str, family: str, learner: str, seed: int | str
) -> tuple[str, str, str, str]:
    """Return the names of the folders that lead from ``out`` to a run's own."""
    return suite, family, learner, f"seed={seed}"


def run_folders(out: Path, suite: str = "*") -> list[Path]:
    """Return the folders of a suite, or of all, that hold a run, by name.

    They are where ``place`` says; a ``seed=0.bak`` beside them is none, nor is what
    other systems leave, ``._seed=0``.
    """
    names = place(suite, "*", "*", "*")
    return sorted(
        path.parent
        for path in out.glob("/".join((*names, RUN)))
        if _SEED.fullmatch(path.parent.name)
        and not any(part.startswith(".") for part in path.parts[-len(names) - 1 :])
    )


def read_run(folder: Path) -> dict[str, Any]:
    """Return what run.json holds.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged or of another format.
    """
    path = folder / RUN
    run = read_json(path)
    if isinstance(run, dict) and run.get("format", RUN_FORMAT) != RUN_FORMAT:
        raise RecordError(
            f"{path} has format {run['format']!r}; this version reads format "
            f"{RUN_FORMAT}. Use the version that wrote it, or another out=."
        )
    wrong = complaint(RUN_KEYS, run)
    if wrong or not isinstance(run, dict):
        raise RecordError(
            f"{path} is damaged or no run's record: {wrong}. Restore it, or move the "
            "folder away to start this run over."
        )
    return run


def status(folder: Path) -> RunStatus:
    """Say how far the run in a folder has come.

    Raises:
        RecordError: run.json is damaged or of another format.
    """
    try:
        run = read_run(folder)
    except FileNotFoundError:
        return RunStatus("missing", 0, 0.0)
    state = run["status"]
    known = state if state in ("done", "failed") else "begun"
    return RunStatus(known, run["env_steps"], run["seconds"])


def refusal(run: Mapping[str, Any]) -> str:
    """Return why a run's rows were refused when it last was to go on from them.

    Args:
        run: what ``read_run`` returned.

    Returns:
        What ``rewind`` said; ``""`` if it did not refuse them.
    """
    return run["message"] if run["status"] == "stopped" else ""


class RunRecord:
    """A run's folder, held by one process for as long as the context lasts.

    The order of calls is ``begin``, ``rewind`` to the checkpoint's position and
    ``go_on_from`` it, then ``append_*`` at will; with each checkpoint ``position`` goes
    into the state and ``progress`` follows once it is written; ``finish`` last.

    Args:
        folder: created when the context is entered.
        mirror: called whenever a checkpoint has made the rows so far final.
        guarded: others are kept out by something else, too: that the file system keeps
            no locks is no reason to refuse.
    """

    def __init__(
        self,
        folder: Path,
        mirror: Callable[[], None] | None = None,
        *,
        guarded: bool = False,
    ) -> None:
        self.folder = folder
        self._guarded = guarded
        self._mirror = mirror
        self._lock: int | None = None
        self._run: dict[str, Any] = {}
        self._before = ("begun", "")  # status and message that ``begin`` found
        self._rewound = False
        self._refusal = ""
        self._rows = {name: RowFile(folder / name) for name in (TRAIN, EVAL)}

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            FolderInUse: another process holds it.
            RecordError: it cannot be made or locked.
        """
        make_folder(self.folder)
        path = self.folder / LOCK
        try:
            handle = take_lock(path, wait=False)
        except BlockingIOError:
            raise FolderInUse(_in_use(self.folder, _holder(path))) from None
        except NoLocksError:
            if not self._guarded:
                raise
            with explained(path, "written"):
                handle = open_own(path, 0)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": timestamp(),
            "command": sys.argv,
        }
        self._lock = handle
        self._tell(json.dumps(holder).encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._tell(b"")
            os.close(self._lock)
            self._lock = None

    def _tell(self, holder: bytes) -> None:
        """Say in the lock file who holds it, which is for people alone."""
        assert self._lock is not None
        # another user's can be held but not written; a full disk is no reason to stop
        with suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, holder, 0)

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
            self._before = self._run["status"], self._run["message"]
        self._run["sessions"].append(session)
        self._run |= {"status": "begun", "message": ""}
        write_atomic(self.folder / CONFIG, config_yaml.encode())
        self.go_on_from(self._run["env_steps"], self._run["seconds"])

    def rewind(self, position: Mapping[str, int | str] | None) -> None:
        """Cut train.csv and eval.csv back to where the checkpoint was taken.

        Args:
            position: what ``position`` returned then; None when there is no checkpoint:
                the run starts from nothing.

        Raises:
            RecordError: a file is shorter than it was, or no longer what it was; or
                there was a checkpoint, and now there is none.
        """
        if position is None and self._run["env_steps"]:
            raise RecordError(
                f"{self.folder} had a checkpoint at {self._run['env_steps']} "
                "environment steps, and now it has none. Restore it, or move the "
                "folder away to start this run over."
            )
        for name, rows in self._rows.items():
            known = position or {}
            # checkpoints of before know the lengths alone
            length, digest = int(known.get(name, 0)), known.get(_digest_of(name))
            try:
                rows.cut_back(length, digest)
            except RecordError as error:
                self._refusal = str(error)
                raise
        self._rewound = True

    def go_on_from(self, env_steps: int, seconds: float) -> None:
        """Note which checkpoint the session goes on from, not always the last one.

        Args:
            env_steps: environment steps in it.
            seconds: training time up to it, over all sessions.
        """
        self._run |= {"env_steps": int(env_steps), "seconds": float(seconds)}
        self._run["sessions"][-1] |= {
            "resumed_at_env_steps": self._run["env_steps"],
            "resumed_at_seconds": self._run["seconds"],
        }
        self._write()

    def position(self) -> Position:
        """Return how far train.csv and eval.csv have come, for the checkpoint."""
        found: Position = {}
        for name, rows in self._rows.items():
            found[name] = rows.length
            found[_digest_of(name)] = rows.digest
        return found

    def append_train(self, row: Mapping[str, float]) -> None:
        """Append one row of training metrics; the first row fixes the columns.

        Raises:
            RecordError: other columns than before, or a value that is no number.
        """
        self._append(TRAIN, [list(row)], [row])

    def append_eval(self, rows: Sequence[Mapping[str, float | str]]) -> None:
        """Append one evaluation: a row of ``schema.EVAL`` per task and episode.

        Empty strings stand where the schema allows it. A file that was begun by an
        older version goes on with the columns of that version.

        Raises:
            RecordError: other columns, or a value that is no number.
        """
        self._append(EVAL, schema.EVAL.versions, rows)

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
        """Note how the session ended; ``message`` says why it failed.

        One that failed before it had found its checkpoint's rows has played nothing: it
        is no session of the run, which stays as it was. Where its rows were refused it
        is stopped, and the message says why; see ``refusal``.
        """
        if status == "failed" and not self._rewound:
            self._run["sessions"].pop()
            now = ("stopped", self._refusal) if self._refusal else self._before
        else:
            now = status, message
        self._run["status"], self._run["message"] = now
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
        versions: Sequence[Sequence[str]],
        rows: Sequence[Mapping[str, float | str]],
    ) -> None:
        if not self._rewound:
            raise RecordError(f"{self.folder}: rewind to the checkpoint before adding")
        self._rows[name].append(versions, rows)

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def _write(self) -> None:
        text = json.dumps(self._run, indent=2, allow_nan=False) + "\n"
        write_atomic(self.folder / RUN, text.encode())


def _digest_of(name: str) -> str:
    return f"{name} sha256"


def _holder(lock: Path) -> bytes:
    try:
        return lock.read_bytes()
    except OSError:
        return b""


def _in_use(folder: Path, holder: bytes) -> str:
    try:
        who = json.loads(holder)
        name = (
            f"process {who['pid']} on {who['host']}, since {who['started']} "
            f"({' '.join(who['command'])})"
        )
    except (ValueError, KeyError, TypeError):  # it has not yet written its name
        name = "a process that has just started"
    return (
        f"{folder} is in use by {name}. Wait for it, stop it, or choose another out=."
    )
