"""Learning curves: what is averaged, what is said, and the same bytes each time."""

import os
import subprocess
import sys

import pytest
from raw_runs import make_run

from pearl_bench.analysis import figures
from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.figures import PublishedError, learning_curves
from pearl_bench.store import publish


def published(tmp_path, *runs):
    for i, run in enumerate(runs):
        make_run(tmp_path / str(i), **run)
        publish(tmp_path / str(i), tmp_path / "results", "locomotion")
    return tmp_path / "results"


def panels(results):
    return figures._panels(results / "locomotion")


def constant(value):
    return lambda step, task, episode: value + 100 * episode + step / 1000


def test_mean_over_seeds_of_first_and_last_episode(tmp_path):
    results = published(
        tmp_path,
        {"seed": 0, "returns": constant(1.0)},
        {"seed": 1, "returns": constant(2.0)},
        {"seed": 7, "returns": constant(6.0), "steps": (1000, 2000)},
    )
    (curves,) = panels(results)["half-cheetah-vel"]
    assert [run["seed"] for run in curves.runs] == ["0", "1", "7"]
    for number, offset in ((1, 100), (-1, 300)):  # only where all seeds have been
        assert curves.mean(number) == [(1000, 3 + offset + 1), (2000, 3 + offset + 2)]


def test_seeds_meet_though_their_steps_differ(tmp_path):
    """Episodes of varying length: 1010 and 1190 both follow the first 1000 steps."""
    results = published(
        tmp_path,
        {"seed": 0, "steps": (1010, 2040, 3000), "returns": constant(0.0)},
        {"seed": 1, "steps": (1190, 2000, 3010, 3020), "returns": constant(0.0)},
    )
    (curves,) = panels(results)["half-cheetah-vel"]
    assert curves.mean(-1) == [
        pytest.approx((steps, 300 + steps / 1000)) for steps in (1100, 2020, 3010)
    ]


def test_what_differs_is_not_averaged(tmp_path):
    results = published(
        tmp_path,
        {"seed": 0},
        {"seed": 1},
        {"budget": "paper"},
        {"precision": "bf16"},
        {"learner": "rl2"},
        {"settings": {"context": "whole-buffer", "latent_dim": 5}},
    )
    curves = panels(results)["half-cheetah-vel"]
    assert [(c.label, len(c.runs)) for c in curves] == [
        ("pearl · paper · float32", 1),
        ("pearl · quick · bf16", 1),
        ("pearl · quick · float32 · context=recent", 2),
        ("pearl · quick · float32 · context=whole-buffer", 1),
        ("rl2 · quick · float32", 1),
    ]


def test_caption_states_the_provenance(tmp_path):
    results = published(
        tmp_path,
        {"seed": 0, "tasks": 4},
        {"seed": 3, "tasks": 4, "commit": "b" * 40, "status": "stopped"},
        {"family": "ant-fwd-back", "steps": (500_000,)},
    )
    _, ant, cheetah = figures._caption(panels(results))
    assert ant == (
        "ant-fwd-back, pearl · quick · float32: 1 run, seed 0; 2 test tasks; "
        "500k steps; commit aaaaaaa."
    )
    assert cheetah == (
        "half-cheetah-vel, pearl · quick · float32: 2 runs, seeds 0, 3; 4 test tasks; "
        "3k steps; commit aaaaaaa, bbbbbbb; unfinished: seed 3."
    )


@pytest.mark.parametrize(
    ("commit", "dirty", "shown"),
    [
        ("a" * 40, "False", "aaaaaaa"),
        ("a" * 40, "True", "aaaaaaa+"),
        ("a" * 40 + "; " + "b" * 40, "False", "aaaaaaa, bbbbbbb"),
        ("", "", "unknown"),
    ],
)
def test_commits(commit, dirty, shown):
    assert figures._commits([{"commit": commit, "dirty": dirty}]) == shown


def test_same_input_same_bytes(tmp_path):
    results = published(tmp_path, {}, {"seed": 1}, {"family": "ant-fwd-back"})
    folder = results / "locomotion" / "figures"
    assert learning_curves(results, "locomotion") == [
        folder / "learning-curves.png",
        folder / "learning-curves.pdf",
    ]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert len(before) == 2
    assert learning_curves(results, "locomotion") == []

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
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "wrote",
        "wrote",
        "[]",
    ]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert before[folder / "learning-curves.png"].startswith(b"\x89PNG")
    assert b"/CreationDate" not in before[folder / "learning-curves.pdf"]


def test_a_changed_curve_changes_the_figure(tmp_path):
    results = published(tmp_path, {})
    learning_curves(results, "locomotion")
    path = results / "locomotion" / "pearl.csv"
    text = path.read_text()
    assert ",1,152.90714285714284," in text
    path.write_text(text.replace(",1,152.90714285714284,", ",1,100.0,"))
    assert len(learning_curves(results, "locomotion")) == 2


def test_missing_results_are_said(tmp_path, capsys):
    with pytest.raises(PublishedError, match="no published curves"):
        learning_curves(tmp_path, "locomotion")
    results = published(tmp_path, {"steps": ()})
    with pytest.raises(PublishedError, match="no published curves"):
        learning_curves(results, "locomotion")
    assert main(["suite=locomotion", f"results={results}"]) == 2
    assert "no published curves" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["suite=locomotion", "colour=red"]) == 2
    assert "usage:" in capsys.readouterr().err


def test_curves_without_a_run_are_an_error(tmp_path):
    results = published(tmp_path, {}, {"seed": 1})
    path = results / "locomotion" / "runs.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(PublishedError, match=r"runs\.csv lacks the run r"):
        learning_curves(results, "locomotion")
    path.unlink()
    with pytest.raises(PublishedError, match=r"runs\.csv is missing"):
        learning_curves(results, "locomotion")
