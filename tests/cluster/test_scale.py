"""Two thousand runs, with a stand-in for Slurm that costs nothing and keeps count."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench.execution.orders import ProgressFile

COMMAND = """\
import json, resource, sys, time
from pearl_bench.config.runs import load
from pearl_bench.execution import engine, follow
from pearl_bench.execution.console import Board
from pearl_bench.execution.plan import plan
from pearl_bench.records.provenance import peak_memory_mib

def used():
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), cpu.ru_utime + cpu.ru_stime, peak_memory_mib()

class Watched(follow._Follower):
    def submit(self, *arguments):
        super().submit(*arguments)
        stages.append(used())

follow._Follower = Watched
bench = load(sys.argv[1:])
stages = [used()]
runs = plan(bench)
stages.append(used())
with Board() as board:
    failures, _ = follow.launch(runs, follow.cluster(bench), board, ["run"], "leave")
stages.append(used())
print(json.dumps({"stages": stages, "failures": list(failures.values())}))
"""
STAND_IN = {
    "sbatch": 'printf "%s\\0" "$@" >"$STAND_IN/new.$$" && id=$(($(date +%s%N) / 1000)) '
    '&& mv "$STAND_IN/new.$$" "$STAND_IN/$id.array" && echo $id',
    "squeue": 'cat "$STAND_IN/queue"',
    "scontrol": 'echo "MaxArraySize = 1001"',
    "scancel": "true",
}


class StandIn:
    """A cluster in a thread: takes arrays, "trains" for some seconds, keeps a queue.

    Args:
        folder: for its commands and its queue.
        slots: runs at a time.
        seconds: of a run.
        record: what a run that is done leaves as its run.json.
    """

    def __init__(self, folder: Path, slots: int, seconds: float, record: bytes) -> None:
        self.folder = folder
        self._record = record
        self._slots = slots
        self._seconds = seconds
        self._waiting: list[tuple[str, Path]] = []
        self._running: dict[str, tuple[Path, ProgressFile, float]] = {}
        self._taken: set[Path] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        programs = folder / "bin"
        programs.mkdir()
        for name, line in STAND_IN.items():
            count = f'echo {name} >>"$STAND_IN/calls"'
            (programs / name).write_text(f"#!/bin/sh\n{count}\n{line}\n")
            (programs / name).chmod(0o755)
        self._show()
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "STAND_IN": str(folder)}

    def __enter__(self) -> "StandIn":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def arrays(self) -> list[str]:
        """Return the numbers of the arrays, the first one first."""
        return sorted(path.stem for path in self.folder.glob("*.array"))

    def calls(self) -> Counter[str]:
        """Return how often each command was called."""
        return Counter((self.folder / "calls").read_text().split())

    def _work(self) -> None:
        while not self._over.wait(0.2):
            for path in sorted(self.folder.glob("*.array")):
                if path not in self._taken:
                    self._taken.add(path)
                    self._take(path.stem, path.read_text().split("\0"))
            now = time.monotonic()
            for job, (folder, told, end) in [*self._running.items()]:
                told.update(int(100 * (1 - (end - now) / self._seconds)), 1, None)
                if now > end:
                    self._finish(folder, told)
                    del self._running[job]
            while self._waiting and len(self._running) < self._slots:
                job, folder = self._waiting.pop(0)
                end = now + self._seconds
                self._running[job] = folder, ProgressFile(folder), end
            self._show()

    def _take(self, array: str, words: list[str]) -> None:
        values = dict(w.split("=", 1) for w in words if w.startswith("--") and "=" in w)
        last = int(values["--array"].partition("%")[0].partition("-")[2])
        folders = words[-last - 2 : -1]
        name = values["--job-name"]
        jobs = (f"{name}/{i}|{array}_{i}" for i in range(last + 1))
        self._waiting += zip(jobs, map(Path, folders), strict=True)

    def _finish(self, folder: Path, told: ProgressFile) -> None:
        """End a run as node.py does: most well, some with a word, some without."""
        seed = int(folder.name.partition("=")[2])
        if seed % 500 == 1:
            told.send(failed="a loss is not finite")
        elif seed % 500 != 2:
            (folder / "run.json").write_bytes(self._record)
            told.send(done=True)

    def _show(self) -> None:
        lines = [f"{job}|PENDING|Priority|\n" for job, _ in self._waiting]
        lines += [f"{job}|RUNNING|None|node7\n" for job in self._running]
        new = self.folder / "queue.new"
        new.write_text("".join(lines))
        new.replace(self.folder / "queue")


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "slurm"
    folder.mkdir()
    record = (make_run(tmp_path / "template", steps=(10**6,)) / "run.json").read_bytes()
    with StandIn(folder, slots=500, seconds=10.0, record=record) as stand_in:
        yield stand_in


@pytest.mark.slow
def test_two_thousand_runs(stand_in, tmp_path):
    runs = 2000
    words = [
        *("suite=navigation", "families=point-robot", "learners=pearl", "budget=smoke"),
        *("engine=slurm", f"seeds={','.join(map(str, range(runs)))}"),
        *(f"out={tmp_path}/raw", "jobs=500"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        env=stand_in.environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=900,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    begun, planned, submitted, ended = report["stages"]
    calls = stand_in.calls()
    minutes = (ended[0] - submitted[0]) / 60
    files = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    print(
        f"planned: {planned[1] - begun[1]:.1f} CPU s; "
        f"submitted: {submitted[1] - planned[1]:.1f} CPU s; "
        f"followed for {60 * minutes:.0f} s: {ended[1] - submitted[1]:.1f} CPU s; "
        f"{ended[2]:.0f} MiB, {begun[2]:.0f} of them before the plan; "
        f"calls: {dict(calls)}, {calls['squeue'] / minutes:.0f} squeue a minute; "
        f"{len(files) / runs:.1f} files a run"
    )
    assert len(report["failures"]) == 8  # 4 with a word, 4 without
    assert calls["sbatch"] == 2
    first, second = (
        path.read_text().split("\0") for path in sorted(stand_in.folder.glob("*.array"))
    )
    assert "--array=0-999%500" in first
    assert "--array=0-999%500" in second
    (awaited,) = (word for word in second if word.startswith("--dependency"))
    assert awaited == f"--dependency=afterany:{stand_in.arrays()[0]}"
    assert calls["scontrol"] == 1
    assert calls["squeue"] / minutes < 61
    assert ended[1] - submitted[1] < 0.5 * 60 * minutes
    assert ended[2] < 400
