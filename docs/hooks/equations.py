r"""Equations as MathML, which browsers show without a script and without network.

Pages have them between ``$`` or ``$$``, as on GitHub; arithmatex leaves them between
``\(`` and ``\)`` or ``\[`` and ``\]``.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)
SCROLLS = "overflow: auto hidden; padding: .3em 0"
"""A wide equation scrolls in its own box, on a phone too."""


def on_page_content(html: str, **_: Any) -> str:
    """Return a page with its equations converted (hook of mkdocs)."""
    from latex2mathml.converter import convert  # noqa: PLC0415 (an extra)

    def mathml(found: re.Match[str]) -> str:
        tex = unescape(found["tex"])
        if found["tag"] == "span":
            return convert(tex)
        block = convert(tex, display="block")
        return f'<div style="{SCROLLS}" tabindex="0">{block}</div>'

    return EQUATION.sub(mathml, html)
