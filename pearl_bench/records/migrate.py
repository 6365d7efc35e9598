"""Published files of an older version, written in the newest.

``python -m pearl_bench.records.migrate results=results`` changes no value: new columns
stay empty where nobody knows, and what follows from the files is filled in: how many
evaluations a run has, and the digest of its rows. Reading and publishing need no
migration; after it, ``pearl-bench check`` notices any change of older curves too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.records.files import locked
from pearl_bench.records.published.publish import LOCK, migrate
from pearl_bench.records.schema import REGRESS, RUNS_FILE


@dataclass(frozen=True)
class MigrateConfig:
    """What to write anew.

    Attributes:
        results: folder of published results, with a folder for each suite.
    """

    results: str = "results"


COMMAND = Command(
    "records.migrate",
    MigrateConfig,
    "Writes published files of an older version in the newest, without a change of "
    "values.",
    "results=results",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _migrate)


def _migrate(words: Sequence[str]) -> int:
    results = Path(COMMAND.read(words).results).expanduser()
    patterns = (f"*/{RUNS_FILE}", f"{REGRESS}/*/{RUNS_FILE}")
    folders = sorted(path.parent for p in patterns for path in results.glob(p))
    if not folders:
        raise ConfigError(f"results={results}: no suite has published files there")
    for folder in folders:
        with locked(folder / LOCK):
            for path in migrate(folder):
                print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
