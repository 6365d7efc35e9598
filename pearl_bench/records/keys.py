"""The keys of ``run.json``: what each means, and which values it may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

_MOST = 2**53


class Key(NamedTuple):
    """A key of a record.

    Attributes:
        meaning: a sentence.
        expected: its values, in words.
        accepts: whether a value is such.
        may_be_missing: in records of older versions.
        of: the keys of each item, of a list of records.
    """

    meaning: str
    expected: str
    accepts: Callable[[Any], bool]
    may_be_missing: bool = False
    of: Mapping[str, Key] | None = None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_not_negative(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST  # type: ignore[operator]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_hex(digits: int) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", str(value)))

    return accepts


def _or_null(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or accepts(value)


def _is_date(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).utcoffset() is not None
    except ValueError:
        return False


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0


def _is_versions(value: object) -> bool:
    return isinstance(value, dict) and all(map(_or_null(_is_text), value.values()))


def complaint(keys: Mapping[str, Key], record: object) -> str:
    """Say what is wrong with a record; empty if nothing is.

    Keys beyond the known ones are another version's and allowed.
    """
    if not isinstance(record, dict):
        return "it is no JSON object"
    for name, key in keys.items():
        if name not in record:
            if not key.may_be_missing:
                return f"{name} is missing"
        elif not key.accepts(record[name]):
            value = repr(record[name])
            value = value if len(value) <= 80 else value[:80] + "…"
            return f"{name} is {value}; expected is {key.expected}"
        for item in record[name] if key.of and name in record else ():
            wrong = complaint(key.of or {}, item)
            if wrong:
                return f"{name}: {wrong}"
    return ""


_COUNT, _TEXT = "a whole number from 0 on", "text"

SESSION_KEYS: dict[str, Key] = {
    "started": Key("date and time, UTC", "a date and time with its offset", _is_date),
    "command": Key("the command line, word by word", "a list of words", _is_words),
    "host": Key("name of the machine", _TEXT, _is_text),
    "cpu": Key("model of the processor", _TEXT, _is_text),
    "cpu_flags": Key(
        "those of its instruction sets that decide the last bits of arithmetic",
        "a list of words",
        _is_words,
        may_be_missing=True,
    ),
    "cores": Key("processor cores that the process could use", _COUNT, _is_count),
    "gpu": Key("the GPU; null without one", "text or null", _or_null(_is_text)),
    "commit": Key(
        "git commit of the source; null outside git",
        "40 hex digits or null",
        _or_null(_is_hex(40)),
    ),
    "dirty": Key(
        "whether the source differed from that commit; null outside git",
        "true, false or null",
        _or_null(lambda value: isinstance(value, bool)),
    ),
    "versions": Key(
        "of Python and the packages that decide results, that of a method or suite of "
        "one's own among them",
        "an object of texts",
        _is_versions,
    ),
    "device": Key(
        "where the networks were trained",
        "cpu or cuda",
        lambda value: value in ("cpu", "cuda"),
    ),
    "threads": Key("of torch, and of the environments", _COUNT, _is_count),
    "engine": Key(
        "what started it: `local`, `slurm` or `ray`",
        _TEXT,
        _is_text,
        may_be_missing=True,
    ),
    "job": Key(
        "its job on a cluster; null without one",
        "text or null",
        _or_null(_is_text),
        may_be_missing=True,
    ),
    "resumed_at_env_steps": Key(
        "environment steps of the checkpoint it went on from", _COUNT, _is_count
    ),
    "resumed_at_seconds": Key(
        "training time up to that checkpoint",
        "a number from 0 on",
        _is_not_negative,
        may_be_missing=True,
    ),
}
"""Keys of each session of ``run.json``."""

PART_KEYS: dict[str, Key] = {
    "protocol": Key("as in `eval.csv`", _TEXT, _is_text),
    "split": Key("as in `eval.csv`", _TEXT, _is_text),
    "tasks": Key("how many tasks", _COUNT, _is_count),
    "exploration_episodes": Key(
        "episodes before the first adaptation", _COUNT, _is_count
    ),
    "test_episodes": Key("episodes after it", _COUNT, _is_count),
    "repetitions": Key("of each task", _COUNT, _is_count, may_be_missing=True),
    "unadapted": Key(
        "whether there is an episode 0",
        "true or false",
        lambda value: isinstance(value, bool),
        may_be_missing=True,
    ),
}
"""Keys of each part of an evaluation in ``run.json``."""

RUN_KEYS: dict[str, Key] = {
    "format": Key("version of this file's layout", _COUNT, _is_count),
    "status": Key(
        "as in `runs.csv`",
        "done, stopped, failed or begun",
        lambda value: value in ("done", "stopped", "failed", "begun"),
    ),
    "message": Key(
        "why it failed, or why its rows were refused when it was to go on (status "
        "`stopped`); empty otherwise",
        _TEXT,
        _is_text,
    ),
    "env_steps": Key("environment steps at the last checkpoint", _COUNT, _is_count),
    "seconds": Key(
        "training time up to it, over all sessions",
        "a number from 0 on",
        _is_not_negative,
    ),
    "peak_memory_mib": Key(
        "largest resident memory of the process, in MiB",
        "a number from 0 on",
        _is_not_negative,
    ),
    "fingerprint": Key(
        "of the family's tasks, as in `runs.csv`", "16 hex digits", _is_hex(16)
    ),
    "meta_test": Key(
        "of each part of an evaluation: protocol, split, number of tasks, episodes "
        "before and after the first adaptation; `repetitions` of each task if they are "
        "several, and `unadapted` if there is an episode 0",
        "a list of them",
        _is_list,
        of=PART_KEYS,
    ),
    "sessions": Key(
        "a record of each start or resume, with the keys below",
        "a list of them",
        _is_list,
        of=SESSION_KEYS,
    ),
}
"""Keys of ``run.json`` of a raw run folder."""
