"""Writes task lists anew: ``python -m suites.draw [NAME ...]``, all if none is named.

Name the new one: on another machine the last bit of an old list's numbers may differ,
which would make it another family, and Meta-World's take minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from suites import locomotion, navigation, tasks
from suites.metaworld import tasks as metaworld_tasks


def main(names: Sequence[str]) -> int:
    """Draw tasks and write the files that are shipped; return 2 for an unknown name."""
    write: dict[str, Callable[[], None]] = {
        row.name: partial(tasks.write, row.name, row.tasks)
        for row in (*locomotion.ROWS, *navigation.ROWS)
    }
    write |= {
        name: partial(metaworld_tasks.write, name) for name in metaworld_tasks.SEEDS
    }
    if unknown := set(names) - write.keys():
        print(
            f"no task list {', '.join(sorted(unknown))}; they are: {', '.join(write)}",
            file=sys.stderr,
        )
        return 2
    for name in names or write:
        write[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
