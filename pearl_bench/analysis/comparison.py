"""Methods compared over a suite's families: levels, aggregates, steps to a level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from pearl_bench.analysis import crossings, ranks, stats
from pearl_bench.analysis.arms import OWN, REPORTED, Arm, Part
from pearl_bench.analysis.crossings import Claim, Curve
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.stats import Estimate

DECADES = (1e5, 1e6, 1e7, 1e8)
"""Environment steps up to which areas under curves are taken."""
SCORE_IS = (
    "Scores are success rates, or returns on a scale from 0 to 1 that is fixed for "
    "each family; the table of scores says what 0 and 1 are"
)


class Improvement(NamedTuple):
    """Whether runs of a method end above those of a baseline.

    Attributes:
        method: its label.
        baseline: its label.
        part: the protocol of the baseline's levels; the method's are the suite's.
        families: those that are compared.
        runs: of the method and of the baseline, in each of them.
        found: the probability and its p-value.
    """

    method: str
    baseline: str
    part: Part
    families: tuple[str, ...]
    runs: tuple[tuple[int, int], ...]
    found: ranks.RankTest


class Area(NamedTuple):
    """Mean score of an arm over its first so many environment steps.

    Attributes:
        family: its name.
        arm: whose.
        until: environment steps.
        found: ``[]`` of its runs.
        runs: their number.
    """

    family: str
    arm: Arm
    until: float
    found: Estimate
    runs: int


class Efficiency(NamedTuple):
    """Environment steps that a method needs for a baseline's level.

    Attributes:
        family: its name.
        method: the arm that is judged, by the suite's protocol.
        baseline: the arm whose level is to be held.
        part: the protocol that gave the baseline its level.
        runs: of the method and of the baseline.
        claim: the numbers.
    """

    family: str
    method: Arm
    baseline: Arm
    part: Part
    runs: tuple[int, int]
    claim: Claim


def level_scores(
    published: Published, label: str, part: Part = REPORTED
) -> dict[str, np.ndarray]:
    """Return a label's scores ``[R]`` at its runs' levels, by family."""
    return {
        family.name: family.score(arm.levels(part, family.measure))
        for family, arm in _arms(published, label, part)
    }


def aggregate(published: Published, label: str) -> Estimate:
    """Return the statistics ``[4]`` of ``stats.AGGREGATES`` of a label."""
    strata = list(level_scores(published, label).values())
    return stats.estimate(f"aggregate {label}", stats.aggregates, strata)


def profile(
    published: Published, label: str, thresholds: np.ndarray
) -> Estimate | None:
    """Return the share ``[P]`` of a label's scores above thresholds ``[P]``.

    Returns:
        None where a family has fewer than ``stats.FEW`` runs.
    """
    strata = list(level_scores(published, label).values())
    if min(map(len, strata), default=0) < stats.FEW:
        return None
    return stats.estimate(f"profile {label}", stats.profile(thresholds), strata)


def improvements(published: Published) -> Iterator[Improvement]:
    """Compare the reference with every baseline.

    Which of their arms compare is said in ``efficiencies``; here few evaluations do.
    Each family comes alone, then all together where there are several; levels of a
    baseline are those of the suite's protocol, then those of its own.
    """
    shared = _shared_families(published)
    for pair in product(published.labels, published.labels):
        if pair not in shared:
            continue
        method, baseline = pair
        x = level_scores(published, method)
        for part in (REPORTED, OWN):
            y = level_scores(published, baseline, part)
            names = [name for name in shared[pair] if name in x and name in y]
            together = [names] if len(names) > 1 else []
            for chosen in [*([name] for name in names), *together]:
                of = [(x[name], y[name]) for name in chosen]
                runs = tuple((len(mine), len(theirs)) for mine, theirs in of)
                found = ranks.improvement(of)
                yield Improvement(method, baseline, part, tuple(chosen), runs, found)


def areas(published: Published) -> Iterator[Area]:
    """Return mean scores over the first 1e5, 1e6, ... steps, family by family.

    An arm counts from the first evaluation of its runs up to their last, and only
    where another method does so too.
    """
    for family in published.families:
        for until in DECADES:
            reaching = [
                (arm, family.score(values), steps)
                for arm in family.arms
                for steps, values, _ in [arm.matched(REPORTED, -1, family.measure)]
                if len(steps) and steps[0] <= until <= steps[-1]
            ]
            if len({arm.learner for arm, _, _ in reaching}) < 2:
                continue
            for arm, scores, steps in reaching:
                name = f"area {family.name} {arm.label} {until:g}"
                found = stats.mean(name, stats.area(steps, scores, until))
                yield Area(family.name, arm, until, found, len(scores))


def efficiencies(published: Published) -> Iterator[Efficiency]:
    """Compare the steps of every method with those of each baseline it could reach.

    Pairs have the same tasks, curves of enough evaluations, and the same budget. A
    pair of the headline may also be of two budgets in which the baseline's settings are
    the same: lean has the paper's for every method but PEARL. Levels are those of the
    suite's protocol, and of the baseline's own where it has one; the method is always
    judged by the suite's.
    """
    for family in published.families:
        shown = {arm.label for arm in family.headline}
        for baseline in family.arms:
            if baseline.learner == published.reference:
                continue
            methods = [arm for arm in family.arms if _comparable(arm, baseline, shown)]
            for part in (REPORTED, OWN):
                other = _curve(family, baseline, part)
                for method in methods:
                    one = _curve(family, method, REPORTED)
                    if one is None or other is None:
                        continue
                    name = f"claim {family.name} {method.label} {baseline.label} {part}"
                    yield Efficiency(
                        family.name,
                        method,
                        baseline,
                        part,
                        (len(one.values), len(other.values)),
                        crossings.claim(name, one, other),
                    )


def _comparable(method: Arm, baseline: Arm, shown: set[str]) -> bool:
    """Say whether two arms may be held against each other; see ``efficiencies``.

    Args:
        method: one arm of a family.
        baseline: another.
        shown: labels of the family's headline.
    """
    both = {method.label, baseline.label} <= shown
    return (
        method.learner != baseline.learner
        and method.fingerprint == baseline.fingerprint
        and method.budget in (baseline.alike_budgets if both else {baseline.budget})
    )


def _arms(
    published: Published, label: str, part: Part = REPORTED
) -> Iterator[tuple[Family, Arm]]:
    for family in published.families:
        for arm in family.arms:
            if arm.label == label and arm.having(part):
                yield family, arm


def _shared_families(published: Published) -> dict[tuple[str, str], list[str]]:
    """Return, by labels of the reference and a baseline, where the two compare."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for family in published.families:
        shown = {arm.label for arm in family.headline}
        for method, baseline in product(family.arms, repeat=2):
            ours = method.learner == published.reference
            if ours and _comparable(method, baseline, shown):
                found[method.label, baseline.label].append(family.name)
    return found


def _curve(family: Family, arm: Arm, part: Part) -> Curve | None:
    """Return the curves of an arm, None where they have too few evaluations."""
    steps, values, _ = arm.matched(part, -1, family.measure)
    return Curve(steps, values) if len(steps) >= crossings.FEWEST else None
