"""Text as Markdown shows it: what comes from data is no markup."""

from __future__ import annotations

import re

MARKUP = re.compile(
    r"[\\`|*~$]"
    r"|<(?=[A-Za-z/!?])"  # a tag
    r"|&(?=[#\w]+;)"  # a character by name
    r"|(?<=\])[(\[]"  # the address of a link
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is none
    r"|^#(?=#*(?:\s|$))|^>|^\+(?=\s|$)|^-(?=[\s-]|$)"  # a heading, a quotation, a list
    r"|^(?P<number>\d+)(?P<point>[.)])(?=\s|$)"  # a list with numbers
)


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, in a paragraph, a list or a cell.

    Numbers and names stay readable in the file: only what would be markup is escaped.
    """
    return MARKUP.sub(_escaped, " ".join(text.split()))


def _escaped(found: re.Match[str]) -> str:
    if found["number"]:
        return f"{found['number']}\\{found['point']}"
    return "\\" + found[0]
