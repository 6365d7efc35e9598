"""Colours and names: the same in every figure of every suite."""

from dataclasses import replace

import pytest
from made_up import published, run_of

from pearl_bench import registry
from pearl_bench.analysis import looks
from pearl_bench.analysis.arms import METHODS


def test_the_papers_methods_have_their_colours():
    known = {name: looks.of_method(name) for name in looks.KNOWN}
    assert {name: look.color for name, look in known.items()} == {
        "pearl": looks.BLUE,
        "maml_trpo": looks.VERMILION,
        "promp": looks.GREEN,
        "rl2": looks.BLACK,
    }
    assert len({look.marker for look in known.values()}) == len(known)


def test_further_methods_take_the_other_colours_in_the_order_of_the_registry(
    monkeypatch,
):
    further = {f"method_{i}": registry.LEARNERS["pearl"] for i in range(6)}
    known = {name: registry.LEARNERS[name] for name in looks.KNOWN}
    monkeypatch.setattr(registry, "LEARNERS", known | further)
    found = [looks.of_method(name) for name in further]
    assert [look.color for look in found[:4]] == list(looks.FURTHER)
    appearances = {(look.color, look.marker, str(look.dashes)) for look in found}
    assert len(appearances) == 6
    assert not {look.color for look in found} & {x.color for x in looks.KNOWN.values()}


def test_methods_that_are_not_installed_differ_too():
    names = [f"stranger_{i}" for i in range(7)]
    found = published(*(run_of(learner=name) for name in names), run_of())
    seen = looks.looks(found, found.arms).values()
    assert len({(x.color, x.marker, str(x.dashes)) for x in seen}) == 8
    assert [x.color for x in seen].count(looks.BLUE) == 1


@pytest.mark.parametrize(
    ("suite", "family"), [("locomotion", "ant-fwd-back"), ("ml10", "ml10")]
)
@pytest.mark.parametrize("others", [(), ("maml_trpo", "promp")])
def test_a_colour_does_not_depend_on_what_else_is_shown(suite, family, others):
    learners = ("rl2", *others)
    runs = [run_of(learner=name, family=family, success=True) for name in learners]
    found = published(*runs, suite=suite)
    seen = looks.looks(found, found.arms)
    assert seen["RL² · paper · float32"].color == looks.BLACK


def test_the_method_that_is_compared_is_thick():
    found = published(run_of(), run_of(learner="rl2"))
    for reference in ("pearl", "rl2"):
        seen = looks.looks(replace(found, reference=reference), found.arms)
        thick = {label for label, look in seen.items() if look.width == looks.THICK}
        assert thick == {f"{METHODS[reference]} · paper · float32"}


def test_arms_of_one_method_share_its_colour_and_differ_in_dashes():
    found = published(run_of(), run_of(budget="quick"), run_of(precision="bf16"))
    seen = list(looks.looks(found, found.arms).values())
    assert {look.color for look in seen} == {looks.BLUE}
    assert len({str(look.dashes) for look in seen}) == 3
    assert [look.rank for look in seen] == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_variants_have_no_other_methods_colour(count):
    first, *others = looks.variants("pearl", count)
    assert first.color == looks.BLUE
    taken = {look.color for look in looks.KNOWN.values()}
    assert not taken & {look.color for look in others}
    assert len({(x.color, str(x.dashes)) for x in others}) == count - 1


def test_many_arms_of_one_method_differ():
    runs = [run_of(settings={"latent_dim": n}) for n in range(1, 9)]
    found = published(*runs)
    assert len({str(x.dashes) for x in looks.looks(found, found.arms).values()}) == 8


@pytest.mark.parametrize(
    ("runs", "called"),
    [
        ([{}, {"learner": "rl2"}], ["PEARL", "RL²"]),
        ([{}, {"learner": "rl2", "precision": "bf16"}], ["PEARL", "RL²"]),
        (
            [{}, {"learner": "rl2", "budget": "quick"}],
            ["PEARL · paper", "RL² · quick"],
        ),
        (
            [{}, {"precision": "bf16"}, {"learner": "rl2"}],
            ["PEARL · bf16", "PEARL · float32", "RL²"],
        ),
        (
            [{}, {"settings": {"latent_dim": 7}}],
            ["PEARL", "PEARL · latent_dim=7"],
        ),
        (
            [{"budget": "quick"}, {"precision": "bf16"}, {}],
            ["PEARL · paper · bf16", "PEARL · paper · float32", "PEARL · quick"],
        ),
    ],
)
def test_a_name_leaves_out_what_is_shared(runs, called):
    found = published(*(run_of(**run) for run in runs))
    names = looks.names(found, found.arms)
    assert [names[label] for label in found.labels] == called


def test_what_is_renamed_has_its_new_name():
    found = published(run_of(), run_of(precision="bf16"), run_of(learner="rl2"))
    renamed = {"pearl": "Ours", "RL² · paper · float32": "theirs"}
    names = looks.names(replace(found, renamed=renamed), found.arms)
    assert list(names.values()) == ["Ours · bf16", "Ours · float32", "theirs"]
