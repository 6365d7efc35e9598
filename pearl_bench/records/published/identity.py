"""Which run a folder holds: its row of ``runs.csv`` and its id."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from pathlib import Path, PurePath
from typing import Any

from pearl_bench import registry
from pearl_bench.config.runs import parsed
from pearl_bench.config.types import FREE_ON_RESUME, ConfigError
from pearl_bench.records.files import RecordError, read_text
from pearl_bench.records.provenance import PACKAGES
from pearl_bench.records.run_folder import CONFIG, RUN, place, read_run, refusal
from pearl_bench.records.schema import RUNS
from pearl_bench.records.table import SEPARATOR, Row, shown

_REMEDY = "Restore them, or move the folder away."
_ABSOLUTE = re.compile(r"(?:^|(?<=[=,]))[/~][^,]*")
"""A word, its value, or one of its values."""


class StoreError(RecordError):
    """A result file cannot be used as it is; the message names it and the place."""


class RefusedRowsError(StoreError):
    """A run's rows were refused when it last was to go on from them.

    Attributes:
        what: says so, and what to do.
        why: what the run failed by.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


def describe(folder: Path, published: Collection[Row] = ()) -> Row:
    """Return a run folder's row of runs.csv, without what its curve says.

    Args:
        folder: a raw run folder.
        published: the rows of runs.csv; a run that stands there keeps its id, and the
            settings that its id is of.

    Raises:
        RecordError: it does not hold a run, or not a whole one, or one of a method
            that is not registered.
    """
    try:
        run = read_run(folder)
    except FileNotFoundError:
        raise StoreError(f"{folder} holds no run: there is no {RUN}.") from None
    try:
        config = parsed(read_text(folder / CONFIG), folder / CONFIG)
    except FileNotFoundError:
        raise StoreError(f"{folder / CONFIG} is missing. Restore it.") from None
    except ConfigError as error:
        raise StoreError(str(error)) from error
    try:
        row = _row(config, run, published)
        for column in RUNS.columns:
            if column.name in row:
                column.parse(row[column.name])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{folder}: {CONFIG} and {RUN} do not describe a run "
            f"({type(error).__name__}: {error}). {_REMEDY}"
        ) from error
    if row["learner"] not in registry.learner_names():
        raise StoreError(
            f"{folder / CONFIG}: {shown(row['learner'])} is no method; registered are "
            f"{', '.join(registry.learner_names())}. Install the package that has it, "
            "or move the folder away."
        )
    return row


def require_place(folder: Path, suite: str, row: Row) -> None:
    """Refuse a folder whose configuration is another run's.

    Raises:
        StoreError: its name says another family, method or seed.
    """
    wanted = place(suite, row["family"], row["learner"], row["seed"])
    if wanted != folder.parts[-len(wanted) :]:
        raise StoreError(
            f"{folder} holds {CONFIG} of another run, {'/'.join(wanted[1:])} of "
            f"{suite}: it was copied or edited. Restore it, or move the folder away."
        )


def require_sound(folder: Path) -> None:
    """Refuse a folder whose rows were refused when its run last was to go on.

    Nobody knows whose they are until it does.

    Raises:
        RefusedRowsError: says why, and what to do.
    """
    why = refusal(read_run(folder))
    if why:
        raise RefusedRowsError(
            f"{folder} is not published: its run could not go on from its rows. Mend "
            "that, then repeat its command",
            why,
        )


def _row(
    config: Mapping[str, Any], run: Mapping[str, Any], published: Collection[Row]
) -> Row:
    sessions = run["sessions"]
    parts = {(p["protocol"], p["split"]): p for p in run["meta_test"]}
    meta_test = parts["suite", "test"]
    own = parts.get(("own", "test"), {})

    def joined(values: Iterable[object]) -> str:
        return SEPARATOR.join(dict.fromkeys(map(as_text, values)))

    def over_sessions(key: str) -> str:
        return joined(session[key] for session in sessions)

    name = identity(config, run["fingerprint"], sessions[0]["device"], published)
    settings = json.dumps(config["config"], sort_keys=True, allow_nan=False)
    return {
        "run": name,
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
        **{
            package: joined(session["versions"][package] for session in sessions)
            for package in ("python", *PACKAGES)
        },
        "cpu": over_sessions("cpu"),
        "gpu": over_sessions("gpu"),
        "fingerprint": run["fingerprint"],
        "exploration_episodes": as_text(meta_test["exploration_episodes"]),
        "test_episodes": as_text(meta_test["test_episodes"]),
        "test_tasks": as_text(meta_test["tasks"]),
        "own_exploration_episodes": as_text(own.get("exploration_episodes")),
        "eval_every": as_text(config["eval_every"]),
        "settings": next(
            (row["settings"] for row in published if row["run"] == name), settings
        ),
        "target_steps": as_text(config["steps"]),
        "repetitions": as_text(meta_test.get("repetitions", 1)),
        "threads": over_sessions("threads"),
        "command": joined(shlex.join(_placeless(s["command"])) for s in sessions),
        "cpu_flags": joined(" ".join(s.get("cpu_flags", ())) for s in sessions),
        "packages": joined(_others(session["versions"]) for session in sessions),
    }


def _others(versions: Mapping[str, str | None]) -> str:
    """Return names and versions of the packages that a method and a suite are of."""
    known = ("python", *PACKAGES)
    return ", ".join(
        f"{k} {version}" for k, version in versions.items() if k not in known
    )


def _placeless(command: Iterable[str]) -> list[str]:
    """Return a command whose absolute paths are their last parts.

    Where a machine keeps its folders says nothing about a run.
    """
    return [
        _ABSOLUTE.sub(lambda found: PurePath(found[0]).name, word) for word in command
    ]


def identity(
    config: Mapping[str, Any],
    fingerprint: str,
    device: str,
    published: Iterable[Row] = (),
) -> str:
    """Return ``r`` and 12 hex digits of everything that determines a run's results.

    The letter keeps programs from reading digits alone as a number. The device it was
    begun on is part of it: a CPU and a GPU give different curves for the same seed,
    and neither may overwrite the other. A setting that a run lacks because there was
    none when it began counts as its default.

    Args:
        config: what ``config.yaml`` holds.
        fingerprint: of the tasks.
        device: that it was begun on.
        published: rows of runs.csv. A run that was published under an id of fewer
            settings, before there were more, keeps that id.
    """
    settings = config["config"]
    usual = registry.default_settings(config["learner"])
    filled = usual | settings
    for row in published:
        if row["learner"] != config["learner"] or row["seed"] != str(config["seed"]):
            continue
        then = json.loads(row["settings"])
        as_then = {**config, "config": then}
        if usual | then == filled and row["run"] == _digest(
            as_then, fingerprint, device
        ):
            return row["run"]
    return _digest({**config, "config": filled}, fingerprint, device)


def is_identity(row: Row, suite: str, protocols: Collection[str]) -> bool:
    """Whether the id of a row of runs.csv is of what the row says.

    An id is also of the words about the meta-test, which are no column: it is one of
    any that have as many repetitions, and no more goals than there are test tasks.

    Args:
        row: of runs.csv.
        suite: the suite's name.
        protocols: of the run's curve.
    """
    config = {key: row[key] for key in ("family", "learner", "budget", "precision")}
    config |= {key: int(row[key]) for key in ("seed", "eval_every")}
    settings = json.loads(row["settings"])
    usual = registry.default_settings(row["learner"])
    device = row["device"].partition(SEPARATOR)[0]
    for had, goals, repetitions, protocol in product(
        (settings, usual | settings),
        (None, *range(1, int(row["test_tasks"]) + 1)),
        (None, int(row["repetitions"] or 1)),
        (None, *sorted(protocols)),
    ):
        words = {"goals": goals, "repetitions": repetitions, "protocol": protocol}
        said = {key: word for key, word in words.items() if word is not None}
        meant = config | {"suite": suite, "config": had}
        meant |= {"meta_test": said} if said else {}
        if row["run"] == _digest(meant, row["fingerprint"], device):
            return True
    return False


def _digest(config: Mapping[str, Any], fingerprint: str, device: str) -> str:
    decisive = {key: config[key] for key in config if key not in FREE_ON_RESUME}
    text = json.dumps([decisive, fingerprint, device], sort_keys=True, allow_nan=False)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:12]


def title(run: Row) -> str:
    """Name a run for people."""
    return f"{run['family']} {run['learner']} seed {run['seed']} (run {run['run']})"


def as_text(value: object) -> str:
    """Return a value as it stands in a cell: one line that can be printed."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
