"""Record a half-done run of this version, and how this version ends it.

``python tests/support/older_runs.py NAME AT suite=... families=... learners=...``
trains one run by the command itself, stops it at a checkpoint once it has taken AT
environment steps, and writes ``tests/data/older_runs/NAME/``. What is in there, and
what later versions are held to, stands in the README beside the recorded runs.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "data" / "older_runs"
RAW, PUBLISHED = "raw", "published"
PLACE = (
    f"out={RAW}",  # both below the working folder: no path of a machine is recorded
    f"results={PUBLISHED}",
    "device=cpu",
    "jobs=64",  # leaves one thread to a run, on any machine
    "checkpoint_minutes=0.0001",  # after every slice of work
)
LEAVE_OUT = ("lock", "checkpoint.previous.pt", "checkpoint.incoming.pt")
OF_A_MACHINE = (
    *("training_hours", "peak_memory_mib", "started", "commit", "dirty", "cpu", "gpu"),
    *("python", "torch", "mujoco", "gymnasium", "metaworld", "numpy"),
)
"""Columns of runs.csv that tell of a session, not of what the run is."""

ROUNDING_PACKAGES = ("torch", "numpy", "mujoco")
ROUNDING_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd")
TIMEOUT = 600


def start(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command with a folder as its working folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "pearl_bench.run", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def go_on(folder: Path) -> None:
    """Repeat the command that made the run below a folder, and let it end."""
    session = json.loads((run_folder(folder) / "run.json").read_text())["sessions"][0]
    program, flag, module, *words = session["command"]
    assert (program, flag, module) == ("python", "-m", "pearl_bench.run")
    process = start(folder, words)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output


def run_folder(folder: Path) -> Path:
    """Return the one run's folder below a folder."""
    (found,) = (folder / RAW).glob("*/*/*/seed=*")
    return found


def rounding() -> dict[str, object]:
    """Return what the last bits of a float hang on, as far as it can be asked for.

    The instructions that torch's and numpy's loops are chosen by, the make of the CPU
    (MKL chooses by it), the C library's functions, and the packages themselves.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    pairs = [line.partition(":") for line in lines]
    said = {key.strip(): value.split() for key, _, value in reversed(pairs)}
    flags = {*said.get("flags", []), *said.get("Features", [])}
    return {
        "machine": platform.machine(),
        "cpu_make": " ".join(said.get("vendor_id", [])),
        "cpu_flags": [flag for flag in ROUNDING_FLAGS if flag in flags],
        "libc": " ".join(platform.libc_ver()),
        **{name: importlib.metadata.version(name) for name in ROUNDING_PACKAGES},
    }


def read_rows(path: Path, leave_out: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a CSV file without some columns."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in leave_out} for row in rows]


def ended(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return what a run that is done has left below a folder, by file name."""
    run = run_folder(folder)
    learner = run.parent.name
    suite = folder / PUBLISHED / run.parents[2].name
    return {
        "train.csv": read_rows(run / "train.csv", ["wall_s"]),
        "eval.csv": read_rows(run / "eval.csv", ["wall_s"]),
        "curves.csv": read_rows(suite / f"{learner}.csv"),
        "runs.csv": read_rows(suite / "runs.csv", OF_A_MACHINE),
    }


def _stop_at(folder: Path, words: Sequence[str], env_steps: int) -> None:
    process = start(folder, words)
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert process.poll() is None, "it ended before it had come so far"
        assert time.monotonic() < deadline, "it takes too long"
        paths = list((folder / RAW).glob("*/*/*/seed=*/run.json"))
        if paths and json.loads(paths[0].read_text())["env_steps"] >= env_steps:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + signal.SIGINT, output


def record(name: str, env_steps: int, words: Sequence[str]) -> None:
    """Write the run's folder at a checkpoint, and its rows at its end."""
    target = RECORDED / name
    assert not target.exists(), f"{target} is there already"
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _stop_at(folder, [*words, *PLACE], env_steps)
        path = run_folder(folder) / "run.json"
        run = json.loads(path.read_text())
        assert run["status"] == "stopped", run
        for session in run["sessions"]:
            session["host"] = "somewhere"
        path.write_text(json.dumps(run, indent=2) + "\n")
        ignore = shutil.ignore_patterns(*LEAVE_OUT)
        shutil.copytree(folder / RAW, target / RAW, ignore=ignore)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        shutil.copytree(target / RAW, folder / RAW)
        go_on(folder)
        (target / "ended").mkdir()
        for file_name, rows in ended(folder).items():
            with (target / "ended" / file_name).open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    text = json.dumps(rounding(), indent=2) + "\n"
    (target / "rounding.json").write_text(text)


if __name__ == "__main__":
    record(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
