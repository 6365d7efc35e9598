"""Whether anything has changed since a suite was last published.

``<suite>/.published.json`` says what published files were like when they were written,
and what raw folders were like if all of them was in there. It saves the reading of
hundreds of finished runs, and nothing depends on it: where it cannot be read, all are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pearl_bench import registry
from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, read_bytes, read_json, write_atomic
from pearl_bench.records.published import drawn
from pearl_bench.records.run_folder import CONFIG, EVAL, RUN

STAMP = ".published.json"


def raw_digest(folders: Sequence[Path]) -> str | None:
    """Return a digest of all that publishing goes by but the published files.

    What describes a run counts with its content; of its rows, which may be hundreds of
    megabytes, size and time of the last change.

    Args:
        folders: raw run folders.

    Returns:
        64 hex digits; None if a file cannot be read, which publishing will tell.
    """
    written = (schema.RUNS, schema.CURVES, schema.LATE)
    known = [registry.learner_names(), [table.names for table in written]]
    sha256 = hashlib.sha256(json.dumps(known).encode())
    for folder in folders:
        try:
            about = [read_bytes(folder / name) for name in (RUN, CONFIG)]
            found = (folder / EVAL).lstat()
        except (OSError, RecordError):
            return None
        lengths = [*map(len, about), found.st_size, found.st_mtime_ns]
        sha256.update(json.dumps([str(folder.resolve()), lengths]).encode())
        sha256.update(b"".join(about))
    return sha256.hexdigest()


def is_unchanged(target: Path, raw: str | None) -> bool:
    """Whether a suite's published files are as they were, from the same raw folders.

    Args:
        target: ``results/<suite>``.
        raw: what ``raw_digest`` returns now.
    """
    if raw is None:
        return False
    return _noted(target) == {"raw": raw, "published": _published(target)}


def as_noted(target: Path) -> set[str]:
    """Return the published files that are as they were when they were last written.

    Args:
        target: ``results/<suite>``, from where their names are seen.
    """
    noted = _noted(target)
    known = noted.get("published") if isinstance(noted, dict) else None
    if not isinstance(known, dict):
        return set()
    return {name for name, of in _published(target).items() if known.get(name) == of}


def note(target: Path, raw: str | None) -> None:
    """Note what has been published.

    Args:
        target: ``results/<suite>``.
        raw: what ``raw_digest`` returned before the folders were read; None if not all
            of them is published.
    """
    state = {"raw": raw, "published": _published(target)}
    with suppress(RecordError):  # of a read-only folder, say: it saves time alone
        write_atomic(target / STAMP, (json.dumps(state, indent=2) + "\n").encode())


def _noted(target: Path) -> object:
    """Return what ``note`` has written; None where it cannot be read."""
    try:
        return read_json(target / STAMP)
    except (FileNotFoundError, RecordError):
        return None


def _published(target: Path) -> dict[str, str]:
    return drawn.inputs(target, target / schema.LATE_FOLDER)
