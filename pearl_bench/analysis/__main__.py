"""Redraw a suite's figures, tables and page, or check published files.

``python -m pearl_bench.analysis suite=locomotion``,
``python -m pearl_bench.analysis check``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pearl_bench.analysis.check import check
from pearl_bench.analysis.report import write
from pearl_bench.analysis.scores import PublishedError

USAGE = """\
usage: python -m pearl_bench.analysis suite=NAME [results=results] [html=true]
       python -m pearl_bench.analysis check [results=results]"""
SHOWN = 20
"""Problems that are named; the others are counted."""


def main(words: Sequence[str]) -> int:
    """Carry out a command line.

    Returns:
        The exit code: 1 if the check found problems, 2 if the command cannot be
        carried out.
    """
    checking = words[:1] == ["check"]
    given = {"results": "results", "html": "false"}
    for word in words[checking:]:
        key, _, given[key] = word.partition("=")
    suite = given.pop("suite", "")
    results = Path(given.pop("results"))
    html = given.pop("html")
    if given or bool(suite) == checking or html not in ("true", "false"):
        print(USAGE, file=sys.stderr)
        return 2
    if checking:
        return _check(results)
    try:
        written = write(results, suite, html=html == "true")
    except PublishedError as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(f"wrote {path}")
    if not written:
        print(f"figures and tables in {results / suite} are up to date")
    return 0


def _check(results: Path) -> int:
    problems = check(results)
    for problem in problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if len(problems) > SHOWN:
        print(f"and {len(problems) - SHOWN} more", file=sys.stderr)
    if not problems:
        print(f"{results}: all published files are as they should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
