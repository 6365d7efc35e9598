"""Tables of results/README.md, written from the schema.

``python -m pearl_bench.records.readme`` brings them up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.records.files import read_text, write_atomic
from pearl_bench.records.keys import RUN_KEYS, SESSION_KEYS, Key
from pearl_bench.records.schema import (
    CURVES,
    EVAL,
    LATE,
    REFERENCE_CURVES,
    REFERENCE_SOURCES,
    RUNS,
    TRAINING,
    TRAJECTORIES,
)
from pearl_bench.records.table import Column, Table


def columns_in_markdown(table: Table) -> str:
    """Return a table of columns, as in results/README.md."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    lines += [f"| `{c.name}` | {c.unit} | {_meaning(c)} |" for c in table.columns]
    return "\n".join(lines)


def _meaning(column: Column) -> str:
    since = f"; since version {column.since} of the files, empty in rows of before"
    return column.meaning + (since if column.since > 1 else "")


def keys_in_markdown(keys: Mapping[str, Key]) -> str:
    """Return a table of keys, as in results/README.md."""
    lines = ["| key | meaning |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{k}` | {key.meaning} |" for k, key in keys.items())]
    )


def with_tables(readme: str) -> str:
    """Return a README with the table after each of its markers brought up to date.

    Raises:
        ValueError: a marker is missing.
    """
    tables = {
        "curves": columns_in_markdown(CURVES),
        "runs": columns_in_markdown(RUNS),
        "trajectories": columns_in_markdown(TRAJECTORIES),
        "reference sources": columns_in_markdown(REFERENCE_SOURCES),
        "reference curves": columns_in_markdown(REFERENCE_CURVES),
        "eval": columns_in_markdown(EVAL),
        "late": columns_in_markdown(LATE),
        "training": columns_in_markdown(TRAINING),
        "run": keys_in_markdown(RUN_KEYS),
        "session": keys_in_markdown(SESSION_KEYS),
    }
    for name, table in tables.items():
        marker = f"<!-- schema: {name} -->\n"
        before, found, after = readme.partition(marker)
        if not found:
            raise ValueError(f"the README lacks the line {marker.strip()}")
        rest = re.sub(r"\A(\|.*\n)*", "", after)
        readme = f"{before}{marker}{table}\n{rest}"
    return readme


@dataclass(frozen=True)
class ReadmeConfig:
    """What to bring up to date.

    Attributes:
        file: a text with markers, such as results/README.md.
    """

    file: str = "results/README.md"


COMMAND = Command(
    "records.readme",
    ReadmeConfig,
    "Takes changed descriptions of columns over into the README of the results.",
    "file=results/README.md",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _describe)


def _describe(words: Sequence[str]) -> int:
    path = Path(COMMAND.read(words).file).expanduser()
    try:
        text = with_tables(read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"file={path}: there is none") from None
    except ValueError as error:
        raise ConfigError(f"file={path}: {error}") from error
    write_atomic(path, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
