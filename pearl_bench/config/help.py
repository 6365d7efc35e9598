"""Every word of a command with its type, default and meaning."""

from __future__ import annotations

import textwrap
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pearl_bench import registry
from pearl_bench.config.types import KNOWN, OF_METHODS
from pearl_bench.config.words import default_of, none_of, type_name, types_of


def wants_help(words: Sequence[str]) -> bool:
    """Whether a command line asks for ``help_text``."""
    return not {"-h", "--help", "help", "help=true"}.isdisjoint(words)


def help_text(name: str, cls: type, purpose: str, example: str) -> str:
    """Return what a command does, and every word with type, default and meaning.

    Args:
        name: of the command; with a dot that of a module.
        cls: dataclass of its words.
        purpose: what it does.
        example: words to type.
    """
    needed = [
        f"{item.name}=..."
        for item in fields(cls)
        if item.default is MISSING and item.default_factory is MISSING
    ]
    # commands of one room, for maintenance, are not among those of pearl-bench
    typed = f"python -m pearl_bench.{name}" if "." in name else f"pearl-bench {name}"
    lines = [
        f"usage: {' '.join([typed, *needed])} [key=value ...]",
        "",
        *purpose.splitlines(),
        "",
        f"For example: {typed} {example}".rstrip(),
        "",
    ]
    for item in fields(cls):
        if KNOWN in item.metadata:
            lines.append(f"{item.name}: {', '.join(item.metadata[KNOWN]())}")
    lines += ["", *_describe(cls)] if lines[-1] else _describe(cls)
    for item in fields(cls):
        if OF_METHODS in item.metadata:
            for learner in registry.learner_names():
                method = registry.method(learner)
                lines += [
                    "",
                    f"Settings of {learner}; {method.conf.name} sets them per family",
                    "and budget, and a word given here beats it:",
                    "",
                    *_describe(method.settings, f"{learner}."),
                ]
    return "\n".join(lines)


def _describe(cls: type, prefix: str = "") -> Iterator[str]:
    meanings = _meanings(cls)
    nested: list[tuple[type, str]] = []
    of_methods = {item.name for item in fields(cls) if OF_METHODS in item.metadata}
    for key, hint in types_of(cls).items():
        if is_dataclass(hint):
            nested.append((typing.cast(Any, hint), f"{prefix}{key}."))
        elif key not in of_methods:
            any_name = ".<name>" if typing.get_origin(hint) is dict else ""
            takes = type_name(hint, none_of(cls, key))
            yield f"  {prefix}{key}{any_name}=  {takes}{default_of(cls, key)}"
            for line in textwrap.wrap(meanings.get(key, ""), 72):
                yield f"      {line}"
    for inner, inner_prefix in nested:
        yield from _describe(inner, inner_prefix)


def _meanings(cls: type) -> dict[str, str]:
    """Read the ``Attributes`` of a class and its bases: one sentence per key."""
    sections = [
        textwrap.dedent((base.__doc__ or "").partition("Attributes:\n")[2])
        for base in cls.__mro__
    ]
    meanings: dict[str, str] = {}
    key = ""
    for line in "\n".join(sections).splitlines():
        if line and not line.startswith(" "):
            key, _, meanings_start = line.partition(": ")
            meanings[key] = meanings_start
        elif line:
            meanings[key] += " " + line.strip()
    return meanings
