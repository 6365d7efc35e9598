"""What is brought to the disk and what is renamed, in order: a power cut is no test."""

import os
from pathlib import Path

import pytest


def witness(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Note what is done in a folder from now on.

    Args:
        monkeypatch: of the test.
        folder: its files, and as ``.`` it itself.

    Returns:
        ``sync <name>`` with each ``os.fsync``, ``name -> new name`` with each rename.
    """
    events: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(handle: int) -> None:
        sync(handle)
        names = {path.stat().st_ino: path.name for path in folder.iterdir()}
        names[folder.stat().st_ino] = "."
        events.append(f"sync {names[os.fstat(handle).st_ino]}")

    def noted_replace(self: Path, target: Path) -> Path:
        events.append(f"{self.name} -> {Path(target).name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return events
