"""Runs on this machine: in this process, or each in one of its own, some at a time.

A child, ``python -m pearl_bench.execution.work``, reads what to train from its standard
input and answers with lines of progress.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from pearl_bench.config import runs as configuration
from pearl_bench.execution.console import Board
from pearl_bench.execution.plan import Run
from pearl_bench.execution.signals import StopRequest
from pearl_bench.execution.work import LOG, reason_of, train_run
from pearl_bench.machine.imports import same_imports
from pearl_bench.machine.threads import POOLS
from pearl_bench.records.files import make_folder, open_log
from pearl_bench.training.types import Progress


def launch(
    runs: Sequence[Run],
    jobs: int,
    board: Board,
    command: Sequence[str],
    *,
    goes_on: bool = True,
) -> tuple[dict[Path, str], signal.Signals | None]:
    """Execute the pending runs, ``jobs`` at a time; one that fails stops no other.

    Args:
        runs: the plan.
        jobs: how many at the same time.
        board: the screen.
        command: the command line, for the records.
        goes_on: whether the same command goes on from what a stopped run leaves.

    Returns:
        The reason of each failure by run folder, and the signal that stopped the
        others, if one did.

    Raises:
        KeyboardInterrupt: a second signal ended all runs at once.
    """
    pending = [run for run in runs if run.pending]
    with StopRequest() as stop:
        if jobs == 1:
            failures = _execute_here(pending, board, command, stop)
        else:
            failures = _execute_children(
                pending, jobs, board, command, stop, goes_on=goes_on
            )
    return failures, stop.signal


def _execute_here(
    runs: Sequence[Run], board: Board, command: Sequence[str], stop: StopRequest
) -> dict[Path, str]:
    failures: dict[Path, str] = {}
    for run in runs:
        if stop():
            break
        with board.run(run) as progress:
            try:
                train_run(run.config, run.folder, progress, stop, command)
            except Exception as error:
                failures[run.folder] = reason_of(error)
                progress.say(f"failed: {reason_of(error)}")
        gc.collect()  # the learner's buffers, before the next learner's
    return failures


def _execute_children(
    runs: Sequence[Run],
    jobs: int,
    board: Board,
    command: Sequence[str],
    stop: StopRequest,
    *,
    goes_on: bool,
) -> dict[Path, str]:
    failures: dict[Path, str] = {}
    children: list[subprocess.Popen[str]] = []
    lock = threading.Lock()  # no child starts once the others were told to stop
    at_once = threading.Event()

    def execute(run: Run) -> None:
        with board.run(run) as progress:
            try:
                with lock:
                    if stop():
                        return
                    child = _start_child(run, command)
                    children.append(child)
                reason = _follow_child(child, progress, stop, goes_on=goes_on)
            except Exception as error:
                reason = reason_of(error)
            if at_once.is_set():
                how = "; the same command goes on from its checkpoint"
                progress.say(f"ended at once{how if goes_on else ''}")
            elif reason:
                failures[run.folder] = reason
                progress.say(f"failed: {reason}")

    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = futures = {pool.submit(execute, run) for run in runs}
            told = False
            while waiting:
                waiting = wait(waiting, timeout=0.2).not_done
                if stop() and not told:
                    told = True
                    with lock:
                        for child in children:
                            child.terminate()
        except KeyboardInterrupt:
            at_once.set()
            with lock:
                for child in children:
                    child.kill()
            raise
    for future in futures:
        future.result()
    return failures


def _start_child(run: Run, command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process that trains one run and tells its progress on its output."""
    make_folder(run.folder)
    # Two pools that each take all cores slow each other down tenfold.
    pools = dict.fromkeys(POOLS, str(run.config.threads))
    with open_log(run.folder / LOG) as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pearl_bench.execution.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | same_imports() | pools,
            text=True,
            # Out of the terminal's reach: it sends SIGINT to its whole process group,
            # and the parent passes on exactly one request.
            start_new_session=True,
        )
    order = {
        "config": configuration.to_yaml(run.config),
        "folder": str(run.folder),
        "command": list(command),
    }
    assert child.stdin is not None
    try:
        with child.stdin:
            json.dump(order, child.stdin)
    except BrokenPipeError:
        pass  # it died early, and its exit status will say so
    return child


def _follow_child(
    child: subprocess.Popen[str],
    progress: Progress,
    stop: StopRequest,
    *,
    goes_on: bool,
) -> str:
    """Pass a child's progress on until it ends; return why it failed, or ``""``."""
    reason = ended = ""
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            message = json.loads(line)
            if "say" in message:
                progress.say(message["say"])
            elif "failed" in message:
                reason = message["failed"]
            elif "ended" in message:
                ended = message["ended"]
            else:
                progress.update(**message)
    code = child.wait()
    if reason or ended == "done" or (stop() and code in (0, -signal.SIGTERM)):
        return reason
    if ended:
        how = "; repeat the command to go on" if goes_on else ""
        return f"somebody else stopped it with {ended}{how}"
    if code == -signal.SIGKILL:
        return (
            "its process ended with SIGKILL, as the system does when memory is short; "
            "take fewer jobs=, or close other programs, and repeat the command"
        )
    end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its process ended with {end}; {LOG} in the folder may say more"
