"""Whether runs come from the distribution that a reference's runs come from.

Runs on another machine differ in rounding and then in everything, so distributions are
compared, never values. Three kinds of finding: a test of the returns where a method
has learnt something, a test of all training metrics of a method at once, and a gate
for the returns of runs too short to learn from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from pearl_bench.analysis.arms import OWN, REPORTED, Arm, RunCurve

FALSE_ALARMS = 0.01
"""Chance that unchanged code raises any alarm, over all tests together."""
LAST_SHARE = 1 / 3
"""Returns and metrics of the end of a run are those of this last share of its steps."""
FAR = 4.0
"""A gate's alarm: this many of the reference's standard deviations below its mean. Of
normal values, twelve against six, that happens by chance once in 300,000."""
RESAMPLES = 200_000
RETURN, GAIN, TRAINING = "adapted return", "gain", "training"

Key = tuple[str, str]
"""Family and method."""


@dataclass(frozen=True)
class Sample:
    """Runs of one method on one family that differ in the seed.

    Attributes:
        returns: by measure ``[R]``: ``adapted return`` (last episode) and ``gain``
            (last minus first).
        training: by metric of train.csv ``[R]``: means over a run's iterations, and
            over the last ones; none where only returns are known.
        seeds: the runs'.
    """

    returns: Mapping[str, np.ndarray]
    training: Mapping[str, np.ndarray]
    seeds: frozenset[int]


class Finding(NamedTuple):
    """What one comparison has found.

    Attributes:
        family: the task family.
        learner: the method.
        measure: what was compared; of all training metrics the one furthest apart.
        reference: ``[R]`` one value per seed.
        current: ``[S]`` one value per seed.
        p_value: that unchanged code is as far apart; None of a gate.
        alarm: whether that is too far.
    """

    family: str
    learner: str
    measure: str
    reference: np.ndarray
    current: np.ndarray
    p_value: float | None
    alarm: bool


def sample(arm: Arm, training: Mapping[str, Mapping[str, float]]) -> Sample:
    """Return what is compared of an arm's runs.

    Args:
        arm: the runs.
        training: each run's metrics by its id.
    """
    metrics = [training.get(run.row["run"], {}) for run in arm.runs]
    shared = [name for name in metrics[0] if all(name in one for one in metrics)]
    return Sample(
        returns_of(arm),
        {name: np.array([of_run[name] for of_run in metrics]) for name in shared},
        frozenset(int(run.row["seed"]) for run in arm.runs),
    )


def returns_of(arm: Arm) -> dict[str, np.ndarray]:
    """Return ``[R]`` values of each measure.

    A method is judged after as much exploration as it is trained to adapt from.
    """

    def levels(run: RunCurve) -> tuple[float, float]:
        part = OWN if run.points.get(OWN) else REPORTED
        means = [
            np.mean([p.total for p in run.level_points(part, k, LAST_SHARE, 1)])
            for k in (1, -1)
        ]
        return float(means[0]), float(means[1])

    first, last = np.array([levels(run) for run in arm.runs]).T
    return {RETURN: last, GAIN: last - first}


def compare(
    reference: Mapping[Key, Sample],
    current: Mapping[Key, Sample],
    *,
    tested: Collection[str],
    limit: float,
) -> Iterator[Finding]:
    """Compare the current runs with the reference's, method by method.

    Args:
        reference: the runs of a time when all was well.
        current: those of now.
        tested: families whose returns are tested; those of others pass a gate.
        limit: p-value below which a test raises an alarm.
    """
    for key, now in current.items():
        then = reference[key]
        for measure in (RETURN, GAIN):
            old, new = then.returns[measure], now.returns[measure]
            if key[0] in tested:
                p = bootstrap(old, new)
                yield Finding(*key, measure, old, new, p, p < limit)
            elif measure == RETURN:
                yield Finding(*key, measure, old, new, None, far_below(old, new))
        names = [name for name in then.training if name in now.training]
        if not names:
            continue
        p, furthest = permutation(
            *(
                np.stack([side.training[name] for name in names], 1)
                for side in (then, now)
            )
        )
        name = names[furthest]
        old, new = then.training[name], now.training[name]
        yield Finding(*key, f"{TRAINING}, {name}", old, new, p, p < limit)


def bootstrap(reference: np.ndarray, current: np.ndarray) -> float:
    """Return the p-value of a one-sided two-sample bootstrap test.

    Both samples are drawn anew from all values together, as if they were alike; the
    p-value is the share of draws whose means are at least as far apart, in units of
    their own pooled standard error (Efron and Tibshirani 1993, algorithm 16.1).

    Args:
        reference: ``[R]``.
        current: ``[S]``, small p-values if its mean is lower.
    """
    # equal data, equal verdict
    rng = np.random.default_rng(0)
    pool = np.concatenate([reference, current])

    def distance(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        squares = sum(x.var(-1) * x.shape[-1] for x in (old, new))
        error = np.sqrt(squares * (1 / old.shape[-1] + 1 / new.shape[-1]))
        # without any spread (returns of exactly 0) nothing is far apart but unequal
        return (old.mean(-1) - new.mean(-1)) / np.maximum(error, 1e-9)

    draws = distance(
        rng.choice(pool, (RESAMPLES, len(reference))),
        rng.choice(pool, (RESAMPLES, len(current))),
    )
    # the slack is for sums that differ in their order only
    beyond = int((draws >= distance(reference, current) - 1e-9).sum())
    return (1 + beyond) / (1 + RESAMPLES)


def permutation(reference: np.ndarray, current: np.ndarray) -> tuple[float, int]:
    """Return the p-value of a two-sided test of several metrics at once.

    The runs are dealt out to the two samples in every possible way (in ``RESAMPLES``
    ways at random where there are more). The statistic of a deal is the difference of
    the means, in standard deviations of all values together, of the metric that is
    furthest apart in it; so the p-value holds for all metrics together, however they
    depend on each other (Westfall and Young 1993, the single-step maxT procedure).

    Args:
        reference: ``[R, K]`` of K metrics.
        current: ``[S, K]``.

    Returns:
        The p-value, and the metric that is furthest apart.
    """
    pool, size = np.concatenate([reference, current]), len(current)
    # a metric that has one value everywhere is never apart
    spread = pool.std(0)
    values = (pool - pool.mean(0)) / np.where(spread > 0, spread, 1)
    deals = _deals(len(pool), size)
    drawn = len(deals) < comb(len(pool), size)  # and not among them the one there is
    # the values sum to 0, so that one sample's mean says where the other's is
    apart = np.abs(deals @ values) * (1 / size + 1 / len(reference))
    actual = np.abs(values[len(reference) :].sum(0)) * (1 / size + 1 / len(reference))
    beyond = int((apart.max(1) >= actual.max() - 1e-9).sum())
    return (drawn + beyond) / (drawn + len(deals)), int(actual.argmax())


def _deals(runs: int, size: int) -> np.ndarray:
    """Return ``[D, runs]`` which runs are in the second sample, a row per deal."""
    if comb(runs, size) <= RESAMPLES:
        chosen = np.array([*combinations(range(runs), size)])
    else:
        rng = np.random.default_rng(0)
        keys = rng.random((RESAMPLES, runs))
        chosen = keys.argpartition(size, axis=1)[:, :size]
    deals = np.zeros((len(chosen), runs))
    np.put_along_axis(deals, chosen, 1.0, axis=1)
    return deals


def far_below(reference: np.ndarray, current: np.ndarray) -> bool:
    """Whether a mean lies ``FAR`` standard deviations of the reference below its."""
    lowest = reference.mean() - FAR * reference.std(ddof=1)
    return bool(current.mean() < lowest - 1e-9)


def threshold(reference: Mapping[Key, Sample], tested: Collection[str]) -> float:
    """Return the p-value below which one test of a whole check raises an alarm.

    Args:
        reference: all of it, whatever part of it is compared with.
        tested: families whose returns are tested.
    """
    returns = sum(2 for family, _ in reference if family in tested)
    training = sum(bool(one.training) for one in reference.values())
    return FALSE_ALARMS / (returns + training)


def too_few(
    reference: Mapping[Key, Sample], current: Mapping[Key, Sample], limit: float
) -> bool:
    """Whether some method has so few runs that a test of training never alarms.

    Args:
        reference: the runs of a time when all was well.
        current: those of now.
        limit: p-value below which a test raises an alarm.
    """

    def least_p(key: Key) -> float:
        old, new = (len(side[key].returns[RETURN]) for side in (reference, current))
        return 1 / min(comb(old + new, new), RESAMPLES + 1)

    return any(least_p(key) >= limit for key in current)


def summary(values: Sequence[float] | np.ndarray) -> str:
    """Return mean, standard deviation and number of values."""
    spread = float(np.std(values, ddof=1))
    return f"{np.mean(values):.4g} ± {spread:.3g} ({len(values)} seeds)"
