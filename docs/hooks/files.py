"""Which files of the repository the site has: the pages, and what they refer to."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pearl_bench.__main__ import DOORS, main

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PROJECT = Path(__file__).parents[2]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md"),
    *("baselines/README.md", "suites/*/README.md", "examples/README.md"),
    *("results/README.md", "results/*/tables/tables.md"),
)
ASSETS = (
    *("results/**/*.png", "results/**/*.gif", "results/**/*.mp4"),
    *("results/**/*.csv", "results/**/*.ipynb", "examples/**/*.py"),
)
PRIVATE = ("results/local/", "results/raw")
"""What git does not track."""
COMMANDS = "docs/commands.md"
"""The page that no file holds: it is written from the parser of the commands."""


def found(patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of some patterns, as seen from the project's folder."""
    for pattern in patterns:
        for path in sorted(PROJECT.glob(pattern)):
            name = path.relative_to(PROJECT).as_posix()
            if not name.startswith(PRIVATE):
                yield name


def commands() -> str:
    """Return the help of every command as a page."""
    parts = [
        "# Commands",
        "`pearl-bench X` and `python -m pearl_bench.X` are the same. Words are "
        "`key=value`; what follows is what `--help` says of each command.",
    ]
    for name, door in DOORS.items():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = main([name, "--help"])
        if code:
            raise RuntimeError(f"pearl-bench {name} --help ended with {code}")
        parts.append(f"## {name}\n\nTo {door.does}.\n\n```text\n{said.getvalue()}```")
    return "\n\n".join(parts) + "\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Give every file the address that it has in the repository (hook of mkdocs)."""
    from mkdocs.structure import files as structure  # noqa: PLC0415 (an extra)

    theme = [file for file in files if file.src_dir != config.docs_dir]
    ours = [
        structure.File(name, str(PROJECT), config.site_dir, config.use_directory_urls)
        for name in found(PAGES + ASSETS)
    ]
    listed = structure.File.generated(config, COMMANDS, content=commands())
    return structure.Files([*theme, *ours, listed])
