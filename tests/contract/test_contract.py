"""What every registered method must do on every registered family that it is for."""

import pytest

from pearl_bench import contract, registry

PAIRS = [
    (learner, suite, family)
    for learner in registry.learner_names()
    for suite, family in contract.families()
    if not registry.why_not(learner, suite, registry.family(suite, family))
]


@pytest.mark.parametrize(("learner", "suite", "family"), PAIRS, ids=lambda x: x)
def test_trains_evaluates_and_continues_exactly(learner, suite, family):
    contract.check_learner(learner, suite, family)


@pytest.mark.parametrize(("suite", "family"), contract.families(), ids=lambda x: x)
@pytest.mark.parametrize("inference", ["oracle", "none"])
def test_pearl_told_the_task_or_not_does_the_same(inference, suite, family):
    contract.check_learner(
        "pearl",
        suite,
        family,
        settings=[f"pearl.inference={inference}"],
        knows_the_task=inference == "oracle",
    )
