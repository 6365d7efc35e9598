"""What only Ray does: restart actors, wait for room, and not be there."""

import json
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from command import LONG, Command

from pearl_bench.execution.engine import EngineError, Job
from pearl_bench.execution.orders import PROGRESS
from pearl_bench.execution.ray import Ray, Trainer
from pearl_bench.records.run_folder import status

pytestmark = pytest.mark.xdist_group("cluster")  # one Slurm, one Ray


def test_no_cluster_is_a_sentence(tmp_path):
    pytest.importorskip("ray")
    nowhere = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}
    code, _, err = Command(tmp_path, "ray", nowhere).run()
    assert code == 2
    assert err.startswith("engine=ray: no cluster answers at RAY_ADDRESS=127.0.0.1:1")
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", ["GetTimeoutError", "RaySystemError", "RpcError"])
def test_what_ray_raises_in_cancelling_is_its_answer(error):
    """Its control store may be away for a while; an actor that is gone is no error."""
    ray = pytest.importorskip("ray")
    engine = object.__new__(Ray)
    found = SimpleNamespace(list_named_actors=lambda: ["folder"])
    raised = [getattr(ray.exceptions, error)("away"), ValueError("gone")]

    def get_actor(job):
        raise raised.pop(0)

    engine._ray = SimpleNamespace(util=found, nodes=list, get_actor=get_actor)
    engine._needs, engine._cores, engine._usual_cores = {}, {}, 1
    with pytest.raises(EngineError, match=f"^{error}: .*away"):
        engine.cancel(["folder"])
    engine.cancel(["folder"])
    assert not raised


def test_what_trains_is_asked_to_stop_and_what_waits_is_ended(tmp_path):
    jobs = [str(tmp_path / name) for name in ("trains", "waits", "wants much", "gone")]
    (tmp_path / "trains").mkdir()
    (tmp_path / "trains" / PROGRESS).touch()
    done = []

    def get_actor(job):
        stop = SimpleNamespace(remote=lambda: done.append((job, "asked")))
        return SimpleNamespace(stop=stop, job=job)

    engine = object.__new__(Ray)
    engine._ray = SimpleNamespace(
        util=SimpleNamespace(list_named_actors=lambda: [*jobs[:3], "of another"]),
        nodes=lambda: [
            {"Alive": True, "Resources": {"CPU": 2.0, "memory": 5.0}},
            {"Alive": True, "Resources": {"CPU": 1.0, "memory": 9.0}},
            {"Alive": False, "Resources": {"CPU": 8.0, "memory": 9.0}},
        ],
        get_actor=get_actor,
        kill=lambda actor, *, no_restart: done.append((actor.job, no_restart)),
    )
    engine._needs, engine._cores = {"GPU": 0, "memory": 6}, {jobs[2]: 2}
    engine._usual_cores = 1
    assert engine.alive(jobs) == {
        jobs[0]: Job(True, "running"),
        jobs[1]: Job(False, "waiting"),
        jobs[2]: Job(False, "waiting (no node has CPU=2 memory=6)"),
    }
    engine.cancel(jobs)
    assert done == [(jobs[0], "asked"), (jobs[1], True), (jobs[2], True)]


def test_an_actor_on_a_node_that_does_not_see_the_folder_ends(
    tmp_path, monkeypatch, capsys
):
    """It would hold its cores for ever, and the command wait for it as long."""
    killed = []
    context = SimpleNamespace(current_actor="itself", get_actor_id=lambda: "1")
    stand_in = SimpleNamespace(
        get_runtime_context=lambda: context,
        kill=lambda actor, *, no_restart: killed.append((actor, no_restart)),
    )
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    object.__new__(Trainer)._train(str(tmp_path / "elsewhere"))
    assert killed == [("itself", True)]
    assert "FileNotFoundError" in capsys.readouterr().err


def test_waiting_for_more_than_there_is_is_said_and_can_be_cancelled(on_ray):
    code, out, _ = on_ray.run("threads=2", "dry=true")
    assert code == 0
    assert "ray: they could not start now: no node has CPU=2" in out
    process = on_ray.start("threads=2", "on_stop=cancel")
    on_ray.wait_for_words(process, "2 waiting (no node has CPU=2)")
    code, out, _ = on_ray.interrupt(process)
    assert code == 130
    assert ": 2 cancelled" in out
    assert status(on_ray.run_folder(0)).state == "missing"


def test_a_run_whose_process_is_killed_is_started_anew(on_ray, local):
    process = on_ray.start("seeds=0")
    on_ray.wait_for_rows(process, seed=0)
    lock = json.loads((on_ray.run_folder(0) / "lock").read_text())
    os.kill(lock["pid"], signal.SIGKILL)
    code, _, err = on_ray.finish(process)
    assert (code, err) == (0, "")
    first, second = on_ray.sessions(0)
    assert first["job"] == second["job"]
    assert on_ray.rows(0) == local.rows(0)


@pytest.mark.slow
def test_a_node_that_dies(ray, on_ray, long_local):
    process = on_ray.start(*LONG)
    deadline = time.monotonic() + 120
    while not all(status(on_ray.run_folder(seed)).env_steps for seed in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ray.kill_node(ray.nodes[1])
    code, _, err = on_ray.finish(
        process
    )  # one after the other, on the node that is left
    ray.start_node(ray.nodes[1])
    assert (code, err) == (0, "")
    assert sorted(len(on_ray.sessions(seed)) for seed in (0, 1)) == [1, 2]
    for seed in (0, 1):
        assert on_ray.sessions(seed)[-1]["resumed_at_env_steps"] >= 0
        assert on_ray.rows(seed) == long_local.rows(seed)
