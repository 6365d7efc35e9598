"""Which published files a suite's figures, tables and page were drawn from.

``<suite>/figures/inputs.json`` is written last, so that a command that was killed
between the curves and the figure, or found the disk full, draws when it is repeated.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pearl_bench.records.files import RecordError, read_bytes, read_json, write_atomic

STAMP = "figures/inputs.json"
PAGE = "report.html"
DRAWN = ("figures/*.*", "tables/*.*", PAGE)
OWED = "figures/learning-curves.png"
"""What every command that publishes draws."""
ALONE = ("figures/learning-curves.*", STAMP)


def inputs(*folders: Path) -> dict[str, str]:
    """Return the SHA-256 of published files by path, as seen from the first folder.

    Args:
        folders: ``results/<suite>``, and others that its figures show as well.

    Raises:
        RecordError: one cannot be read.
    """
    return {
        os.path.relpath(path, folders[0]): hashlib.sha256(read_bytes(path)).hexdigest()
        for folder in folders
        for path in sorted(folder.glob("*.csv"))
        if not path.name.startswith(".")
    }


def is_current(folder: Path, *behind: Path) -> bool:
    """Whether all that was drawn is there, from the files as they are.

    Args:
        folder: ``results/<suite>``.
        behind: other folders that its figures show as well.
    """
    known = _stamped(folder)
    drawn = known.get("drawn")
    return (
        known.get("inputs") == inputs(folder, *behind)
        and isinstance(drawn, list)
        and OWED in drawn
        and all(isinstance(name, str) and (folder / name).is_file() for name in drawn)
    )


def folders_behind(folder: Path) -> list[Path]:
    """Return the other folders that a folder's figures show, as its stamp has it.

    Args:
        folder: ``results/<suite>``.
    """
    named = _stamped(folder).get("inputs")
    places = map(os.path.dirname, named if isinstance(named, dict) else ())
    return [
        Path(os.path.normpath(folder / place)) for place in sorted({*places} - {""})
    ]


def has_more(folder: Path) -> bool:
    """Whether more stands there than what every command draws."""
    alone = {path for pattern in ALONE for path in folder.glob(pattern)}
    return bool(set(_drawn(folder)) - alone)


def stamp(folder: Path, drawn_from: dict[str, str]) -> None:
    """Note which figures and tables were drawn, and from what.

    Not the page: git leaves it out, and a clone lacks nothing without it.

    Args:
        folder: ``results/<suite>``.
        drawn_from: what ``inputs`` returned before they were.

    Raises:
        RecordError: it cannot be written.
    """
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in _drawn(folder)
        if path.name != PAGE
    )
    known: dict[str, Any] = {"inputs": drawn_from, "drawn": names}
    write_atomic(folder / STAMP, (json.dumps(known, indent=2) + "\n").encode())


def _stamped(folder: Path) -> dict[str, Any]:
    """Return what ``stamp`` has written; nothing where it cannot be read."""
    try:
        known = read_json(folder / STAMP)
    except (FileNotFoundError, RecordError):
        return {}
    return known if isinstance(known, dict) else {}


def _drawn(folder: Path) -> list[Path]:
    found = (path for pattern in DRAWN for path in folder.glob(pattern))
    return [
        path
        for path in found
        if not path.name.startswith(".") and path != folder / STAMP
    ]
