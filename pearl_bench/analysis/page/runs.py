"""What is known of each run, folded away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

from pearl_bench.analysis import notes
from pearl_bench.analysis.arms import Arm, RunCurve
from pearl_bench.analysis.page.links import link
from pearl_bench.analysis.scores import Published
from pearl_bench.records.schema import RUNS_FILE

SETTINGS = "settings"
"""The column of runs.csv that has a table of its own."""


def names(published: Published) -> frozenset[str]:
    """Return the names of all runs, each of which has an anchor ``run-<name>``."""
    return frozenset(run.row["run"] for arm in published.arms for run in arm.runs)


def runs(published: Published, folder: Path) -> str:
    """Return where each run is from, its settings and where its rows are.

    Args:
        published: the suite.
        folder: where the page will lie.
    """
    return "\n".join(
        f"<h3>{escape(family.name)}</h3>\n"
        + "\n".join(_run(arm, run, folder) for arm in family.arms for run in arm.runs)
        for family in published.families
        if family.arms
    )


def _run(arm: Arm, run: RunCurve, folder: Path) -> str:
    row = run.row
    steps = notes.steps_in_words(run.last_step)
    about = f"{arm.label}, seed {run.seed}, {steps} steps"
    known = [(key, text) for key, text in row.items() if text and key != SETTINGS]
    settings = [(key, json.dumps(value)) for key, value in run.settings.items()]
    return (
        f"<details><summary>{escape(about)}</summary>\n"
        f'<div id="run-{escape(row["run"])}">\n{_rows(run, folder)}'
        f"{_pairs('Provenance', known)}\n{_pairs('Settings', settings)}\n"
        "</div></details>"
    )


def _rows(run: RunCurve, folder: Path) -> str:
    if run.place is None:
        return ""
    file, first, last, described = run.place
    curve = link(folder, file, f"#L{first}-L{last}")
    row = link(folder, file.with_name(RUNS_FILE), f"#L{described}")
    return (
        f"<p>Rows: {curve}, lines {first} to {last}. "
        f"Described in {row}, line {described}.</p>\n"
    )


def _pairs(heading: str, pairs: Iterable[tuple[str, str]]) -> str:
    body = "\n".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(text)}</td></tr>'
        for key, text in pairs
    )
    return (
        f'<h4>{heading}</h4>\n<div class="scroll" tabindex="0">\n'
        f'<table class="pairs">\n{body}\n</table>\n</div>'
    )
