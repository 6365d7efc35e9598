"""How methods look, and what they are called, in every figure of every suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pearl_bench import registry
from pearl_bench.analysis.arms import METHODS, Arm
from pearl_bench.analysis.scores import Published

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
"""Okabe and Ito's colours, told apart by colour-blind readers (jfly.uni-koeln.de)."""
GREY, DARK_GREY = "0.55", "0.35"
"""Of other people's curves, and of other people's numbers and small print."""
HAIR, THIN, THICK = 0.7, 1.1, 1.7
"""Points, of a line that bounds others, of any other, and of the reference's."""


def dashes(place: int) -> Any:
    """Return the dashes of the n-th line of a colour, which no other place has."""
    few = ("-", (0, (5, 1.2, 1, 1.2)), (0, (2, 1)))
    if place < len(few):
        return few[place]
    return 0, (7, 1.2, *(1, 1.2) * (place - 1))


@dataclass(frozen=True)
class Look:
    """How an arm is drawn.

    Attributes:
        color: as matplotlib has it.
        marker: where points are shown.
        width: of its line, in points.
        dashes: of its line, as matplotlib has them.
        rank: its place in a legend.
    """

    color: str
    marker: str
    width: float = THIN
    dashes: Any = "-"
    rank: int = 0


KNOWN = {
    "pearl": Look(BLUE, "o"),
    "maml_trpo": Look(VERMILION, "^"),
    "promp": Look(GREEN, "s"),
    "rl2": Look(BLACK, "D"),
}
FURTHER = (ORANGE, PURPLE, SKY, YELLOW)
VARIANTS = FURTHER[:3]
FURTHER_MARKERS = "vPX<>*h"


def of_method(learner: str, strangers: Sequence[str] = ()) -> Look:
    """Return the look of a method, by its name.

    Methods that are not the paper's take the further colours in the order of the
    registry, and after them those that it does not know.

    Args:
        learner: its name.
        strangers: names of methods that may not be registered, in their order.
    """
    if learner in KNOWN:
        return KNOWN[learner]
    registered = [name for name in registry.learner_names() if name not in KNOWN]
    others = list(dict.fromkeys([*registered, *strangers, learner]))
    place = others.index(learner)
    return Look(
        FURTHER[place % len(FURTHER)],
        FURTHER_MARKERS[place % len(FURTHER_MARKERS)],
        dashes=dashes(place // len(FURTHER)),
    )


def looks(published: Published, arms: Iterable[Arm]) -> dict[str, Look]:
    """Return the look of every label that a figure shows.

    The method that is compared is thick, and thin where it is told the task or is not
    told it. Arms of one method differ in their dashes.
    """
    of_label = {arm.label: arm for arm in arms}
    strangers = sorted({a.learner for a in published.arms} - KNOWN.keys())
    found: dict[str, Look] = {}
    before = Counter[str]()
    for rank, label in enumerate(x for x in published.labels if x in of_label):
        learner = of_label[label].learner
        look = replace(of_method(learner, strangers), rank=rank)
        if before[learner]:
            look = replace(look, dashes=dashes(before[learner]))
        if of_label[label].bounds:
            look = replace(look, width=HAIR)
        elif learner == published.reference:
            look = replace(look, width=THICK)
        before[learner] += 1
        found[label] = look
    return found


def variants(learner: str, count: int) -> list[Look]:
    """Return looks of arms that are all of one method, the first its own.

    The others have colours that none of the paper's methods has.
    """
    others = [
        Look(
            VARIANTS[i % len(VARIANTS)],
            FURTHER_MARKERS[i % len(FURTHER_MARKERS)],
            dashes=dashes(i // len(VARIANTS)),
        )
        for i in range(count - 1)
    ]
    every = [replace(of_method(learner), width=THICK), *others]
    return [replace(look, rank=i) for i, look in enumerate(every[:count])]


def names(published: Published, arms: Iterable[Arm]) -> dict[str, str]:
    """Return what the arms of a figure are called in it, by label.

    A name leaves out what all of them share: the budget, the arithmetic, the folder
    of results; and what has been renamed has its new name.
    """
    by_label = {arm.label: arm for arm in arms}
    budgets = {arm.budget for arm in by_label.values()}

    def name(label: str, left_out: Sequence[str]) -> str:
        if label in published.renamed:
            return published.renamed[label]
        arm = by_label[label]
        method = published.renamed.get(arm.learner, arm.name.method)
        left = dict.fromkeys(left_out, "")
        return str(arm.name._replace(method=method, **left))

    shared = ["budget"] if len(budgets) == 1 else []
    found = {label: name(label, [*shared, "precision"]) for label in by_label}
    for left_out in (shared, []):
        often = Counter(found.values())
        found = {
            label: name(label, left_out) if often[short] > 1 else short
            for label, short in found.items()
        }
    return found


def of_headline(
    published: Published, headline: Sequence[Arm], bounds: Sequence[Arm] = ()
) -> tuple[dict[str, str], dict[str, Look]]:
    """Return names and looks of panels by family, one of each method if it is clear.

    Its arms in different families may be of different budgets, which the panels then
    tell (``captions.heads``); of several folders of results a method has several in a
    panel.

    Args:
        published: the suite.
        headline: arms of the families' headlines.
        bounds: what bounds them.
    """
    arms = [*headline, *bounds]
    called, seen = names(published, arms), looks(published, arms)
    if len({arm.source for arm in headline}) == 1:
        one: dict[str, Look] = {}
        for arm in published.in_order(headline):
            if arm.label not in published.renamed:
                called[arm.label] = method_name(published, arm.learner)
            seen[arm.label] = one.setdefault(arm.learner, seen[arm.label])
    return called, seen


def method_name(published: Published, learner: str) -> str:
    """Return what a method is called in the figures."""
    return published.renamed.get(learner, METHODS.get(learner, learner))
