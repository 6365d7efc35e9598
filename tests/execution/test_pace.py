"""What runs took is remembered, and forgotten where it does not hold or is damaged."""

import dataclasses
import json
from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench.config.runs import load
from pearl_bench.config.types import RunConfig
from pearl_bench.execution.pace import (
    FIRST_SECONDS,
    Pace,
    Stopwatch,
    recall,
    remember,
)
from pearl_bench.execution.plan import plan, side_by_side


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pearl_bench" / "pace"


@pytest.fixture
def words(tmp_path):
    return (
        f"suite=navigation families=point-robot learners=pearl budget=smoke steps=1000 "
        f"device=cpu out={tmp_path / 'raw'}"
    ).split()


@pytest.fixture
def run(words) -> RunConfig:
    return plan(load(words))[0].config


NOWHERE = Path("none")


def test_a_pace_holds_for_runs_of_its_kind(run):
    assert recall(run, NOWHERE) is None
    assert remember(run, Pace(0.25, 1200, 1 << 29))
    longer = dataclasses.replace(run, seed=5, steps=10**6, checkpoint_minutes=1.0)
    assert recall(longer, NOWHERE) == Pace(0.25, 1200, 1 << 29)
    larger = dataclasses.replace(run.config, hidden_size=7)
    for other in ({"threads": 9}, {"eval_every": 3}, {"config": larger}):
        assert recall(dataclasses.replace(run, **other), NOWHERE) is None


def test_another_machine_has_its_own_paces(run, monkeypatch):
    remember(run, Pace(0.25))
    monkeypatch.setattr(
        "pearl_bench.execution.pace._machine", lambda: {"cpu": "another"}
    )
    assert recall(run, NOWHERE) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 1, "seconds_per_step": 1}',
        '{"format": 2}',
        '{"format": 2, "seconds_per_step": NaN}',
        '{"format": 2, "seconds_per_step": -1}',
        '{"format": 2, "seconds_per_step": "1"}',
        "\xff",
    ],
)
def test_a_damaged_file_is_passed_over_and_replaced(run, kept, text):
    remember(run, Pace(0.25))
    (path,) = kept.iterdir()
    path.write_text(text, encoding="latin-1")
    assert recall(run, NOWHERE) is None
    assert remember(run, Pace(0.5))
    assert recall(run, NOWHERE) == Pace(0.5)


def test_a_cache_that_cannot_be_written_is_none(run, kept):
    kept.parent.parent.write_text("a file")
    assert not remember(run, Pace(0.25))
    assert recall(run, NOWHERE) is None


def test_a_run_tells_its_own_pace_since_its_first_update(run, tmp_path):
    remember(run, Pace(9.0, 1200))
    path = tmp_path / "train.csv"
    path.write_text("env_steps,updates,wall_s\n900,0,0.1\n1000,5,10\n1400,15,30\n")
    assert recall(run, tmp_path) == Pace(20 / 400, 1200, None, 1000, 10)
    path.write_text("env_steps,updates,wall_s\n900,0,0.1\n1000,5,10\n")
    assert recall(run, tmp_path) == Pace(9.0, 1200)
    path.write_text("rubbish\n1\n")
    assert recall(run, tmp_path) == Pace(9.0, 1200)


def test_the_first_iteration_is_no_measure_of_the_others():
    pace = Pace(0.5, first_steps=200, first_seconds=10.0)
    assert pace.seconds(0, 300) == 10 + 50
    assert pace.seconds(100, 300) == 5 + 50
    assert pace.seconds(250, 300) == 25
    assert pace.seconds(0, 100) == 5
    assert pace.per_step(0, 300) == 0.2
    assert pace.seconds(300, 300) == pace.per_step(300, 300) == 0


def test_the_pace_of_the_first_iterations_is_remembered_once(run, tmp_path, kept):
    now = [0.0]
    watch = Stopwatch(run, tmp_path, 1200, lambda: now[0])
    rows = tmp_path / "train.csv"
    rows.write_text("env_steps,updates,wall_s\n500,9,40\n530,18,80\n")
    watch.update(540, 20, None)
    assert not kept.exists()  # a minute is needed
    now[0] += FIRST_SECONDS
    rows.write_text("env_steps,updates,wall_s\n500,9,40\n")
    watch.update(540, 20, None)
    assert not kept.exists()  # and a second iteration
    now[0] += FIRST_SECONDS
    rows.write_text("env_steps,updates,wall_s\n500,9,40\n530,18,80\n")
    watch.update(550, 20, None)
    assert recall(run, NOWHERE) == Pace(40 / 30, 1200, None, 500, 40)
    now[0] += FIRST_SECONDS
    rows.write_text("env_steps,updates,wall_s\n500,9,40\n530,18,50\n")
    watch.update(900, 99, None)
    assert recall(run, NOWHERE) == Pace(40 / 30, 1200, None, 500, 40)


@pytest.mark.parametrize("updates", [(9,), (0, 9), (9, 18)])
def test_a_run_of_one_iteration_tells_no_pace(run, tmp_path, updates):
    folder = make_run(tmp_path, steps=(500,))
    lines = [f"{500 * n},{done},{40 * n}" for n, done in enumerate(updates, 1)]
    (folder / "train.csv").write_text("\n".join(["env_steps,updates,wall_s", *lines]))
    Stopwatch(run, folder, 1200).end()
    known = recall(run, NOWHERE)
    assert known == (Pace(40 / 500, 1200, None, 500, 40) if 18 in updates else None)


def test_memory_is_of_the_run_and_not_of_one_before_it(run, tmp_path, monkeypatch):
    peak = [300.0]
    monkeypatch.setattr("pearl_bench.execution.pace.peak_memory_mib", lambda: peak[0])
    folder = make_run(tmp_path, steps=(500,))
    rows = "env_steps,updates,wall_s\n500,9,40\n1000,18,80\n"
    (folder / "train.csv").write_text(rows)
    # the third one's peak lies below the second's, which is not forgotten
    for after, memory in ((300.0, None), (500.0, 500 << 20), (500.0, 500 << 20)):
        watch = Stopwatch(run, folder, 1200)
        peak[0] = after
        watch.end()
        known = recall(run, NOWHERE)
        assert known is not None
        assert known.memory == memory


def test_a_longer_run_takes_what_its_replay_needs(words, monkeypatch):
    home = "pearl_bench.execution.plan"
    monkeypatch.setattr(f"{home}.available_cores", lambda: 4)
    monkeypatch.setattr(f"{home}.available_memory", lambda: 8 << 30)
    long = ["steps=300000000" if w == "steps=1000" else w for w in words]
    bench = load([*long, "seeds=0,1,2,3"])
    runs = plan(bench)
    remember(runs[0].config, Pace(0.25, None, 300 << 20))  # of a short one
    assert side_by_side(bench, runs) == 3


def test_memory_that_runs_took_limits_those_side_by_side(words, monkeypatch):
    home = "pearl_bench.execution.plan"
    monkeypatch.setattr(f"{home}.available_cores", lambda: 4)
    monkeypatch.setattr(f"{home}.available_memory", lambda: 8 << 30)
    bench = load([*words, "seeds=0,1,2,3"])
    runs = plan(bench)
    assert side_by_side(bench, runs) == 4
    remember(runs[0].config, Pace(0.25, None, 3 << 30))
    assert side_by_side(bench, runs) == 2
    # the largest counts: any may be beside any
    both = ["learners=pearl,rl2" if w == "learners=pearl" else w for w in words]
    bench = load([*both, "seeds=0,1"])
    runs = plan(bench)
    remember(runs[2].config, Pace(0.25, None, 300 << 20))
    assert [run.config.learner for run in runs] == ["pearl"] * 2 + ["rl2"] * 2
    assert side_by_side(bench, runs) == 2


def test_sessions_that_go_on_are_no_measure_of_a_run(run, tmp_path):
    folder = make_run(tmp_path, steps=(500,))
    rows = "env_steps,updates,wall_s\n500,9,40\n1000,18,80\n"
    (folder / "train.csv").write_text(rows)
    record = json.loads((folder / "run.json").read_text())
    record["sessions"][-1]["resumed_at_env_steps"] = 500
    (folder / "run.json").write_text(json.dumps(record))
    Stopwatch(run, folder, 1200).end()
    assert recall(run, NOWHERE) is None


def test_a_relative_cache_is_passed_over(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert remember(run, Pace(0.25))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert len([*tmp_path.glob("home/.cache/pearl_bench/pace/*.json")]) == 1


def test_the_file_says_what_it_is_about(run, kept):
    remember(run, Pace(0.25, 1200, 5))
    (path,) = kept.iterdir()
    text = json.loads(path.read_text())
    assert text["kind"]["run"]["learner"] == "pearl"
    assert "python" in text["kind"]["versions"]
