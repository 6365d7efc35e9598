"""The statistics of the regression check: rates that are as stated, tests that see."""

from dataclasses import replace
from itertools import product
from math import comb
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import scipy.stats

from pearl_bench.analysis import regression
from pearl_bench.analysis.arms import REPORTED, Arm, Point, RunCurve
from pearl_bench.analysis.regression import (
    Sample,
    compare,
    far_below,
    returns_of,
    threshold,
    too_few,
)


def samples(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


class TestBootstrap:
    def test_unchanged_code_raises_false_alarms_as_rarely_as_stated(self, monkeypatch):
        monkeypatch.setattr(regression, "RESAMPLES", 2000)
        trials = 400
        p_values = np.array(
            [regression.bootstrap(x[:16], x[16:]) for x in samples(0, trials, 22)]
        )
        for level in (0.05, 0.2, 0.5):  # within three standard errors
            slack = 3 * np.sqrt(level * (1 - level) / trials)
            assert abs((p_values < level).mean() - level) < slack

    def test_is_one_sided(self):
        reference = samples(1, 16)
        assert regression.bootstrap(reference, reference[:6] - 3) < 1e-4
        assert regression.bootstrap(reference, reference[:6] + 3) > 0.99

    def test_without_any_spread(self):
        assert regression.bootstrap(np.zeros(16), np.zeros(6)) == 1.0
        assert regression.bootstrap(np.zeros(16), np.full(6, -1.0)) < 1e-3

    def test_is_never_nothing(self, monkeypatch):
        """Of so many draws none is as far apart; the data themselves are one more."""
        monkeypatch.setattr(regression, "RESAMPLES", 99)
        reference = samples(1, 16)
        assert regression.bootstrap(reference, reference[:6] - 30) == 0.01

    def test_is_of_students_statistic(self, monkeypatch):
        monkeypatch.setattr(regression, "RESAMPLES", 2000)
        reference, current = samples(10, 12), 3 * samples(11, 4) - 4
        pool, rng = np.concatenate([reference, current]), np.random.default_rng(0)
        drawn = [rng.choice(pool, (2000, runs)) for runs in (12, 4)]
        apart, _ = scipy.stats.ttest_ind(*drawn, axis=1)
        actual, _ = scipy.stats.ttest_ind(reference, current)
        beyond = np.asarray(apart) >= actual
        p_value = (1 + beyond.sum()) / 2001
        assert regression.bootstrap(reference, current) == p_value
        assert 0.01 < p_value < 0.2

    def test_draws_from_no_global_stream(self):
        x = samples(2, 22)
        np.random.seed(1)  # noqa: NPY002
        expected = np.random.random()  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        assert regression.bootstrap(x[:16], x[16:]) == regression.bootstrap(
            x[:16], x[16:]
        )
        assert np.random.random() == expected  # noqa: NPY002


class TestPermutation:
    def test_unchanged_code_raises_false_alarms_as_rarely_as_stated(self):
        """Of metrics that depend on each other, some of them skewed, one constant."""
        trials, rng = 400, np.random.default_rng(3)
        p_values = []
        for _ in range(trials):
            x = rng.normal(size=(13, 4))
            x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
            x[:, 2] = np.exp(2 * x[:, 2])
            x[:, 3] = 1.0
            p_values.append(regression.permutation(x[:9], x[9:])[0])
        for level in (0.05, 0.2, 0.5):  # within three standard errors
            slack = 3 * np.sqrt(level * (1 - level) / trials)
            assert abs((np.array(p_values) < level).mean() - level) < slack

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_sees_one_metric_of_many_on_either_side(self, sign):
        x = samples(4, 22, 20)
        x[16:, 7] += sign * 6
        p_value, furthest = regression.permutation(x[:16], x[16:])
        assert furthest == 7
        assert p_value < 1e-4

    def test_no_metric_may_be_as_far_apart_in_fewer_deals_than_there_are(self):
        x = np.zeros((7, 1))
        x[5:] = 1.0
        p_value, _ = regression.permutation(x[:5], x[5:])
        assert p_value == pytest.approx(1 / comb(7, 2))

    def test_many_runs_are_dealt_at_random(self, monkeypatch):
        monkeypatch.setattr(regression, "RESAMPLES", 500)
        x = samples(5, 30, 3)
        deals = regression._deals(30, 10)
        assert deals.shape == (500, 30)
        assert (deals.sum(1) == 10).all()
        assert regression.permutation(x[:20], x[20:]) == regression.permutation(
            x[:20], x[20:]
        )

    def test_power_is_as_stated(self):
        """CONTRIBUTING.md: of one of twenty, 3 deviations are found 52 % of times."""
        for shift, rate in ((3, 0.52), (4, 0.94)):
            trials, seen = 40, 0
            for x in samples(8, trials, 18, 20):
                x[12:, 3] += shift
                seen += regression.permutation(x[:12], x[12:])[0] < 5.3e-4
            slack = 3 * np.sqrt(rate * (1 - rate) / trials)
            assert abs(seen / trials - rate) < slack

    def test_without_any_spread(self):
        assert regression.permutation(np.ones((9, 2)), np.ones((4, 2)))[0] == 1.0


def test_returns_are_of_the_last_third_of_a_run():
    points = [
        Point(1000 * k, episode, float(k * episode), None, 20, 0)
        for k in range(1, 10)
        for episode in (1, 2, 3)
    ]
    run = RunCurve({"test_episodes": "1"}, {REPORTED: points})
    found = returns_of(cast(Arm, SimpleNamespace(runs=(run,))))
    assert {name: of.tolist() for name, of in found.items()} == {
        "adapted return": [3 * 8],
        "gain": [3 * 8 - 8],
    }


class TestGate:
    def test_only_what_is_far_below_is_an_alarm(self):
        reference = samples(6, 16)
        assert not far_below(reference, samples(7, 6) - 2)
        assert not far_below(reference, samples(7, 6) + 50)
        assert far_below(reference, samples(7, 6) - 6)
        four = np.array([-1.0, 1.0, -1.0, 1.0])  # 4 deviations are 4.62
        assert not far_below(four, np.array([-9.0, 0.0]))
        assert far_below(four, np.array([-9.4, 0.0]))

    def test_without_any_spread(self):
        assert not far_below(np.zeros(16), np.zeros(6))
        assert far_below(np.zeros(16), np.full(6, -0.1))


def side(seed, n, *, returns=0.0, metric=0.0):
    x = samples(seed, n, 3)
    return Sample(
        {"adapted return": x[:, 0] + returns, "gain": x[:, 1] + returns},
        {"q/mean": x[:, 2] + metric, "new/one" if n < 10 else "old/one": x[:, 0]},
        frozenset(range(n)),
    )


REFERENCE = {(f, m): side(i, 16) for i, (f, m) in enumerate(product("ab", "xy"))}


class TestCompare:
    def found(self, **broken):
        current = {(f, m): broken.get(f + m, side(9, 6)) for f, m in REFERENCE}
        limit = threshold(REFERENCE, ["a"])
        return [*compare(REFERENCE, current, tested=["a"], limit=limit)]

    def test_returns_are_tested_where_something_is_learnt_and_gated_elsewhere(self):
        kinds = [(x.family, x.measure, x.p_value is None) for x in self.found()]
        a = [("a", "adapted return", False), ("a", "gain", False)]
        b = [("b", "adapted return", True)]
        metrics = {f: [(f, "training, q/mean", False)] for f in "ab"}
        assert kinds == 2 * (a + metrics["a"]) + 2 * (b + metrics["b"])

    def test_alike_is_no_alarm(self):
        assert not any(one.alarm for one in self.found())

    def test_what_is_broken_is_named(self):
        found = self.found(
            ax=side(9, 6, returns=-5),
            ay=side(9, 6, metric=9),
            bx=side(9, 6, returns=-9),
        )
        alarms = [(x.family, x.learner, x.measure) for x in found if x.alarm]
        assert alarms == [
            ("a", "x", "adapted return"),
            ("a", "x", "gain"),
            ("a", "y", "training, q/mean"),
            ("b", "x", "adapted return"),
        ]

    def test_all_tests_together_keep_the_rate(self):
        tests = [one for one in self.found() if one.p_value is not None]
        together = len(tests) * threshold(REFERENCE, ["a"])
        assert together == pytest.approx(regression.FALSE_ALARMS)

    def test_pairs_whose_training_is_not_known_are_no_test(self):
        key = ("a", "x")
        known = REFERENCE | {key: replace(REFERENCE[key], training={})}
        found = [*compare(known, {key: side(9, 6)}, tested=["a"], limit=0.1)]
        assert [one.measure for one in found] == ["adapted return", "gain"]
        assert threshold(known, ["a"]) == pytest.approx(regression.FALSE_ALARMS / 7)

    def test_one_method_with_too_few_runs_is_enough_to_say_so(self):
        many, few = side(0, 16), side(1, 12)
        now = {runs: side(2, runs) for runs in (4, 5)}
        limit = regression.FALSE_ALARMS / 19
        for reference, runs, said in (
            ([few], 4, True),  # one of 1,820 deals
            ([few], 5, False),
            ([many], 4, False),
            ([many, few], 4, True),
        ):
            sides = {("a", str(i)): one for i, one in enumerate(reference)}
            found = too_few(sides, dict.fromkeys(sides, now[runs]), limit)
            assert found == said
