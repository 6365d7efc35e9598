"""Screens that go away, terminals that close, children that somebody else ends."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

import psutil
import pytest

from pearl_bench import run
from pearl_bench.execution.outputs import Enduring
from pearl_bench.records.run_folder import read_run, status

WORDS = [
    "suite=navigation",
    "families=point-robot",
    "learners=promp",
    "budget=smoke",
    "seeds=0,1",
    "device=cpu",
]
PATIENCE = 120


def command(folder, *words, steps=2000):
    return [
        *(sys.executable, "-m", "pearl_bench.run", *WORDS, *words, f"steps={steps}"),
        *(f"out={folder / 'raw'}", f"results={folder / 'results'}"),
    ]


def run_folder(folder, seed):
    return folder / f"raw/navigation/point-robot/promp/seed={seed}"


def wait_until(happened):
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def started(words, **options):
    """A process that ends with the test, as its children do when it has."""
    with subprocess.Popen(words, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Broken(io.TextIOBase):
    """Fails at the second write, as a terminal that closes or a disk that fills."""

    def __init__(self, number):
        self.number = number
        self.text = ""

    def write(self, text, /):
        if self.text:
            raise OSError(self.number, os.strerror(self.number))
        self.text += text
        return len(text)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EBADF])
def test_an_output_may_be_lost(number):
    broken = Broken(number)
    output = Enduring(cast(TextIO, broken))
    assert output.write("one") == 3
    assert not output.lost
    assert output.write("two") == 3
    assert output.lost
    output.write("three")
    output.flush()
    assert broken.text == "one"


def test_an_output_may_be_closed_from_the_start(capfd):
    """Python has None where the shell has closed an output (``>&-``)."""
    output = Enduring(None)
    assert output.write("one") == 3
    output.flush()
    assert output.lost
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("ls", 0), ("ls x", 2)])
def test_a_closed_output_is_no_error(closed, words, code):
    line = f'exec "$0" -W error -m pearl_bench {words} {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert "Error" not in done.stdout + done.stderr


def test_no_file_takes_the_place_of_a_closed_output():
    """Or what a library prints would be written into it."""
    code = (
        "import os, sys; from pearl_bench.config.command import guarded; "
        "sys.exit(guarded(lambda: os.open(os.devnull, os.O_WRONLY)))"
    )
    shell = ["sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, code]
    assert subprocess.run(shell, check=False).returncode > 2


def test_a_run_is_trained_although_its_outputs_are_closed(tmp_path, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run.main(command(tmp_path, "jobs=1", steps=400)[3:]) == 0
    assert status(run_folder(tmp_path, 1)).state == "done"
    assert (sys.stdout, sys.stderr) == (None, None)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_reader_that_leaves_ends_no_run(tmp_path, jobs):
    words = command(tmp_path, f"jobs={jobs}")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(words, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()  # as `head -1` does
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""
    assert [status(run_folder(tmp_path, seed)).state for seed in (0, 1)] == ["done"] * 2


@pytest.mark.parametrize("words", [("ls", "suite=navigation"), ("ls", "--help")])
def test_a_command_that_only_tells_ends_as_others_do_when_its_reader_leaves(words):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "pearl_bench", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_the_screen_ends_no_run(tmp_path):
    with (
        Path("/dev/full").open("w") as full,
        started(command(tmp_path, "jobs=1"), stdout=full, stderr=full) as process,
    ):
        assert process.wait(PATIENCE) == 0
    assert status(run_folder(tmp_path, 1)).state == "done"


@pytest.fixture
def heard():
    """SIGHUP is heard, as under nohup, where the tests may run, it is not."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard")
def test_a_closed_terminal_stops_with_a_checkpoint(tmp_path):
    words = command(tmp_path, "jobs=2", steps=200_000)
    with started(words, stdout=subprocess.DEVNULL) as process:
        folder = run_folder(tmp_path, 0)
        wait_until((folder / "train.csv").exists)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    run = read_run(folder)
    assert run["status"] == "stopped"
    assert 0 < run["env_steps"] < 200_000
    assert (folder / "checkpoint.pt").exists()


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_children_too_at_once(tmp_path, again):
    process = subprocess.Popen(
        command(tmp_path, "jobs=2", steps=200_000),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for seed in (0, 1):
        wait_until((run_folder(tmp_path, seed) / "run.json").exists)
    both = list(children(process).values())
    for child in both:
        child.suspend()  # it can do nothing that takes a while to stop
    process.send_signal(signal.SIGTERM)
    while "once more ends at once" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(again)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + again
    assert not any(child.is_running() for child in both)
    assert out.count("ended at once; the same command goes on from") == 2
    assert "failed" not in out + err


def test_who_asked_to_outlive_the_terminal_does(tmp_path):
    """As under nohup: SIGHUP is ignored from the start."""
    shell = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command(tmp_path, "jobs=1")]
    with started(shell, stdout=subprocess.DEVNULL) as process:
        wait_until((run_folder(tmp_path, 0) / "run.json").exists)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_a_child_that_somebody_else_ends_has_failed(tmp_path, number):
    words = command(tmp_path, "jobs=2", steps=200_000)
    folder = run_folder(tmp_path, 0)
    outputs = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with started(words, **outputs) as process:
        wait_until(lambda: len(children(process)) == 2)
        wait_until((folder / "eval.csv").exists)
        ended, other = (children(process)[f"seed={k}"] for k in (0, 1))
        ended.send_signal(number)
        wait_until(lambda: "seed=0" not in children(process))
        time.sleep(0.5)
        assert other.status() != psutil.STATUS_ZOMBIE  # the other run goes on
        other.kill()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert f"{folder}: " in err
    assert number.name in err
    assert "memory is short" in err  # of the other one, that SIGKILL has ended
    assert status(folder).state == "begun"


def children(process):
    """Return a command's children by the run that they train."""
    found = {}
    for child in psutil.Process(process.pid).children():
        try:
            names = {file.path for file in child.open_files()}
        except psutil.Error:
            continue
        for seed in ("seed=0", "seed=1"):
            if any(f"/{seed}/" in name for name in names):
                found[seed] = child
    return found
