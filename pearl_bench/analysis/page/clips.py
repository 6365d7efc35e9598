"""Films of trained methods that adapt, where they lie beside the curves."""

from __future__ import annotations

from html import escape
from pathlib import Path

from pearl_bench.analysis.page.links import address
from pearl_bench.analysis.scores import Published
from pearl_bench.records.schema import CLIPS_FOLDER


def clips(published: Published, folder: Path) -> str:
    """Return the clips of a suite's families, nothing if there are none.

    Args:
        published: the suite.
        folder: where the page will lie.
    """
    return "\n".join(
        f'<figure class="clip">\n<div class="scroll" tabindex="0">{film}</div>\n'
        f"<figcaption><p>{escape(family.name)}: a trained policy on tasks that it is "
        "not told, episode by episode.</p></figcaption>\n</figure>"
        for family in published.families
        if (film := _film(published, family.name, folder))
    )


def _film(published: Published, family: str, folder: Path) -> str:
    """Return a family's clip from the first folder that has one; the GIF if alone."""
    title = escape(f"adapting on {family}")
    for published_in in published.folders:
        found = [
            published_in / CLIPS_FOLDER / f"{family}.{kind}" for kind in ("mp4", "gif")
        ]
        film, picture = (
            escape(address(folder, path)) if path.is_file() else "" for path in found
        )
        if film:
            fallback = f' data-gif="{picture}"' if picture else ""
            return (
                f'<video controls loop muted playsinline preload="metadata" '
                f'aria-label="{title}"{fallback}>'
                f'<source src="{film}" type="video/mp4"></video>'
            )
        if picture:
            return f'<img alt="{title}" loading="lazy" src="{picture}">'
    return ""
