"""A reference of ``regress`` that is part old and part new.

Many files are not replaced in one step: ``.unfinished`` lies in the folder meanwhile,
and stays where the command was killed. Each file by itself may be as it should be.
"""

from __future__ import annotations

from pathlib import Path

from pearl_bench.records.files import read_text

UNFINISHED = ".unfinished"
"""The file, which holds the words of the command that writes the reference."""


def begun(reference: Path) -> str | None:
    """Return the words of a command that has not written all of a reference.

    Args:
        reference: its folder.

    Returns:
        The words; None where all is written.

    Raises:
        RecordError: the file cannot be read.
    """
    try:
        return read_text(reference / UNFINISHED)
    except FileNotFoundError:
        return None


def complaint(reference: Path, words: str) -> str:
    """Say that a reference is not whole, and what to do."""
    return (
        f"{reference} is part old and part new: regress {words} ended while it wrote "
        "it; repeat that, or restore the folder (git has it) and remove "
        f"{reference / UNFINISHED}"
    )
