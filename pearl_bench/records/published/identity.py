"""Which run a folder holds: its row of ``runs.csv`` and its id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pearl_bench.config.types import FREE_ON_RESUME
from pearl_bench.records.files import RecordError
from pearl_bench.records.provenance import PACKAGES
from pearl_bench.records.run_folder import CONFIG, RUN, read_run
from pearl_bench.records.table import SEPARATOR

Row = dict[str, str]


class StoreError(RecordError):
    """A result file cannot be used as it is; the message names it and the place."""


def describe(folder: Path) -> Row:
    """Return a run folder's row of runs.csv.

    Raises:
        RecordError: it does not hold a run, or not a whole one.
    """
    run = read_run(folder)
    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_bytes())
        sessions = run["sessions"]
        parts = {(p["protocol"], p["split"]): p for p in run["meta_test"]}
        meta_test = parts["suite", "test"]
        own = parts.get(("own", "test"), {})

        def over_sessions(key: str) -> str:
            values = (as_text(session[key]) for session in sessions)
            return SEPARATOR.join(dict.fromkeys(values))

        def versions(package: str) -> str:
            values = (as_text(session["versions"][package]) for session in sessions)
            return SEPARATOR.join(dict.fromkeys(values))

        return {
            "run": identity(config, run["fingerprint"], sessions[0]["device"]),
            "family": config["family"],
            "learner": config["learner"],
            "seed": as_text(config["seed"]),
            "budget": config["budget"],
            "device": over_sessions("device"),
            "precision": config["precision"],
            "steps": as_text(run["env_steps"]),
            "status": run["status"],
            "training_hours": as_text(round(run["seconds"] / 3600, 4)),
            "peak_memory_mib": as_text(run["peak_memory_mib"]),
            "started": sessions[0]["started"],
            "sessions": as_text(len(sessions)),
            "commit": over_sessions("commit"),
            "dirty": over_sessions("dirty"),
            "python": versions("python"),
            **{package: versions(package) for package in PACKAGES},
            "cpu": over_sessions("cpu"),
            "gpu": over_sessions("gpu"),
            "fingerprint": run["fingerprint"],
            "exploration_episodes": as_text(meta_test["exploration_episodes"]),
            "test_episodes": as_text(meta_test["test_episodes"]),
            "test_tasks": as_text(meta_test["tasks"]),
            "own_exploration_episodes": as_text(own.get("exploration_episodes")),
            "eval_every": as_text(config["eval_every"]),
            "settings": json.dumps(config["config"], sort_keys=True),
        }
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise StoreError(
            f"{folder}: {CONFIG} and {RUN} do not describe a run "
            f"({type(error).__name__}: {error}). Restore them, or move the folder away."
        ) from error


def identity(config: Mapping[str, Any], fingerprint: str, device: str) -> str:
    """Return ``r`` and 12 hex digits of everything that determines a run's results.

    The letter keeps programs from reading digits alone as a number. The device it was
    begun on is part of it: a CPU and a GPU give different curves for the same seed,
    and neither may overwrite the other.
    """
    decisive = {key: config[key] for key in config if key not in FREE_ON_RESUME}
    text = json.dumps([decisive, fingerprint, device], sort_keys=True)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:12]


def title(run: Row) -> str:
    """Name a run for people."""
    return f"{run['family']} {run['learner']} seed {run['seed']} (run {run['run']})"


def as_text(value: object) -> str:
    """Return a value as it stands in a cell."""
    return "" if value is None else str(value)
