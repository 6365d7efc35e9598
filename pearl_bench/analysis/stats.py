"""Estimates and what they are worth: ranges, bootstrap intervals, Wilson intervals.

Of fewer than five runs there is no interval, because it would not hold what it says:
the 95 % percentile bootstrap of the mean of two or three runs is nothing but their
range, and that contains the median of what the runs are drawn from in 50 % of cases for
two runs and in 75 % for three. They are given as a range.

From five runs on whole runs are drawn anew within each family, by rliable (Agarwal et
al. 2021). The stream of random numbers is a function of the estimate's name, so that an
interval is the same every time and whatever else is estimated beside it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from rliable import library, metrics

RESAMPLES = 2000
CONFIDENCE = 0.95
FEW = 5
"""Runs from which on there are intervals, of every family that an estimate is of."""
IQM_RUNS = 4
"""Runs of every family from which on an interquartile mean has a middle half."""
METHOD = (
    f"Brackets hold the range of 2 to {FEW - 1} runs, which is no interval, and from "
    f"{FEW} runs on a 95 % interval (percentile bootstrap over runs, stratified by "
    f"family, {RESAMPLES} resamples)"
)
AGGREGATES = ("IQM", "median", "mean", "optimality gap")
"""What ``aggregates`` returns, in order."""


class Estimate(NamedTuple):
    """A statistic, and its range or interval; ``spread`` says which.

    Attributes:
        value: ``[...]`` the statistic of the runs as they are.
        low: ``[...]`` lower end, NaN where a family has a single run.
        high: ``[...]`` upper end.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def spread(runs: Sequence[int]) -> str:
    """Say what the brackets of an estimate are, from the runs of each family."""
    if min(runs) < 2:
        return ""
    return "range" if min(runs) < FEW else f"{CONFIDENCE:.0%}"


def seed_of(name: str) -> int:
    """Return the seed of an estimate's random numbers."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


@contextmanager
def named_stream(name: str) -> Iterator[None]:
    """Seed numpy's global generator from a name, and leave it as it was.

    rliable 1.2.0 draws from the global generator and ignores ``random_state``.
    """
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed_of(name))  # noqa: NPY002
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
    """Compute a statistic of runs, and its range or bootstrap interval.

    Args:
        name: decides the random numbers; what the estimate is about.
        statistic: takes the strata, runs first, and returns one array, each entry of
            which rises, or falls, with every number that it is given. The least and
            the most of all resamples are then those of a family's lowest runs alone
            and of its highest.
        strata: one array ``[R, ...]`` per family; each is drawn anew on its own, by
            whole runs.
        resamples: how often.

    Returns:
        The estimate; without ends where a stratum has a single run, whose spread
        nobody knows.
    """
    value = np.asarray(statistic(*strata), float)
    fewest = min(map(len, strata))
    if fewest < 2:
        nothing = np.full_like(value, np.nan)
        return Estimate(value, nothing, nothing)
    if fewest < FEW:
        lowest, highest = (
            np.asarray(
                statistic(*(np.broadcast_to(end(s, 0), s.shape) for s in strata))
            )
            for end in (np.min, np.max)
        )
        return Estimate(value, np.minimum(lowest, highest), np.maximum(lowest, highest))

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


def mean(name: str, values: np.ndarray) -> Estimate:
    """Return the mean ``[...]`` of runs ``[R, ...]``."""
    return estimate(name, lambda runs: runs.mean(0), [values])


def mean_curve(name: str, values: np.ndarray) -> Estimate:
    """Return the mean ``[P]`` of curves ``[R, P]`` over runs.

    There is a band from ``FEW`` runs on; of fewer each is drawn.
    """
    found = mean(name, values)
    if len(values) >= FEW:
        return found
    nothing = np.full_like(found.value, np.nan)
    return Estimate(found.value, nothing, nothing)


def balanced(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return ``[L, F]`` scores of families with unequal numbers of runs ``[R]``.

    Every run stands as often as makes all families equally long, so that they weigh
    the same however many runs they have.
    """
    length = math.lcm(*map(len, strata))
    return np.stack([np.repeat(s, length // len(s)) for s in strata], axis=1)


def aggregates(*strata: np.ndarray) -> np.ndarray:
    """Return ``[4]``: IQM, median, mean and optimality gap of scores ``[R]``.

    They are rliable's; every family weighs the same. The IQM is NaN where a family has
    fewer than ``IQM_RUNS`` runs.
    """
    scores = balanced(strata)
    has_middle = min(map(len, strata)) >= IQM_RUNS
    return np.array(
        [
            metrics.aggregate_iqm(scores) if has_middle else np.nan,
            metrics.aggregate_median(scores),
            metrics.aggregate_mean(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def profile(thresholds: np.ndarray) -> Callable[..., np.ndarray]:
    """Return a statistic: the share ``[P]`` of scores above each threshold.

    Every family weighs the same.
    """

    def above(*strata: np.ndarray) -> np.ndarray:
        return (balanced(strata)[:, :, None] > thresholds).mean((0, 1))

    return above


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


def wilson(share: float, goals: int) -> tuple[float, float]:
    """Return the Wilson interval of a success rate (Wilson 1927).

    It is about the goals, as if they had been drawn at random from all goals; runs,
    episodes and evaluations add none, because they repeat the same goals.

    Args:
        share: mean success over the goals, 0 to 1.
        goals: their number.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = share + z * z / (2 * goals)
    half = z * math.sqrt(share * (1 - share) / goals + z * z / (4 * goals * goals))
    whole = 1 + z * z / goals
    low, high = (middle - half) / whole, (middle + half) / whole
    # there they are exact, but for rounding
    return low if share > 0 else 0.0, high if share < 1 else 1.0
