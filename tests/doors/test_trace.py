"""Posterior sampling in the plane: recorded from a checkpoint, drawn, checked."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from raw_runs import train_small

from pearl_bench.analysis import style
from pearl_bench.analysis.check import check
from pearl_bench.analysis.figures import navigation
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.paths import load_paths
from pearl_bench.analysis.scores import load
from pearl_bench.records import schema
from pearl_bench.trace import main, trace
from suites.navigation import MAX_MOVE, ROWS

WORDS = [
    *("suite=navigation", "families=sparse-point-robot", "learners=pearl", "seeds=0"),
    *("budget=smoke", "device=cpu", "steps=2000", "pearl.initial_steps=20"),
    "pearl.updates_per_iteration=10",
]

ROWS_OF_A_RUN = 20 * (4 * 21 + 16)
"""Of 20 episodes: all positions of four tasks, the last of 16 others."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A raw run folder and results, of a run of a few iterations, traced."""
    folder = tmp_path_factory.mktemp("traced")
    out, results = folder / "raw", folder / "results"
    words = [*WORDS, f"out={out}", f"results={results}"]
    subprocess.run(
        [sys.executable, "-m", "pearl_bench.run", *words],
        check=True,
        capture_output=True,
    )
    raw = out / "navigation" / "sparse-point-robot" / "pearl" / "seed=0"
    assert main([f"run={raw}", f"results={results}"]) == 0
    return raw, results


def rows_of(results):
    with (results / "navigation" / schema.TRAJECTORIES_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_step_of_every_episode_is_there(trained):
    _, results = trained
    rows = rows_of(results)
    family = next(r for r in ROWS if r.name == "sparse-point-robot").family()
    assert len(rows) == ROWS_OF_A_RUN
    assert {int(r["task"]) for r in rows} == {task.index for task in family.test}
    assert check(results) == []


def test_paths_are_what_the_environment_did(trained):
    _, results = trained
    (paths,) = load_paths(results / "navigation")
    goals = {t.index: t.params for t in ROWS[1].family().test}
    assert sum(len(e[0].places) == 21 for e in paths.episodes.values()) == 4
    for task, episodes in paths.episodes.items():
        assert paths.goals[task] == pytest.approx(goals[task], abs=1e-6)
        assert [e.number for e in episodes] == list(range(1, 21))
        for episode in episodes:
            if len(episode.places) == 1:
                continue
            assert episode.places[0].tolist() == [0, 0]
            assert np.abs(np.diff(episode.places, axis=0)).max() <= MAX_MOVE + 1e-6
            distance = np.linalg.norm(episode.places[1:] - paths.goals[task], axis=1)
            near = distance[distance <= 0.2]
            assert episode.total == pytest.approx((1 - near).sum(), abs=1e-4)


def test_the_posterior_narrows_from_the_prior(trained):
    (paths,) = load_paths(trained[1] / "navigation")
    width = paths.over_episodes("width")
    assert width[0] == 1
    assert (np.diff(width) < 0).all()


def test_the_same_checkpoint_gives_the_same_file(trained):
    raw, results = trained
    path = results / "navigation" / schema.TRAJECTORIES_FILE
    before = path.read_bytes()
    assert main([f"run={raw}", f"results={results}"]) == 0
    assert path.read_bytes() == before


def test_other_runs_are_kept(trained, tmp_path):
    raw, results = trained
    path = tmp_path / "navigation" / schema.TRAJECTORIES_FILE
    path.parent.mkdir()
    shutil.copy(results / "navigation" / schema.RUNS_FILE, path.parent)
    other = dict.fromkeys(schema.TRAJECTORIES.names, "1") | {
        "run": "r" + "0" * 12,
        "family": "point-robot",
    }
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, schema.TRAJECTORIES.names, lineterminator="\n")
        writer.writeheader()
        writer.writerow(other)
    assert main([f"run={raw}", f"results={tmp_path}"]) == 0
    rows = rows_of(tmp_path)
    assert rows[0] == other
    assert len(rows) == 1 + ROWS_OF_A_RUN


def test_paths_go_where_the_curve_is(trained, tmp_path, monkeypatch, capsys):
    """Of a user's runs that is beside the published ones, unless they say so."""
    raw, results = trained
    monkeypatch.chdir(tmp_path)
    assert main([f"run={raw}"]) == 2
    error = capsys.readouterr().err
    assert "results/local/navigation/runs.csv has no sparse-point-robot pearl" in error
    assert not any(tmp_path.iterdir())
    shutil.copytree(results, tmp_path / "results" / "local")
    path = tmp_path / "results" / "local" / "navigation" / schema.TRAJECTORIES_FILE
    path.unlink()
    assert main([f"run={raw}"]) == 0
    assert path.read_bytes() == (results / path.parent.name / path.name).read_bytes()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["local"]


def draw(results):
    config = AnalysisConfig("navigation")
    with style.taste(config):
        return navigation.draw(load(results, "navigation"), config)


def test_the_figure_shows_paths_width_and_return(trained):
    _, results = trained
    sheet = draw(results)
    assert sheet is not None
    task, _, width, total = sheet.figure.axes[:4]
    assert len([x for x in task.lines if len(np.asarray(x.get_xdata())) == 21]) == 20
    (paths,) = load_paths(results / "navigation")
    for ax, what in ((width, "width"), (total, "total")):
        drawn = np.asarray(ax.lines[0].get_ydata())
        assert drawn == pytest.approx(paths.over_episodes(what))
    (results / "navigation" / schema.TRAJECTORIES_FILE).rename(results / "away.csv")
    assert draw(results) is None
    (results / "away.csv").rename(results / "navigation" / schema.TRAJECTORIES_FILE)


def test_the_axis_holds_all_runs(trained, tmp_path):
    """Returns of two runs, of which the second is far above and below the first."""
    _, results = trained
    folder = shutil.copytree(results / "navigation", tmp_path / "navigation")
    for name in ("runs.csv", "pearl.csv", schema.TRAJECTORIES_FILE):
        with (folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        with (folder / name).open("a", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            for row in rows:
                other = row | {"run": "r" + "0" * 12}
                if "seed" in row:
                    other["seed"] = "1"
                if name == schema.TRAJECTORIES_FILE:
                    other["return"] = str(50 - 10 * int(row["episode"]))
                writer.writerow(other)
    sheet = draw(tmp_path)
    assert sheet is not None
    total = sheet.figure.axes[3]
    low, high = total.get_ylim()
    for line in total.lines:
        values = np.asarray(line.get_ydata())
        assert low <= values.min() <= values.max() <= high


def test_damaged_paths_are_refused(trained, tmp_path):
    _, results = trained
    folder = shutil.copytree(results / "navigation", tmp_path / "navigation")
    path = folder / schema.TRAJECTORIES_FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))  # the last step of the last episode
    with pytest.raises(PublishedError, match="lacks episodes of some tasks"):
        load_paths(folder)
    path.write_text("".join(lines).replace(",1,0,", ",one,0,", 1))
    with pytest.raises(PublishedError, match="episode is 'one'"):
        load_paths(folder)


def test_what_cannot_be_traced_is_said(trained, tmp_path, capsys):
    raw, results = trained
    assert main([]) == 2
    assert "run= is missing" in capsys.readouterr().err
    assert main([f"run={tmp_path}", f"results={tmp_path}"]) == 2
    without = tmp_path / "seed=0"
    shutil.copytree(raw, without, ignore=shutil.ignore_patterns("*.pt"))
    assert main([f"run={without}", f"results={tmp_path}"]) == 2
    assert "has no checkpoint" in capsys.readouterr().err
    path = results / "navigation" / schema.TRAJECTORIES_FILE
    before = path.stat()
    suite, rows = trace(raw, results)
    assert (suite, len(rows)) == ("navigation", ROWS_OF_A_RUN)
    assert path.stat() == before


def test_only_pearl_is_traced(tmp_path, capsys):
    words = ["suite=navigation", "families=point-robot", "learners=promp"]
    raw = train_small(tmp_path / "raw", *words, "budget=smoke")
    assert main([f"run={raw}", f"results={tmp_path}"]) == 2
    assert "only PEARL has a posterior" in capsys.readouterr().err
