"""A user's results stay out of git, with the published ones behind them."""

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench import run
from pearl_bench.analysis.check import remarks
from pearl_bench.config.types import BenchConfig
from pearl_bench.execution.console import Board
from pearl_bench.records import files
from pearl_bench.records.published import drawn
from pearl_bench.records.published.publish import publish

SUITE = "locomotion"
PROJECT = Path(__file__).parents[2]
USUAL = {item.name: item.default for item in fields(BenchConfig)}


@pytest.mark.parametrize("word", ["out", "results"])
def test_git_tracks_nothing_of_what_the_usual_command_writes(word):
    inside = ["git", "-C", str(PROJECT), "rev-parse", "--is-inside-work-tree"]
    if subprocess.run(inside, capture_output=True, check=False).returncode:
        pytest.skip("this is no clone")
    path = f"{USUAL[word]}/{SUITE}/runs.csv"
    found = subprocess.run(
        ["git", "-C", str(PROJECT), "check-ignore", path],
        capture_output=True,
        check=False,
        text=True,
    )
    assert found.stdout.strip() == path


@pytest.mark.parametrize("budget", ["smoke", "regress"])
def test_published_results_take_no_trials(tmp_path, capsys, budget):
    words = [
        *("suite=navigation", "learners=rl2", "device=cpu", "dry=true"),
        *(f"out={tmp_path / 'raw'}", f"results={tmp_path}"),
    ]
    trial = [*words, f"budget={budget}"]
    assert run.main(trial) == 0
    (tmp_path / "README.md").write_text("What is published here.\n")
    capsys.readouterr()
    assert run.main(trial) == 2
    said = capsys.readouterr().err
    assert f"results={tmp_path} is for results that are published" in said
    assert run.main([*words, "budget=quick"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out=closed"], "out=closed/navigation: closed cannot be written to; change"),
        (["results=file"], "results=file/navigation: file is no folder; name another"),
        (["engine=slurm", "time=1:00:00"], "sbatch"),
    ],
)
def test_a_refused_command_leaves_no_folder(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir()
    # root may write anywhere
    monkeypatch.setattr(files.os, "access", lambda path, _: path != Path("closed"))
    usual = ["suite=navigation", "learners=rl2", "device=cpu", "budget=smoke"]
    assert run.main([*usual, *words]) == 2
    assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.glob("**/*")} == {"closed", "file"}


def test_what_is_published_stands_behind_a_users_own(tmp_path):
    published, own = tmp_path / "results", tmp_path / "results" / "local"
    make_run(tmp_path / "published", learner="rl2")
    make_run(tmp_path / "published", budget="paper")
    make_run(tmp_path / "published", budget="paper", family="walker-2d-params")
    publish(tmp_path / "published", published, SUITE)
    (published / "README.md").write_text("What is published here.\n")
    before = {path: path.read_bytes() for path in (published / SUITE).glob("*.*")}
    make_run(tmp_path / "raw", seed=3)
    bench = BenchConfig(suite=SUITE, out=str(tmp_path / "raw"), results=str(own))

    assert run._publish(bench, Board())
    caption = (own / SUITE / "figures" / "learning-curves.md").read_text()
    assert "PEARL" in caption
    assert "RL²" in caption
    of_pearl = re.findall("^- PEARL.*?;", caption, re.M)
    shown = [set(re.findall("quick|paper|vel|walker", arm)) for arm in of_pearl]
    assert shown == [{"paper", "walker"}, {"quick", "vel"}]  # the user's own, if any
    inputs = json.loads((own / SUITE / drawn.STAMP).read_text())["inputs"]
    assert {"pearl.csv", f"../../{SUITE}/rl2.csv"} <= inputs.keys()
    assert drawn.is_current(own / SUITE, published / SUITE)
    assert not [text for text in remarks(own) if "are older" in text]
    after = {path: path.read_bytes() for path in (published / SUITE).glob("*.*")}
    assert after == before  # and nothing else came
    assert not (published / SUITE / "figures").exists()

    (published / SUITE / "rl2.csv").write_text("newer\n")
    assert not drawn.is_current(own / SUITE, published / SUITE)
    (said,) = [text for text in remarks(own) if "are older" in text]
    assert f"they show {published / SUITE} as well" in said


def test_why_a_run_failed_is_not_told_again_where_it_is_not_published(tmp_path, capsys):
    out, why = tmp_path / "raw", "raw/eval.csv has been edited. Restore the file."
    about = make_run(out) / "run.json"
    refused = json.loads(about.read_text()) | {"status": "stopped", "message": why}
    about.write_text(json.dumps(refused))
    bench = BenchConfig(suite=SUITE, out=str(out), results=str(tmp_path / "results"))
    for told, count in (([], 1), ([why, "another"], 0)):
        assert not run._publish(bench, Board(), told)
        said = capsys.readouterr().err
        assert "Mend that, then repeat its command" in said
        assert said.count(why) == count


def test_what_is_not_published_is_told_when_all_else_is(tmp_path, capsys):
    out, results = tmp_path / "raw", tmp_path / "results"
    make_run(out)
    damaged = make_run(out, seed=1) / "run.json"
    damaged.write_text("{")
    bench = BenchConfig(suite=SUITE, out=str(out), results=str(results))
    assert not run._publish(bench, Board())
    assert str(damaged) in capsys.readouterr().err
    assert (results / SUITE / "figures" / "learning-curves.png").exists()
