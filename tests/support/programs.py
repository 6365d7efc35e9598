"""Programs of Slurm's names that note what they are told, where there is no Slurm."""

from __future__ import annotations

import shlex
from pathlib import Path


class Programs:
    """Programs of Slurm's names: they note their words and answer what is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("sbatch", "squeue", "scancel", "scontrol"):
            # sbatch tells another number each time
            self._write(
                name, "wc -l <words" if name == "sbatch" else f"cat {name}.answer"
            )
            self.answers(name, "")

    def answers(self, name: str, text: str) -> None:
        (self.folder / f"{name}.answer").write_text(text)

    def fails(self, name: str, text: str) -> None:
        """Let a program say why it fails."""
        self._write(name, f"echo {shlex.quote(text)} >&2; exit 1")

    def told(self, name: str) -> list[list[str]]:
        """Return the words of each call, and forget all calls."""
        calls = (self.folder / "words").read_text().splitlines()
        (self.folder / "words").write_text("")
        found = [call.split("\0")[:-1] for call in calls]
        return [words for called, *words in found if called == name]

    def _write(self, name: str, answer: str) -> None:
        noted = f'printf "%s\\0" {name} "$@" >>words; echo >>words'
        program = self.folder / name
        program.write_text(f"#!/bin/sh\ncd {self.folder}\n{noted}\n{answer}\n")
        program.chmod(0o755)
