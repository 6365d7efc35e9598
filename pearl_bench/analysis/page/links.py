"""Addresses of files that lie beside the page."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from urllib.parse import quote


def address(folder: Path, file: Path) -> str:
    """Return a file's address as seen from the page's folder."""
    return quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))


def link(folder: Path, file: Path, fragment: str = "") -> str:
    """Return a link to a file, under its name."""
    href = escape(address(folder, file) + fragment)
    return f'<a href="{href}">{escape(file.name)}</a>'
