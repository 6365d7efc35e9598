"""A run on a cluster's node: its order carried out, by one job, never in a loop.

``python -m pearl_bench.execution.node FOLDER JOB TASK`` is what Slurm starts.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pearl_bench.config import runs as configuration
from pearl_bench.execution.orders import Claim, Order, ProgressFile, read_order
from pearl_bench.execution.plan import resolve_device
from pearl_bench.execution.signals import StopRequest
from pearl_bench.execution.work import reason_of, train_run
from pearl_bench.machine import threads
from pearl_bench.records.files import RecordError
from pearl_bench.records.run_folder import FolderInUse, read_run, status

STOPPED = 75
"""Exit code of a run that stopped with a checkpoint and is to go on from it."""

LOCK_SECONDS, RETRY_SECONDS = 300.0, 15.0
"""How long a folder may seem to be in use by a node that has died."""

IDLE_SESSIONS, IDLE_SECONDS = 2, 30.0
"""Sessions of a job in a row that may bring no step and less training than that."""


def carry_out(folder: Path, job: str, task: str, stop: Callable[[], bool]) -> bool:
    """Train the run that a folder's order asks for, and tell how it ends.

    Args:
        folder: of the run.
        job: the name by which the command knows it. A run that has been given to
            another job since then is left to that one, where no lock sees to it.
        task: the cluster's own name for it, for the records.
        stop: polled; true ends the run with a checkpoint.

    Returns:
        Whether nothing is left to do.

    Raises:
        Exception: whatever the run failed by; the command has been told.
    """
    order = read_order(folder)
    if order is None or order.job != job:
        return True
    progress, claim = ProgressFile(folder), Claim(folder, job)
    try:
        done = _train(folder, order, task, progress, lambda: stop() or claim.lost())
    except Exception as error:
        progress.send(failed=reason_of(error))
        raise
    if claim.lost():
        return True
    progress.send(done=done)
    return done


def _train(
    folder: Path,
    order: Order,
    task: str,
    progress: ProgressFile,
    stop: Callable[[], bool],
) -> bool:
    run = configuration.from_yaml(order.config)
    run = replace(run, device=resolve_device(run.device))
    found = status(folder)
    if found.state == "done" and found.env_steps >= run.steps:
        return True  # a node may die between the last step and the job's end
    _refuse_loop(folder, task)
    where = {"engine": order.engine, "job": task}
    deadline = time.monotonic() + LOCK_SECONDS
    while not stop():
        try:
            return train_run(run, folder, progress, stop, order.command, where)
        except FolderInUse as error:
            if time.monotonic() > deadline:
                raise
            progress.say(f"{error} Trying again.")
            time.sleep(RETRY_SECONDS)
    return False


def _refuse_loop(folder: Path, task: str) -> None:
    """Refuse to start a job again and again that gets nowhere."""
    try:
        run = read_run(folder)
    except FileNotFoundError:
        return
    recent = [s for s in run["sessions"][-IDLE_SESSIONS:] if s.get("job") == task]
    idle = [
        s["resumed_at_env_steps"] == run["env_steps"]
        and run["seconds"] - s["resumed_at_seconds"] < IDLE_SECONDS
        for s in recent
    ]
    if len(idle) == IDLE_SESSIONS and all(idle):
        raise RecordError(
            f"{folder}: {IDLE_SESSIONS} sessions of job {task} have brought no new "
            f"step beyond {run['env_steps']:,}. Give it more time= or memory=, or look "
            "into the folder's log, then repeat the command."
        )


def main(words: Sequence[str]) -> int:
    """Carry out one order as a process of its own."""
    folder, job, task = words
    threads.limit_spinning()
    # A time limit brings one signal of the script's and one of Slurm's own.
    with StopRequest(patient=True) as stop:
        try:
            done = carry_out(Path(folder), job, task, stop)
        except Exception:
            traceback.print_exc()
            return 1
    return 0 if done else STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
