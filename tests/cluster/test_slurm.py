"""What only Slurm does: warn, requeue, preempt, refuse; and what dies with a node."""

import json
import os
import shutil
import signal
import time

import pytest
from command import LONG, Command
from virtual_slurm import VirtualSlurm

from pearl_bench.execution.orders import read_order
from pearl_bench.records.run_folder import status

pytestmark = pytest.mark.xdist_group("cluster")  # one Slurm, one Ray


def task_of(slurm: VirtualSlurm, command: Command, seed: int) -> str:
    """Return Slurm's own name of the job that trains a run."""
    order = read_order(command.run_folder(seed))
    assert order is not None
    for line in slurm.run("squeue", "-h", "-r", "-o%j/%K %F_%K").splitlines():
        job, task = line.split()
        if job == order.job:
            return task
    raise AssertionError(f"no job {order.job}")


def node_of(slurm: VirtualSlurm, command: Command, seed: int) -> str:
    task = task_of(slurm, command, seed)
    return slurm.run("squeue", "-h", "-j", task, "-o%N").strip()


def as_locally(command: Command, local: Command) -> None:
    for seed in (0, 1):
        assert command.rows(seed) == local.rows(seed)


def test_a_warned_run_goes_on_in_another_session(slurm, on_slurm, local):
    process = on_slurm.start()
    on_slurm.wait_for_rows(process, seed=0)
    on_slurm.wait_for_rows(process, seed=1)
    # The last of the array: its own number is that of the whole array.
    task = task_of(slurm, on_slurm, seed=1)
    slurm.run("scancel", "--batch", "--signal=USR1", task)
    process.kill()  # the laptop is closed
    on_slurm.finish(process)
    with slurm.hurrying():
        code, _, err = on_slurm.run()
    assert (code, err) == (0, "")
    assert [len(on_slurm.sessions(seed)) for seed in (0, 1)] == [1, 2]
    assert [session["job"] for session in on_slurm.sessions(1)] == [task, task]
    assert on_slurm.sessions(1)[1]["resumed_at_env_steps"] > 0
    as_locally(on_slurm, local)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("partition=none-such", "Invalid partition name specified"),
        ("threads=2", "CPU count per node can not be satisfied"),
        ("memory=1T", "Memory specification can not be satisfied"),
        ("sbatch=--qqos=1", "unrecognized option '--qqos=1'"),
    ],
)
def test_what_slurm_refuses_is_said_in_its_words(on_slurm, word, sentence):
    code, out, err = on_slurm.run(word)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    assert "submitted" not in out


@pytest.mark.skipif(shutil.which("scontrol") is None, reason="Slurm is not installed")
def test_without_a_controller_slurm_is_quoted_with_what_to_do(tmp_path):
    settings = tmp_path / "slurm.conf"
    settings.write_text(
        "ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\n"
    )
    nowhere = os.environ | {"SLURM_CONF": str(settings)}
    code, out, err = Command(tmp_path, "slurm", nowhere).run()
    assert code == 2
    assert err.startswith('scontrol failed, and Slurm says "')
    assert 'Unable to contact slurm controller (connect failure)". Type the' in err
    assert err.endswith("controller as UP, and repeat it there\n")
    assert err.count("\n") == 1
    assert "submitted" not in out


def test_a_job_without_a_gpu_says_so(on_slurm):
    code, _, err = on_slurm.run("gpus=1", "seeds=0")  # the node's GPU is /dev/null
    assert code == 1
    assert "finds no CUDA device" in err


def test_jobs_import_what_the_command_does(on_slurm, tmp_path, monkeypatch):
    """Not what lies in the folder it was typed in, where it does not look."""
    (tmp_path / "queue.py").write_text("raise RuntimeError('of a user')\n")
    monkeypatch.chdir(tmp_path)
    process = on_slurm.start("seeds=0", "steps=2000", python=("-P",))
    code, _, err = on_slurm.finish(process)
    assert (code, err) == (0, "")


def test_a_job_that_ends_without_a_word_is_named(slurm, on_slurm):
    process = on_slurm.start("seeds=0")
    on_slurm.wait_for_rows(process, seed=0)
    task = task_of(slurm, on_slurm, seed=0)
    lock = json.loads((on_slurm.run_folder(0) / "lock").read_text())
    os.kill(lock["pid"], signal.SIGKILL)
    code, _, err = on_slurm.finish(process)
    assert code == 1
    assert err.startswith(
        f"failed: {on_slurm.run_folder(0)}: its process ended with SIGKILL"
    )
    (session,) = on_slurm.sessions(0)
    assert session["job"] == task


def test_waiting_for_ever_is_said_and_can_be_cancelled(slurm, on_slurm):
    process = on_slurm.start("time=8-0", "on_stop=cancel")  # a week is the limit
    on_slurm.wait_for_words(process, "), for more than there is")
    code, out, _ = on_slurm.interrupt(process)
    assert code == 130
    assert ": 2 cancelled" in out
    assert slurm.run("squeue", "-h") == ""


@pytest.mark.slow
def test_a_controller_that_is_away_is_waited_for(slurm, on_slurm):
    process = on_slurm.start()
    on_slurm.wait_for_rows(process, seed=0)
    slurm.stop_controller()
    on_slurm.wait_for_words(process, "slurm does not answer (")
    slurm.start_controller()
    code, out, err = on_slurm.finish(process)
    assert (code, err) == (0, "")
    assert out.count("asking again for 10 min") == 1


@pytest.mark.slow
def test_no_more_at_a_time_than_asked_for(slurm, on_slurm):
    process = on_slurm.start("jobs=1", *LONG)
    on_slurm.wait_for_rows(process, seed=0)
    assert slurm.run("squeue", "-h", "-tRUNNING", "-o%i").count("\n") == 1
    code, _, _ = on_slurm.interrupt(process)
    # What is submitted later waits for what is there.
    process = on_slurm.start("jobs=1", "seeds=0,1,2", *LONG)
    deadline = time.monotonic() + 60
    while "Dependency" not in slurm.run("squeue", "-h", "-o%r"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    while process.poll() is None:
        assert slurm.run("squeue", "-h", "-tRUNNING", "-o%i").count("\n") <= 1
        time.sleep(1)
    code, _, err = on_slurm.finish(process)
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_time_limits(slurm, on_slurm, long_local):
    with slurm.hurrying():
        code, _, err = on_slurm.run("time=1", *LONG)
    assert (code, err) == (0, "")
    assert all(len(on_slurm.sessions(seed)) > 1 for seed in (0, 1))
    as_locally(on_slurm, long_local)


@pytest.mark.slow
def test_preemption(slurm, on_slurm, long_local):
    process = on_slurm.start(*LONG)
    for seed in (0, 1):
        on_slurm.wait_for_rows(process, seed)
    for _ in slurm.nodes:
        slurm.run("sbatch", "-purgent", "-o/dev/null", "--wrap=sleep 3")
    with slurm.hurrying():
        code, _, err = on_slurm.finish(process)
    assert (code, err) == (0, "")
    assert [len(on_slurm.sessions(seed)) for seed in (0, 1)] == [2, 2]
    as_locally(on_slurm, long_local)


@pytest.mark.slow
def test_a_node_that_dies(slurm, on_slurm, long_local):
    process = on_slurm.start(*LONG)
    on_slurm.wait_for_rows(process, seed=1)
    deadline = time.monotonic() + 120
    while not status(on_slurm.run_folder(0)).env_steps:  # a checkpoint
        assert time.monotonic() < deadline
        time.sleep(0.1)
    node = node_of(slurm, on_slurm, seed=0)
    slurm.kill_node(node)
    with slurm.hurrying():
        time.sleep(30)
        slurm.start_node(node)
        code, _, err = on_slurm.finish(process)
    assert (code, err) == (0, "")
    first, second = on_slurm.sessions(0)
    assert first["job"] == second["job"]
    assert second["resumed_at_env_steps"] > 0
    assert len(on_slurm.sessions(1)) == 1
    as_locally(on_slurm, long_local)
