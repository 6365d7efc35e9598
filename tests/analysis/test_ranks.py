"""Probabilities of improvement and their exact p-values."""

import itertools

import numpy as np
import pytest
import scipy.stats
from rliable import metrics

from pearl_bench.analysis.ranks import improvement


def by_brute_force(families):
    """Deal the results of every family out in all ways, one by one."""

    def probability(x, y):
        return ((x[:, None] > y).mean() + (x[:, None] >= y).mean()) / 2

    dealt = []
    for x, y in families:
        pooled, numbers = np.concatenate([x, y]), set(range(len(x) + len(y)))
        ways = itertools.combinations(numbers, len(x))
        dealt.append(
            [
                probability(pooled[list(mine)], pooled[list(numbers - set(mine))])
                for mine in ways
            ]
        )
    observed = np.mean([probability(x, y) for x, y in families])
    totals = np.array([np.mean(of) for of in itertools.product(*dealt)])
    return observed, (totals >= observed - 1e-12).mean()


@pytest.mark.parametrize(
    ("runs", "p"),
    [
        ([(2, 2)], 1 / 6),
        ([(1, 2)], 1 / 3),
        ([(3, 3)], 1 / 20),
        ([(5, 5)], 1 / 252),
        ([(2, 2), (1, 2)], 1 / 18),
        ([(2, 2)] * 6, 6.0**-6),
    ],
)
def test_separated_runs(runs, p):
    """The one way of all in which X has the highest results of every family."""
    families = [(10.0 + np.arange(x), np.arange(float(y))) for x, y in runs]
    assert improvement(families) == pytest.approx((1.0, p), rel=1e-12)
    turned = [(y, x) for x, y in families]
    assert improvement(turned) == pytest.approx((0.0, 1.0), rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_against_every_way_to_deal_results_out(seed):
    """Small whole numbers, so that there are ties within and between the methods."""
    rng = np.random.default_rng(seed)
    families = [
        tuple(rng.integers(4, size=n).astype(float) for n in rng.integers(1, 4, size=2))
        for _ in range(3)
    ]
    assert improvement(families) == pytest.approx(by_brute_force(families), rel=1e-12)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.5])
def test_one_family_is_mann_whitney(shift):
    rng = np.random.default_rng(3)
    x, y = rng.normal(shift, size=7), rng.normal(size=11)
    theirs = scipy.stats.mannwhitneyu(x, y, alternative="greater", method="exact")
    found = improvement([(x, y)])
    assert found.probability == pytest.approx(theirs.statistic / 77, rel=1e-12)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_probability_is_rliables():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    x[0, 0] = y[1, 0]  # a tie
    found = improvement(list(zip(x.T, y.T, strict=True)))
    theirs = metrics.probability_of_improvement(x, y)
    assert found.probability == pytest.approx(theirs, abs=1e-12)


def test_equal_results_say_nothing():
    assert improvement([(np.zeros(3), np.zeros(2))]) == (0.5, 1.0)


def test_p_values_are_as_rare_as_they_say():
    """Runs of one distribution: p at .05 or below in one case of twenty, or fewer."""
    rng = np.random.default_rng(5)
    found = [
        improvement([(rng.normal(size=3), rng.normal(size=3)) for _ in range(2)]).p
        for _ in range(2000)
    ]
    assert 0.03 < np.mean(np.array(found) <= 0.05) <= 0.06
