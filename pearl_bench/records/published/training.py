"""Means of a run's training metrics, published for runs that are compared by them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pearl_bench.records import schema
from pearl_bench.records.files import make_folder, write_atomic
from pearl_bench.records.published.identity import describe
from pearl_bench.records.published.publish import read_rows
from pearl_bench.records.run_folder import TRAIN, run_folders
from pearl_bench.records.table import Row

_REMEDY = "Restore the file, or move the folder away."


def publish_training(out: Path, results: Path, suite: str, share: float) -> list[Path]:
    """Write the means of all runs' training metrics, in place of those before.

    Args:
        out: raw run folders, ``<out>/<suite>/<family>/<learner>/seed=<k>/``.
        results: published files; the means go to ``<results>/<suite>/training/``.
        suite: the suite's name.
        share: the means ``end`` are over this last share of a run's steps.

    Returns:
        The files.

    Raises:
        RecordError: a raw file is damaged; the message says where.
    """
    published = read_rows(schema.RUNS, results / suite / schema.RUNS_FILE)
    by_learner: dict[str, list[Row]] = {}
    described = [(describe(f, published), f) for f in run_folders(out, suite)]
    for run, folder in described:
        rows = by_learner.setdefault(run["learner"], [])
        about = {key: run[key] for key in ("run", "family", "seed")}
        for metric, (whole, end) in means_of(folder, share).items():
            means = {"metric": metric, "whole": repr(whole), "end": repr(end)}
            rows.append(about | means)
    written = []
    for learner, rows in by_learner.items():
        path = results / suite / schema.TRAINING_FOLDER / f"{learner}.csv"
        make_folder(path.parent)
        write_atomic(path, schema.TRAINING.to_csv(sorted(rows, key=training_order)))
        written.append(path)
    return written


def training_order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a row in its file."""
    return row["family"], int(row["seed"]), row["run"], row["metric"]


def means_of(folder: Path, share: float) -> dict[str, tuple[float, float]]:
    """Return each metric's mean over all iterations, and over the last ones.

    Args:
        folder: of a run.
        share: of its last steps.
    """
    rows = [row.values for row in schema.TRAIN.read(folder / TRAIN, _REMEDY)]
    since = (1 - share) * rows[-1]["env_steps"]
    return {
        name: (
            float(np.mean([row[name] for row in rows])),
            float(np.mean([row[name] for row in rows if row["env_steps"] > since])),
        )
        for name in rows[0]
        if name not in schema.NOT_METRICS
    }


def training_of(results: Path, suite: str) -> Mapping[str, Mapping[str, float]]:
    """Return what is published of the runs' training, by run.

    A metric's mean over the last iterations has ``, end`` after its name.

    Raises:
        RecordError: a file is damaged.
    """
    found: dict[str, dict[str, float]] = {}
    for path in sorted((results / suite / schema.TRAINING_FOLDER).glob("*.csv")):
        for line in schema.TRAINING.read(path, _REMEDY):
            row = line.values
            of_run = found.setdefault(row["run"], {})
            of_run[row["metric"]] = row["whole"]
            of_run[f"{row['metric']}, end"] = row["end"]
    return found
