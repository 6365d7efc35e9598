"""What was published is not read again, unless anything has changed since."""

import os
from collections import Counter
from contextlib import suppress

import pytest
from raw_runs import make_run, silent

from pearl_bench.analysis.check import check
from pearl_bench.records.files import RecordError
from pearl_bench.records.published import publish as published
from pearl_bench.records.published import unchanged
from pearl_bench.records.published.publish import publish
from pearl_bench.records.table import Table

SUITE, FAMILY = "locomotion", "half-cheetah-vel"
SEEDS = 5


@pytest.fixture
def out(tmp_path):
    for learner in ("pearl", "rl2"):
        for seed in range(SEEDS):
            make_run(tmp_path / "raw", learner=learner, seed=seed, steps=(1000,))
    return tmp_path / "raw"


@pytest.fixture
def results(out, tmp_path):
    publish(out, tmp_path / "results", SUITE, silent)
    return tmp_path / "results"


@pytest.fixture
def work(monkeypatch):
    """Count tables that are read and runs that are described."""
    done: Counter[str] = Counter()
    scan, describe = Table.scan, published.describe

    def counted_scan(self, path, **words):
        done["tables"] += 1
        return scan(self, path, **words)

    def counted_describe(*words):
        done["runs"] += 1
        return describe(*words)

    monkeypatch.setattr(Table, "scan", counted_scan)
    monkeypatch.setattr(published, "describe", counted_describe)
    return done


def contents(results):
    return {path.name: path.read_bytes() for path in results.rglob("*.csv")}


def test_what_is_published_is_not_read_again(out, results, work):
    assert publish(out, results, SUITE, silent) == []
    assert not work
    (results / SUITE / unchanged.STAMP).unlink()
    assert publish(out, results, SUITE, silent) == []
    # runs.csv, two files of each method, and the two of each run
    assert work == {"tables": 1 + 2 * 2 + 2 * 2 * SEEDS, "runs": 2 * SEEDS}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


LOST = {
    "a row": lambda folder: edit(folder / "pearl.csv", "\nr", "\n\nr"),
    "a row of single tasks": lambda folder: edit(
        folder / "late" / "rl2.csv", f",{FAMILY},", ",ant-goal-2d,"
    ),
    "a return": lambda folder: edit(folder / "rl2.csv", ",all,1,", ",all,2,"),
    "the row of a run": lambda folder: edit(folder / "runs.csv", ",quick,", ",paper,"),
    "a curve": lambda folder: (folder / "pearl.csv").unlink(),
    "all rows": lambda folder: (folder / "rl2.csv").write_text(""),
}


@pytest.mark.parametrize("what", LOST)
def test_a_published_file_that_is_changed_is_read(out, results, work, what):
    """Its damage is told or mended as if nothing had been noted."""
    LOST[what](results / SUITE)
    with suppress(RecordError):
        publish(out, results, SUITE, lambda line: None)
    assert work["tables"]


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_run_that_is_edited_is_read(out, results, work, keep_time):
    path = out / SUITE / FAMILY / "pearl" / "seed=3" / "run.json"
    before = path.stat()
    edit(path, "1800.0", "3600.0")  # as long as before
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = publish(out, results, SUITE, silent)
    assert [path.name for path in changed] == ["runs.csv"]
    assert work["runs"] == 2 * SEEDS


def test_a_run_that_is_new_or_grows_is_published(out, results):
    make_run(out, seed=SEEDS, steps=(1000,), status="stopped")
    assert publish(out, results, SUITE, silent)
    assert publish(out, results, SUITE, silent) == []
    before = contents(results)
    make_run(out.with_name("later"), seed=SEEDS, steps=(1000, 2000), status="stopped")
    folder = f"{SUITE}/{FAMILY}/pearl/seed={SEEDS}"
    for name in ("run.json", "eval.csv"):
        rows = (out.with_name("later") / folder / name).read_bytes()
        (out / folder / name).write_bytes(rows)
    assert publish(out, results, SUITE, silent)
    assert contents(results) != before
    assert not [p for p in check(results) if "fingerprint" not in p.what]


def test_what_is_left_out_is_said_each_time(out, results):
    path = out / SUITE / FAMILY / "pearl" / "seed=3" / "eval.csv"
    edit(path.with_name("run.json"), '"done"', '"stopped"')
    path.write_text(path.read_text() + "1500,sui")
    for _ in range(2):
        said: list[str] = []
        publish(out, results, SUITE, said.append)
        assert "is cut off" in said[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"raw": 1}'])
def test_a_damaged_note_is_written_anew(out, results, work, text):
    (results / SUITE / unchanged.STAMP).write_text(text)
    assert publish(out, results, SUITE, silent) == []
    assert work["runs"]
    work.clear()
    assert publish(out, results, SUITE, silent) == []
    assert not work


def test_of_what_is_new_the_rest_is_not_read_again(out, results, work):
    """Not even where something is told each time."""
    make_run(out, seed=SEEDS, steps=(1000,), status="stopped")
    path = out / SUITE / FAMILY / "pearl" / f"seed={SEEDS}" / "eval.csv"
    path.write_text(path.read_text() + "1500,sui")
    for _ in range(2):
        work.clear()
        publish(out, results, SUITE, lambda line: None)
        assert work["tables"] == 1 + 2 * 2 + 2


def test_other_raw_folders_are_read(out, results, work, tmp_path):
    make_run(tmp_path / "other", seed=99)
    assert publish(tmp_path / "other", results, SUITE, silent)
    assert work["runs"] == 1
    before = contents(results)
    assert publish(out, results, SUITE, silent) == []
    assert contents(results) == before


def test_a_note_that_cannot_be_written_is_done_without(out, results, monkeypatch):
    note = results / SUITE / unchanged.STAMP
    note.unlink()

    def full(path, data):
        raise RecordError(f"{path}: {len(data)} bytes do not fit")

    monkeypatch.setattr(unchanged, "write_atomic", full)
    assert publish(out, results, SUITE, silent) == []
    assert not note.exists()
