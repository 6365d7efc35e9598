"""All commands under one name: ``pearl-bench``, or ``python -m pearl_bench``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from pearl_bench import __version__
from pearl_bench.config.command import guarded
from pearl_bench.config.help import wants_help
from pearl_bench.config.types import ConfigError
from pearl_bench.config.words import suggest


class Door(NamedTuple):
    """Where a command is carried out, and what it does in a line.

    Attributes:
        module: its ``main`` takes the words.
        does: for the list of commands.
        first: words put before the others.
    """

    module: str
    does: str
    first: tuple[str, ...] = ()


DOORS = {
    "run": Door("pearl_bench.run", "train what is missing of a suite and publish it"),
    "analysis": Door(
        "pearl_bench.analysis.__main__", "draw figures and tables of what is published"
    ),
    "check": Door(
        "pearl_bench.analysis.__main__", "check the published files", ("check",)
    ),
    "ls": Door("pearl_bench.ls", "list suites, families, learners and budgets"),
    "clip": Door("pearl_bench.clip", "film a trained method adapting"),
    "trace": Door("pearl_bench.trace", "record how PEARL explores the plane"),
    "reproduce": Door(
        "pearl_bench.reproduce", "train a published run again and compare the curves"
    ),
    "regress": Door("pearl_bench.regress", "tell whether a method has got worse"),
    "bench": Door("pearl_bench.bench", "measure this machine against its own limits"),
}
"""The commands; each is imported only when it is asked for."""


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return its exit code.

    ``help run`` is ``run --help``; no word at all, or ``--help``, lists the commands.
    """
    if words and words[0] in DOORS:
        door = DOORS[words[0]]

        # The import takes seconds, may be interrupted and may fail. What follows guards
        # itself too, for who calls it as a module of its own; within a guard that
        # changes nothing.
        def do() -> int:
            module = importlib.import_module(door.module)
            return module.main([*door.first, *words[1:]])

        return guarded(do)
    if words[:1] == ["help"] and len(words) > 1:
        return main([*words[1:], "--help"])
    return guarded(lambda: _show(words))


def console() -> int:
    """Carry out the command line of this process."""
    return main(sys.argv[1:])


def _show(words: Sequence[str]) -> int:
    if words[:1] == ["--version"]:
        print(__version__)
        return 0
    if words and not wants_help(words[:1]):
        raise ConfigError(f"{words[0]!r} is no command{suggest(words[0], DOORS)}")
    print("usage: pearl-bench COMMAND [key=value ...]\n")
    for name, door in DOORS.items():
        print(f"  {name:<10}{door.does}")
    print("\npearl-bench COMMAND --help lists a command's words with their defaults.")
    return 0


if __name__ == "__main__":
    sys.exit(console())
