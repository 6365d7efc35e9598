"""Estimates against closed forms and scipy; ranges, and intervals that cover."""

import itertools

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


def test_every_family_weighs_the_same_whatever_its_number_of_runs():
    strata = np.array([0.0, 1.0]), np.array([2.0]), np.array([0.0, 0.5, 1.0])
    iqm, median, mean, gap = stats.aggregates(*strata)
    assert np.isnan(iqm)
    assert median == 0.5
    assert mean == 1.0
    assert gap == pytest.approx((0.5 + 0 + 0.5) / 3)


def test_an_iqm_needs_four_runs_of_every_family():
    four, five = np.array([0.0, 1.0, 2.0, 3.0]), np.arange(5.0)
    assert stats.aggregates(four)[0] == 1.5
    assert np.isnan(stats.aggregates(four[:3], five)[0])
    # Every family weighs twenty: each of four runs five, each of five runs four.
    scores = np.sort(np.concatenate([np.repeat(four, 5), np.repeat(five, 4)]))
    assert stats.aggregates(four, five)[0] == pytest.approx(scores[10:30].mean())


def test_a_profile_is_the_share_of_scores_above_each_threshold():
    above = stats.profile(np.array([0.0, 0.5, 1.0]))
    shares = above(np.array([0.2, 0.6]), np.array([0.5, 2.0]))
    assert shares.tolist() == [1.0, 0.5, 0.25]
    shares = above(np.array([0.2, 0.6]), np.array([2.0]))
    assert shares.tolist() == [1.0, 0.75, 0.5]


def test_equal_name_equal_interval_whatever_stands_beside():
    a, b = normal(3, 5, 6)
    alone = stats.estimate("pearl", stats.aggregates, [a])
    stats.estimate("rl2", stats.aggregates, [b])
    np.random.random()  # noqa: NPY002 (of the stream that rliable draws from)
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


def test_one_run_has_no_range():
    found = stats.estimate("pearl", stats.aggregates, [np.ones(1), np.ones(5)])
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert found.value[2] == 1
    assert stats.spread([1, 5]) == ""


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_a_range_is_that_of_all_resamples(runs):
    strata = normal(5, runs, 3)
    found = stats.estimate("pearl", stats.aggregates, strata)
    drawn = [
        stats.aggregates(*(s[list(rows)] for s, rows in zip(strata, of, strict=True)))
        for of in itertools.product(
            itertools.product(range(runs), repeat=runs),
            itertools.product(range(3), repeat=3),
        )
    ]
    assert found.low[1:] == pytest.approx(np.min(drawn, 0)[1:], abs=1e-15)
    assert found.high[1:] == pytest.approx(np.max(drawn, 0)[1:], abs=1e-15)
    assert (found.low[1:] <= found.value[1:]).all()
    assert (found.value[1:] <= found.high[1:]).all()
    assert stats.spread([runs, 3]) == "range"


def test_one_family_of_few_runs_leaves_a_range():
    few, many = normal(7, 4, 6)
    found = stats.estimate("pearl", lambda x, y: x.mean() + y.mean(), [few, many])
    assert found.low == few.min() + many.min()
    assert found.high == few.max() + many.max()
    assert stats.spread([4, 6]) == "range"


@pytest.mark.parametrize(("runs", "covered"), [(2, 1 / 2), (3, 3 / 4)])
def test_why_two_or_three_runs_have_no_interval(runs, covered):
    """A 95 % bootstrap of them is their range, which holds the median too seldom."""
    rng = np.random.default_rng(runs)
    draws = np.array(list(itertools.product(range(runs), repeat=runs)))
    x = rng.normal(size=runs)
    low, high = np.quantile(x[draws].mean(1), [0.025, 0.975], method="inverted_cdf")
    assert (low, high) == pytest.approx((x.min(), x.max()))
    many = rng.normal(size=(40_000, runs))
    share = ((many.min(1) < 0) & (many.max(1) > 0)).mean()
    assert share == pytest.approx(covered, abs=0.01)


def test_from_five_runs_on_there_is_an_interval():
    few, many = normal(6, 4, 5)
    assert stats.spread([5, 9]) == "95%"
    found = stats.mean("pearl", many)
    assert many.min() < found.low < found.value < found.high < many.max()
    found = stats.mean("pearl", few)
    assert (found.low, found.high) == (few.min(), few.max())


def test_an_interval_of_many_runs_is_the_normal_one():
    (runs,) = normal(8, 400)
    found = stats.mean("pearl", runs)
    half = scipy.stats.norm.ppf(0.975) * runs.std() / 20
    assert found.low == pytest.approx(found.value - half, abs=half / 12)
    assert found.high == pytest.approx(found.value + half, abs=half / 12)


def test_every_family_is_drawn_on_its_own():
    """Drawn alike, runs whose numbers cancel out would have no spread."""
    runs = np.arange(6.0)
    found = stats.estimate("pearl", lambda x, y: x.mean() + y.mean(), [runs, -runs])
    assert found.value == 0
    assert found.low < -1 < 1 < found.high


def test_whole_runs_are_drawn():
    """Curves that never cross: no resampled mean mixes points of different runs."""
    values = np.arange(5.0)[:, None] * 10 + np.array([0.0, 1.0, 2.0])
    found = stats.mean_curve("pearl", values)
    assert np.allclose(np.diff(found.low), 1)
    assert found.value.tolist() == [20, 21, 22]
    assert 0 < found.low[0] < found.high[0] < 40


def test_few_curves_have_no_band():
    found = stats.mean_curve("pearl", np.array([[0.0, 1.0], [2.0, 5.0]]))
    assert found.value.tolist() == [1, 3]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


@pytest.mark.parametrize(
    ("successes", "goals", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals(successes, goals, low, high):
    found = stats.wilson(successes / goals, goals)
    assert found == pytest.approx((low, high), abs=5e-5)
    theirs = scipy.stats.binomtest(successes, goals).proportion_ci(method="wilson")
    assert found == pytest.approx(tuple(theirs), abs=1e-12)
    low, high = stats.wilson(1 - successes / goals, goals)
    assert (1 - high, 1 - low) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("goals", [3, 10, 20, 50])
def test_no_rounding_stands_beside_a_rate_of_nothing_or_all(goals):
    assert stats.wilson(0.0, goals)[0] == 0.0
    assert stats.wilson(1.0, goals)[1] == 1.0


def test_area_of_a_line():
    steps, scores = np.array([0.0, 10.0, 20.0]), np.array([[0.0, 1.0, 2.0]])
    assert stats.area(steps, scores, 20) == pytest.approx(1.0)
    assert stats.area(steps, scores, 10) == pytest.approx(0.5)
    assert stats.area(steps, scores, 15) == pytest.approx(0.75)
    # Before the first evaluation, its value.
    late = stats.area(np.array([10.0, 20.0]), np.array([[1.0, 3.0]]), 20)
    assert late == pytest.approx((10 * 1 + 10 * 2) / 20)
