"""Methods compared: steps to a level, aggregates, improvement, area, scores."""

from __future__ import annotations

import math

from pearl_bench.analysis import comparison, crossings, ranks, stats
from pearl_bench.analysis.arms import LEVEL_IS
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.tables.table import (
    Cell,
    PrintedTable,
    cells,
    share,
    with_ends,
)


def efficiency(published: Published) -> PrintedTable:
    """Return a row per method and level of a baseline."""
    rows: list[tuple[Cell, ...]] = []
    for found in comparison.efficiencies(published):
        claim, method, baseline = found.claim, found.method, found.baseline
        first = (claim.first_needed, claim.first_baseline, claim.first_ratio)
        rows.append(
            (
                *(found.family, method.label, found.runs[0], share(method.shares)),
                *(baseline.label, found.runs[1], share(baseline.shares)),
                *(found.part.protocol, *cells(claim.level)),
                *(method.eval_every, baseline.eval_every),
                *(*claim.needed, *claim.baseline, *claim.ratio),
                *(of.value for of in first),
                stats.spread(found.runs),
            )
        )
    return PrintedTable(
        "efficiency",
        "Environment steps to a baseline's level",
        "`needed`: steps that the method needs for the level that the baseline has at "
        "its last evaluation; `baseline steps`: steps that the baseline itself needs "
        "for it; `ratio`: how many times as many those are. Equal tasks and budgets; "
        "the longest runs of two methods may also be of two budgets in which the "
        "baseline's settings are the same. Levels of the baseline under the suite's "
        "protocol or its own, of the steps that its runs share; the method always "
        "under the suite's. `grid`: steps between its evaluations; no steps to a level "
        "are known better than that. "
        f"{crossings.RULE}. {stats.METHOD}; of up to {crossings.ENUMERATED} runs an "
        "arm the range is over all ways to draw them anew, of more over each run in "
        "the place of all.",
        (
            *("family", "method", "runs", "of_paper"),
            *("baseline", "baseline_runs", "baseline_of_paper"),
            *("level_protocol", *with_ends("level"), "grid", "baseline_grid"),
            *(*with_ends("needed"), *with_ends("baseline_steps"), *with_ends("ratio")),
            *("first_needed", "first_baseline_steps", "first_ratio", "spread"),
        ),
        rows,
    )


def aggregates(published: Published) -> PrintedTable:
    """Return a row per label."""
    rows: list[tuple[Cell, ...]] = []
    for label in published.labels:
        scores = comparison.level_scores(published, label)
        found = comparison.aggregate(published, label)
        numbers = [
            cell for i in range(len(stats.AGGREGATES)) for cell in cells(found, i)
        ]
        runs = [len(of_family) for of_family in scores.values()]
        about = (label, ", ".join(scores), _per_family(runs))
        shares = share(published.shares(label))
        rows.append((*about, shares, stats.spread(runs), *numbers))
    return PrintedTable(
        "aggregates",
        "Aggregate scores",
        f"{comparison.SCORE_IS}. {LEVEL_IS}. Every family weighs the same, however "
        "many runs it has; methods compare where the families are the same. Suite's "
        "protocol. IQM: mean of the middle half of the runs, only from "
        f"{stats.IQM_RUNS} runs a family on; optimality gap: mean distance below 1. "
        f"{stats.METHOD}.",
        (
            *("method", "families", "runs", "of_paper", "spread"),
            *(
                column
                for name in stats.AGGREGATES
                for column in with_ends(name.replace(" ", "_"))
            ),
        ),
        rows,
    )


def improvements(published: Published) -> PrintedTable:
    """Return a row per pair, protocol and family, and one of all families."""
    rows: list[tuple[Cell, ...]] = []
    for pair in comparison.improvements(published):
        mine, theirs = zip(*pair.runs, strict=True)
        rows.append(
            (
                *(
                    cell
                    for label in (pair.method, pair.baseline)
                    for cell in (label, share(published.shares(label, pair.families)))
                ),
                *(pair.part.protocol, ", ".join(pair.families)),
                *(_per_family(mine), _per_family(theirs)),
                *(pair.found.probability, pair.found.p),
            )
        )
    return PrintedTable(
        "improvement",
        "Probability of improvement",
        "That a run of the method ends above one of the baseline with the same budget, "
        "or with another whose settings the baseline has too, each at its own steps; "
        "mean over families where there are several. The method under the suite's "
        "protocol, the baseline under the suite's or its own. "
        f"{LEVEL_IS}. {ranks.TEST_IS}.",
        (
            *("method", "of_paper", "baseline", "baseline_of_paper"),
            *("level_protocol", "families", "runs", "baseline_runs"),
            *("probability", "p"),
        ),
        rows,
    )


def areas(published: Published) -> PrintedTable:
    """Return a row per family, steps and method."""
    return PrintedTable(
        "area",
        "Area under the sample-efficiency curve",
        f"Mean score over the first so many environment steps. {comparison.SCORE_IS}. "
        "Before a run's first evaluation its score counts. Only where at least two "
        "methods had been evaluated by then and still were. "
        f"{stats.METHOD}.",
        ("family", "steps", "method", "of_paper", "runs", *with_ends("area"), "spread"),
        [
            (
                *(of.family, int(of.until), of.arm.label, share(of.arm.shares)),
                *(of.runs, *cells(of.found), stats.spread([of.runs])),
            )
            for of in comparison.areas(published)
        ],
    )


def scores(published: Published) -> PrintedTable:
    """Return what scores of 0 and 1 are, a row per family that has runs."""
    rows: list[tuple[Cell, ...]] = []
    for family in published.families:
        if not family.arms:
            continue
        if family.measure == "success":
            ends = (0.0, 1.0, "no test episode succeeds", "all test episodes succeed")
        else:
            of = family.row.score
            ends = (of.low, of.high, of.low_is, of.high_is)
        rows.append((family.name, family.measure, *ends))
    return PrintedTable(
        "scores",
        "What scores of 0 and 1 are",
        "Scores are linear between and beyond these; they only put families side by "
        "side.",
        ("family", "measure", "at_0", "at_1", "what_0_is", "what_1_is"),
        rows,
    )


def _per_family(runs: tuple[int, ...] | list[int]) -> Cell:
    """Return numbers of runs, in the order of the families; one if all are alike."""
    if not runs:
        return math.nan
    return runs[0] if len(set(runs)) == 1 else ", ".join(map(str, runs))
