"""Methods compared over a suite's families: final scores, aggregates, the claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pearl_bench.analysis import stats
from pearl_bench.analysis.arms import OWN, REPORTED, Arm, Part, level_count
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.stats import Claim, Curve, Estimate

DECADES = (1e5, 1e6, 1e7, 1e8)
"""Environment steps up to which areas under curves are taken."""


class Improvement(NamedTuple):
    """Probability that a run of a method beats one of a baseline.

    Attributes:
        method: its label.
        baseline: its label.
        families: the families that both have.
        found: ``[1]``.
    """

    method: str
    baseline: str
    families: tuple[str, ...]
    found: Estimate


class Efficiency(NamedTuple):
    """Environment steps that a method needs for a baseline's final level.

    Attributes:
        family: its name.
        method: its label.
        baseline: its label.
        part: the protocol that gave the baseline its level.
        last: steps of the method's last evaluation.
        claim: the numbers.
    """

    family: str
    method: str
    baseline: str
    part: Part
    last: float
    claim: Claim


def score_in_words(published: Published) -> str:
    """Say what a score is, with the fixed ranges of the families."""
    ranges = [
        f"{f.name} {f.row.score.low:g} to {f.row.score.high:g} ({f.row.score.source})"
        for f in published.families
        if f.measure == "return"
    ]
    said = "Scores are success rates."
    if ranges:
        said = f"Scores run from 0 to 1 over fixed returns: {'; '.join(ranges)}."
        if len(ranges) < len(published.families):
            said += " Of the other families they are success rates."
    return said


def level_scores(published: Published, label: str) -> dict[str, np.ndarray]:
    """Return a label's final scores ``[R]`` by family, of the families it has."""
    return {
        family.name: family.score(arm.levels(REPORTED, family.measure))
        for family, arm in _arms(published, label)
    }


def aggregate(published: Published, label: str) -> Estimate:
    """Return the statistics ``[4]`` of ``stats.AGGREGATES`` of a label."""
    strata = list(level_scores(published, label).values())
    return stats.estimate(f"aggregate {label}", stats.aggregates, strata)


def improvements(published: Published) -> list[Improvement]:
    """Compare the reference with every baseline of its budget, on the same tasks."""
    found = []
    for method, baseline in _pairs(published):
        x, y = level_scores(published, method), level_scores(published, baseline)
        tasks, others = _tasks(published, method), _tasks(published, baseline)
        names = tuple(name for name in x if tasks[name] == others.get(name))
        strata = [x[name] for name in names] + [y[name] for name in names]
        if names:
            of = stats.estimate(
                f"improvement {method} over {baseline}", stats.improvement, strata
            )
            found.append(Improvement(method, baseline, names, of))
    return found


def areas(published: Published, label: str) -> dict[float, tuple[int, Estimate]]:
    """Return a label's mean score over its first 1e5, 1e6, ... steps.

    A family counts from the first evaluation of its runs up to their last.

    Returns:
        The number of families that reach so far and the estimate ``[]``, by steps.
    """
    found = {}
    for until in DECADES:
        strata = []
        for family, arm in _arms(published, label):
            steps, values, _ = arm.matched(REPORTED, -1, family.measure)
            if len(steps) and steps[0] <= until <= steps[-1]:
                strata.append(stats.area(steps, family.score(values), until))
        if strata:
            name = f"area {label} {until:g}"
            found[until] = (
                len(strata),
                stats.estimate(name, stats.mean_of_means, strata),
            )
    return found


def efficiencies(published: Published) -> Iterator[Efficiency]:
    """Compare the steps of every method with those of each baseline it could reach.

    Pairs have the same budget and the same tasks. Levels are those of the suite's
    protocol, and of the baseline's own where it has one; the method is always judged by
    the suite's.
    """
    for family in published.families:
        for baseline in family.arms:
            if baseline.learner == published.reference:
                continue
            for part in (REPORTED, OWN):
                for method in family.arms:
                    alike = (method.budget, method.fingerprint) == (
                        baseline.budget,
                        baseline.fingerprint,
                    )
                    if not alike or method.learner == baseline.learner:
                        continue
                    one = _curve(family, method, REPORTED)
                    other = _curve(family, baseline, part)
                    if one is None or other is None:
                        continue
                    name = f"claim {family.name} {method.label} {baseline.label} {part}"
                    yield Efficiency(
                        family.name,
                        method.label,
                        baseline.label,
                        part,
                        float(one.steps[-1]),
                        stats.claim(name, one, other),
                    )


def _arms(published: Published, label: str) -> Iterator[tuple[Family, Arm]]:
    for family in published.families:
        for arm in family.arms:
            if arm.label == label and arm.having(REPORTED):
                yield family, arm


def _tasks(published: Published, label: str) -> dict[str, str]:
    """Return the fingerprints of a label's tasks by family."""
    return {family.name: arm.fingerprint for family, arm in _arms(published, label)}


def _pairs(published: Published) -> Iterator[tuple[str, str]]:
    """Yield the labels of the reference and of baselines with the same budget."""
    about = {arm.label: (arm.learner, arm.budget) for arm in published.arms}
    for method in published.labels:
        for baseline in published.labels:
            (one, budget), (other, same) = about[method], about[baseline]
            if one == published.reference != other and budget == same:
                yield method, baseline


def _curve(family: Family, arm: Arm, part: Part) -> Curve | None:
    """Return the curve of an arm, None where nothing can be averaged.

    Its final level is of the steps that all runs share, so that the mean reaches it.
    """
    if not arm.having(part):
        return None
    steps, values, _ = arm.matched(part, -1, family.measure)
    if not len(steps):
        return None
    last = values[:, -level_count(steps.tolist()) :]
    return Curve(steps, values, last.mean(1))
