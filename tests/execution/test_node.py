"""A run on a node: one job, one training, no loop, whatever happened before."""

import errno
import os
import signal
import threading
import time

import pytest
import torch

from pearl_bench.config.runs import load, to_yaml
from pearl_bench.execution import node, orders
from pearl_bench.execution.node import carry_out
from pearl_bench.execution.orders import Order, ProgressReader, read_order, write_order
from pearl_bench.execution.plan import plan
from pearl_bench.execution.signals import POLITE
from pearl_bench.records import files
from pearl_bench.records.files import RecordError
from pearl_bench.records.run_folder import RunRecord, read_run, status

JOB, TASK = "name/0", "12_0"


def never():
    return False


def after_a_slice():
    """Return what stops a session when it has begun."""
    polls = iter([False])
    return lambda: next(polls, True)


@pytest.fixture
def folder(tmp_path):
    words = "suite=navigation families=point-robot learners=pearl budget=smoke"
    more = "steps=1000 threads=1 device=cpu pearl.initial_steps=20"
    bench = load([*words.split(), *more.split(), f"out={tmp_path}"])
    (run,) = plan(bench)
    write_order(run.folder, Order(to_yaml(run.config), ["run"], "slurm", JOB))
    return run.folder


def told(folder):
    return ProgressReader(folder, fresh=True).news()


def test_a_run_is_trained_once(folder):
    assert carry_out(folder, JOB, TASK, never)
    assert status(folder).state == "done"
    assert told(folder)[-1] == {"done": True}
    assert carry_out(folder, JOB, TASK, never)  # its node died after the last step
    (session,) = read_run(folder)["sessions"]
    assert (session["engine"], session["job"]) == ("slurm", TASK)


def test_a_run_that_was_given_to_another_job_is_left_alone(folder):
    assert carry_out(folder, "name/1", "12_1", never)
    assert status(folder).state == "missing"
    assert told(folder) == []


def test_a_job_that_gets_nowhere_is_not_started_for_ever(folder):
    # Each session stops after one slice: to collect, to update, to evaluate.
    for _ in range(3):
        assert not carry_out(folder, JOB, TASK, after_a_slice())
        assert told(folder)[-1] == {"done": False}
    message = f"2 sessions of job {TASK} have brought no new step"
    with pytest.raises(RecordError, match=message):
        carry_out(folder, JOB, TASK, never)
    assert message in told(folder)[-1]["failed"]
    assert len(read_run(folder)["sessions"]) == 3
    assert carry_out(folder, JOB, "13_0", never)  # somebody has looked into it


def test_a_job_is_started_again_after_its_first_session_without_a_new_step(folder):
    assert not carry_out(folder, JOB, TASK, after_a_slice())  # collects
    another = "13_0"
    assert not carry_out(folder, JOB, another, after_a_slice())  # updates
    assert carry_out(folder, JOB, another, never)


def test_long_sessions_without_a_new_step_are_no_loop(folder, monkeypatch):
    monkeypatch.setattr(node, "IDLE_SECONDS", 0.0)
    for _ in range(3):
        assert not carry_out(folder, JOB, TASK, after_a_slice())
    assert carry_out(folder, JOB, TASK, never)


def test_a_folder_in_use_is_waited_for(folder, monkeypatch):
    monkeypatch.setattr(node, "RETRY_SECONDS", 0.05)
    with RunRecord(folder):
        worker = threading.Thread(target=carry_out, args=(folder, JOB, TASK, never))
        worker.start()
        deadline = time.monotonic() + 60
        while not any("is in use" in line.get("say", "") for line in told(folder)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    worker.join()
    assert status(folder).state == "done"


def test_a_folder_in_use_for_long_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(node, "LOCK_SECONDS", 0.0)
    with RunRecord(folder), pytest.raises(RecordError, match="in use by process"):
        carry_out(folder, JOB, TASK, never)
    assert "in use by process" in told(folder)[-1]["failed"]


def no_locks(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_system_without_locks_is_enough_for_a_job(folder, monkeypatch):
    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    assert carry_out(folder, JOB, TASK, never)
    assert status(folder).state == "done"
    with pytest.raises(RecordError, match="keeps no locks"), RunRecord(folder):
        pass


def test_a_run_that_is_given_to_another_job_is_let_go(folder, monkeypatch):
    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    monkeypatch.setattr(orders, "TELL_EVERY", 0.0)
    polls = 0

    def give_away() -> bool:
        nonlocal polls
        polls += 1
        if polls == 3:
            order = read_order(folder)
            assert order is not None
            write_order(folder, order._replace(job="name/1"))
        return False

    assert carry_out(folder, JOB, TASK, give_away)  # nothing is left to it
    assert status(folder).state == "begun"
    assert not any("done" in message for message in told(folder))
    assert carry_out(folder, "name/1", "13_1", never)
    assert status(folder).state == "done"


@pytest.fixture
def hearing():
    """Signals are heard again afterwards: a node's process hears none of a second."""
    before = {number: signal.getsignal(number) for number in POLITE}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("hearing")
def test_the_exit_code_says_whether_to_start_again(folder, monkeypatch):
    words = [str(folder), JOB, TASK]

    def warned(*given):
        for _ in range(2):  # by the script, and by Slurm itself
            signal.raise_signal(signal.SIGTERM)
        return carry_out(*given)

    with monkeypatch.context() as during:
        during.setattr(node, "carry_out", warned)
        assert node.main(words) == node.STOPPED
    assert node.main(words) == 0
    (folder / "order.json").write_text("{")
    assert node.main(words) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_what_a_run_fails_by_is_told(folder):
    order = (folder / "order.json").read_text()
    (folder / "order.json").write_text(order.replace("device: cpu", "device: cuda"))
    with pytest.raises(Exception, match="finds no CUDA device"):
        carry_out(folder, JOB, TASK, never)
    assert "finds no CUDA device" in told(folder)[-1]["failed"]
