"""Redraw a suite's figures, tables and page, or check published files.

``python -m pearl_bench.analysis suite=locomotion``,
``python -m pearl_bench.analysis check``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pearl_bench.analysis.check import check, remarks
from pearl_bench.analysis.drawing import require_matplotlib
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.config.command import Command
from pearl_bench.config.types import ConfigError
from pearl_bench.records.published import drawn
from pearl_bench.records.schema import RUNS_FILE

SHOWN = 20
"""Problems that are named; the others are counted."""


@dataclass(frozen=True)
class CheckConfig:
    """What to check.

    Attributes:
        results: folder of the published results, of all suites.
    """

    results: str = "results"


ANALYSIS = Command(
    "analysis",
    AnalysisConfig,
    "Draws what is published of a suite: figures, tables and, if asked, a page.\n"
    "`pearl-bench check` checks the published files.",
    "suite=locomotion",
)
CHECK = Command(
    "check",
    CheckConfig,
    """\
Checks the published files of all suites.

Exit code: 0 they are as they should be, 1 there are problems, 2 the command cannot be
carried out.""",
    "results=results",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code that its help describes."""
    if words[:1] == ["check"]:
        return CHECK.carry_out(words[1:], _check)
    return ANALYSIS.carry_out(words, _draw)


def _draw(words: Sequence[str]) -> int:
    wanted = ANALYSIS.read(words)
    require_matplotlib()
    from pearl_bench.analysis.report import folder_of, write  # noqa: PLC0415

    folder = folder_of(wanted)
    published = [Path(word).expanduser() / wanted.suite for word in wanted.results]
    usual = [folder.resolve()] == [path.resolve() for path in published]
    _require_place(wanted, folder, usual=usual and not wanted.is_custom)
    drawn_from = drawn.inputs(*published)
    changed = write(wanted)
    if usual:  # all of one suite, as the command `run` draws it
        drawn.stamp(folder, drawn_from)
    for path in changed:
        print(f"{'wrote' if path.exists() else 'removed'} {path}")
    if not changed:
        print(f"figures and tables in {folder} are up to date")
    return 0


def _require_place(wanted: AnalysisConfig, folder: Path, *, usual: bool) -> None:
    """Refuse to put other figures in the place of published ones, or among suites.

    Args:
        wanted: the words.
        folder: where figures and tables go.
        usual: they are those that are published there.

    Raises:
        ConfigError: names the word, and what to do.
    """
    if (folder / RUNS_FILE).exists() and not usual:
        raise ConfigError(
            f"out={wanted.out} has published files, and figures of all of them alone; "
            "take another out=, or none, and these go to custom/"
        )
    if any(folder.glob(f"*/{RUNS_FILE}")):
        raise ConfigError(
            f"out={wanted.out} holds published results, where every folder is a "
            "suite's; take another out=, or none"
        )


def _check(words: Sequence[str]) -> int:
    results = Path(CHECK.read(words).results).expanduser()
    problems = check(results)
    for problem in problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if len(problems) > SHOWN:
        print(f"and {len(problems) - SHOWN} more", file=sys.stderr)
    for remark in remarks(results):
        print(f"note: {remark}")
    if not problems:
        print(f"{results}: all published files are as they should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
