"""Redraw a suite's figures: ``python -m pearl_bench.analysis suite=locomotion``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pearl_bench.analysis.figures import PublishedError, learning_curves

USAGE = "usage: python -m pearl_bench.analysis suite=NAME [results=results]"


def main(words: Sequence[str]) -> int:
    """Draw the figures; return 2 if the command cannot be carried out."""
    given = {"results": "results"}
    for word in words:
        key, _, given[key] = word.partition("=")
    suite = given.pop("suite", "")
    results = Path(given.pop("results"))
    if given or not suite:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        written = learning_curves(results, suite)
    except PublishedError as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(f"wrote {path}")
    if not written:
        print(f"the figures in {results / suite} are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
