"""Published runs keep their ids: a run that goes on must not be published anew.

``data/published_ids.csv`` has the runs of results/ that an older version published, and
how many goals of a class were tested where that was said: the one setting that an id
covers and that runs.csv shows by its consequences alone. Runs of the regression check
leave it when their reference is made anew.
"""

import csv
import json
from functools import cache
from pathlib import Path

import pytest

from pearl_bench.records.published.identity import identity as identity_of
from pearl_bench.records.table import SEPARATOR

TESTS = Path(__file__).parents[1]
RESULTS = TESTS.parent / "results"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


RECORDED = rows(TESTS / "data" / "published_ids.csv")


@cache
def published(folder):
    return {row["run"]: row for row in rows(RESULTS / folder / "runs.csv")}


def identity(row, suite, goals):
    config = {key: row[key] for key in ("family", "learner", "budget", "precision")}
    config |= {key: int(row[key]) for key in ("seed", "eval_every")}
    config |= {"suite": suite, "config": json.loads(row["settings"])}
    if goals:
        config["meta_test"] = {"goals": int(goals)}
    device = row["device"].split(SEPARATOR)[0]
    # that of a setting that there was not yet is the one it was published under
    return identity_of(config, row["fingerprint"], device, [row])


@pytest.mark.parametrize("folder", sorted({row["folder"] for row in RECORDED}))
def test_published_runs_keep_their_ids(folder):
    known = published(folder)
    for wanted in RECORDED:
        if wanted["folder"] == folder:
            assert wanted["run"] in known, f"{wanted} is published no more"
            row = known[wanted["run"]]
            for key in ("family", "learner", "seed"):
                assert row[key] == wanted[key]
            suite = folder.rpartition("/")[2]
            assert identity(row, suite, wanted["goals"]) == wanted["run"]


def test_another_setting_is_another_run():
    (wanted, *_) = (row for row in RECORDED if row["folder"] == "navigation")
    row = published("navigation")[wanted["run"]]
    for key, value in {"seed": "9", "settings": "{}", "precision": "bf16"}.items():
        assert identity(row | {key: value}, "navigation", "") != wanted["run"]
