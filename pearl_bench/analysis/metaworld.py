"""Success on Meta-World: ours, and what has been published."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pearl_bench.analysis import stats
from pearl_bench.analysis.arms import REPORTED, Arm, Part
from pearl_bench.analysis.scores import Published
from pearl_bench.analysis.stats import Estimate

SUITES = ("ml1", "ml10", "ml45")
TRAIN = Part(split="train")
PACKAGE = Part(protocol="metaworld")

LEVEL, MAXIMUM = "here, level at its steps", "here, maximum over training"
EVALUATOR = "here, level at its steps, by the package's evaluator"
META_WORLD_PAPER = (
    "Meta-World paper, 2021 revision (arXiv 1910.10897), maximum over training"
)
PLUS = "Meta-World+ (arXiv 2505.11289), approximate, its own evaluator"


class Success(NamedTuple):
    """Success of a method, in percent; NaN where it is not known.

    Attributes:
        family: its name.
        method: its label, or the name in a publication.
        source: this project, or a publication.
        train: on training tasks.
        test: on test tasks.
        arm: the runs; None of a publication.
    """

    family: str
    method: str
    source: str
    train: Estimate
    test: Estimate
    arm: Arm | None


def _alone(value: float) -> Estimate:
    """Return a number that nobody knows the spread of."""
    return Estimate(*map(np.array, (value, np.nan, np.nan)))


NOTHING = _alone(np.nan)


def _published(
    family: str, method: str, source: str, train: float, test: float
) -> Success:
    return Success(family, method, source, _alone(train), _alone(test), None)


UNKNOWN = float("nan")
PUBLISHED = (
    _published("ml10", "MAML-TRPO", META_WORLD_PAPER, 44.4, 31.6),
    _published("ml10", "RL²-PPO", META_WORLD_PAPER, 86.9, 35.8),
    _published("ml10", "PEARL", META_WORLD_PAPER, 23.2, 13),
    _published("ml10", "MAML-TRPO", PLUS, UNKNOWN, 35),
    _published("ml10", "RL²", PLUS, UNKNOWN, 35),
    _published("ml10", "MAML-TRPO", "arXiv 2511.12383, abstract", 21.0, 13.2),
    _published("ml45", "MAML-TRPO", META_WORLD_PAPER, 40.7, 39.9),
    _published("ml45", "RL²-PPO", META_WORLD_PAPER, 70, 33.3),
    _published("ml45", "PEARL", META_WORLD_PAPER, 14.5, 22),
    _published("ml45", "MAML-TRPO", PLUS, UNKNOWN, 25),
    _published("ml45", "RL²", PLUS, UNKNOWN, 25),
)


def successes(published: Published) -> list[Success]:
    """Return our level and its maximum over training, then what is published.

    A maximum over training is no honest estimate; it stands here because that is what
    the Meta-World paper gives.
    """
    found: list[Success] = []
    for family in published.families:
        if family.measure != "success":
            continue
        for arm in family.arms:
            train, test = _level(arm, TRAIN), _level(arm, REPORTED)
            found.append(Success(family.name, arm.label, LEVEL, train, test, arm))
            train, test = _maximum(arm, TRAIN), _maximum(arm, REPORTED)
            found.append(Success(family.name, arm.label, MAXIMUM, train, test, arm))
            if arm.having(PACKAGE):
                test = _level(arm, PACKAGE)
                found.append(
                    Success(family.name, arm.label, EVALUATOR, NOTHING, test, arm)
                )
        found += [row for row in PUBLISHED if row.family == family.name]
    return found


def goals(arm: Arm, part: Part) -> int:
    """Return how many goals a part tests; 0 if the arm has none of it."""
    return min((run.points[part][-1].tasks for run in arm.having(part)), default=0)


def success_rate(arm: Arm, part: Part) -> Estimate:
    """Return the mean level of runs with its Wilson interval over goals, 0 to 1."""
    mean = float(arm.levels(part, "success").mean())
    ends = stats.wilson(mean, goals(arm, part))
    return Estimate(*map(np.asarray, (mean, *ends)))


def _level(arm: Arm, part: Part) -> Estimate:
    if not arm.having(part):
        return NOTHING
    return Estimate(*(100 * end for end in success_rate(arm, part)))


def _maximum(arm: Arm, part: Part) -> Estimate:
    """Return the mean over runs of the best evaluation; a maximum has no interval."""
    best = [
        max(point.value("success") for point in run.episode(part, -1))
        for run in arm.having(part)
    ]
    return _alone(100 * float(np.mean(best))) if best else NOTHING
