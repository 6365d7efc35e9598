"""Runs that are trained and published, killed again and again at random moments.

``python kills.py FOLDER KILLS SEED`` lets one run of each method end in peace and kills
others, ``KILLS`` times in all; it leaves both to be compared, ``<method>/whole`` and
``<method>/killed-0``, ``<method>/killed-1``, ... For each kill it prints a JSON object:
the method, by what the moment was chosen (``time``, or lines of a place), before which
line it came, and how many steps the run had behind it.
Sessions are forks of one process that has loaded everything: they take no longer than
the training.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pearl_bench
from pearl_bench.config import runs as config
from pearl_bench.execution import local
from pearl_bench.execution.console import Board
from pearl_bench.execution.plan import plan
from pearl_bench.records.published.publish import publish
from pearl_bench.records.run_folder import status
from pearl_bench.registry import LEARNERS
from pearl_bench.training import loop  # noqa: F401  (so that the forks have it)

PACKAGE = Path(pearl_bench.__file__).parent
RECORDS = PACKAGE / "records"
BY = {"time": 3, "checkpoint": 3, "records": 2, "publishing": 2}
"""What moments are chosen by, and how often: the clock, or lines of code of a place.
``records`` are the lines of what writes files beside the other two."""
MOST = 4
"""Kills of a run. Once it is trained, further ones can but hit the publishing."""
SUITE, FAMILY = "navigation", "point-robot"


@cache
def place_of(file: str) -> str | None:
    """Return which place a file of code belongs to."""
    path = Path(file)
    if path == RECORDS / "checkpoint.py":
        return "checkpoint"
    if path.is_relative_to(RECORDS / "published"):
        return "publishing"
    return "records" if path.is_relative_to(RECORDS) else None


class Lines:
    """Counts the lines that run in each place; kills this process before one of them.

    Args:
        pipe: is told before which.
        place: whose lines end it; none to count alone.
        number: of the line, from 1 on.
    """

    def __init__(self, pipe: int, place: str = "", number: int = 0) -> None:
        self._pipe, self._place, self._number = pipe, place, number
        self.counts = Counter[str]()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Follow a call if it leads into one of the places."""
        place = place_of(frame.f_code.co_filename)
        wanted = place is not None and self._place in ("", place)
        return self._line if wanted else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            file = frame.f_code.co_filename
            place = place_of(file) or ""
            self.counts[place] += 1
            if place == self._place and self.counts[place] == self._number:
                at = f"{Path(file).relative_to(PACKAGE)}:{frame.f_lineno}"
                os.write(self._pipe, json.dumps(at).encode())
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


def train_and_publish(folder: Path, words: list[str]) -> None:
    """Do what a command does, up to the figures."""
    bench = config.load([*words, f"out={folder}/raw", f"results={folder}/results"])
    runs = [run for run in plan(bench) if run.pending]
    if runs:
        with Board() as board:
            failures, _ = local.launch(runs, 1, board, words)
        assert not failures, failures
    publish(Path(bench.out), Path(bench.results), SUITE)


def start(
    folder: Path, words: list[str], place: str | None = None, number: int = 0
) -> tuple[int, int]:
    """Start a session; return its process id and a pipe from it.

    Args:
        folder: for what it writes.
        words: of the command.
        place: see ``Lines``; None to follow no lines.
        number: before which line of it the session is killed.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        with (folder / "said.txt").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        lines = Lines(write, place or "", number)
        if place is not None:
            sys.settrace(lines)
        train_and_publish(folder, words)
        sys.settrace(None)
        os.write(write, json.dumps(lines.counts).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


def end(folder: Path, pid: int, read: int) -> tuple[bool, Any]:
    """Return whether a session was killed, and what it sent."""
    _, how = os.waitpid(pid, 0)
    sent = os.read(read, 1000)
    os.close(read)
    assert how in (0, signal.SIGKILL), (folder / "said.txt").read_text()
    return how == signal.SIGKILL, json.loads(sent or b"null")


def campaign(folder: Path, learner: str, kills: int, rng: random.Random) -> None:
    """Let one run of a method end in peace, and kill others so many times."""
    words = [
        *(f"suite={SUITE}", f"families={FAMILY}", f"learners={learner}"),
        *("budget=smoke", "seeds=0", "device=cpu", "threads=1", "jobs=1"),
        *("steps=1000", "eval_every=300", "checkpoint_minutes=0.001"),
    ]
    if learner == "pearl":
        words += ["pearl.initial_steps=20", "pearl.updates_per_iteration=5"]
    whole = folder / "whole"
    whole.mkdir(parents=True)
    before = time.monotonic()
    _, lines = end(whole, *start(whole, words, ""))
    seconds = time.monotonic() - before
    done = rounds = 0
    while done < kills:
        killed = folder / f"killed-{rounds}"
        killed.mkdir()
        rounds += 1
        raw = killed / "raw" / SUITE / FAMILY / learner / "seed=0"
        for _ in range(min(MOST, kills - done)):
            (by,) = rng.choices([*BY], [*BY.values()])
            if by == "time":
                pid, read = start(killed, words)
                time.sleep(rng.uniform(0, seconds))
                os.kill(pid, signal.SIGKILL)
            else:
                pid, read = start(killed, words, by, rng.randint(1, lines[by]))
            struck, at = end(killed, pid, read)
            if not struck:  # it had less left to do
                break
            done += 1
            kill = {"learner": learner, "by": by, "at": at, **status(raw)._asdict()}
            print(json.dumps(kill), flush=True)
        struck, _ = end(killed, *start(killed, words))
        assert not struck


def main(folder: Path, kills: int, rng: random.Random) -> None:
    """Share the kills among the methods of this distribution."""
    for at, learner in enumerate(LEARNERS):
        share = (kills + at) // len(LEARNERS)
        campaign(folder / learner, learner, share, rng)


if __name__ == "__main__":
    place, kills, seed = sys.argv[1:]
    main(Path(place), int(kills), random.Random(int(seed)))
