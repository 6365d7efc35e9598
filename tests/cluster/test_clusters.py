"""The same line on a cluster: left and come back to, cancelled, doubled, failing."""

from types import SimpleNamespace
from typing import Any

import pytest
from raw_runs import make_run

from pearl_bench.config.runs import load
from pearl_bench.execution import follow
from pearl_bench.execution.console import Board
from pearl_bench.execution.orders import ProgressFile
from pearl_bench.execution.plan import plan
from pearl_bench.records.files import make_folder
from pearl_bench.records.run_folder import status

pytestmark = pytest.mark.xdist_group("cluster")  # one Slurm, one Ray


ENGINE: Any = SimpleNamespace(ended=lambda job: f"{job} is gone")


class Watched:
    """A run that a command watches, and the command's clock.

    Args:
        folder: for the run, which its job would train to 3000 steps.
        monkeypatch: of the test.
    """

    def __init__(self, folder, monkeypatch):
        words = "suite=locomotion families=half-cheetah-vel learners=pearl steps=3000"
        (run,) = plan(load([*words.split(), "seeds=0", f"out={folder}", "device=cpu"]))
        make_folder(run.folder)
        self.now = 100.0
        monkeypatch.setattr(follow.time, "monotonic", lambda: self.now)
        self._watch = follow._Watch(run, "a/0", fresh=True)
        self.told = ProgressFile(run.folder)

    def end(self, *, alive=False, cancelled=False):
        self._watch.hear(Board(), room=False)
        return self._watch.end(ENGINE, alive=alive, cancelled=cancelled)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    return Watched(tmp_path, monkeypatch)


def test_a_job_that_is_gone_has_failed_once_its_files_can_be_seen(watched):
    assert watched.end(alive=True) is None
    assert watched.end() is None
    watched.now += follow.LATENCY - 1
    assert watched.end() is None
    assert watched.end(alive=True) is None  # it was only started anew
    watched.now += 2
    assert watched.end() is None
    watched.now += follow.LATENCY
    assert watched.end() == ("failed", "a/0 is gone")


@pytest.mark.parametrize(
    ("told", "cancelled", "end"),
    [
        ({"failed": "a loss is NaN"}, False, ("failed", "a loss is NaN")),
        ({"failed": "a loss is NaN"}, True, ("failed", "a loss is NaN")),
        ({"done": False}, True, ("stopped", "")),
        ({"done": False}, False, None),  # to be started again, perhaps
        (
            {"killed": "SIGKILL"},
            False,
            ("failed", "its process ended with SIGKILL; a/0 is gone"),
        ),
    ],
)
def test_what_a_run_has_told_says_how_it_ends(watched, told, cancelled, end):
    watched.told.send(**told)
    assert watched.end(alive=True, cancelled=cancelled) is None
    assert watched.end(cancelled=cancelled) == end
    watched.now += follow.LATENCY
    end = end or ("failed", "it was stopped after a checkpoint; a/0 is gone")
    assert watched.end(cancelled=cancelled) == end


def test_a_job_may_take_long_to_leave(watched):
    watched.told.send(done=True)
    assert watched.end(alive=True) is None
    watched.now += 2 * follow.LATENCY
    assert watched.end(alive=True) is None


@pytest.mark.parametrize("steps", [3000, 2000])
def test_a_run_is_done_with_the_steps_that_are_asked_for(watched, tmp_path, steps):
    watched.told.send(done=True)
    assert watched.end(alive=True) is None  # its record is not to be seen yet
    make_run(tmp_path, steps=(1000, steps))
    ends = watched.end(alive=True), watched.end()
    if steps == 3000:
        assert ends == (("done", ""), ("done", ""))
    else:
        assert ends == (None, None)
        watched.now += follow.LATENCY
        fewer = "an earlier command asked for fewer steps; repeat this one"
        assert watched.end() == ("failed", fewer)


def test_typed_twice_at_once_then_left_and_come_back_to(on_cluster, local):
    first = on_cluster.start(python=("-X", "importtime"))
    second = on_cluster.start()
    for seed in (0, 1):
        on_cluster.wait_for_rows(first, seed)
    ends = [on_cluster.interrupt(first), on_cluster.interrupt(second)]
    submitted = []
    for code, out, _ in ends:
        assert code == 130
        assert "still: 2. Repeat the command to come back to them" in out
        (line,) = (line for line in out.splitlines() if " submitted, " in line)
        submitted.append(line.partition(": ")[2])
    assert sorted(submitted) == [
        "0 submitted, 2 there already",
        "2 submitted, 0 there already",
    ]
    # Nothing is trained or measured where the command is typed.
    imported = {line.rpartition("|")[2].strip() for line in ends[0][2].splitlines()}
    assert "pearl_bench.execution.follow" in imported
    assert not {"torch", "mujoco"} & imported

    code, out, err = on_cluster.run()
    assert (code, err) == (0, "")
    assert "0 submitted" in out
    for seed in (0, 1):
        (session,) = on_cluster.sessions(seed)  # the first one has never ended
        assert session["engine"] == on_cluster.engine
        assert session["job"]
        assert (session["device"], session["threads"]) == ("cpu", 1)
        assert on_cluster.rows(seed) == local.rows(seed)
    assert on_cluster.published() == local.published()
    code, out, err = on_cluster.run()
    assert (code, err) == (0, "")
    assert "nothing to do" in out
    assert "wrote" not in out


def test_cancelled_and_started_again(on_cluster, local):
    process = on_cluster.start("seeds=0", "on_stop=cancel")
    on_cluster.wait_for_rows(process, seed=0)
    code, out, err = on_cluster.interrupt(process)
    assert code == 130
    assert ": 1 cancelled" in out
    found = status(on_cluster.run_folder(0))
    assert found.state == "begun"
    assert found.env_steps > 0
    code, out, err = on_cluster.run("seeds=0")
    assert (code, err) == (0, "")
    assert "1 submitted, 0 there already" in out
    assert len(on_cluster.sessions(0)) == 2
    assert on_cluster.rows(0) == local.rows(0)


def test_a_job_that_waits_with_other_settings_is_not_followed(on_cluster):
    first = on_cluster.start("seeds=0,1,2", "on_stop=cancel")  # on two cores
    on_cluster.wait_for_rows(first, seed=0)
    code, out, err = on_cluster.run("seeds=2", "pearl.learning_rate=0.01")
    assert code == 1
    assert "0 submitted, 0 there already" in out
    assert "pearl.learning_rate: 0.0003 there, 0.01 now" in err
    assert f" waits or runs with {on_cluster.engine}." in err
    assert on_cluster.interrupt(first)[0] == 130


def test_a_run_that_fails_is_named_with_its_reason(on_cluster):
    code, out, err = on_cluster.run("seeds=0", "pearl.learning_rate=1e30")
    assert code == 1
    assert err.startswith(f"failed: {on_cluster.run_folder(0)}: ")
    assert "loss/" in err
    assert err.count("\n") == 1
    assert "point-robot pearl seed=0: failed: " in out
    assert status(on_cluster.run_folder(0)).state == "failed"
    assert "Traceback" in (on_cluster.run_folder(0) / "log.txt").read_text()


def test_a_folder_that_gives_or_takes_no_order_stops_no_other_run(on_cluster, local):
    damaged, barred = (on_cluster.run_folder(seed) for seed in (1, 2))
    damaged.mkdir(parents=True)
    (damaged / "order.json").write_text("{")
    (barred / "progress.jsonl" / "in the way").mkdir(parents=True)
    code, out, err = on_cluster.run("seeds=0,1,2")
    assert code == 1
    first, second = err.splitlines()
    assert first.startswith(f"failed: {damaged}: ")
    assert "damaged or no order" in first
    assert second.startswith(f"failed: {barred}: ")
    assert "1 submitted, 0 there already" in out
    assert on_cluster.rows(0) == local.rows(0)
    header, *rows = local.published()
    seed = header.index("seed")
    assert on_cluster.published() == [header, *(r for r in rows if r[seed] == "0")]
