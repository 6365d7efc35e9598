"""Writing files so that a reader, or a kill, finds the old or the new content."""

from __future__ import annotations

import os
from pathlib import Path

from pearl_bench.config.errors import UserError


class RecordError(UserError):
    """A run's folder cannot be used as it is; the message says what to do."""


def sync_folder(folder: Path) -> None:
    """Make renames within the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes) -> bool:
    """Replace a file's content in one step; return whether it changed.

    A reader, or a process killed at any moment, leaves the old or the new content. A
    file that already holds the data is not touched.
    """
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    # The process's own: two commands may draw the figures of a suite at a time.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    return True
