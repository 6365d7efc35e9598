"""The command from its words to published rows: real runs, stopped, resumed, broken."""

import csv
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pearl_bench.record import RunRecord, read_run, status

STEPS = 3000
WORDS = (
    "suite=navigation families=point-robot budget=smoke seeds=0,1 jobs=2 device=cpu "
    f"steps={STEPS} pearl.initial_steps=20 pearl.updates_per_iteration=40"
).split()


def start(folder, *words, python=()):
    places = [f"out={folder / 'raw'}", f"results={folder / 'results'}"]
    return subprocess.Popen(
        [sys.executable, *python, "-m", "pearl_bench.run", *WORDS, *places, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run_folder(folder, seed):
    return folder / "raw" / "navigation" / "point-robot" / "pearl" / f"seed={seed}"


def rows(folder, seed, name):
    with (run_folder(folder, seed) / name).open(newline="") as file:
        table = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in table]


def wait_for_rows(folder, process, seeds=(0, 1), count=2):
    """Wait until each run has some iterations behind it."""
    deadline = time.monotonic() + 60
    paths = [run_folder(folder, seed) / "train.csv" for seed in seeds]
    while not all(p.exists() and p.read_text().count("\n") > count for p in paths):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    code, out, err = finish(start(folder))
    assert (code, err) == (0, "")
    assert "measured on this machine" in out
    return folder


def test_runs_leave_rows_records_and_published_curves(finished):
    for seed in (0, 1):
        assert status(run_folder(finished, seed)).state == "done"
        evaluations = rows(finished, seed, "eval.csv")
        assert len(evaluations) % (20 * 3) == 0  # test tasks x episodes
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
    before = time.monotonic()
    code, out, err = finish(start(finished, python=["-X", "importtime"]))
    assert time.monotonic() - before < 3
    assert code == 0
    assert "nothing to do" in out
    assert "wrote" not in out
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "pearl_bench.record" in imported
    assert not {"torch", "mujoco", "matplotlib"} & imported


def test_a_dry_run_writes_nothing(tmp_path):
    code, out, _ = finish(start(tmp_path, "dry=true"))
    assert code == 0
    assert out.count("missing") == 2
    assert "measured on this machine" in out
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["group", "parent"])
def test_interrupted_runs_go_on_where_they_were(finished, tmp_path, target):
    process = start(tmp_path)
    wait_for_rows(tmp_path, process)
    if target == "group":  # as a terminal does
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    code, out, _ = finish(process)
    assert code == 130
    assert "repeat the command to resume" in out
    for seed in (0, 1):
        found = status(run_folder(tmp_path, seed))
        assert found.state == "begun"
        assert 0 < found.env_steps < STEPS

    code, _, err = finish(start(tmp_path))
    assert (code, err) == (0, "")
    for seed in (0, 1):
        assert len(read_run(run_folder(tmp_path, seed))["sessions"]) == 2
        for name in ("train.csv", "eval.csv"):
            assert rows(tmp_path, seed, name) == rows(finished, seed, name)


def test_one_process_stops_between_its_runs_too(tmp_path):
    process = start(tmp_path, "jobs=1")
    wait_for_rows(tmp_path, process, seeds=[0])
    process.terminate()
    code, out, _ = finish(process)
    assert code == 143
    assert "repeat the command to resume" in out
    assert status(run_folder(tmp_path, 0)).state == "begun"
    assert status(run_folder(tmp_path, 1)).state == "missing"


def test_a_folder_in_use_is_refused_and_the_other_run_completes(tmp_path):
    with RunRecord(run_folder(tmp_path, 0)):
        code, _, err = finish(start(tmp_path))
    assert code == 1
    assert f"failed: {run_folder(tmp_path, 0)}: " in err
    assert f"process {os.getpid()} " in err
    assert status(run_folder(tmp_path, 1)).state == "done"


def test_a_killed_child_is_reported_and_the_other_run_completes(tmp_path):
    process = start(tmp_path)
    wait_for_rows(tmp_path, process)
    first = psutil.Process(process.pid).children()[0]
    first.kill()
    code, _, err = finish(process)
    assert code == 1
    assert err.count("failed: ") == 1
    assert "SIGKILL" in err
    states = {status(run_folder(tmp_path, seed)).state for seed in (0, 1)}
    assert states == {"done", "begun"}


def test_children_stop_when_their_parent_is_gone(tmp_path):
    process = start(tmp_path)
    wait_for_rows(tmp_path, process)
    children = psutil.Process(process.pid).children()
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert {status(run_folder(tmp_path, seed)).state for seed in (0, 1)} == {"begun"}


def test_a_loss_that_is_not_finite_fails_the_run_by_name(tmp_path):
    code, _, err = finish(
        start(tmp_path, "seeds=0", "jobs=1", "pearl.learning_rate=1e30")
    )
    assert code == 1
    assert "loss/" in err
    assert "Traceback" not in err
    assert status(run_folder(tmp_path, 0)).state == "failed"
    assert "Traceback" in (run_folder(tmp_path, 0) / "log.txt").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_pages_are_not_faulted_in_again():
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from pearl_bench.launch import keep_pages\n"
        "if sys.argv[1] == 'keep': keep_pages()\n"
        "np.ones(1 << 20)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): np.ones(1 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", code, mode],
                capture_output=True,
                check=True,
                text=True,
                timeout=60,
            ).stdout
        )
        for mode in ("keep", "default")
    }
    assert faults["keep"] < faults["default"] / 10
