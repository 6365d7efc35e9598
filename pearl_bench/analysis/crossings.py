"""How many environment steps a method needs for a baseline's level, and how we know.

Evaluations are noisy and far apart, and a method may not get there at all. So a
crossing has a sign: ``<`` where it was the first that could be seen and may have been
earlier, ``>`` where it was not seen before the curve ended. Ratios and ranges keep the
signs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import Literal, NamedTuple

import numpy as np

from pearl_bench.analysis import stats
from pearl_bench.analysis.stats import Estimate
from pearl_bench.records.published.late import LEVEL_EVALUATIONS, level_count

HELD = 3
FEWEST = 2 * LEVEL_EVALUATIONS
"""Evaluations that a curve must have to be judged: twice as many as make a level."""
ENUMERATED = 3
"""Runs of an arm up to which all its resamples are looked at."""
RULE = (
    f"A curve, the mean over an arm's runs, holds a level from the last of {HELD} "
    f"evaluations on whose mean is at the level, if the mean of any {HELD} in a row "
    "from there to the end of the curve is so too. A baseline holds its own level at "
    "the latest from the first of the evaluations that it is the mean of, and is "
    "looked at up to there alone, which errs in its favour. `first` columns: the same "
    "by the first single evaluation at the level, which favours curves with many "
    "evaluations. `>`: not within the curve, which ends there; `<`: at the first place "
    f"where it can be seen. Curves of fewer than {FEWEST} evaluations are left out"
)
"""The one rule for steps to a level."""

Sign = Literal["", "<", ">"]


class Bound(NamedTuple):
    """A number that is known (no sign), or that the true one is below or above."""

    number: float
    sign: Sign = ""


UNKNOWN = Bound(math.nan)
"""Between a bound from below and one from above."""


class Ends(NamedTuple):
    """A bound and its range or interval; both ends are ``UNKNOWN`` without one.

    Attributes:
        value: of the runs as they are.
        low: the lower end; below it if its sign is ``<``.
        high: the upper end; above it if its sign is ``>``.
    """

    value: Bound
    low: Bound
    high: Bound


class Curve(NamedTuple):
    """The curves of an arm's runs, where all have been evaluated.

    Attributes:
        steps: ``[P]`` environment steps, ascending.
        values: ``[R, P]``.
    """

    steps: np.ndarray
    values: np.ndarray

    @property
    def level_from(self) -> int:
        """Which evaluation is the first of those that its level is the mean of."""
        return len(self.steps) - level_count(self.steps.tolist())


class Claim(NamedTuple):
    """Environment steps that a method and a baseline need for the baseline's level.

    Attributes:
        level: the baseline's level, mean over its runs.
        needed: steps from which on the method holds it.
        baseline: steps from which on the baseline does.
        ratio: how many times as many the baseline needs.
        first_needed: steps of the method's first evaluation at the level.
        first_baseline: steps of the baseline's.
        first_ratio: how many times as many those are.
    """

    level: Estimate
    needed: Ends
    baseline: Ends
    ratio: Ends
    first_needed: Ends
    first_baseline: Ends
    first_ratio: Ends


def holding(
    steps: np.ndarray, values: np.ndarray, level: float, until: int | None = None
) -> Bound:
    """Return the steps from which on a curve holds a level, by ``RULE``.

    Args:
        steps: ``[P]``, at least ``HELD``.
        values: ``[P]``.
        level: to be held.
        until: of a baseline, the first evaluation of its own level, from which on it
            holds it in any case.
    """
    if until is not None and until < HELD:
        throughout = bool(_at(values[:until], level).all())
        return Bound(float(steps[until]), "<" if throughout else "")
    end = len(steps) if until is None else until
    means = np.convolve(values[:end], np.full(HELD, 1 / HELD), "valid")
    below = np.flatnonzero(~_at(means, level))
    first = int(below[-1]) + 1 if len(below) else 0
    last_of_three = first + HELD - 1
    if last_of_three < end:
        return Bound(float(steps[last_of_three]), "" if first else "<")
    return Bound(float(steps[-1]), ">") if until is None else Bound(float(steps[until]))


def first_at(steps: np.ndarray, values: np.ndarray, level: float) -> Bound:
    """Return the steps of a curve's first evaluation at a level."""
    reached = np.flatnonzero(_at(values, level))
    if not len(reached):
        return Bound(float(steps[-1]), ">")
    return Bound(float(steps[reached[0]]), "" if reached[0] else "<")


def ratio(above: Bound, below: Bound) -> Bound:
    """Divide two bounds; ``UNKNOWN`` where they bound it from opposite sides."""
    turned: dict[Sign, Sign] = {"": "", "<": ">", ">": "<"}
    of_below = turned[below.sign]
    if above.sign and of_below and above.sign != of_below:
        return UNKNOWN
    return Bound(above.number / below.number, above.sign or of_below)


def ends(value: Bound, resampled: Sequence[Bound], tail: float = 0.0) -> Ends:
    """Return the ends between which resampled bounds lie.

    There are none where some are bounded from above alone and others from below.

    Args:
        value: of the runs as they are.
        resampled: the same of resamples; none if there is no range.
        tail: share of them that may lie beyond either end.
    """
    signs = {bound.sign for bound in resampled} - {""}
    if not resampled or len(signs) > 1 or UNKNOWN in resampled:
        return Ends(value, UNKNOWN, UNKNOWN)
    return Ends(value, _end(resampled, tail, "<"), _end(resampled, 1 - tail, ">"))


def claim(name: str, method: Curve, baseline: Curve) -> Claim:
    """Compare the steps that a method and a baseline need for the latter's level.

    Args:
        name: decides the random numbers of an interval.
        method: the curves of the method.
        baseline: the curves of the baseline.
    """
    level_from = baseline.level_from

    def of(rows: np.ndarray, others: np.ndarray) -> list[Bound]:
        one, other = method.values[rows].mean(0), baseline.values[others].mean(0)
        level = float(other[level_from:].mean())
        needed = holding(method.steps, one, level)
        own = holding(baseline.steps, other, level, level_from)
        first, first_own = (
            first_at(steps, values, level)
            for steps, values in ((method.steps, one), (baseline.steps, other))
        )
        of_rules = ((needed, own), (first, first_own))
        return [x for n, b in of_rules for x in (n, b, ratio(b, n))]

    runs = len(method.values), len(baseline.values)
    drawn = [of(*rows) for rows in _resamples(name, *runs)]
    tail = (1 - stats.CONFIDENCE) / 2 if min(runs) >= stats.FEW else 0.0
    found = [
        ends(value, [of_one[i] for of_one in drawn], tail)
        for i, value in enumerate(of(*map(np.arange, runs)))
    ]
    levels = baseline.values[:, level_from:].mean(1)
    return Claim(stats.mean(f"{name} level", levels), *found)


def _at(values: np.ndarray, level: float) -> np.ndarray:
    # the slack is for sums that differ in their order only
    return values >= level - 1e-9 * abs(level)


def _end(resampled: Sequence[Bound], share: float, open_sign: Sign) -> Bound:
    """Return a quantile of bounds: the lower end if ``open_sign`` is ``<``.

    It has that sign where more than the tail is known from the other side alone.
    """
    beyond = sum(bound.sign == open_sign for bound in resampled) / len(resampled)
    numbers = sorted(resampled, key=lambda bound: bound.number)
    upper = open_sign == ">"
    at = share * (len(numbers) - 1)
    chosen = numbers[math.ceil(at) if upper else math.floor(at)]
    if beyond > (1 - share if upper else share):
        return Bound(chosen.number, open_sign)
    exact = any(not b.sign for b in numbers if b.number == chosen.number)
    return Bound(chosen.number, "" if exact else chosen.sign)


def _resamples(
    name: str, method: int, baseline: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the runs of both arms to compare; none where an arm has a single run.

    All resamples of an arm of at most ``ENUMERATED`` runs, of a larger one its runs
    together and each alone; random ones where both arms have enough for an interval.
    """
    if min(method, baseline) < 2:
        return
    if min(method, baseline) < stats.FEW:
        yield from product(_all_resamples(method), _all_resamples(baseline))
        return
    rng = np.random.default_rng(stats.seed_of(name))
    for _ in range(stats.RESAMPLES):
        yield rng.integers(method, size=method), rng.integers(baseline, size=baseline)


def _all_resamples(runs: int) -> list[np.ndarray]:
    if runs <= ENUMERATED:
        drawn = combinations_with_replacement(range(runs), runs)
        return [np.array(rows) for rows in drawn]
    return [np.arange(runs), *(np.array([row]) for row in range(runs))]
