"""Every word with its type, default and meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from pearl_bench import registry
from pearl_bench.config.types import BenchConfig, MetaTestConfig
from pearl_bench.config.words import default_of, type_name, types_of


def wants_help(words: Sequence[str]) -> bool:
    """Whether the command line asks for ``help_text``."""
    return not {"-h", "--help", "help", "help=true"}.isdisjoint(words)


def help_text() -> str:
    """Return every word with its type, default and meaning."""
    lines = [
        "usage: python -m pearl_bench.run suite=NAME [key=value ...]",
        "",
        "Plans suite x learner x seed, runs what is missing, publishes the curves.",
        "The same line again resumes where it stopped. Lists: families=a,b seeds=0,1",
        "",
        f"suites: {', '.join(registry.suite_names())}",
        f"learners: {', '.join(registry.LEARNERS)}",
        "",
        *_describe(BenchConfig, "", leave_out={"settings", "meta_test"}),
        *_describe(MetaTestConfig, "meta_test."),
    ]
    for learner in registry.LEARNERS:
        lines += [
            "",
            f"Settings of {learner}; conf/{learner}.yaml sets them per family and",
            "budget, and a word given here beats it:",
            "",
            *_describe(registry.config_class(learner), f"{learner}."),
        ]
    return "\n".join(lines)


def _describe(cls: type, prefix: str, leave_out: Iterable[str] = ()) -> list[str]:
    meanings = _meanings(cls)
    lines = []
    for key, hint in types_of(cls).items():
        if key not in leave_out:
            lines.append(f"  {prefix}{key}=  {type_name(hint)}{default_of(cls, key)}")
            lines += textwrap.wrap(
                meanings[key], 78, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return lines


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
