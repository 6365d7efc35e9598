"""What there is: suites and their families, learners, budgets with their steps.

``pearl-bench ls`` gives an overview, ``pearl-bench ls suite=ml10`` all of a suite.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from pearl_bench import registry
from pearl_bench.config.command import Command
from pearl_bench.config.conf import of_budget, settings_of
from pearl_bench.config.types import KNOWN, Budget
from pearl_bench.execution.outputs import Screen
from suites.base import Suite, TaskFamily

WIDE = 1000
"""Columns where there is no terminal: nothing is folded."""
SHOWN = 12
"""Families of a suite that the overview shows; the others are counted."""


@dataclass(frozen=True)
class LsConfig:
    """What to list.

    Attributes:
        suite: all of one suite, with the steps of each method in each budget; an
            overview of everything if none.
    """

    suite: str | None = field(default=None, metadata={KNOWN: registry.suite_names})


COMMAND = Command(
    "ls",
    LsConfig,
    "Lists suites and families with their sizes, horizons, score ranges and sources,\n"
    "learners, and budgets with their steps.",
    "suite=navigation",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _ls)


def _ls(words: Sequence[str]) -> int:
    name = COMMAND.read(words).suite
    console = Screen(width=None if sys.stdout.isatty() else WIDE)
    for suite in [registry.suite(name)] if name else registry.suites_there():
        count = len(suite.families) if name else SHOWN
        console.print(_families(suite, suite.families[:count]))
        for line in _sources(suite.families[:count]):
            console.print(f"  {line}", style="dim", markup=False, highlight=False)
        if len(suite.families) > count:
            console.print(
                f"and {len(suite.families) - count} more: pearl-bench ls "
                f"suite={suite.name}",
                style="dim",
            )
        console.print()
    if name:
        console.print(_steps(registry.suite(name)))
    else:
        console.print(_learners())
        console.print()
        console.print(_budgets())
    return 0


def _families(suite: Suite, families: Sequence[TaskFamily]) -> Table:
    """Return a row per family; a star marks those that run when none is named."""
    table = _table(
        f"suite={suite.name} (* trained if none is named)",
        *("family", "train", "test", "horizon", "obs", "act", "params", "score 0 to 1"),
    )
    for family in families:
        sizes = [len(family.train), len(family.test), family.horizon]
        sizes += [family.obs_dim, family.action_dim]
        table.add_row(
            family.name + (" *" if family.name in suite.usual else ""),
            *(f"{size:,}" for size in sizes),
            "differ" if family.param_dim is None else str(family.param_dim),
            f"{family.score.low:g} to {family.score.high:g}",
        )
    return table


def _sources(families: Sequence[TaskFamily]) -> Iterator[str]:
    """Yield where families come from, those of one source together."""
    by_source: dict[str, list[str]] = {}
    for family in families:
        by_source.setdefault(" ".join(family.source.split()), []).append(family.name)
    for source, (first, *others) in by_source.items():
        more = f" and {len(others)} more" if others else ""
        yield f"{first}{more}: {source}"


def _learners() -> Table:
    table = _table("learners=", "learner", "for", "settings")
    for learner in registry.learner_names():
        method = registry.method(learner)
        families = ", ".join(method.families) or "all families"
        table.add_row(learner, families, "/".join(method.conf.parts[-2:]))
    return table


def _budgets() -> Table:
    """Return a row per budget, with the range of its steps over the usual families.

    The budget regress is for three families only; a suite's own table shows it.
    """
    learners = registry.learner_names()
    table = _table("budget=, steps of a run", "budget", "seeds", *learners)
    for budget in typing.get_args(Budget):
        if budget == "regress":
            continue
        row = [budget, str(len(of_budget(budget)["seeds"]))]
        for learner in learners:
            steps = sorted(_all_steps(learner, budget))
            few, many = (_short(steps[i]) if steps else "" for i in (0, -1))
            row.append(few if few == many else f"{few} to {many}")
        table.add_row(*row)
    return table


def _all_steps(learner: str, budget: Budget) -> Iterator[int]:
    for suite in registry.suites_there():
        for family in suite.typical:
            steps = settings_of(learner, suite.name, family, budget).get("steps")
            if steps:
                yield steps


def _steps(suite: Suite) -> Table:
    """Return steps and evaluation interval of each family, method and budget."""
    budgets = typing.get_args(Budget)
    table = _table("steps / between evaluations", "family", "learner", *budgets)
    for family in suite.families:
        for learner in registry.learner_names():
            if registry.why_not(learner, suite.name, family):
                continue
            cells = []
            for budget in budgets:
                found = settings_of(learner, suite.name, family.name, budget)
                steps, every = found.get("steps"), found.get("eval_every")
                cells.append(f"{_short(steps)} / {_short(every)}")
            table.add_row(family.name, learner, *cells)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _short(number: int | None) -> str:
    """Write a number of steps as people say it; a dash where there is none."""
    if number is None:
        return "-"
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return str(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
