"""What only Slurm does: warn, requeue, preempt, refuse; and what dies with a node."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace

import pytest
from command import LONG, Command
from virtual_slurm import VirtualSlurm

from pearl_bench.config.runs import load
from pearl_bench.execution.engine import EngineError, Job
from pearl_bench.execution.orders import read_order
from pearl_bench.execution.plan import plan
from pearl_bench.execution.slurm import Slurm
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


def asked(tmp_path, *words):
    many = ["suite=navigation", "families=point-robot", "learners=rl2", "budget=smoke"]
    bench = load([*many, "engine=slurm", f"out={tmp_path / 'raw'}", *words])
    return Slurm(bench), plan(bench)


def test_each_number_of_cores_is_asked_for_once_and_nothing_submitted(
    programs, tmp_path
):
    engine, runs = asked(tmp_path, "seeds=0,1,2,3")
    runs[1] = replace(runs[1], config=replace(runs[1].config, threads=2))
    assert engine.objection(runs) == ""
    calls = programs.told("sbatch")
    assert ["--test-only" in words for words in calls] == [True, True]
    for words, cores in zip(calls, (1, 2), strict=True):
        assert f"--cpus-per-task={cores}" in words
    programs.fails("sbatch", "no such thing")
    said = 'sbatch failed, and Slurm says "no such thing"'
    assert engine.objection(runs) == said


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: Unable to contact slurm controller",
        "sbatch: fatal: Could not establish a configuration source",
    ],
)
def test_no_answer_is_no_objection(programs, tmp_path, said):
    engine, runs = asked(tmp_path, "seeds=0,1")
    programs.fails("sbatch", said)
    with pytest.raises(EngineError, match=rf'"{said}"\. Type the command on a'):
        engine.objection(runs)


def test_a_program_that_cannot_be_started_is_no_objection(
    programs, tmp_path, monkeypatch
):
    engine, runs = asked(tmp_path, "seeds=0,1")
    (programs.folder / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(programs.folder))
    with pytest.raises(EngineError, match=r"sbatch cannot be started: .+ Type the"):
        engine.objection(runs)


@pytest.mark.parametrize("jobs", [None, 2])
def test_arrays_are_of_runs_of_as_many_cores_and_no_larger_than_may_be(
    programs, tmp_path, jobs
):
    """With ``jobs=`` they wait for each other, and for those that are there."""
    engine, runs = asked(tmp_path, "seeds=0,1,2,3,4", *([f"jobs={jobs}"] * bool(jobs)))
    runs[1] = replace(runs[1], config=replace(runs[1].config, threads=2))
    programs.answers("scontrol", "MaxArraySize           = 3\n")
    programs.answers("squeue", "old/0|77_0|RUNNING|None\nold/1|77_1|PENDING|Priority\n")
    engine.alive(["old/0", "old/1"])
    given = [*engine.submit(runs, ["run"], ["old/0", "old/1"])]
    assert [run.config.seed for run, _ in given] == [0, 2, 3, 4, 1]
    for run, job in given:
        order = read_order(run.folder)
        assert order is not None
        assert order.job == job
    calls = programs.told("sbatch")
    most = f"%{jobs}" if jobs else ""
    names = [job.partition("/")[0] for _, job in given if isinstance(job, str)]
    for words, cores, name, last in zip(
        calls, (1, 1, 2), (names[0], names[3], names[4]), (2, 0, 0), strict=True
    ):
        assert f"--cpus-per-task={cores}" in words
        assert f"--job-name={name}" in words
        assert f"--array=0-{last}{most}" in words
        assert {"--requeue", "--open-mode=append", "--signal=B:USR1@60"} <= {*words}
    folders = [str(run.folder.absolute()) for run, _ in given]
    assert [
        words[words.index(f) :]
        for words, f in zip(calls, (folders[0], *folders[3:]), strict=True)
    ] == [folders[:3], folders[3:4], folders[4:]]
    waits = [[w for w in words if w.startswith("--dependency=")] for words in calls]
    ids = [
        {*wait.removeprefix("--dependency=afterany:").split(":")}
        for of_one in waits
        for wait in of_one
    ]
    assert ids == ([{"77"}, {"77", "3"}, {"77", "3", "4"}] if jobs else [])


def test_the_queue_says_which_jobs_wait_run_or_have_ended(programs, tmp_path):
    engine, _ = asked(tmp_path)
    programs.answers(
        "squeue",
        "a/0|7_0|RUNNING|None\na/1|7_1|PENDING|Priority\na/2|7_2|TIMEOUT|None\n"
        "a/3|7_3|PENDING|None\na/4|7_4|PENDING|PartitionTimeLimit\n",
    )
    jobs = [f"a/{i}" for i in (0, 1, 2, 4, 5)]
    waiting = "waiting (PartitionTimeLimit), for more than there is"
    assert engine.alive(jobs) == {
        "a/0": Job(True, "running"),
        "a/1": Job(False, "waiting (Priority)"),
        "a/4": Job(False, waiting),
    }
    assert engine.ended("a/2").startswith("job 7_2 ended as TIMEOUT; ")
    assert engine.ended("a/0").startswith("job 7_0 is gone, last seen RUNNING; ")
    assert engine.ended("a/5").startswith("Slurm has lost its job; ")
    assert engine.alive([]) == {}
    ((*_, names, _),) = programs.told("squeue")
    assert names == "--name=a"
    engine.cancel(jobs)  # and none of the same array that others follow
    assert programs.told("scancel") == [
        ["--quiet", "--batch", "--signal=USR2", "7_0"],
        ["--quiet", "7_1", "7_4"],
    ]


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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], ""),
        (["partition=none-such"], "Invalid partition name specified"),
        (["threads=2"], "Requested node configuration is not available"),
        (["sbatch=--qqos=1"], "unrecognized option '--qqos=1'"),
    ],
)
def test_a_dry_run_says_what_slurm_would_refuse(slurm, on_slurm, words, sentence):
    code, out, err = on_slurm.run("dry=true", *words)
    assert (code, err) == (0, "")
    assert ("slurm: they could not start now: sbatch failed" in out) == bool(sentence)
    assert sentence in " ".join(out.split())
    assert slurm.run("squeue", "--noheader", "--states=PENDING,RUNNING") == ""


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
