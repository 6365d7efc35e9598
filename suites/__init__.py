"""Suites of task families: ``load(name)`` gives one."""

from __future__ import annotations

import difflib
import importlib

from suites.base import Suite

DISTRIBUTION = "pearl-bench"
"""Identity of this package; another top-level package may have the same name."""

SUITES = {
    "locomotion": "suites.locomotion:suite",
    "navigation": "suites.navigation:suite",
    "ml1": "suites.metaworld:ml1",
    "ml10": "suites.metaworld:ml10",
    "ml45": "suites.metaworld:ml45",
}
"""Name of each suite, and the module and function that build it."""


def load(name: str) -> Suite:
    """Return a suite by its name; no simulator is imported before a batch is made.

    Raises:
        ValueError: there is no such suite; the message lists those there are.
    """
    if name not in SUITES:
        close = difflib.get_close_matches(name, SUITES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown suite {name!r}.{hint} Suites: {', '.join(SUITES)}.")
    module, _, build = SUITES[name].partition(":")
    return getattr(importlib.import_module(module), build)()
