"""Methods compared: which runs, on which tasks, by which levels."""

from dataclasses import replace

import numpy as np
import pytest
from raw_runs import grid, published, rising, seeds

from pearl_bench.analysis import comparison, crossings
from pearl_bench.analysis.arms import OWN, REPORTED
from pearl_bench.analysis.crossings import Bound
from pearl_bench.analysis.scores import load

SUITE = "locomotion"


@pytest.fixture
def of_two(tmp_path):
    """PEARL rises ten times as fast as RL², which stops higher than PEARL."""
    results = published(
        tmp_path,
        *seeds(3, steps=grid(12_000), returns=rising(10)),
        *seeds(2, learner="rl2", steps=grid(60_000), returns=rising(1), own=1),
    )
    return load(results, SUITE)


def test_steps_to_a_level(of_two):
    found = {(e.method.learner, e.part): e for e in comparison.efficiencies(of_two)}
    assert set(found) == {("pearl", REPORTED), ("pearl", OWN)}
    claim = found["pearl", REPORTED].claim  # of the last tenth of 60: 55 to 60
    assert found["pearl", REPORTED].runs == (3, 2)
    assert claim.level.value == pytest.approx(-200 + 57.5 + 3)
    assert claim.needed.value == Bound(7000)  # the mean of 5, 6, 7
    assert claim.baseline.value == Bound(55_000)
    assert claim.first_needed.value == Bound(6000)
    assert claim.first_baseline.value == Bound(58_000)


def test_few_evaluations_have_no_steps_to_a_level(tmp_path):
    """ML10's ratio of 2, from a grid of five evaluations, was none."""
    fewest = crossings.FEWEST
    for count, rows in ((fewest - 1, 0), (fewest, 1)):
        found = published(
            tmp_path / str(count),
            *seeds(2, steps=grid(20_000), returns=rising(1)),
            *seeds(2, learner="rl2", steps=grid(1000 * count), returns=rising(1)),
        )
        assert len(list(comparison.efficiencies(load(found, SUITE)))) == rows


def test_baseline_runs_of_unequal_length(tmp_path):
    """Level and steps are of what the runs share: the last five of twelve thousand."""
    results = published(
        tmp_path,
        *seeds(2, steps=grid(30_000), returns=rising(1)),
        {"learner": "rl2", "steps": grid(12_000), "returns": rising(1)},
        {"learner": "rl2", "steps": grid(20_000), "returns": rising(1), "seed": 1},
    )
    (found,) = comparison.efficiencies(load(results, SUITE))
    assert found.claim.level.value == pytest.approx(-200 + 10 + 3)
    assert found.claim.baseline.value == Bound(8000)
    assert found.claim.needed.value == Bound(11_000)


def test_longest_runs_of_two_budgets_compare_where_the_baseline_has_one_setting(
    tmp_path,
):
    """PEARL's ``lean`` was not held against RL²'s ``paper``, whose settings it has."""

    def pairs(compare, lean=20_000, **of_rl2):
        results = published(
            tmp_path / compare.__name__ / str(lean) / str(of_rl2),
            *seeds(1, budget="paper", steps=grid(12_000), returns=rising(9)),
            {"seed": 1, "budget": "lean", "steps": grid(lean), "returns": rising(8)},
            {"learner": "rl2", "budget": "paper", "steps": grid(60_000), **of_rl2},
        )
        loaded = load(results, SUITE)
        budgets = {arm.label: arm.budget for arm in loaded.arms}
        labels = [(pair.method, pair.baseline) for pair in compare(loaded)]
        return {tuple(budgets[getattr(x, "label", x)] for x in two) for two in labels}

    for compare in (comparison.efficiencies, comparison.improvements):
        assert pairs(compare) == {("paper", "paper"), ("lean", "paper")}
        assert pairs(compare, settings={"hidden_size": 7}) == {("paper", "paper")}
        assert pairs(compare, lean=11_000) == {("paper", "paper")}  # not the longest


def test_methods_compare_on_the_same_tasks_alone(of_two):
    assert list(comparison.efficiencies(of_two))
    table = of_two.folder / "runs.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text(
        "".join(
            line.replace("0123456789abcdef", "f" * 16) if ",rl2," in line else line
            for line in lines
        )
    )
    again = load(of_two.folder.parent, SUITE)
    assert list(comparison.efficiencies(again)) == []
    assert list(comparison.improvements(again)) == []


def test_improvement_family_by_family_and_over_all(tmp_path):
    """Two runs over two in one family, one over two in another; own levels are low."""
    high, low = rising(10), rising(1)
    results = published(
        tmp_path,
        *seeds(2, returns=low),
        *seeds(1, family="ant-fwd-back", returns=high),
        *seeds(2, learner="rl2", returns=high),
        *seeds(2, learner="rl2", family="ant-fwd-back", returns=low, own=1),
    )
    found = list(comparison.improvements(load(results, SUITE)))
    assert [(pair.part, pair.families, pair.runs) for pair in found] == [
        (REPORTED, ("half-cheetah-vel",), ((2, 2),)),
        (REPORTED, ("ant-fwd-back",), ((1, 2),)),
        (REPORTED, ("half-cheetah-vel", "ant-fwd-back"), ((2, 2), (1, 2))),
        (OWN, ("ant-fwd-back",), ((1, 2),)),
    ]
    probabilities = [pair.found.probability for pair in found]
    assert probabilities == pytest.approx([0, 1, 0.5, 1])
    # Together: 6 of 18 ways with the one run on top, 2 of 18 with both others there.
    p = [pair.found.p for pair in found]
    assert p == pytest.approx([1, 1 / 3, 8 / 18, 1 / 3])


def test_any_method_may_be_the_one_that_is_compared(of_two):
    turned = replace(of_two, reference="rl2")
    (pair,) = comparison.improvements(turned)
    assert pair.method == "RL² · quick · float32"
    assert pair.found.probability == 0
    (found,) = comparison.efficiencies(turned)
    assert (found.method.label, found.baseline.label) == (pair.method, pair.baseline)


def test_areas_are_of_steps_where_two_methods_have_a_value(tmp_path):
    steps = (200_000, 600_000, 1_000_000)
    both = [
        *seeds(2, steps=steps, returns=rising(0)),
        {"learner": "rl2", "steps": steps, "returns": rising(0.1)},
    ]
    found = list(comparison.areas(load(published(tmp_path / "both", *both), SUITE)))
    assert [(of.arm.learner, of.until, of.runs) for of in found] == [
        ("pearl", 1e6, 2),  # at 1e5 neither has been evaluated yet
        ("rl2", 1e6, 1),
    ]
    assert found[0].found.value == pytest.approx((-197 + 284) / 284)
    two_arms = [*both[:2], {"steps": steps, "precision": "bf16"}]
    alone = load(published(tmp_path / "alone", *two_arms), SUITE)
    assert list(comparison.areas(alone)) == []


def test_profiles_need_five_runs_of_every_family(tmp_path):
    found = load(
        published(tmp_path, *seeds(5, returns=rising(0)), *seeds(4, learner="rl2"), {}),
        SUITE,
    )
    thresholds = np.array([0.0, 0.5])
    assert comparison.profile(found, "RL² · quick · float32", thresholds) is None
    profile = comparison.profile(found, "PEARL · quick · float32", thresholds)
    assert profile is not None
    assert profile.value.tolist() == [1.0, 0.0]  # (-197 + 284) / 284
