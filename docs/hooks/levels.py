"""What a method has reached, from the published tables; no page repeats a number.

``<!-- levels: pearl -->`` in a page becomes a table of the runs of that method in all
suites.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pearl_bench.analysis.arms import METHODS
from pearl_bench.analysis.markdown import cell
from pearl_bench.analysis.notes import share_in_words, steps_in_words
from pearl_bench.analysis.tables.table import in_words

RESULTS = Path(__file__).parents[2] / "results"
MARK = re.compile(r"<!-- levels: (\w+) -->")
HEADER = (
    *("family", "runs of", "steps", "of the paper's", "mean of evaluations"),
    *("measure", "level, each run"),
)


def levels(learner: str) -> str:
    """Return the levels of a method, in the suites' protocol, as a Markdown table."""
    rows = [HEADER, ["---"] * len(HEADER), *_rows(METHODS.get(learner, learner))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rows(method: str) -> Iterator[list[str]]:
    for path in sorted(RESULTS.glob("*/tables/levels.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name, *rest = row["method"].split(" · ")
                if name.partition(",")[0] != method or row["protocol"] != "suite":
                    continue
                share = row["of_paper"]  # words where runs ended at unequal steps
                if share and not share.endswith("%"):
                    share = share_in_words((float(share), float(share)))
                yield [
                    cell(row["family"]),
                    cell(", ".join([*name.split(", ")[1:], *rest])),
                    steps_in_words(float(row["steps"])),
                    share,
                    row["evaluations"],
                    row["measure"],
                    row["each_run"] or in_words(float(row["level"])),
                ]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its tables of levels filled in (hook of mkdocs)."""
    return MARK.sub(lambda found: levels(found[1]), markdown)
