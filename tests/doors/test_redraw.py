"""What a command owes is drawn, whatever happened to the command before it."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest
from raw_runs import make_run

from pearl_bench.analysis import report
from pearl_bench.records.files import RecordError
from pearl_bench.records.published import drawn
from pearl_bench.records.published.publish import publish

SUITE = "locomotion"


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """Published curves and what the command draws of them; nobody writes there."""
    results = tmp_path_factory.mktemp("refreshed") / "results"
    make_run(results.parent / "raw")
    publish(results.parent / "raw", results, SUITE)
    assert not drawn.is_current(results / SUITE)
    report.refresh(results, SUITE)
    assert drawn.is_current(results / SUITE)
    return results


@pytest.fixture
def results(refreshed, tmp_path):
    return shutil.copytree(refreshed, tmp_path / "results")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "figures" / "learning-curves.png").unlink(),
        lambda folder: (folder / "figures" / "learning-curves.pdf").unlink(),
        lambda folder: (folder / drawn.STAMP).unlink(),
        lambda folder: (folder / drawn.STAMP).write_text("{"),
        lambda folder: (folder / drawn.STAMP).write_text("[]"),
        lambda folder: (folder / drawn.STAMP).write_text('{"drawn": 1}'),
        lambda folder: (folder / "rl2.csv").write_text("new\n"),
        lambda folder: (folder / "pearl.csv").write_text("changed\n"),
    ],
)
def test_what_is_lost_or_newer_is_noticed(results, change):
    assert drawn.is_current(results / SUITE)
    change(results / SUITE)
    assert not drawn.is_current(results / SUITE)


def test_what_other_systems_leave_is_no_input(results):
    (results / SUITE / "._pearl.csv").write_bytes(b"\0")
    assert drawn.is_current(results / SUITE)


def test_a_kill_before_the_figure_is_made_good(results):
    """As a kill between runs.csv and the figure leaves it: curves newer than both."""
    folder = results / SUITE
    before = (folder / "figures" / "learning-curves.png").read_bytes()
    make_run(results.parent / "raw", seed=1)
    assert publish(results.parent / "raw", results, SUITE)
    assert not publish(results.parent / "raw", results, SUITE)  # nothing to publish
    assert not drawn.is_current(folder)
    assert folder / "figures" / "learning-curves.png" in report.refresh(results, SUITE)
    assert (folder / "figures" / "learning-curves.png").read_bytes() != before
    assert drawn.is_current(folder)


def test_a_full_disk_leaves_no_stamp(results):
    folder = results / SUITE
    make_run(results.parent / "raw", seed=1)
    publish(results.parent / "raw", results, SUITE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # figures are larger
    try:
        with pytest.raises(
            RecordError, match=r"learning-curves\.\w+ cannot be written"
        ):
            report.refresh(results, SUITE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not drawn.is_current(folder)
    assert not [path for path in (folder / "figures").iterdir() if ".tmp" in path.name]
    report.refresh(results, SUITE)
    assert drawn.is_current(folder)


def test_a_page_which_git_leaves_out_is_not_missed(results):
    folder = results / SUITE
    (folder / "report.html").write_text("old")
    assert folder / "report.html" in report.refresh(results, SUITE)
    assert drawn.is_current(folder)
    (folder / "report.html").unlink()  # as in a clone
    assert drawn.is_current(folder)


def test_more_is_redrawn_where_there_is_more(results):
    folder = results / SUITE
    assert not drawn.has_more(folder)
    (folder / "tables").mkdir()
    (folder / "tables" / "notes.md").write_text("old")
    assert drawn.has_more(folder)
    report.refresh(results, SUITE)
    assert (folder / "tables" / "notes.md").read_text() != "old"
    assert "tables/notes.md" in json.loads((folder / drawn.STAMP).read_text())["drawn"]


@pytest.mark.parametrize(
    ("word", "is_file"), [("results", True), ("results", False), ("out", False)]
)
def test_a_folder_that_cannot_be_written_is_noticed_first(tmp_path, word, is_file):
    """Once, and not by each run."""
    place = tmp_path / word
    if is_file:
        place.write_text("a file")
    else:
        place.symlink_to("nowhere")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pearl_bench.run", "suite=navigation"),
            *("families=point-robot", "learners=pearl", "seeds=0,1", "budget=smoke"),
            *(f"out={tmp_path / 'out'}", f"results={tmp_path / 'results'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"{word}={place}")
    assert "is no folder; name another." in sentence
    assert not (tmp_path / "out").exists()
