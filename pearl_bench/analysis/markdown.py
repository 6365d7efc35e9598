"""Text as Markdown shows it: what comes from data is no markup."""

from __future__ import annotations

import re

WITHIN = re.compile(
    r"[\\`|*~$]"
    r"|<(?=[A-Za-z/!?])"  # a tag
    r"|&(?=[#\w]+;)"  # a character by name
    r"|(?<=\])[(\[]"  # the address of a link
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is none
)


def cell(text: str) -> str:
    """Return a text that Markdown shows as it is in the cell of a table.

    Numbers and names stay readable in the file: only what would be markup is escaped.
    """
    return WITHIN.sub(lambda found: "\\" + found[0], " ".join(text.split()))


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is in a paragraph or a list."""
    word, *rest = cell(text).split(" ", 1)
    if re.fullmatch(r"\d+[.)]", word):
        word = f"{word[:-1]}\\{word[-1]}"
    elif re.fullmatch(r"#+|\+|-+|>.*", word):
        word = f"\\{word}"
    return " ".join([word, *rest])
