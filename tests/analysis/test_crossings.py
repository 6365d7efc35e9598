"""Environment steps to a level: closed forms, and bounds that agree with each other."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from pearl_bench.analysis import crossings, stats
from pearl_bench.analysis.crossings import (
    UNKNOWN,
    Bound,
    Curve,
    claim,
    ends,
    first_at,
    holding,
    ratio,
)

STEPS = np.arange(1.0, 21)


def line(slope, runs, until, spread=0.0):
    """Curves that rise by ``slope`` per 1000 steps; the runs differ in height."""
    steps = np.arange(1000.0, until + 1, 1000)
    heights = spread * np.arange(runs)[:, None]
    return Curve(steps, slope * steps / 1000 + heights)


def test_a_level_is_held_from_the_last_of_three_evaluations_on():
    # Means of three reach 5 at 4, 5, 6.
    assert holding(STEPS, STEPS, 5.0) == Bound(6.0)
    assert first_at(STEPS, STEPS, 5.0) == Bound(5.0)


@pytest.mark.parametrize(("value", "level"), [(0.3, 0.1 + 0.2), (-0.1 - 0.2, -0.3)])
def test_a_level_that_rounding_misses_is_held(value, level):
    values = np.full(20, value)
    assert holding(STEPS, values, level) == Bound(3.0, "<")
    assert first_at(STEPS, values, level) == Bound(1.0, "<")


def test_a_level_that_is_lost_again_is_not_held_before():
    dips = STEPS.copy()
    dips[11] = -20  # at 12 steps: the means up to 14 are below 5
    assert holding(STEPS, dips, 5.0) == Bound(15.0)
    assert first_at(STEPS, dips, 5.0) == Bound(5.0)
    dips[-1] = -100
    assert holding(STEPS, dips, 5.0) == Bound(20.0, ">")


def test_a_single_high_evaluation_is_no_crossing():
    peak = np.zeros(20)
    peak[7] = 10
    assert holding(STEPS, peak, 5.0) == Bound(20.0, ">")
    assert first_at(STEPS, peak, 5.0) == Bound(8.0)


def test_what_is_there_from_the_start_may_have_been_there_before():
    assert holding(STEPS, np.ones(20), 1.0) == Bound(3.0, "<")
    assert first_at(STEPS, np.ones(20), 1.0) == Bound(1.0, "<")


def test_a_baseline_has_its_level_at_the_latest_where_that_begins():
    noisy = np.array([*[0.0] * 15, 4, 6, 5, 7, 3])
    assert holding(STEPS, noisy, 5.0, until=15) == Bound(16.0)
    # What comes after it does not count against it.
    early = np.where(STEPS > 5, 5.0, 0.0)
    early[15:18] = 0.0
    assert holding(STEPS, early, 5.0, until=15) == Bound(8.0)


@pytest.mark.parametrize("until", [0, 1, 2])
def test_a_level_that_begins_with_the_curve_is_held_from_there(until):
    """As of a baseline whose evaluations all lie in the last tenth of its steps."""
    sign = "" if until else "<"
    assert holding(STEPS, STEPS, 5.0, until) == Bound(float(STEPS[until]), sign)
    throughout = Bound(float(STEPS[until]), "<")
    assert holding(STEPS, np.ones(20), 1.0, until) == throughout


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        (Bound(6), Bound(2), Bound(3)),
        (Bound(6), Bound(2, ">"), Bound(3, "<")),
        (Bound(6), Bound(2, "<"), Bound(3, ">")),
        (Bound(6, "<"), Bound(2), Bound(3, "<")),
        (Bound(6, ">"), Bound(2), Bound(3, ">")),
        (Bound(6, ">"), Bound(2, "<"), Bound(3, ">")),
        (Bound(6, "<"), Bound(2, ">"), Bound(3, "<")),
    ],
)
def test_ratios_keep_the_bounds(above, below, expected):
    assert ratio(above, below) == expected


def test_ratios_of_opposite_bounds_are_not_known():
    assert ratio(Bound(6, "<"), Bound(2, "<")) is UNKNOWN
    assert ratio(Bound(6, ">"), Bound(2, ">")) is UNKNOWN


def test_ends_agree_with_the_bounds_between_them():
    bounds = [Bound(0.8, "<"), Bound(0.9, "<"), Bound(1.4)]
    found = ends(bounds[0], bounds)
    assert found[1:] == (Bound(0.8, "<"), Bound(1.4))
    found = ends(bounds[0], bounds[:2])
    assert found[1:] == (Bound(0.8, "<"), Bound(0.9, "<"))
    # The lowest is at most 1.4, if the other is not lower.
    found = ends(Bound(1.4), [Bound(1.4), Bound(2.0, "<")])
    assert found[1:] == (Bound(1.4, "<"), Bound(2.0, "<"))
    found = ends(Bound(5), [Bound(5), Bound(4, ">"), Bound(3)])
    assert found[1:] == (Bound(3), Bound(5, ">"))
    # One of two equal ones is exact.
    found = ends(Bound(4), [Bound(4), Bound(4, "<")])
    assert found[1:] == (Bound(4, "<"), Bound(4))


def test_an_interval_leaves_out_a_tail_at_either_end():
    bounds = [Bound(float(n)) for n in range(1, 101)]
    assert ends(bounds[0], bounds, tail=0.025)[1:] == (Bound(3), Bound(98))
    below = [bound._replace(sign="<") for bound in bounds[:2]]
    found = ends(bounds[0], [*below, *bounds[2:]], tail=0.025)
    assert found[1:] == (Bound(3), Bound(98))
    below.append(Bound(3, "<"))  # more of them than the tail
    assert ends(bounds[0], [*below, *bounds[3:]], tail=0.025).low == Bound(3, "<")


def test_ends_are_unknown_where_nothing_is_known():
    assert ends(Bound(1), [])[1:] == (UNKNOWN, UNKNOWN)
    assert ends(Bound(1), [Bound(1), UNKNOWN])[1:] == (UNKNOWN, UNKNOWN)
    mixed = [Bound(1, "<"), Bound(2, ">")]
    assert ends(Bound(1, "<"), mixed)[1:] == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("sign", ["<", ">"])
@pytest.mark.parametrize("seed", range(10))
def test_true_numbers_lie_within_the_ends(seed, sign):
    rng = np.random.default_rng(seed)
    bounds = [
        Bound(float(x), sign if rng.random() < 0.4 else "")
        for x in rng.integers(1, 5, size=6)
    ]
    for value in bounds:
        _, low, high = ends(value, bounds)
        assert low.number <= value.number <= high.number
        for far in (1.0, 1e-6) if sign == "<" else (1.0, 1e6):
            true = [b.number * (far if b.sign else 1) for b in bounds]
            assert low.sign == "<" or min(true) >= low.number
            assert high.sign == ">" or max(true) <= high.number
            assert low.sign != "<" or min(true) <= low.number
            assert high.sign != ">" or max(true) >= high.number


def test_straight_lines():
    found = claim("x", line(10.0, 3, 20_000), line(1.0, 3, 100_000))
    assert found.level.value == pytest.approx(95.5)  # of 91 to 100
    assert found.needed.value == Bound(11_000)  # the mean of 9, 10 and 11 thousand
    assert found.baseline.value == Bound(91_000)
    assert found.ratio.value.number == pytest.approx(91 / 11)
    assert found.ratio.low == found.ratio.high == found.ratio.value
    assert found.first_needed.value == Bound(10_000)
    assert found.first_baseline.value == Bound(96_000)
    assert found.first_ratio.value.number == pytest.approx(9.6)


@pytest.mark.parametrize("runs", [(2, 3), (3, 2), (2, 2)])
def test_a_range_is_over_all_ways_to_draw_the_runs(runs, monkeypatch):
    monkeypatch.setattr(stats, "CONFIDENCE", 0.1)  # which a range does not have
    rng = np.random.default_rng(sum(runs))
    method, baseline = (
        Curve(curve.steps, curve.values + rng.normal(0, 4, curve.values.shape))
        for curve in (line(6.0, runs[0], 20_000, 9.0), line(1.0, runs[1], 90_000, 2.0))
    )
    found = claim("x", method, baseline)
    needed, own, ratios = [], [], []
    for rows in itertools.product(range(runs[0]), repeat=runs[0]):
        for others in itertools.product(range(runs[1]), repeat=runs[1]):
            one = method.values[list(rows)].mean(0)
            other = baseline.values[list(others)].mean(0)
            level = other[81:].mean()  # more than 81 of 90 thousand
            needed.append(holding(method.steps, one, level))
            own.append(holding(baseline.steps, other, level, 81))
            ratios.append(own[-1].number / needed[-1].number)
    assert not any(bound.sign for bound in (*needed, *own))
    for of, all_of in ((found.needed, needed), (found.baseline, own)):
        numbers = [bound.number for bound in all_of]
        assert (of.low.number, of.high.number) == (min(numbers), max(numbers))
    assert found.ratio.low.number == pytest.approx(min(ratios))
    assert found.ratio.high.number == pytest.approx(max(ratios))
    assert found.needed.low.number < found.needed.high.number


def test_a_range_is_over_mixtures_of_runs_too():
    """Two that lose the level at different times hold it together."""
    values = np.full((3, 20), 200.0)
    values[:, :4] = 0.0
    values[0, 10:13] = values[1, 15:18] = 50.0
    values[2] = -300.0
    found = claim("x", Curve(STEPS * 1000, values), line(1.0, 2, 100_000))
    assert found.needed == (Bound(20_000, ">"), Bound(6000), Bound(20_000, ">"))


def test_a_range_of_many_runs_is_over_each_alone():
    """Of three runs and five: only the lowest and the highest alone come so far."""
    few, many = line(10.0, 3, 20_000, 16.0), line(1.0, 5, 100_000, 11.2)
    found = claim("x", few, many)
    # 10 (t - 1) + 32 at 95.5, and 10 (t - 1) at 140.3
    assert found.needed[1:] == (Bound(8000), Bound(16_000))


def test_an_interval_is_as_wide_as_it_says():
    method, baseline = line(1.0, 6, 200_000, 8.0), line(1.0, 5, 100_000, 3.0)
    _, low, high = claim("x", method, baseline).needed
    deviation = math.hypot(8 * np.std(range(6)) / 6**0.5, 3 * np.std(range(5)) / 5**0.5)
    wide = 2 * scipy.stats.norm.ppf(0.975) * 1000 * deviation
    assert high.number - low.number == pytest.approx(wide, abs=1500)


def test_a_level_never_reached_is_a_bound():
    found = claim("x", line(1.0, 2, 50_000), line(1.0, 2, 100_000))
    assert set(found.needed) == {Bound(50_000, ">")}
    assert set(found.ratio) == {Bound(91 / 50, "<")}
    # By one run of two: the mean gets there only if that one is drawn twice.
    values = np.stack([np.full(20, 50.0), np.where(STEPS > 9, 140.0, 50.0)])
    found = claim("x", Curve(STEPS * 1000, values), line(1.0, 2, 100_000))
    assert found.needed == (Bound(20_000, ">"), Bound(11_000), Bound(20_000, ">"))
    assert found.ratio.value == found.ratio.low == Bound(91 / 20, "<")
    assert found.ratio.high == Bound(91 / 11)


def test_one_run_has_no_range():
    found = claim("x", line(10.0, 1, 20_000), line(1.0, 3, 100_000))
    assert found.ratio.value.number == pytest.approx(91 / 11)
    for end in (found.needed.low, found.ratio.high, found.first_ratio.low):
        assert math.isnan(end.number)


def test_five_runs_have_an_interval_that_repeats(monkeypatch):
    method, baseline = line(10.0, 6, 20_000, 8.0), line(1.0, 5, 100_000, 3.0)
    found, again = claim("x", method, baseline), claim("x", method, baseline)
    assert found[1:] == again[1:]
    assert found.ratio != claim("y", method, line(1.0, 5, 100_000, 9.0)).ratio
    assert found.needed.low.number < found.needed.value.number
    assert found.needed.value.number < found.needed.high.number
    assert found.ratio.low.number < found.ratio.high.number
    # Of three runs, the range: 10 (t - 1) + 32 at 95.5, and 10 (t - 1) at 107.5.
    few = claim("x", Curve(method.steps, method.values[::2]), baseline)
    assert few.needed[1:] == (Bound(8000), Bound(12_000))
    monkeypatch.setattr(stats, "CONFIDENCE", 0.1)
    _, low, high = claim("x", method, baseline).needed
    assert found.needed.low.number < low.number
    assert high.number < found.needed.high.number


def test_the_rule_says_its_numbers():
    assert f"the last of {crossings.HELD} evaluations" in crossings.RULE
    assert f"fewer than {crossings.FEWEST} evaluations" in crossings.RULE
