"""What rows of runs.csv say of where runs come from, and readers should know."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pearl_bench import registry
from pearl_bench.config.words import show
from pearl_bench.records.table import SEPARATOR, Row

SHORT = 7
"""Hex digits by which a commit is named."""


def short_commits(row: Row) -> list[str]:
    """Return a run's commits; ``+``: a session's code differed from its commit."""
    changed = "+" if "True" in row["dirty"] else ""
    return [
        commit[:SHORT] + changed if commit else "unknown"
        for commit in row["commit"].split(SEPARATOR)
    ]


def several_commits(rows: Iterable[Row]) -> str:
    """Say which seeds of an arm ran on which commits; empty if on the same."""
    seeds: dict[str, list[str]] = {}
    for row in rows:
        commits = SEPARATOR.join(dict.fromkeys(short_commits(row)))
        seeds.setdefault(commits, []).append(row["seed"])
    if len(seeds) < 2:
        return ""
    each = (f"seed {', '.join(some)} of {commits}" for commits, some in seeds.items())
    return f"its seeds ran on several commits: {', '.join(each)}"


def lacking(row: Row) -> str:
    """Name settings that there were not yet when a run was made, and their defaults.

    Returns:
        ``minibatch=batch, recurrent=false``; empty if it had all.
    """
    had = json.loads(row["settings"])
    usual = registry.default_settings(row["learner"])
    return ", ".join(f"{key}={show(usual[key])}" for key in usual if key not in had)
