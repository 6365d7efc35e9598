"""Pages that fetch nothing: the theme's one script from elsewhere is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ELSEWHERE = '<script src="https://unpkg.com/iframe-worker/shim"></script>'
"""What material's plugin ``offline`` has searches from a folder done by."""
OURS = f"<script>{Path(__file__).with_name('worker.js').read_text('utf-8')}</script>"


def on_post_template(output_content: str, *, template_name: str, **_: Any) -> str:
    """Return what is no page, such as 404.html, the same way (hook of mkdocs)."""
    if not template_name.endswith(".html"):
        return output_content
    return on_post_page(output_content)


def on_post_page(output: str, **_: Any) -> str:
    """Return a page with our own script in its place (hook of mkdocs).

    Raises:
        RuntimeError: the theme has another script there, or another place for it.
    """
    if ELSEWHERE not in output:
        raise RuntimeError(f"the theme's pages have no {ELSEWHERE} any more")
    return output.replace(ELSEWHERE, OURS)
