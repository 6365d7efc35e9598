"""Figures and tables: what they say, and the same bytes each time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox
from raw_runs import published, seeds

from pearl_bench import registry
from pearl_bench.analysis import figures, notes, style, tables
from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.report import draw, refresh, write
from pearl_bench.analysis.scores import load

SUITE = "locomotion"


def drawn(results):
    config = AnalysisConfig(SUITE)
    with style.taste(config):
        found = load(results, SUITE)
        modules = figures.of_suite(SUITE)
        sheets = {name: module.draw(found, config) for name, module in modules.items()}
    return {name: sheet for name, sheet in sheets.items() if sheet is not None}


def test_provenance(tmp_path):
    results = published(
        tmp_path,
        {"seed": 0, "tasks": 4},
        {"seed": 3, "tasks": 4, "commit": "b" * 40, "status": "stopped"},
        {"family": "ant-fwd-back", "steps": (500_000,)},
        {"learner": "rl2"},
    )
    found = load(results, SUITE)
    label = "PEARL · quick · float32"
    assert notes.provenance(found, found.labelled([label])) == {
        label: "half-cheetah-vel, ant-fwd-back; seeds 0, 3 "
        "(half-cheetah-vel), 0 (ant-fwd-back); 4 (half-cheetah-vel), 2 (ant-fwd-back) "
        "test tasks; exploration episodes: 2; 3k steps, 0.1 % of the paper's budget "
        "(half-cheetah-vel), 500k steps, 20 % of the paper's budget (ant-fwd-back); "
        "commit aaaaaaa, bbbbbbb (half-cheetah-vel), aaaaaaa (ant-fwd-back)"
    }


@pytest.mark.parametrize(
    ("commit", "dirty", "shown"),
    [
        ("a" * 40, "False", "aaaaaaa"),
        ("a" * 40, "True", "aaaaaaa+"),
        ("a" * 40 + "; " + "b" * 40, "False", "aaaaaaa, bbbbbbb"),
        ("", "", "unknown"),
    ],
)
def test_commits(tmp_path, commit, dirty, shown):
    (run,) = next(a.runs for a in load(published(tmp_path, {}), SUITE).arms)
    run.row.update(commit=commit, dirty=dirty)
    assert notes.commits([run]) == shown


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.1, 0.15), "10 to 15 %"),
        ((0.0004, 0.0123), "<0.1 to 1.2 %"),
        ((0.0001, 0.0004), "<0.1 %"),
        (None, ""),
    ],
)
def test_a_share_is_never_called_nothing(shares, said):
    assert notes.share_in_words(shares) == said


def test_what_is_missing_or_uneven_is_said_by_run(tmp_path):
    results = published(
        tmp_path,
        {"seed": 0, "steps": (1000, 2000, 3000, 9000, 10_000)},
        {"seed": 1, "steps": (1000, 2000), "status": "stopped"},
        {"seed": 0, "learner": "rl2", "unstable": 1},
    )
    found = load(results, SUITE)
    runs = {(a.learner, r.seed): r.row["run"] for a in found.arms for r in a.runs}
    said = notes.notes(found)
    label = "half-cheetah-vel, PEARL · quick · float32"
    rl2 = "half-cheetah-vel, RL² · quick · float32"
    missing = ", ".join(sorted({*registry.learner_names()} - {"pearl", "rl2"}))
    for expected in (
        "half-cheetah-fwd-back: no runs yet.",
        f"half-cheetah-vel: no runs of {missing} yet.",
        f"{rl2}: one seed, no interval.",
        f"{rl2}: no run of seed 1, which others of budget quick have.",
        f"{label}: seed 0: 3 of 5 evaluations (suite) have no counterpart in every "
        "other seed: its level and thin line have them, the mean curve, steps to a "
        "level and areas do not.",
        f"{label}, seed 1 (run {runs['pearl', 1]}): ends at 2k steps, the longest at "
        "10k.",
        f"{label}, seed 1 (run {runs['pearl', 1]}): its status is stopped.",
        f"{label}, seed 0 (run {runs['pearl', 0]}): no evaluation between 3k and 9k "
        "steps; the curve is open there.",
        f"{rl2}, seed 0 (run {runs['rl2', 0]}): the simulation broke down in 18 "
        "meta-test episodes.",
        f"{rl2}, seed 0 (run {runs['rl2', 0]}): its level is the mean of 3 "
        "evaluations.",
        f"{label}, seed 0 (run {runs['pearl', 0]}): its tasks (fingerprint "
        "0123456789abcdef) are not those of this version (2d641220ea2083c7).",
    ):
        assert expected in said
    assert len(said) == len(set(said))
    assert f"- {said[0]}\n" in tables.notes_in_markdown(found)
    # A caption has those of what its figure shows.
    ours = notes.uneven(found, found.labelled(["PEARL · quick · float32"]))
    assert ours == [text for text in notes.uneven(found) if text.startswith(label)]
    assert 0 < len(ours) < len(notes.uneven(found))


def test_what_holds_in_several_families_is_said_once(tmp_path):
    lone = {"learner": "rl2", "status": "stopped"}
    results = published(
        tmp_path,
        {"seed": 1},
        *({**lone, "family": f} for f in ("half-cheetah-vel", "ant-goal-2d")),
    )
    said = notes.uneven(load(results, SUITE))
    who = "half-cheetah-vel, ant-goal-2d, RL² · quick · float32"
    assert f"{who}: no run of seed 1, which others of budget quick have." in said
    assert sum(text.endswith("its status is stopped.") for text in said) == 2


def test_a_run_without_a_checkpoint_is_drawn(tmp_path):
    """It has been evaluated, but how long that took nobody has written down."""
    results = published(tmp_path, {}, {"seed": 1})
    table = results / SUITE / "runs.csv"
    text = table.read_text()
    table.write_text(text.replace(",3000,done,0.5,", ",0,begun,0.0,", 1))
    assert table.read_text() != text
    assert "score-over-time" in drawn(results)
    assert any(
        "no checkpoint yet" in note for note in notes.notes(load(results, SUITE))
    )


def test_same_input_same_bytes(tmp_path):
    results = published(
        tmp_path,
        *seeds(2),
        *seeds(2, learner="promp", own=20),
        {"family": "ant-fwd-back"},
    )
    config = AnalysisConfig(SUITE, [str(results)])
    assert write(config)
    before = {
        path: path.read_bytes()
        for folder in ("figures", "tables")
        for path in (results / SUITE / folder).iterdir()
    }
    assert write(config) == []

    # In another process, with another taste in figures, and from nothing.
    taste = tmp_path / "taste"
    taste.mkdir()
    (taste / "matplotlibrc").write_text("font.size: 30\nlines.color: red\n")
    for path in before:
        path.unlink()
    code = (
        "import sys; from pearl_bench.analysis.__main__ import main; code = main("
        "['suite=locomotion', 'results=' + sys.argv[1]]); "
        "print([m for m in ('torch', 'mujoco', 'gymnasium', 'metaworld') "
        "if m in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, results],
        env=os.environ | {"MPLCONFIGDIR": str(taste), "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    *wrote, imported = done.stdout.splitlines()
    assert {Path(line.removeprefix("wrote ")) for line in wrote} == set(before)
    assert imported == "[]"
    for path, data in before.items():
        assert path.read_bytes() == data, path
        assert b"/CreationDate" not in data


def test_a_changed_curve_changes_the_figure(tmp_path):
    results = published(tmp_path, {})
    assert [path.name for path in refresh(results, SUITE)] == [
        "learning-curves.pdf",
        "learning-curves.png",
        "learning-curves.md",
    ]
    path = results / SUITE / "pearl.csv"
    text = path.read_text()
    assert ",3,172.90714285714284," in text
    path.write_text(text.replace(",3,172.90714285714284,", ",3,100.0,"))
    assert len(refresh(results, SUITE)) == 2


def test_a_figure_is_one_file(tmp_path, monkeypatch):
    """The one file that CONTRIBUTING.md asks for, found and drawn."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    section = text.split("## Adding a figure")[1].split("\n## ")[0]
    module = section.split("```python\n")[1].split("```")[0]
    (tmp_path / "steps_per_hour.py").write_text(module)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    results = published(tmp_path, {})
    assert "steps-per-hour" in drawn(results)
    write(AnalysisConfig(SUITE, [str(results)]))
    assert (results / SUITE / "figures" / "steps-per-hour.pdf").exists()
    # monkeypatch would put it back at the end
    del sys.modules["pearl_bench.analysis.figures.steps_per_hour"]


def test_missing_results_are_said(tmp_path, capsys):
    assert main([f"suite={SUITE}", f"results={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert "no published curves" in said
    # not in results/, where one looks that gives no results=
    assert "in results/local or where its results= says" in said
    assert main([]) == 2
    assert f"suite may be: {SUITE}" in capsys.readouterr().err


def test_the_solvers_last_bits_do_not_show(tmp_path, monkeypatch):
    results = published(tmp_path, *seeds(2), *seeds(2, learner="promp", own=20))
    config = AnalysisConfig(SUITE, format=["pdf", "png", "svg"])
    found, some = load(results, SUITE), ("learning-curves", "adaptation")

    def written():
        changed = draw(found, config, tmp_path / "figures", some)[1]
        return {path: path.read_bytes() for path in changed}

    before = written()
    assert len(before) == 4 * len(some)
    solve, rng = ConstrainedLayoutEngine.execute, np.random.default_rng(0)

    def inexact(engine, figure):
        solve(engine, figure)
        for ax in figure.axes:
            points = ax.get_position(original=True).get_points()
            wobble = rng.integers(-2, 3, size=points.shape) * 2.0**-53
            ax._set_position(Bbox(points + wobble))

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", inexact)
    for path in before:
        path.unlink()
    assert written() == before
