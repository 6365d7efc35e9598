"""Success on Meta-World: ours, and what has been published."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pearl_bench.analysis import stats
from pearl_bench.analysis.arms import REPORTED, Arm, Part
from pearl_bench.analysis.scores import Family, Published
from pearl_bench.analysis.stats import Estimate

SUITES = ("ml1", "ml10", "ml45")
TRAIN = Part(split="train")
PACKAGE = Part(protocol="metaworld")

PAPER = "Meta-World paper, 2021 revision (arXiv 1910.10897), maximum over training"
PLUS = "Meta-World+ (arXiv 2505.11289), approximate, its own evaluator"


class Success(NamedTuple):
    """Success of a method, in percent; NaN where it is not known.

    Attributes:
        family: its name.
        method: its label, or the name in a publication.
        source: this project, or a publication.
        train: on training tasks.
        test: on test tasks.
    """

    family: str
    method: str
    source: str
    train: Estimate
    test: Estimate


def _published(
    family: str, method: str, source: str, train: float, test: float
) -> Success:
    nothing = np.array(np.nan)
    known = [Estimate(np.array(x), nothing, nothing) for x in (train, test)]
    return Success(family, method, source, *known)


UNKNOWN = float("nan")
PUBLISHED = (
    _published("ml10", "MAML-TRPO", PAPER, 44.4, 31.6),
    _published("ml10", "RL²-PPO", PAPER, 86.9, 35.8),
    _published("ml10", "PEARL", PAPER, 23.2, 13),
    _published("ml10", "MAML-TRPO", PLUS, UNKNOWN, 35),
    _published("ml10", "RL²", PLUS, UNKNOWN, 35),
    _published("ml10", "MAML-TRPO", "arXiv 2511.12383, abstract", 21.0, 13.2),
    _published("ml45", "MAML-TRPO", PAPER, 40.7, 39.9),
    _published("ml45", "RL²-PPO", PAPER, 70, 33.3),
    _published("ml45", "PEARL", PAPER, 14.5, 22),
    _published("ml45", "MAML-TRPO", PLUS, UNKNOWN, 25),
    _published("ml45", "RL²", PLUS, UNKNOWN, 25),
)


def successes(published: Published) -> list[Success]:
    """Return our final success and its maximum over training, then what is published.

    A maximum over training is no honest estimate; it stands here because that is what
    the Meta-World paper gives.
    """
    found: list[Success] = []
    for family in published.families:
        if family.measure != "success":
            continue
        for arm in family.arms:
            for name, of in (("final", _final), ("maximum over training", _maximum)):
                source = f"here, {name}"
                train, test = of(family, arm, TRAIN), of(family, arm, REPORTED)
                found.append(Success(family.name, arm.label, source, train, test))
            if arm.having(PACKAGE):
                test = _final(family, arm, PACKAGE)
                source = "here, final, by the package's evaluator"
                nothing = Estimate(*[np.array(np.nan)] * 3)
                found.append(Success(family.name, arm.label, source, nothing, test))
        found += [row for row in PUBLISHED if row.family == family.name]
    return found


def _final(family: Family, arm: Arm, part: Part) -> Estimate:
    return _percent(f"final {family.name}", arm, part, arm.levels(part, "success"))


def _maximum(family: Family, arm: Arm, part: Part) -> Estimate:
    best = [
        max(point.value("success") for point in run.episode(part, -1))
        for run in arm.having(part)
    ]
    return _percent(f"maximum {family.name}", arm, part, np.array(best))


def _percent(name: str, arm: Arm, part: Part, shares: np.ndarray) -> Estimate:
    if not len(shares):
        return Estimate(*[np.array(np.nan)] * 3)
    title = f"success {name} {arm.label} {part}"
    return stats.estimate(title, stats.mean_of_means, [100 * shares])
