"""Writes task lists anew: ``python -m suites.draw [NAME ...]``, all if none is named.

Name the new one: on another machine the last bit of an old list's numbers may differ,
which would make it another family, and Meta-World's take minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from suites import locomotion, navigation, tasks
from suites.metaworld import tasks as metaworld_tasks


def main(words: Sequence[str]) -> None:
    """Draw tasks and write the files that are shipped."""
    write: dict[str, Callable[[], None]] = {
        row.name: partial(tasks.write, row.name, row.tasks)
        for row in (*locomotion.ROWS, *navigation.ROWS)
    }
    write |= {
        name: partial(metaworld_tasks.write, name) for name in metaworld_tasks.SEEDS
    }
    parser = argparse.ArgumentParser(prog="python -m suites.draw", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(write)}")
    names = parser.parse_args(words).names
    if unknown := sorted(set(names) - write.keys()):
        known = ", ".join(write)
        parser.error(f"no task list {', '.join(unknown)}; they are: {known}")
    for name in names or write:
        write[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
