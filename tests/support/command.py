"""The command as somebody types it, on one engine, and what it leaves behind."""

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pearl_bench.records.run_folder import read_run

STEPS = 12000
WORDS = [
    "suite=navigation",
    "families=point-robot",
    "learners=pearl",
    "budget=smoke",
    "seeds=0,1",
    "threads=1",
    f"steps={STEPS}",
    "pearl.initial_steps=20",
    "pearl.updates_per_iteration=10",
]
"""Two runs of some seconds each."""

LONG = (
    "steps=250000",
    "pearl.updates_per_iteration=1",
    "checkpoint_minutes=0.05",
)
"""Two runs that take most of a minute and have new steps to show for every second."""


class Command:
    """One command line with a folder of its own.

    Args:
        folder: for raw and published results.
        engine: as in the word.
        environment: of the processes; this one's if none.
    """

    def __init__(
        self, folder: Path, engine: str, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.engine = engine
        self._environment = environment
        self._outputs: dict[subprocess.Popen[bytes], Sequence[IO[str]]] = {}

    def start(
        self, *other: str, python: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Type it with some of its words replaced."""
        keys = {word.partition("=")[0] for word in other}
        words = [word for word in WORDS if word.partition("=")[0] not in keys]
        words += [f"engine={self.engine}", *other]
        words += [f"out={self.folder}/raw", f"results={self.folder}/results"]
        files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, *python, "-m", "pearl_bench.run", *words],
            env=self._environment,
            stdout=files[0],
            stderr=files[1],
            start_new_session=True,
        )
        self._outputs[process] = files
        return process

    def wait_for_words(self, process: subprocess.Popen[bytes], words: str) -> None:
        """Wait until it has said something."""
        out = self._outputs[process][0]
        deadline = time.monotonic() + 120
        while words not in os.pread(out.fileno(), 1 << 20, 0).decode():
            assert process.poll() is None, self.finish(process)
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def finish(self, process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
        """Return exit code, output and errors once it has ended."""
        code = process.wait(timeout=600)
        texts = []
        for file in self._outputs.pop(process):
            with file:
                file.seek(0)
                texts.append(file.read())
        return code, texts[0], texts[1]

    def run(self, *other: str) -> tuple[int, str, str]:
        """Type it and wait for its end."""
        return self.finish(self.start(*other))

    def interrupt(self, process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
        """Press Ctrl-C and wait for its end."""
        os.killpg(process.pid, signal.SIGINT)
        return self.finish(process)

    def run_folder(self, seed: int) -> Path:
        """Return where a run lives."""
        return self.folder / f"raw/navigation/point-robot/pearl/seed={seed}"

    def sessions(self, seed: int) -> list[dict[str, Any]]:
        """Return the records of a run's sessions."""
        return read_run(self.run_folder(seed))["sessions"]

    def rows(self, seed: int) -> list[list[str]]:
        """Return all rows of a run as they are written, but for the wall clock."""
        folder = self.run_folder(seed)
        return [
            *_without_clock(folder / "train.csv"),
            *_without_clock(folder / "eval.csv"),
        ]

    def published(self) -> list[list[str]]:
        """Return all rows of the published curves, but for the wall clock."""
        return [*_without_clock(self.folder / "results/navigation/pearl.csv")]

    def wait_for_rows(self, process: subprocess.Popen[bytes], seed: int) -> None:
        """Wait until a run has an iteration behind it."""
        path = self.run_folder(seed) / "train.csv"
        deadline = time.monotonic() + 120
        while not (path.exists() and path.read_text().count("\n") > 1):
            assert process.poll() is None, self.finish(process)
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _without_clock(path: Path) -> Iterator[list[str]]:
    with path.open(newline="") as file:
        columns, *rows = csv.reader(file)
    clock = columns.index("wall_s")
    for row in (columns, *rows):
        yield row[:clock] + row[clock + 1 :]
