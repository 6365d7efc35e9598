"""Writes every task list anew: ``python -m suites.draw``."""

from __future__ import annotations

from suites import locomotion, navigation, tasks
from suites.metaworld import tasks as metaworld_tasks


def main() -> None:
    """Draw the tasks of every family and write the files that are shipped."""
    for row in (*locomotion.ROWS, *navigation.ROWS):
        tasks.write(row.name, row.tasks)
    for benchmark in metaworld_tasks.SEEDS:
        metaworld_tasks.write(benchmark)


if __name__ == "__main__":
    main()
