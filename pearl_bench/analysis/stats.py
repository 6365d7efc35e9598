"""Estimates with bootstrap intervals, by rliable (Agarwal et al. 2021).

Whole runs are drawn anew, within each family. The stream of random numbers is a
function of the estimate's name, so that an interval is the same every time and
whatever else is estimated beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from rliable import library, metrics

RESAMPLES = 2000
CONFIDENCE = 0.95
METHOD = (
    f"95 % intervals: percentile bootstrap over runs, stratified by family, "
    f"{RESAMPLES} resamples; of two runs it is about what lies between them"
)
AGGREGATES = ("IQM", "median", "mean", "optimality gap")
"""What ``aggregates`` returns, in order."""


class Estimate(NamedTuple):
    """A statistic and its interval.

    Attributes:
        value: ``[...]`` the statistic of the runs as they are.
        low: ``[...]`` lower end, NaN where there is no interval.
        high: ``[...]`` upper end.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@contextmanager
def named_stream(name: str) -> Iterator[None]:
    """Seed numpy's global generator from a name, and leave it as it was.

    rliable 1.2.0 draws from the global generator and ignores ``random_state``.
    """
    before = np.random.get_state()  # noqa: NPY002
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def estimate(
    name: str,
    statistic: Callable[..., np.ndarray],
    strata: Sequence[np.ndarray],
    resamples: int = RESAMPLES,
) -> Estimate:
    """Compute a statistic of runs and its bootstrap interval.

    Args:
        name: decides the random numbers; what the estimate is about.
        statistic: takes the strata, runs first, and returns one array.
        strata: one array ``[R, ...]`` per family (or per method and family); each is
            drawn anew on its own, by whole runs.
        resamples: how often.

    Returns:
        The estimate; without an interval where a stratum has a single run, whose
        spread nobody knows.
    """
    value = np.asarray(statistic(*strata), float)
    if min(map(len, strata)) < 2:
        nothing = np.full_like(value, np.nan)
        return Estimate(value, nothing, nothing)

    def of_drawn(*drawn: np.ndarray) -> np.ndarray:
        chosen = (s[rows[:, 0]] for s, rows in zip(strata, drawn, strict=True))
        return np.asarray(statistic(*chosen), float).reshape(-1)

    # Of an array, rliable would draw every entry on its own: it gets row numbers.
    numbers = [np.arange(len(s))[:, None] for s in strata]
    with named_stream(name):
        _, intervals = library.get_interval_estimates(
            {name: numbers},
            of_drawn,
            reps=resamples,
            confidence_interval_size=CONFIDENCE,
        )
    low, high = intervals[name].reshape(2, *value.shape)
    return Estimate(value, low, high)


def mean_curve(name: str, values: np.ndarray) -> Estimate:
    """Return the mean ``[P]`` of curves ``[R, P]`` over runs."""
    return estimate(name, lambda runs: runs.mean(0), [values])


def aggregates(*strata: np.ndarray) -> np.ndarray:
    """Return ``[4]``: IQM, median, mean and optimality gap of scores.

    Families may have unequal numbers of runs ``[R]``; median and mean are of the
    families' means, IQM and optimality gap of all scores.
    """
    scores = np.concatenate(strata)
    means = [stratum.mean() for stratum in strata]
    return np.array(
        [
            metrics.aggregate_iqm(scores),
            np.median(means),
            np.mean(means),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def mean_of_means(*strata: np.ndarray) -> np.ndarray:
    """Return ``[]``: the mean over families of the mean over runs."""
    return np.asarray(np.mean([stratum.mean() for stratum in strata]))


def profile(thresholds: np.ndarray) -> Callable[..., np.ndarray]:
    """Return a statistic: the share ``[P]`` of scores above each threshold."""

    def above(*strata: np.ndarray) -> np.ndarray:
        scores = np.concatenate(strata)
        return (scores[:, None] > thresholds).mean(0)

    return above


def improvement(*strata: np.ndarray) -> np.ndarray:
    """Return the probability that a run of X beats one of Y, mean over families.

    Ties count one half (Mann-Whitney).

    Args:
        *strata: scores ``[R]`` of X in each family, then those of Y in the same.
    """
    families = len(strata) // 2
    shares = [
        ((x[:, None] > y).mean() + (x[:, None] >= y).mean()) / 2
        for x, y in zip(strata[:families], strata[families:], strict=True)
    ]
    return np.array([np.mean(shares)])


def area(steps: np.ndarray, scores: np.ndarray, until: float) -> np.ndarray:
    """Return ``[R]`` mean scores over the first ``until`` environment steps.

    Trapezoids between evaluations; before the first, its score.

    Args:
        steps: ``[P]`` ascending; the last is at least ``until``.
        scores: ``[R, P]``.
        until: steps.
    """
    assert steps[-1] >= until, "the curves end before"
    inside = steps < until
    grid = np.concatenate([[0.0], steps[inside], [until]])
    drawn = np.stack([np.interp(grid, steps, run) for run in scores])
    widths = np.diff(grid)
    return ((drawn[:, 1:] + drawn[:, :-1]) / 2 * widths).sum(1) / until


class Claim(NamedTuple):
    """How many environment steps a method needs for a baseline's final level.

    Attributes:
        level: the baseline's final level, mean over its runs.
        needed: steps of the method's first evaluation, in the mean over its runs, at
            that level; infinite if there is none.
        baseline: the same of the baseline itself.
        ratio: ``baseline / needed``; 0 if the method never gets there.
    """

    level: Estimate
    needed: Estimate
    baseline: Estimate
    ratio: Estimate


class Curve(NamedTuple):
    """Mean-able curves and final levels of the runs of one arm.

    Attributes:
        steps: ``[P]``.
        values: ``[R, P]``.
        final: ``[R]`` means over the last of the steps.
    """

    steps: np.ndarray
    values: np.ndarray
    final: np.ndarray


def claim(name: str, method: Curve, baseline: Curve) -> Claim:
    """Compare the steps that a method and a baseline need for the latter's level.

    A level that the method never reaches counts as infinitely many steps, so that it
    widens the interval instead of dropping out of it.
    """

    def rates(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return level, 1 / steps of each (0 is never), and the ratio."""
        level = baseline.final[others].mean()
        one = _rate(method.steps, method.values[rows].mean(0), level)
        other = _rate(baseline.steps, baseline.values[others].mean(0), level)
        return np.array([level, one, other, one / other])

    runs = [np.arange(len(method.values)), np.arange(len(baseline.values))]
    all_four = estimate(name, rates, runs)
    level, needed, own, ratio = (
        Estimate(*(ends[i] for ends in all_four)) for i in range(4)
    )
    return Claim(level, _inverse(needed), _inverse(own), ratio)


def _rate(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    # the slack is for sums that differ in their order only
    reached = np.flatnonzero(values >= level - 1e-9 * abs(level))
    return float(1 / steps[reached[0]]) if len(reached) else 0.0


def _inverse(of: Estimate) -> Estimate:
    """Turn rates into steps; the ends of the interval change places."""
    with np.errstate(divide="ignore"):
        return Estimate(1 / of.value, 1 / of.high, 1 / of.low)
