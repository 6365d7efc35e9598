"""What a Python that this one starts imports."""

from __future__ import annotations

import os
import sys


def same_imports() -> dict[str, str]:
    """Return what to add to a child's environment, for it to import what this one does.

    ``python -m`` puts the current folder before all others. Unless this process looks
    there too, a user's ``queue.py`` or another clone would take the place of what runs
    here.
    """
    looks_there = "" in sys.path or os.getcwd() in sys.path
    return {} if looks_there else {"PYTHONSAFEPATH": "1"}
