"""A line per family: the level of each method, and what the reference needs for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pearl_bench import registry
from pearl_bench.analysis import comparison, crossings, notes
from pearl_bench.analysis.arms import LEVEL_IS, REPORTED, Arm
from pearl_bench.analysis.comparison import Efficiency
from pearl_bench.analysis.looks import method_name
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.tables.table import Cell, PrintedTable, each, in_words
from pearl_bench.records.published.late import LEVEL_EVALUATIONS

USUAL_PRECISION = "float32"
"""What goes without saying."""


def summary(published: Published) -> PrintedTable:
    """Return a row per family of the suite, with or without runs."""
    reference = published.reference
    baselines = [name for name in _learners(published) if name != reference]
    efficiencies = {
        (e.family, e.method.label, e.baseline.label): e
        for e in comparison.efficiencies(published)
        if e.part == REPORTED and e.method.learner == reference
    }
    name = method_name(published, reference)
    columns = ["family", "budget", name]
    for baseline in baselines:
        other = method_name(published, baseline)
        columns += [other, f"{name} needs for {other}'s", f"{other} ratio"]
    return PrintedTable(
        "summary",
        "Summary",
        "Level of each method (each run in brackets) at its steps and their share of "
        "those of budget=paper, its longest runs, with what they have other than the "
        f"settings of their budget and float32; steps that {name} needs for the "
        "other's level over the steps that the latter's runs share, which is another "
        "number where these are uneven; and how many times as many the other method "
        f"needs itself, in brackets by the rule of the first evaluation. {LEVEL_IS}. "
        "The other tables give ranges, protocols and rules.",
        tuple(columns),
        [
            tuple(_row(family, reference, baselines, efficiencies))
            for family in published.families
        ],
    )


def _learners(published: Published) -> list[str]:
    """Return the methods that have runs, in the order of the registry."""
    learners = {arm.learner for arm in published.arms}
    known = [name for name in registry.learner_names() if name in learners]
    return [*known, *sorted(learners - set(known))]


def _row(
    family: Family,
    reference: str,
    baselines: list[str],
    efficiencies: Mapping[tuple[str, str, str], Efficiency],
) -> Iterator[Cell]:
    arms = {arm.learner: arm for arm in reversed(family.headline)}
    method = arms.get(reference)
    yield family.name
    yield " and ".join(family.budgets)
    yield _level(family, method)
    for name in baselines:
        baseline = arms.get(name)
        yield _level(family, baseline)
        if method is None or baseline is None:
            yield from ("", "")
            continue
        found = efficiencies.get((family.name, method.label, baseline.label))
        if found is None:
            yield from (_why_not(method, baseline), "")
            continue
        claim = found.claim
        yield in_words(claim.needed.value)
        ratio, first = map(in_words, (claim.ratio.value, claim.first_ratio.value))
        yield f"{ratio} ({first})" if first else ratio


def _level(family: Family, arm: Arm | None) -> str:
    if arm is None:
        return "no runs yet"
    levels = arm.levels(REPORTED, family.measure)
    runs = f" ({each(levels.tolist())})" if len(levels) > 1 else " (one run)"
    share = notes.share_in_words(arm.shares)
    fewest = min(len(run.level_points(REPORTED, -1)) for run in arm.having(REPORTED))
    few = [f"of {notes.evaluations_in_words(fewest)}"] * (fewest < LEVEL_EVALUATIONS)
    name = arm.name
    other = ["" if name.precision == USUAL_PRECISION else name.precision, *name.further]
    at = ", ".join(filter(None, [notes.steps_of(arm), share, *few, *other]))
    return f"{in_words(float(levels.mean()))}{runs} at {at}"


def _why_not(method: Arm, baseline: Arm) -> str:
    """Say why two arms have no steps to a level in common."""
    if method.budget not in baseline.alike_budgets:
        return "other settings"
    return f"fewer than {crossings.FEWEST} evaluations"
