"""The command from its words to published rows: real runs, stopped, resumed, broken."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pearl_bench.execution.console import tell_failures
from pearl_bench.records.run_folder import RunRecord, read_run, status

STEPS = 6000
WORDS = (
    "suite=navigation families=point-robot learners=pearl budget=smoke seeds=0,1 "
    f"jobs=2 device=cpu steps={STEPS} pearl.initial_steps=20 "
    "pearl.updates_per_iteration=10"
).split()

STARTED: list[subprocess.Popen[str]] = []


def start(folder, *other, python=()):
    """Start the command with some of its words replaced."""
    keys = {word.partition("=")[0] for word in other}
    words = [word for word in WORDS if word.partition("=")[0] not in keys]
    words += [f"out={folder / 'raw'}", f"results={folder / 'results'}", *other]
    process = subprocess.Popen(
        [sys.executable, *python, "-m", "pearl_bench.run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def ended():
    """Leave no process of a test that has failed."""
    yield
    while STARTED:
        STARTED.pop().kill()  # children end without it


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run_folder(folder, seed):
    return folder / "raw" / "navigation" / "point-robot" / "pearl" / f"seed={seed}"


def rows(folder, seed, name):
    with (run_folder(folder, seed) / name).open(newline="") as file:
        table = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in table]


def wait_for_rows(folder, process, seed, count=2):
    """Wait until a run has some iterations behind it; others may be anywhere."""
    deadline = time.monotonic() + 60
    path = run_folder(folder, seed) / "train.csv"
    while not (path.exists() and path.read_text().count("\n") > count):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    code, _, err = finish(start(folder))
    assert (code, err) == (0, "")
    return folder


def test_runs_leave_rows_records_and_published_curves(finished):
    for seed in (0, 1):
        assert status(run_folder(finished, seed)).state == "done"
        evaluations = rows(finished, seed, "eval.csv")
        assert len(evaluations) % (20 * 4) == 0  # test tasks x episodes
        assert int(evaluations[-1]["env_steps"]) >= STEPS
        log = (run_folder(finished, seed) / "log.txt").read_text()
        assert log.endswith("done\n")
        session = read_run(run_folder(finished, seed))["sessions"][0]
        assert session["command"][:4] == ["python", "-m", "pearl_bench.run", WORDS[0]]
    assert rows(finished, 0, "eval.csv") != rows(finished, 1, "eval.csv")
    published = finished / "results" / "navigation"
    with (published / "pearl.csv").open(newline="") as file:
        assert {row["seed"] for row in csv.DictReader(file)} == {"0", "1"}
    assert (published / "runs.csv").exists()


def test_a_finished_plan_has_nothing_to_do_and_says_so_at_once(finished):
    code, out, err = finish(start(finished, python=["-X", "importtime"]))
    assert code == 0
    assert "nothing to do" in out
    assert "wrote" not in out
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "pearl_bench.records.run_folder" in imported
    assert not {"torch", "mujoco", "matplotlib"} & imported


def test_a_dry_run_writes_nothing_and_answers_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    process = start(tmp_path, "dry=true", python=["-X", "importtime"])
    code, out, err = finish(process)
    assert code == 0
    assert out.count("missing") == 2
    assert "not measured on this machine yet" in out
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "pearl_bench.execution.plan" in imported
    assert not {"torch", "mujoco", "matplotlib"} & imported
    assert not any(tmp_path.iterdir())


def test_a_dry_run_on_a_cluster_tells_what_it_would_submit(programs, tmp_path):
    folder = tmp_path / "place"
    words = ["engine=slurm", "jobs=auto", "dry=true"]
    code, out, err = finish(start(folder, *words))
    assert code == 0, err
    there = "slurm: 2 to submit, 0 there already"
    assert out.splitlines()[-1] == there
    programs.fails("sbatch", "no room")
    code, out, err = finish(start(folder, *words))
    assert code == 0, err
    objection = (
        'slurm: they could not start now: sbatch failed, and Slurm says "no room"'
    )
    assert out.splitlines()[-2:] == [there, objection]
    assert not folder.exists()


def test_estimates_come_from_what_was_trained_before_or_is_measured(finished, tmp_path):
    code, out, _ = finish(start(tmp_path, "dry=true"))
    assert code == 0
    assert "about" in out.splitlines()[-1], out
    assert "measuring how fast" not in out
    assert out.count(" every 1,000  ") == 2  # the meta-test, and the time to go
    other = "pearl.updates_per_iteration=11"
    code, out, _ = finish(start(tmp_path, "dry=true", other))
    assert "not measured on this machine yet" in out
    code, out, _ = finish(start(tmp_path, "dry=true", "measure=true", other))
    assert code == 0
    assert "measuring how fast" in out
    assert "about" in out.splitlines()[-1]
    assert not any(tmp_path.iterdir())


def test_stopped_and_killed_commands_go_on_where_they_were(finished, tmp_path):
    process = start(tmp_path)
    wait_for_rows(tmp_path, process, seed=1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    code, out, _ = finish(process)
    assert code == 130
    assert "repeat the command to resume" in out
    stopped = status(run_folder(tmp_path, 1))
    assert stopped.state == "begun"
    assert 0 < stopped.env_steps < STEPS

    process = start(tmp_path)
    behind = len(rows(tmp_path, 1, "train.csv"))
    wait_for_rows(tmp_path, process, seed=1, count=behind + 2)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive  # without a parent to tell, a child stops with a checkpoint
    killed = status(run_folder(tmp_path, 1))
    assert killed.state == "begun"
    assert killed.env_steps > stopped.env_steps

    code, _, err = finish(start(tmp_path))
    assert (code, err) == (0, "")
    assert len(read_run(run_folder(tmp_path, 1))["sessions"]) == 3
    for seed in (0, 1):
        for name in ("train.csv", "eval.csv"):
            assert rows(tmp_path, seed, name) == rows(finished, seed, name)


def test_one_process_stops_between_its_runs_too(tmp_path):
    process = start(tmp_path, "jobs=1")
    wait_for_rows(tmp_path, process, seed=0)
    process.terminate()
    code, out, _ = finish(process)
    assert code == 143
    assert "repeat the command to resume" in out
    assert status(run_folder(tmp_path, 0)).state == "begun"
    assert status(run_folder(tmp_path, 1)).state == "missing"


def test_a_run_that_fails_stops_no_other(tmp_path):
    with RunRecord(run_folder(tmp_path, 0)):
        process = start(tmp_path, "seeds=0,1,2", "jobs=3")
        wait_for_rows(tmp_path, process, seed=1)
        lock = json.loads((run_folder(tmp_path, 1) / "lock").read_text())
        os.kill(lock["pid"], signal.SIGKILL)
        code, _, err = finish(process)
    assert code == 1
    first, second = sorted(err.splitlines())  # whichever is first
    assert first.startswith(f"failed: {run_folder(tmp_path, 0)}: ")
    assert f"process {os.getpid()} " in first
    assert second.startswith(f"failed: {run_folder(tmp_path, 1)}: ")
    assert "SIGKILL" in second
    states = [status(run_folder(tmp_path, seed)).state for seed in (1, 2)]
    assert states == ["begun", "done"]


def test_of_hundreds_that_fail_for_one_reason_some_are_named(capsys):
    many = {Path(f"seed={seed}"): "no GPU" for seed in range(300)}
    tell_failures({Path("seed=7000"): "a loss is NaN"} | many)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "failed: seed=7000: a loss is NaN"
    assert lines[1] == "failed: seed=0: no GPU"
    assert lines[-1] == "failed: 290 more: no GPU"
    assert len(lines) == 1 + 10 + 1


def test_a_loss_that_is_not_finite_fails_the_run_by_name(tmp_path):
    code, _, err = finish(
        start(tmp_path, "seeds=0", "jobs=1", "pearl.learning_rate=1e30")
    )
    assert code == 1
    assert "loss/" in err
    assert "Traceback" not in err
    assert status(run_folder(tmp_path, 0)).state == "failed"
    assert "Traceback" in (run_folder(tmp_path, 0) / "log.txt").read_text()


def number_printed(code: str, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_holes_between_arrays_are_given_back():
    code = (
        "import numpy as np, psutil\n"
        "from pearl_bench.machine.malloc import give_back_pages, keep_pages\n"
        "keep_pages()\n"
        "arrays = [np.ones(1 << 17) for _ in range(100)]\n"
        "del arrays[::2]\n"
        "before = psutil.Process().memory_info().rss\n"
        "give_back_pages()\n"
        "print(before - psutil.Process().memory_info().rss)"
    )
    assert number_printed(code) > 40 << 20  # 50 arrays of 1 MiB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_pages_are_not_faulted_in_again():
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from pearl_bench.machine.malloc import keep_pages\n"
        "if sys.argv[1] == 'keep': keep_pages()\n"
        "np.ones(1 << 20)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): np.ones(1 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = {mode: number_printed(code, mode) for mode in ("keep", "default")}
    assert faults["keep"] < faults["default"] / 10


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(),
    reason="no huge pages here",
)
def test_arrays_lie_in_huge_pages():
    code = (
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from pearl_bench.machine.malloc import keep_pages\n"
        "keep_pages()\n"
        "arrays = [np.ones(1 << 16) for _ in range(100)]\n"  # 0.5 MiB each
        "rollup = Path('/proc/self/smaps_rollup').read_text()\n"
        "print(rollup.partition('AnonHugePages:')[2].split()[0])"
    )
    assert number_printed(code) > 40 << 10  # KiB
