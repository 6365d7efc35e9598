"""Whether a method's runs end above another's: exact tests of few runs.

The reported number is the probability of improvement (Agarwal et al. 2021): the share
of pairs of a run of X and a run of Y in which X is higher, ties one half, averaged over
families. Its p-value is the exact one of the same number: under the hypothesis that in
every family the runs of both methods come from one distribution, all ways to deal a
family's results out to the two methods are equally likely, independently of the other
families, and p is the share of all ways in which the average is at least as high as it
is. For one family this is the exact one-sided Mann-Whitney test, ties included; for
several it is its stratified form with equal weights (van Elteren 1960 has others).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

TEST_IS = (
    "p: exact, one-sided, of this comparison alone: how often the probability would be "
    "as high as it is or higher, were the runs of a family dealt out to the two "
    "methods at random (Mann-Whitney; of several families, the mean of their "
    "probabilities with the runs dealt out within each)"
)


class RankTest(NamedTuple):
    """How probably a run of X is higher than one of Y.

    Attributes:
        probability: 0 to 1, mean over families, ties one half.
        p: exact one-sided p-value.
    """

    probability: float
    p: float


def improvement(families: Sequence[tuple[np.ndarray, np.ndarray]]) -> RankTest:
    """Compare runs of X and Y family by family.

    Args:
        families: results ``[R]`` of X and those of Y, of each family.
    """
    unit = math.lcm(*(2 * len(x) * len(y) for x, y in families))
    dealt, observed = Counter({0: 1}), 0
    for x, y in families:
        weight = unit // (2 * len(x) * len(y))  # of half a pair
        observed += weight * _half_pairs(x, y)
        added: Counter[int] = Counter()
        for so_far, ways in dealt.items():
            for half_pairs, more in _dealings(x, y).items():
                added[so_far + weight * half_pairs] += ways * more
        dealt = added
    above = sum(ways for total, ways in dealt.items() if total >= observed)
    return RankTest(
        float(Fraction(observed, unit * len(families))),
        float(Fraction(above, dealt.total())),
    )


def _half_pairs(x: np.ndarray, y: np.ndarray) -> int:
    """Return twice the Mann-Whitney statistic: 2 per pair won, 1 per tie."""
    return int((x[:, None] > y).sum() + (x[:, None] >= y).sum())


def _dealings(x: np.ndarray, y: np.ndarray) -> Counter[int]:
    """Count the ways to deal results out by the ``_half_pairs`` that they give.

    Ties are dealt group by group, from the lowest results upwards.
    """
    _, sizes = np.unique(np.concatenate([x, y]), return_counts=True)
    states, before = Counter({(0, 0): 1}), 0  # (dealt to X, half pairs): ways
    for size in map(int, sizes):
        after: Counter[tuple[int, int]] = Counter()
        for (taken, half_pairs), ways in states.items():
            for k in range(min(size, len(x) - taken) + 1):
                won = half_pairs + 2 * k * (before - taken) + k * (size - k)
                after[taken + k, won] += ways * math.comb(size, k)
        states, before = after, before + size
    return Counter(
        {half: ways for (taken, half), ways in states.items() if taken == len(x)}
    )
