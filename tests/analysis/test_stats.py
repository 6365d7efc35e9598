"""Estimates against closed forms and scipy; intervals that cover and repeat."""

import numpy as np
import pytest
import scipy.stats
from rliable import metrics

from pearl_bench.analysis import stats


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(0.5, 0.2, shape) for shape in shapes]


def test_aggregates_are_rliables_and_scipys():
    scores = np.stack(normal(0, 7, 7, 7), axis=1)  # [runs, families]
    iqm, median, mean, gap = stats.aggregates(*scores.T)
    assert iqm == scipy.stats.trim_mean(scores.ravel(), 0.25)
    assert iqm == pytest.approx(metrics.aggregate_iqm(scores), abs=1e-15)
    assert median == pytest.approx(metrics.aggregate_median(scores), abs=1e-15)
    assert mean == pytest.approx(metrics.aggregate_mean(scores), abs=1e-15)
    assert gap == pytest.approx(metrics.aggregate_optimality_gap(scores), abs=1e-15)


def test_aggregates_of_unequal_numbers_of_runs():
    strata = np.array([0.0, 1.0]), np.array([2.0]), np.array([0.0, 0.5, 1.0])
    iqm, median, mean, gap = stats.aggregates(*strata)
    assert iqm == np.mean([0.0, 0.5, 1.0, 1.0])  # of 0 0 .5 1 1 2, without one each
    assert median == 0.5
    assert mean == 1.0
    assert gap == pytest.approx(1 - 3.5 / 6)


def test_improvement_is_rliables():
    x, y = np.stack(normal(1, 5, 5), axis=1), np.stack(normal(2, 4, 4), axis=1)
    x[0, 0] = y[1, 0]  # a tie
    (found,) = stats.improvement(*x.T, *y.T)
    assert found == pytest.approx(metrics.probability_of_improvement(x, y), abs=1e-12)
    assert stats.improvement(np.ones(3), np.zeros(2)) == 1
    assert stats.improvement(np.zeros(3), np.zeros(2)) == 0.5


def test_profile_counts_scores_above_a_threshold():
    above = stats.profile(np.array([0.0, 0.5, 1.0]))
    shares = above(np.array([0.2, 0.6]), np.array([0.5, 2.0]))
    assert shares.tolist() == [1.0, 0.5, 0.25]


def test_equal_name_equal_interval_whatever_stands_beside():
    a, b = normal(3, 5, 6)
    alone = stats.estimate("pearl", stats.aggregates, [a])
    stats.estimate("rl2", stats.aggregates, [b])
    np.random.default_rng().normal()
    again = stats.estimate("pearl", stats.aggregates, [a])
    assert np.array_equal(alone.low, again.low)
    assert np.array_equal(alone.high, again.high)
    other = stats.estimate("promp", stats.aggregates, [a])
    assert not np.array_equal(alone.low, other.low)


def test_the_global_generator_is_left_as_it_was():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random(4)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    stats.estimate("pearl", stats.aggregates, normal(4, 5))
    assert np.array_equal(np.random.random(4), expected)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    with pytest.raises(IndexError):
        stats.estimate("pearl", lambda runs: runs[9], normal(4, 5))
    assert np.array_equal(np.random.random(4), expected)  # noqa: NPY002


def test_intervals_cover_the_truth():
    """IQM and mean of a symmetric distribution: both 0.5, in 95 % of experiments.

    The percentile bootstrap of few runs is known to be a little narrow.
    """
    covered = np.zeros(4)
    experiments = 300
    for seed in range(experiments):
        strata = normal([9, seed], *[10] * 4)
        found = stats.estimate(f"{seed}", stats.aggregates, strata, resamples=200)
        covered += (found.low <= 0.5) & (found.high >= 0.5)
    for entry in (0, 2):
        assert 0.89 <= covered[entry] / experiments <= 0.98


def test_one_run_has_no_interval():
    found = stats.estimate("pearl", stats.aggregates, [np.ones(1), np.ones(5)])
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert found.value[0] == 1


def test_whole_runs_are_drawn():
    """Curves that never cross: no resampled mean mixes points of different runs."""
    values = np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])
    found = stats.mean_curve("pearl", values)
    assert np.allclose(np.diff(found.low), 1)
    assert found.value.tolist() == [5, 6, 7]
    assert found.low[0] == 0
    assert found.high[0] == 10


def test_area_of_a_line():
    steps, scores = np.array([0.0, 10.0, 20.0]), np.array([[0.0, 1.0, 2.0]])
    assert stats.area(steps, scores, 20) == pytest.approx(1.0)
    assert stats.area(steps, scores, 10) == pytest.approx(0.5)
    assert stats.area(steps, scores, 15) == pytest.approx(0.75)
    # Before the first evaluation, its value.
    late = stats.area(np.array([10.0, 20.0]), np.array([[1.0, 3.0]]), 20)
    assert late == pytest.approx((10 * 1 + 10 * 2) / 20)


def line(slope, runs, until, spread=0.0):
    """Curves that rise by ``slope`` per 1000 steps; the runs differ in height."""
    steps = np.arange(1000.0, until + 1, 1000)
    heights = spread * np.arange(runs)[:, None]
    values = slope * steps / 1000 + heights
    return stats.Curve(steps, values, values[:, -1])


def test_claim_of_straight_lines():
    found = stats.claim("x", line(10.0, 3, 20_000), line(1.0, 3, 100_000))
    assert found.level.value == 100
    assert found.needed.value == pytest.approx(10_000)
    assert found.baseline.value == pytest.approx(100_000)
    assert found.ratio.value == pytest.approx(10)
    assert found.ratio.low == found.ratio.high == pytest.approx(10)


def test_claim_of_differing_runs_has_an_interval_around_it():
    method = line(10.0, 5, 20_000, spread=5.0)
    found = stats.claim("x", method, line(1.0, 5, 100_000, spread=3.0))
    assert found.needed.low <= found.needed.value <= found.needed.high
    assert found.ratio.low < found.ratio.value < found.ratio.high


def test_a_constant_baseline_has_its_level_from_the_start():
    """Whatever the rounding of its means."""
    values = np.full((7, 30), 0.1)
    flat = stats.Curve(np.arange(1.0, 31), values, values[:, -3:].mean(1))
    found = stats.claim("x", line(10.0, 3, 20_000), flat)
    assert found.baseline.value == found.baseline.low == found.baseline.high == 1


def test_a_level_never_reached_is_infinitely_far():
    found = stats.claim("x", line(1.0, 3, 50_000), line(1.0, 3, 100_000))
    assert found.needed.value == found.needed.low == found.needed.high == np.inf
    assert found.ratio.value == found.ratio.high == 0
    # Reached by one run of two: the mean gets there only if that one is drawn twice.
    values = np.array([[50.0, 50.0], [50.0, 110.0]])
    some = stats.Curve(np.array([1000.0, 2000.0]), values, values[:, -1])
    found = stats.claim("x", some, line(1.0, 2, 100_000))
    assert found.needed.value == found.needed.high == np.inf
    assert found.needed.low == pytest.approx(2000)
    assert found.ratio.low == 0
    assert found.ratio.high == pytest.approx(50)
