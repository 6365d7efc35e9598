"""Published curves: exact, merged, and never shortened."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from raw_runs import always, make_run, silent, some_return

from pearl_bench import registry
from pearl_bench.pearl.config import PearlConfig
from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, take_lock
from pearl_bench.records.migrate import main as migrate_main
from pearl_bench.records.published.identity import _digest, identity, is_identity
from pearl_bench.records.published.publish import (
    LOCK,
    LeftOutError,
    StoreError,
    publish,
)
from pearl_bench.records.run_folder import RunRecord, read_run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def contents(folder: Path, names: str = "*") -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob(names)
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path):
    return tmp_path / "raw"


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def test_means_over_tasks(out, results):
    def returns(step, task, episode):
        return 0.1 * (task + 1) * episode + step

    make_run(out, tasks=3, returns=returns, success=always, unstable=1, seed=4)
    written = publish(out, results, "locomotion", silent)
    folder = results / "locomotion"
    assert written == [folder / n for n in ("pearl.csv", "late/pearl.csv", "runs.csv")]
    rows = rows_of(folder / "pearl.csv")
    assert tuple(rows[0]) == schema.CURVES.names
    assert [(r["env_steps"], r["episode"]) for r in rows] == [
        (str(step), str(k)) for step in (1000, 2000, 3000) for k in (1, 2, 3)
    ]
    row = rows[4]
    assert float(row["return"]) == pytest.approx(2000 + 0.2 * 2, rel=1e-15)
    assert row["return"] == repr(float(row["return"]))
    del row["run"], row["return"]
    assert row == {
        "family": "half-cheetah-vel",
        "seed": "4",
        "env_steps": "2000",
        "protocol": "suite",
        "split": "test",
        "group": "all",
        "episode": "2",
        "success": "1.0",
        "tasks": "3",
        "unstable": "3",
        "fingerprint": "0123456789abcdef",
        "wall_s": "20.0",
    }


def test_means_over_repetitions(out, results):
    make_run(out, steps=(1000,), repetitions=10, unadapted=True, unstable=1)
    publish(out, results, "locomotion", silent)
    rows = rows_of(results / "locomotion" / "pearl.csv")
    assert [row["episode"] for row in rows] == ["0", "1", "2", "3"]
    for row in rows:
        value = 1000 / 7 + 0.05 + 10 * int(row["episode"])
        assert float(row["return"]) == pytest.approx(value)
        assert (row["tasks"], row["unstable"]) == ("2", "20")


def test_a_repetition_that_is_missing_is_an_error(out, results):
    folder = make_run(out, repetitions=2)
    edit(folder, 9, ",101,,1,2,", ",101,,3,2,")
    with pytest.raises(StoreError, match="other tasks or episodes"):
        publish(out, results, "locomotion", silent)


def test_rows_of_versions_without_repetitions_are_read(out, results):
    folder = make_run(out)
    publish(out, results, "locomotion", silent)
    published = (results / "locomotion" / "pearl.csv").read_bytes()
    path = folder / "eval.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    dropped = [lines[0].index(name) for name in ("repetition", "distance")]
    path.write_text(
        "".join(
            ",".join(cell for i, cell in enumerate(line) if i not in dropped) + "\n"
            for line in lines
        )
    )
    publish(out, results / "again", "locomotion", silent)
    assert (results / "again/locomotion/pearl.csv").read_bytes() == published


def test_a_run_says_where_it_comes_from(out, results):
    make_run(out, success="")
    make_run(out, commit="b" * 40, steps=(), status="stopped")  # a second session
    publish(out, results, "locomotion", silent)
    (run,) = rows_of(results / "locomotion" / "runs.csv")
    assert tuple(run) == schema.RUNS.versions[1]
    assert run["commit"] == "a" * 40 + "; " + "b" * 40
    assert (run["sessions"], run["status"]) == ("2", "stopped")
    assert run["training_hours"] == "0.5"
    assert run["torch"] == "2.13.0"
    assert run["settings"] == '{"context": "recent", "latent_dim": 5}'
    assert (run["gpu"], run["device"]) == ("", "cpu")
    assert (run["exploration_episodes"], run["test_tasks"]) == ("2", "2")
    frame = pd.read_csv(results / "locomotion" / "pearl.csv")
    assert list(frame["run"]) == [run["run"]] * 9
    assert frame["return"].dtype == float
    assert frame["env_steps"].dtype == int
    assert list(frame["success"].isna()) == [True] * 9


def test_no_change_no_difference(out, results):
    for seed in (2, 10, 1):
        for family in ("walker-2d-params", "ant-fwd-back"):
            status = "begun" if seed == 1 else "done"
            make_run(out, seed=seed, family=family, status=status)
    assert publish(out, results, "locomotion", silent)
    folder = results / "locomotion"
    before = contents(folder)
    assert publish(out, results, "locomotion", silent) == []
    assert before == contents(folder)
    keys = [(r["family"], int(r["seed"])) for r in rows_of(folder / "runs.csv")]
    assert keys == sorted(keys)
    (folder / "pearl.csv").unlink()  # what is lost is made again
    assert publish(out, results, "locomotion", silent) == [folder / "pearl.csv"]
    assert (folder / "pearl.csv").read_bytes() == before["pearl.csv"][0]


def test_budgets_devices_and_settings_do_not_overwrite_each_other(tmp_path, results):
    variants = [
        {},
        {"budget": "paper"},
        {"precision": "bf16"},
        {"device": "cuda"},
        {"settings": {"context": "whole-buffer", "latent_dim": 5}},
        {"eval_every": 500},
        {"seed": 1},
    ]
    for i, variant in enumerate(variants):
        make_run(tmp_path / str(i), **variant)
        publish(tmp_path / str(i), results, "locomotion", silent)
    runs = rows_of(results / "locomotion" / "runs.csv")
    assert len({run["run"] for run in runs}) == len(variants)
    assert len(rows_of(results / "locomotion" / "pearl.csv")) == 9 * len(variants)


def test_how_a_run_is_executed_does_not_change_which_it_is(tmp_path, results):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", steps=(1000, 2000, 3000, 4000), threads=1)
    publish(tmp_path / "a", results, "locomotion", silent)
    publish(tmp_path / "b", results, "locomotion", silent)
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 1
    assert len(rows_of(results / "locomotion" / "pearl.csv")) == 12


def test_runs_without_raw_folders_stay(tmp_path, results):
    make_run(tmp_path / "a", seed=0)
    make_run(tmp_path / "a", seed=0, learner="rl2")
    publish(tmp_path / "a", results, "locomotion", silent)
    rl2 = (results / "locomotion" / "rl2.csv").read_bytes()
    make_run(tmp_path / "b", seed=1)
    publish(tmp_path / "b", results, "locomotion", silent)
    seeds = [row["seed"] for row in rows_of(results / "locomotion" / "pearl.csv")]
    assert seeds == ["0"] * 9 + ["1"] * 9
    assert (results / "locomotion" / "rl2.csv").read_bytes() == rl2
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 3


def test_a_published_curve_is_never_shortened(tmp_path, results):
    make_run(tmp_path / "long")
    publish(tmp_path / "long", results, "locomotion", silent)
    folder = results / "locomotion"
    before = contents(folder, "*.csv")
    make_run(tmp_path / "short", steps=(1000, 2000), commit="b" * 40)
    said: list[str] = []
    assert publish(tmp_path / "short", results, "locomotion", said.append) == []
    assert contents(folder, "*.csv") == before
    assert "ends at 2000 environment steps" in said[0]
    assert "at 3000 is kept" in said[0]


def test_nobody_else_publishes_meanwhile(tmp_path, results):
    make_run(tmp_path / "long")
    publish(tmp_path / "long", results, "locomotion", silent)
    make_run(tmp_path / "short", steps=(1000, 2000), commit="b" * 40)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        with pytest.raises(BlockingIOError):
            take_lock(results / "locomotion" / LOCK, wait=False)

    publish(tmp_path / "short", results, "locomotion", say)
    assert said


def test_a_run_of_several_protocols_goes_on_silently(tmp_path, results):
    make_run(tmp_path / "short", steps=(1000,), own=1, package=2)
    publish(tmp_path / "short", results, "locomotion", silent)
    make_run(tmp_path / "longer", steps=(1000, 2000), own=1, package=2)
    said: list[str] = []
    assert len(publish(tmp_path / "longer", results, "locomotion", said.append)) == 3
    assert said == []


def test_a_run_leaves_the_budget_that_it_has_outgrown(tmp_path, results):
    quick, paper, behind, lean = (tmp_path / name for name in "abcd")
    make_run(quick, steps=(1000, 2000))
    make_run(quick, steps=(1000, 2000), seed=1)
    make_run(quick, steps=(1000, 2000), seed=2, started="2026-01-02T00:00:00+00:00")
    publish(quick, results, "locomotion", silent)

    make_run(paper, steps=(1000, 2000, 3000), budget="paper")
    publish(paper, results, "locomotion", silent)
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 4

    make_run(behind, steps=(1000,), budget="lean")
    publish(behind, results, "locomotion", silent)
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 5  # not as far

    for seed in (0, 2):  # the latter is another execution
        make_run(lean, steps=(1000, 2000, 3000), budget="lean", seed=seed)
    publish(lean, results, "locomotion", silent)
    runs = rows_of(results / "locomotion" / "runs.csv")
    assert sorted((row["seed"], row["budget"], row["steps"]) for row in runs) == [
        ("0", "lean", "3000"),
        ("0", "paper", "3000"),
        ("1", "quick", "2000"),
        ("2", "lean", "3000"),
        ("2", "quick", "2000"),
    ]
    for name in ("pearl.csv", "late/pearl.csv"):
        found = {row["run"] for row in rows_of(results / "locomotion" / name)}
        assert found == {row["run"] for row in runs}


def test_another_execution_of_a_run_replaces_it_and_says_so(tmp_path, results):
    make_run(tmp_path / "one")
    publish(tmp_path / "one", results, "locomotion", silent)
    make_run(
        tmp_path / "two",
        commit="b" * 40,
        started="2026-01-02T00:00:00+00:00",
        returns=lambda *where: some_return(*where) + 1e-9,
    )
    said: list[str] = []
    assert len(publish(tmp_path / "two", results, "locomotion", said.append)) == 3
    assert "came from another execution (2026-01-01" in said[0]
    (run,) = rows_of(results / "locomotion" / "runs.csv")
    assert run["commit"] == "b" * 40


def better(since: int):
    """Return returns that are others from an evaluation on."""
    return lambda step, *where: some_return(step, *where) + (step >= since)


def go_on(folder: Path, resumed_at: int) -> None:
    """Add a session to a run's record that went on from a checkpoint."""
    run = json.loads((folder / "run.json").read_text())
    last = run["sessions"][-1]
    run["sessions"].append(last | {"resumed_at_env_steps": resumed_at})
    (folder / "run.json").write_text(json.dumps(run))


@pytest.mark.parametrize("since", [1000, 3000])
@pytest.mark.parametrize("steps", [(1000, 2000, 3000), (1000, 2000, 3000, 4000)])
def test_edited_rows_of_an_execution_do_not_replace_its_curve(
    tmp_path, results, since, steps
):
    make_run(tmp_path / "one")
    publish(tmp_path / "one", results, "locomotion", silent)
    before = contents(results, "*.csv")
    words = {"steps": steps, "status": "stopped", "returns": better(since)}
    make_run(tmp_path / "two", **words)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"edited: at {since} .*which is kept"):
            publish(tmp_path / "two", results, "locomotion", silent)
        assert contents(results, "*.csv") == before
    runs = results / "locomotion" / "runs.csv"
    runs.write_text(runs.read_text().splitlines()[0] + "\n")  # as the message says
    publish(tmp_path / "two", results, "locomotion", lambda line: None)
    (run,) = rows_of(runs)
    assert run["steps"] == str(steps[-1])


@pytest.mark.parametrize(
    ("resumed_at", "taken"),
    [([2500], False), ([2000], True), ([1000, 3000], True)],
    ids=str,
)
def test_a_resumed_run_may_have_other_rows_since_its_checkpoint(
    tmp_path, results, resumed_at, taken
):
    make_run(tmp_path / "one", status="begun")
    publish(tmp_path / "one", results, "locomotion", silent)
    folder = make_run(
        tmp_path / "two", steps=(1000, 2000, 3000, 4000), returns=better(2000)
    )
    for session in resumed_at:
        go_on(folder, session)
    said: list[str] = []
    if not taken:
        with pytest.raises(StoreError, match="at 2000 environment steps"):
            publish(tmp_path / "two", results, "locomotion", silent)
        return
    publish(tmp_path / "two", results, "locomotion", said.append)
    assert "was played anew from 2000 environment steps on" in said[0]
    assert len(rows_of(results / "locomotion" / "pearl.csv")) == 12


def test_a_copy_that_went_on_elsewhere_may_have_other_rows(tmp_path, results):
    """As many sessions as what is published, the last of another device."""
    go_on(make_run(tmp_path / "one", status="stopped"), 2000)
    steps = 1000, 2000, 3000, 4000
    go_on(make_run(tmp_path / "two", steps=steps, returns=better(2000)), 2000)
    publish(tmp_path / "one", results, "locomotion", silent)
    said: list[str] = []
    publish(tmp_path / "two", results, "locomotion", said.append)
    assert "was played anew from 2000 environment steps on" in said[0]


def test_a_curve_that_was_edited_is_replaced(out, results):
    make_run(out)
    publish(out, results, "locomotion", silent)
    path = results / "locomotion" / "pearl.csv"
    whole = path.read_text()
    value = rows_of(path)[0]["return"]
    path.write_text(whole.replace(value, "1.5", 1))
    said: list[str] = []
    publish(out, results, "locomotion", said.append)
    assert "has other rows than its folder has now" in said[0]
    assert path.read_text() == whole


def test_a_folder_that_its_run_could_not_go_on_from_is_not_published(out, results):
    folder = make_run(out, status="stopped")
    run = json.loads((folder / "run.json").read_text())
    config = (folder / "config.yaml").read_text()
    session = {key: run[key] for key in ("fingerprint", "meta_test")}

    def try_again(digest: str | None) -> None:
        with RunRecord(folder) as record:
            record.begin(config, run["sessions"][0] | session)
            try:
                length = (folder / "eval.csv").stat().st_size
                known = {"eval.csv sha256": digest} if digest else {}
                record.rewind({"eval.csv": length} | known)
            except RecordError as error:
                record.finish("failed", str(error))
            else:
                record.finish("stopped")

    for _ in range(2):
        try_again("0" * 64)
        assert len(read_run(folder)["sessions"]) == 1
        with pytest.raises(StoreError, match=r"not published.*has been edited since"):
            publish(out, results, "locomotion", silent)
        assert not list(results.rglob("*.csv"))
    try_again(None)
    publish(out, results, "locomotion", silent)
    assert [row["sessions"] for row in rows_of(results / "locomotion/runs.csv")] == [
        "2"
    ]


def test_lost_rows_of_single_tasks_are_published_again(out, results):
    make_run(out)
    publish(out, results, "locomotion", silent)
    late = results / "locomotion" / "late" / "pearl.csv"
    whole = late.read_bytes()
    late.unlink()
    assert publish(out, results, "locomotion", silent) == [late]
    assert late.read_bytes() == whole


@pytest.mark.parametrize("status", ["done", "stopped", "failed"])
def test_rows_are_published_though_a_checkpoint_is_gone(out, results, status):
    """Nobody doubts them, and the run stays what it was."""
    folder = make_run(out, status=status)
    before = json.loads((folder / "run.json").read_text())
    session = {key: before[key] for key in ("fingerprint", "meta_test")}
    with RunRecord(folder) as record:
        config = (folder / "config.yaml").read_text()
        record.begin(config, before["sessions"][0] | session)
        with pytest.raises(RecordError, match="now it has none"):
            record.rewind(None)
        record.finish("failed", "now it has none")
    after = read_run(folder)
    assert [after[key] for key in ("status", "message")] == [
        before[key] for key in ("status", "message")
    ]
    assert len(after["sessions"]) == 1
    publish(out, results, "locomotion", silent)
    (run,) = rows_of(results / "locomotion" / "runs.csv")
    assert run["status"] == status


@pytest.mark.parametrize("said", [False, True])
def test_edited_rows_of_single_tasks_are_published_again(tmp_path, results, said):
    make_run(tmp_path / "elsewhere", seed=9)
    publish(tmp_path / "elsewhere", results, "locomotion", silent)
    out = tmp_path / "raw"
    make_run(out)
    if said:  # at each command
        path = make_run(out, seed=1, status="stopped") / "eval.csv"
        path.write_text(path.read_text() + "4000,sui")
    publish(out, results, "locomotion", lambda line: None)
    late = results / "locomotion" / "late" / "pearl.csv"
    whole = rows_of(late)
    late.write_text(late.read_text().replace(whole[0]["return"], "1.5"))
    edited = rows_of(late)
    assert publish(out, results, "locomotion", lambda line: None) == [late]
    assert rows_of(late) == [
        was if was["seed"] != "9" else now  # which no raw folder has
        for was, now in zip(whole, edited, strict=True)
    ]


def test_a_killed_run_is_published_up_to_its_last_whole_evaluation(out, results):
    folder = make_run(out, status="begun")
    path = folder / "eval.csv"
    whole = path.read_text()
    for cut in (1, 20, 70):  # within the last line, and some lines before
        path.write_text(whole[:-cut])
        said: list[str] = []
        publish(out, results, "locomotion", said.append)
        rows = rows_of(results / "locomotion" / "pearl.csv")
        assert [row["env_steps"] for row in rows] == ["1000"] * 3 + ["2000"] * 3
        assert any("is cut off and left out" in line for line in said)
        assert any("at 3000 environment steps, is incomplete" in s for s in said)
    path.write_text("\n".join(whole.splitlines()[:-2]) + "\n")
    said = []
    publish(out, results, "locomotion", said.append)
    assert ["(4 of 6 rows of suite test)" in line for line in said] == [True]
    path.write_text("")
    with pytest.raises(AssertionError, match="is kept"):
        publish(out, results, "locomotion", silent)


def edit(folder: Path, line: int, old: str, new: str) -> None:
    path = folder / "eval.csv"
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, "length", "len", r"line 1: the columns are"),
        (5, ",200,", ",200", r"line 5: 12 cells; expected are 13"),
        (5, ",200,", ",20,0,", r"line 5: 14 cells"),
        (5, "\n", "", r"line 5: 25 cells"),
        (6, "1000,", "x,", r"line 6: env_steps is 'x'"),
        (6, "1000,", "1000.0,", r"line 6: env_steps is '1000.0'; expected is a whole"),
        (2, "152.85714285714286", "nan", r"line 2: return is 'nan'"),
        (2, "152.85714285714286", "1e300", r"line 2: return is '1e300'"),
        (9, "2000,", "2001,", r"line 8: .* at 2000 .* has 1 of 6 rows of suite test"),
        (9, ",100,,1,2,", ",100,,1,1,", r"line 9: repeats line 8: env_steps 2000,"),
        (9, ",100,,1,2,", ",102,,1,2,", r"line 8: .* has other tasks or episodes"),
        (9, ",100,,1,2,", ",100,,1,4,", r"line 8: .* has other tasks or episodes"),
        (9, ",suite,", ",own,", r"line 8: .* has 5 of 6 rows of suite test"),
        (9, ",suite,", ",my own,", r"line 9: protocol is 'my own'"),
        (19, "3000,suite,test,101,,1,", "", r"line 19: 7 cells"),
    ],
)
def test_a_malformed_file_is_named_with_the_line(out, results, line, old, new, message):
    folder = make_run(out)
    edit(folder, line, old, new)
    with pytest.raises(StoreError, match=r"eval\.csv, " + message):
        publish(out, results, "locomotion", silent)
    assert not (results / "locomotion" / "pearl.csv").exists()


def test_protocols_and_groups_are_averaged_apart(out, results):
    make_run(
        out,
        tasks=3,
        steps=(1000,),
        own=4,
        groups=["push", "reach", "push"],
        returns=lambda step, task, episode: 100.0 * task + episode,
    )
    publish(out, results, "locomotion", silent)
    rows = rows_of(results / "locomotion" / "pearl.csv")
    place = [(r["protocol"], r["split"], r["group"], r["episode"]) for r in rows]
    assert place == [
        (protocol, "test", group, str(k))
        for protocol, episodes in (("suite", 3), ("own", 5))
        for group in ("all", "push", "reach")
        for k in range(1, episodes + 1)
    ]
    found = dict(zip(place, rows, strict=True))
    for group, mean, tasks in (("all", 100, 3), ("push", 100, 2), ("reach", 100, 1)):
        row = found["own", "test", group, "5"]
        assert (float(row["return"]), row["tasks"]) == (mean + 5.0, str(tasks))
    (run,) = rows_of(results / "locomotion" / "runs.csv")
    assert (run["exploration_episodes"], run["own_exploration_episodes"]) == ("2", "4")


def test_missing_rows_of_a_finished_run_are_an_error(out, results):
    folder = make_run(out)
    text = (folder / "eval.csv").read_text()
    (folder / "eval.csv").write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(
        StoreError, match=r"\(run r[0-9a-f]{12}\) at 3000 .* has 5 of 6 rows"
    ):
        publish(out, results, "locomotion", silent)


def test_a_run_that_failed_before_its_first_evaluation_has_no_curve(out, results):
    folder = make_run(out, learner="rl2")
    (folder / "eval.csv").unlink()
    run = json.loads((folder / "run.json").read_text())
    run |= {"status": "failed", "env_steps": 0}
    (folder / "run.json").write_text(json.dumps(run))
    publish(out, results, "locomotion", silent)
    (row,) = rows_of(results / "locomotion" / "runs.csv")
    assert (row["status"], row["evaluations"]) == ("failed", "0")
    assert not (results / "locomotion" / "rl2.csv").exists()


@pytest.mark.parametrize(("kept", "ends"), [(2, "ends at 2000,"), (0, "has no")])
def test_missing_evaluations_of_a_finished_run_are_refused_each_time(
    out, results, kept, ends
):
    folder = make_run(out)
    make_run(out, seed=1)
    lines = (folder / "eval.csv").read_text().splitlines(keepends=True)
    (folder / "eval.csv").write_text("".join(lines[: 1 + 6 * kept]))
    for _ in range(2):
        with pytest.raises(LeftOutError, match=rf"eval\.csv {ends}") as left_out:
            publish(out, results, "locomotion", silent)
        (line,) = str(left_out.value).splitlines()
        assert "is done at 3000 environment steps" in line
    (row,) = rows_of(results / "locomotion" / "runs.csv")
    assert (row["seed"], row["evaluations"]) == ("1", "3")


@pytest.mark.parametrize("status", ["done", "stopped", "begun"])
@pytest.mark.parametrize(
    ("trained", "lost", "said"),
    [
        (range(300, 4000, 300), (), None),
        (range(300, 4000, 300), (2100,), "at 2100 environment steps, and by train"),
        (range(300, 4000, 300), (1200, 2100), "at 1200 .* and 1 later ones, and by"),
        (range(300, 3001, 300), (3000,), None),  # under way, unless it is done
        ((1200, 2100, 3000, "x"), (2100,), "at 2100 environment steps, and by train"),
        ((), (2100,), None),  # nobody knows
    ],
)
def test_evaluations_that_a_run_went_on_after_are_not_lost_in_silence(
    out, results, status, trained, lost, said
):
    """They are after the iterations that pass a multiple of 1000 steps."""
    steps = tuple(at for at in (1200, 2100, 3000) if at not in lost)
    folder = make_run(out, steps=steps, status=status)
    if trained:
        rows = ["env_steps,wall_s", *(f"{at},1.0" for at in trained)]
        (folder / "train.csv").write_text("\n".join([*rows, ""]))
    if said is None:
        publish(out, results, "locomotion", lambda _: None)
    else:
        with pytest.raises(StoreError, match=rf"eval\.csv has no evaluation {said}"):
            publish(out, results, "locomotion", lambda _: None)


def test_evaluations_out_of_order_are_an_error(out, results):
    make_run(out, steps=(1000, 3000, 2000))
    with pytest.raises(StoreError, match="later than the rows before"):
        publish(out, results, "locomotion", silent)


def test_damaged_descriptions_are_named(out, results):
    folder = make_run(out)
    config = (folder / "config.yaml").read_text()
    for damaged, message in {
        "": "does not describe a run",
        "a: [": "is not valid YAML",
        "[" * 5000: "is not valid YAML",
        "suite: x": "does not describe a run",
        "suite: x\nconfig: {}": "does not describe a run",
        config.replace("budget: ", "bucket: "): r"do not describe a run \(KeyError",
        config.replace("seed: 0", "seed: 0.5"): "seed is '0.5'; expected is a whole",
        config.replace("latent_dim: 5", "latent_dim: .nan"): "not JSON compliant",
        config.replace("latent_dim: 5", "latent_dim: &x 5"): "has anchors or aliases",
        config.replace("budget: quick", "budget: quack"): "budget is 'quack'",
    }.items():
        (folder / "config.yaml").write_text(damaged)
        with pytest.raises(StoreError, match=message):
            publish(out, results, "locomotion", silent)
    (folder / "config.yaml").write_text(config)
    (folder / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"run\.json is damaged"):
        publish(out, results, "locomotion", silent)


def test_a_damaged_published_file_is_not_overwritten(out, results):
    make_run(out)
    publish(out, results, "locomotion", silent)
    path = results / "locomotion" / "pearl.csv"
    text = path.read_text()
    for damaged in (
        text[:-10],
        "a,b\n1,2\n",
        text + "x\n",
        text.replace(",2000,", ",,"),
    ):
        path.write_text(damaged)
        with pytest.raises(RecordError, match=r"pearl\.csv"):
            publish(out, results, "locomotion", silent)
        assert path.read_text() == damaged


def test_a_copied_folder_is_not_a_second_run(out, results):
    folder = make_run(out, seed=0)
    (out / "locomotion" / "half-cheetah-vel" / "pearl" / "seed=1").mkdir()
    for name in ("config.yaml", "run.json", "eval.csv"):
        copy = folder.with_name("seed=1") / name
        copy.write_bytes((folder / name).read_bytes())
    with pytest.raises(StoreError, match=r"seed=1 holds config\.yaml of another run"):
        publish(out, results, "locomotion", silent)


def test_unsound_folders_keep_no_sound_one_from_being_published(
    out, results, monkeypatch
):
    make_run(out, seed=3)
    publish(out, results, "locomotion", silent)
    make_run(out, seed=4)
    make_run(out, seed=4, learner="rl2")
    default = registry.default_settings

    def broken(learner: str) -> dict[str, object]:
        if learner == "broken":
            raise registry.ExtensionError("mend that package or uninstall it")
        return default(learner)

    monkeypatch.setattr(registry, "default_settings", broken)
    for learner in ("gone", "broken"):
        make_run(out, learner=learner)
    (make_run(out, seed=0) / "run.json").write_text("{")
    (make_run(out, seed=5) / "eval.csv").write_text("x\n")
    for changed in (5, 0):
        with pytest.raises(LeftOutError) as left_out:
            publish(out, results, "locomotion", silent)
        assert len(left_out.value.changed) == changed
        lines = str(left_out.value).splitlines()
        assert len(lines) == 4
        for line in lines:
            assert re.search(r"uninstall it|move (the|its) folder away", line)
        runs = rows_of(results / "locomotion" / "runs.csv")
        assert [(run["learner"], run["seed"]) for run in runs] == [
            *(("pearl", "3"), ("pearl", "4"), ("rl2", "4"))
        ]
    for learner, seed in (("gone", 0), ("broken", 0), ("pearl", 0), ("pearl", 5)):
        shutil.rmtree(out / f"locomotion/half-cheetah-vel/{learner}/seed={seed}")
    assert publish(out, results, "locomotion", silent) == []


@pytest.mark.parametrize("learner", ["../../escaped", "theirs", "rl2", "/tmp/x"])
def test_a_config_cannot_choose_where_to_publish(out, results, learner):
    folder = make_run(out)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(
        text.replace("learner: pearl", f"learner: {learner}")
    )
    with pytest.raises(StoreError, match=r"another run|is no method|learner is"):
        publish(out, results, "locomotion", silent)
    assert not list(results.rglob("*.csv"))
    assert not (results.parent / "escaped.csv").exists()


@pytest.mark.parametrize("key", ["family: half-cheetah-vel", "seed: 0"])
def test_another_runs_config_is_named(out, results, key):
    folder = make_run(out)
    text = (folder / "config.yaml").read_text()
    other = {"seed: 0": "seed: 3"}.get(key, "family: ant-goal-2d")
    (folder / "config.yaml").write_text(text.replace(key, other))
    with pytest.raises(StoreError, match=r"holds config\.yaml of another run"):
        publish(out, results, "locomotion", silent)


def test_a_link_out_of_the_folder_is_not_read(out, results, tmp_path):
    folder = make_run(out)
    secret = tmp_path / "secret"
    secret.write_text("precious\n")
    (folder / "eval.csv").unlink()
    (folder / "eval.csv").symlink_to(secret)
    with pytest.raises(StoreError, match=r"eval\.csv is a link") as refusal:
        publish(out, results, "locomotion", silent)
    assert "precious" not in str(refusal.value)


def test_what_lies_beside_the_runs_is_no_run(out, results):
    folder = make_run(out)
    for name in ("seed=0.bak", "seed=01", "._seed=0", "seed=x"):
        shutil.copytree(folder, folder.with_name(name))
    publish(out, results, "locomotion", silent)
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 1


def test_a_setting_that_came_later_does_not_make_another_run(tmp_path, results):
    before = make_run(tmp_path / "a", settings={"latent_dim": 5})
    publish(tmp_path / "a", results, "locomotion", silent)
    (run,) = rows_of(results / "locomotion" / "runs.csv")
    text = (before / "config.yaml").read_text()  # resumed: the default is filled in
    filled = text.replace("  latent_dim: 5", "  latent_dim: 5\n  discount: 0.99")
    assert filled != text
    assert PearlConfig().discount == 0.99
    (before / "config.yaml").write_text(filled)
    publish(tmp_path / "a", results, "locomotion", silent)
    (after,) = rows_of(results / "locomotion" / "runs.csv")
    assert after["run"] == run["run"]
    changed = text.replace("  latent_dim: 5", "  latent_dim: 5\n  discount: 0.98")
    (before / "config.yaml").write_text(changed)
    publish(tmp_path / "a", results, "locomotion", silent)
    assert len(rows_of(results / "locomotion" / "runs.csv")) == 2


def test_a_run_published_under_the_id_of_before_keeps_it(tmp_path, results):
    """Its id was of the settings it had, before defaults were filled in."""
    config = {"learner": "pearl", "seed": 0, "family": "x", "config": {"latent_dim": 5}}
    old = _digest(config, "f" * 16, "cpu")
    row = {"learner": "pearl", "seed": "0", "run": old, "settings": '{"latent_dim": 5}'}
    filled = config | {"config": registry.default_settings("pearl")}
    assert identity(filled, "f" * 16, "cpu") != old
    assert identity(filled, "f" * 16, "cpu", [row]) == old
    assert identity(config, "f" * 16, "cpu", [row]) == old
    assert identity(filled | {"seed": 1}, "f" * 16, "cpu", [row]) != old
    assert identity(filled, "e" * 16, "cpu", [row]) != old


def test_a_run_that_gets_settings_keeps_its_id_however_often_it_is_published(
    tmp_path, results
):
    """Its id is of the settings that it began with, and they stay in its row."""
    few = {"latent_dim": 5}
    every = registry.default_settings("pearl") | few

    def publish_up_to(step, settings):
        out = tmp_path / str(step)
        make_run(out, steps=(1000, 2000, 3000, 4000)[: step // 1000], settings=settings)
        publish(out, results, "locomotion", silent)
        return rows_of(results / "locomotion" / "runs.csv")

    (row,) = publish_up_to(1000, few)
    config = yaml.safe_load(next((tmp_path / "1000").rglob("config.yaml")).read_text())
    before = _digest(config, row["fingerprint"], "cpu")
    assert before != row["run"]
    for path in results.rglob("*.csv"):  # as the version did that had these alone
        path.write_text(path.read_text().replace(row["run"], before))
    for step in (2000, 3000, 4000):
        (row,) = publish_up_to(step, every)
        assert (row["run"], row["steps"]) == (before, str(step))
        assert json.loads(row["settings"]) == few
        assert is_identity(row, "locomotion", {"suite"})


def test_an_id_is_of_what_its_row_says(out, results):
    make_run(out, tasks=4, meta_test={"goals": 2, "repetitions": 1})
    publish(out, results, "locomotion", silent)
    (row,) = rows_of(results / "locomotion" / "runs.csv")
    assert is_identity(row, "locomotion", {"suite"})
    for key, value in {
        **{"family": "ant-fwd-back", "learner": "rl2", "seed": "7", "budget": "paper"},
        **{"device": "cuda", "precision": "bf16", "eval_every": "7"},
        **{"fingerprint": "a" * 16, "settings": "{}"},
    }.items():
        assert not is_identity(row | {key: value}, "locomotion", {"suite"}), key
    assert not is_identity(row, "navigation", {"suite"})


def test_a_published_command_tells_no_absolute_path(out, results):
    folder = make_run(out)
    run = json.loads((folder / "run.json").read_text())
    run["sessions"][0]["command"] = [
        *("/opt/bin/python", "-m", "pearl_bench.run", "out=/home/anna b/raw"),
        *("results=/srv/a,/srv/b", "steps=2e5", "x=~/y", "sbatch=--chdir=/scratch/c"),
        "a/relative=one/stays",
    ]
    (folder / "run.json").write_text(json.dumps(run))
    publish(out, results, "locomotion", silent)
    (row,) = rows_of(results / "locomotion" / "runs.csv")
    assert row["command"].startswith(
        "python -m pearl_bench.run out=raw results=a,b steps=2e5 x=y sbatch=--chdir=c "
        "a/relative=one/stays"
    )


def test_published_results_tell_no_absolute_path():
    for path in (Path(__file__).parents[2] / "results").rglob("runs.csv"):
        for row in rows_of(path):
            assert not re.search(r"(^|[\s=,])[/~]", row.get("command", "")), row["run"]


def test_files_of_the_first_version_are_read_and_written_anew(out, results):
    make_run(out)
    publish(out, results, "locomotion", silent)
    folder = results / "locomotion"
    for name, table in (("pearl.csv", schema.CURVES), ("runs.csv", schema.RUNS)):
        rows = rows_of(folder / name)
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(
                file, table.versions[-1], extrasaction="ignore", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
        read = [line.values for line in table.read(folder / name, "")]
        assert {values.get("wall_s") for values in read} == {None}
    make_run(out.parent / "other", seed=1)
    publish(out.parent / "other", results, "locomotion", silent)
    old, new = rows_of(folder / "runs.csv")
    assert (old["target_steps"], new["target_steps"]) == ("", "3000")
    assert (old["cpu_flags"], new["cpu_flags"]) == ("", "avx2 fma")
    assert (new["command"], new["threads"], new["repetitions"]) == ("run", "2", "1")
    times = [row["wall_s"] for row in rows_of(folder / "pearl.csv")]
    assert times == [""] * 9 + ["10.0"] * 3 + ["20.0"] * 3 + ["30.0"] * 3


def test_single_tasks_of_the_last_tenth_are_published(out, results):
    steps = tuple(range(1000, 101_000, 1000))
    make_run(out, steps=steps)
    publish(out, results, "locomotion", silent)
    rows = rows_of(results / "locomotion" / "late" / "pearl.csv")
    assert {int(row["env_steps"]) for row in rows} == set(range(91_000, 101_000, 1000))
    assert len(rows) == 10 * 2 * 3  # evaluations x tasks x episodes
    assert float(rows[0]["return"]) == some_return(91_000, 0, 1)
    assert tuple(rows[0]) == schema.LATE.names
    assert [row["task"] for row in rows[:4]] == ["100", "100", "100", "101"]


def test_other_packages_have_a_column_where_there_are_some(tmp_path, results):
    """Files without a run of theirs stay as they were, byte for byte."""
    make_run(tmp_path / "ours")
    publish(tmp_path / "ours", results, "locomotion", silent)
    path = results / "locomotion" / "runs.csv"
    header, ours = path.read_text().splitlines()
    assert tuple(header.split(",")) == schema.RUNS.versions[1]
    about = make_run(tmp_path / "theirs", seed=1) / "run.json"
    run = json.loads(about.read_text())
    (first,) = run["sessions"]
    second = first | {"versions": first["versions"] | {"own": "1.1"}}
    first["versions"] |= {"own": "1.0", "rings": "0.3"}
    run["sessions"].append(second)
    about.write_text(json.dumps(run))
    publish(tmp_path / "theirs", results, "locomotion", silent)
    one, two = rows_of(path)
    assert (one["packages"], two["packages"]) == ("", "own 1.0, rings 0.3; own 1.1")
    assert path.read_text().splitlines()[1] == ours + ","


def test_nothing_to_publish_writes_nothing(out, results):
    assert publish(out, results, "locomotion", silent) == []
    assert not results.exists()


def test_the_readme_explains_every_column():
    readme = Path(__file__).parents[2] / "results" / "README.md"
    curves, runs = readme.read_text().split("## `<suite>/runs.csv`")
    named = [set(re.findall(r"`(\w+)`", part)) for part in (curves, runs)]
    assert set(schema.CURVES.names) <= named[0]
    assert set(schema.RUNS.names) <= named[1]


def test_the_store_needs_no_torch():
    code = (
        "import sys, pearl_bench.records.published.publish; "
        "print([m for m in ('torch', 'pandas', 'mujoco') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_migration_changes_no_value(out, results, capsys):
    make_run(out)
    publish(out, results, "locomotion", silent)
    folder = results / "locomotion"
    newest = {name: (folder / name).read_bytes() for name in ("pearl.csv", "runs.csv")}
    runs = rows_of(folder / "runs.csv")
    with (folder / "runs.csv").open("w", newline="") as file:
        older = schema.RUNS.versions[-1]
        writer = csv.DictWriter(file, older, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(runs)
    assert migrate_main([f"results={results}"]) == 0
    assert "wrote" in capsys.readouterr().out
    (after,) = rows_of(folder / "runs.csv")
    kept = {*schema.RUNS.versions[-1], "evaluations", "curve"}
    assert {k: v for k, v in after.items() if k in kept} == {
        k: v for k, v in runs[0].items() if k in kept
    }
    assert {v for k, v in after.items() if k not in kept} == {""}
    assert (folder / "pearl.csv").read_bytes() == newest["pearl.csv"]
    assert migrate_main([f"results={results}"]) == 0
    assert capsys.readouterr().out == ""
    assert migrate_main([f"results={results / 'absent'}"]) == 2
    folder.rename(results / "other")
    (results / schema.REGRESS).mkdir()
    (results / "other").rename(results / schema.REGRESS / "locomotion")
    assert migrate_main([f"results={results}"]) == 0
