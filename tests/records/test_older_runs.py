"""Half-done runs of older versions go on to the rows that their version gave them."""

import json
import math
import shutil

import pytest
from older_runs import RAW, RECORDED, ended, go_on, read_rows, rounding, run_folder

from pearl_bench import registry

SLOW = {"reach-rl2"}  # Meta-World's environments
RTOL = 1e-2
NEAR_ZERO = {"loss/outer": 1e-6, "policy/log_std": 3e-4}
"""Amounts by which columns may differ that are 0 but for rounding, or begin there. With
AVX-512 for AVX2 conjugate gradients make 2e-4 of the latter on the point robot."""

NAMES = [
    pytest.param(path.name, marks=pytest.mark.slow if path.name in SLOW else ())
    for path in sorted(RECORDED.iterdir())
    if path.is_dir()
]


def expected(name):
    ends = sorted((RECORDED / name / "ended").iterdir())
    return {path.name: read_rows(path) for path in ends}


def with_todays_settings(files):
    """Fill in settings that came later, with their defaults.

    Where there are such settings the id is left out: it covers them, and only a run
    that has been published keeps the one it had (``test_publish.py``).
    """
    (run,) = files["runs.csv"]
    recorded = json.loads(run["settings"])
    filled = registry.default_settings(run["learner"]) | recorded
    filled_in = [{**run, "settings": json.dumps(filled, sort_keys=True)}]
    files = {**files, "runs.csv": filled_in}
    if filled == recorded:
        return files
    return {
        name: [{k: v for k, v in row.items() if k != "run"} for row in rows]
        for name, rows in files.items()
    }


def recorded_before(name):
    """How many rows of each raw file the half-done run has."""
    run = run_folder(RECORDED / name)
    files = ("train.csv", "eval.csv")
    return {
        file: len(read_rows(run / file)) if (run / file).stat().st_size else 0
        for file in files
    }


def rounds_alike(name):
    path = RECORDED / name / "rounding.json"
    return path.exists() and json.loads(path.read_text()) == rounding()


def difference(old, new, rtol, atol):
    """Say how a cell differs; only what is no whole number may, and by that much."""
    try:
        whole = old.removeprefix("-").isdecimal()
        near = not whole and math.isclose(
            float(old), float(new), rel_tol=rtol, abs_tol=atol
        )
    except ValueError:
        near = False
    return "" if old == new or near else f"is {new!r}, {old!r} expected"


def differences(before, after, kept, *, exact):
    """Name what differs in the columns that there were.

    Rows that the half-done run has, and all where the CPU rounds alike, are the same.
    Elsewhere so are whole numbers and words, and nearly so is the first row of training
    after the checkpoint: its updates are taken from what the checkpoint holds. Later
    rows are of new episodes, in which an error of rounding grows beyond any tolerance.
    """
    found = []
    for file, rows in before.items():
        if len(rows) != len(after[file]):
            found.append(f"{file} has {len(after[file])} rows, {len(rows)} expected")
            continue
        for number, (old, new) in enumerate(zip(rows, after[file], strict=True)):
            rtol, near_zero = math.inf, {}
            if exact or file == "runs.csv" or number < kept.get(file, 0):
                rtol = 0.0
            elif file == "train.csv" and number == kept[file]:
                rtol, near_zero = RTOL, NEAR_ZERO
            for key, value in old.items():
                atol = near_zero.get(key, 0.0)
                complaint = difference(value, new.get(key, "missing"), rtol, atol)
                if complaint:
                    found.append(f"{file}, row {number + 1}: {key} {complaint}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_to_the_same_rows(name, tmp_path):
    shutil.copytree(RECORDED / name / RAW, tmp_path / RAW)
    go_on(tmp_path)
    kept, exact = recorded_before(name), rounds_alike(name)
    before = with_todays_settings(expected(name))
    assert not differences(before, ended(tmp_path), kept, exact=exact)


@pytest.mark.parametrize(
    ("file", "row", "key", "change", "everywhere"),
    [
        ("train.csv", 0, "policy/log_std", 1e-9, True),  # before the checkpoint
        ("train.csv", 2, "policy/log_std", 4e-4, True),  # the first after it
        ("train.csv", 2, "loss/outer", 2e-6, True),
        ("train.csv", 2, "loss/outer", 1e-7, False),
        ("train.csv", 2, "policy/log_std", 1e-9, False),
        ("eval.csv", 0, "return", 1e-9, True),
        ("eval.csv", -1, "return", 1e-9, False),
        ("eval.csv", -1, "return", math.nan, True),
        ("eval.csv", -1, "length", 1, True),
        ("curves.csv", -1, "return", 1e-9, False),
        ("runs.csv", 0, "fingerprint", None, True),
    ],
)
def test_a_changed_row_is_noticed(file, row, key, change, everywhere):
    name = "half-cheetah-fwd-back-maml_trpo"
    before, after, kept = expected(name), expected(name), recorded_before(name)
    assert kept["train.csv"] == 2
    old = after[file][row][key]
    number = int if old.isdecimal() else float
    after[file][row][key] = "" if change is None else str(number(old) + change)
    assert len(differences(before, after, kept, exact=True)) == 1
    assert len(differences(before, after, kept, exact=False)) == everywhere


def test_a_missing_row_or_column_is_noticed_and_a_new_column_is_none():
    name = "point-robot-rl2"
    before, after, kept = expected(name), expected(name), recorded_before(name)
    for row in after["eval.csv"]:
        row["weather"] = "fine"
    assert not differences(before, after, kept, exact=True)
    del after["eval.csv"][-1]["group"], after["train.csv"][-1]
    found = differences(before, after, kept, exact=False)
    assert [text.partition(" ")[0] for text in found] == ["eval.csv,", "train.csv"]
