"""Figures about options: PEARL's ablations, and success on Meta-World."""

import numpy as np
import pytest
from raw_runs import always, make_run

from pearl_bench.analysis import metaworld, style
from pearl_bench.analysis.figures import ablations
from pearl_bench.analysis.figures import metaworld as success_figure
from pearl_bench.analysis.scores import Published, load
from pearl_bench.records.published.publish import publish

DEFAULT = {"recurrent": False, "context_sampler": "recent", "probabilistic": True}


def published(tmp_path, *runs):
    for i, run in enumerate(runs):
        make_run(tmp_path / str(i), **run)
        publish(tmp_path / str(i), tmp_path / "results", "locomotion")
    return load(tmp_path / "results", "locomotion")


def panels(sheet):
    return {ax.get_title(): ax for ax in sheet.figure.axes}


def face(ax):
    return " ".join(" ".join(text.get_text() for text in ax.texts).split())


def test_each_ablation_stands_beside_pearl_as_it_is(tmp_path):
    found = published(
        tmp_path,
        *({"settings": DEFAULT, "seed": seed} for seed in (0, 1)),
        *({"settings": DEFAULT | {"recurrent": True}, "seed": s} for s in (0, 1)),
        {"settings": DEFAULT | {"context_sampler": "rl-batch"}},
        {"settings": DEFAULT | {"recurrent": True, "probabilistic": False}},
        {"learner": "rl2"},
    )
    with style.taste():
        axes = panels(ablations.draw(found))
    encoder, sampler, latent = axes.values()
    assert next(iter(axes)) == "half-cheetah-vel\nrecurrent encoder (fig. 5)"
    bold = [sum(x.get_linewidth() > 1 for x in ax.lines) for ax in axes.values()]
    assert bold == [2, 2, 0]
    assert face(encoder) == ""
    assert "no runs with pearl.context_sampler=whole-buffer yet" in face(sampler)
    assert "one seed, no interval: PEARL · quick · float32 · context" in face(sampler)
    assert face(latent) == "no runs with pearl.probabilistic=false yet"


def test_without_ablations_the_figure_says_how_they_are_made(tmp_path):
    found = published(tmp_path, {"settings": DEFAULT})
    with style.taste():
        axes = panels(ablations.draw(found))
    assert [face(ax) for ax in axes.values()] == [
        "no runs with pearl.recurrent=true yet",
        "no runs with pearl.context_sampler=whole-buffer yet no runs with "
        "pearl.context_sampler=rl-batch yet",
        "no runs with pearl.probabilistic=false yet",
    ]


@pytest.fixture
def ml10(tmp_path):
    """Runs with success, on a family that takes Meta-World's name for the purpose."""
    found = published(
        tmp_path, *({"success": always, "seed": seed, "tasks": 4} for seed in (0, 1))
    )
    family = next(f for f in found.families if f.arms)
    object.__setattr__(family.row, "name", "ml10")
    yield Published("ml10", found.folder, (family,))
    object.__setattr__(family.row, "name", "half-cheetah-vel")


def test_published_numbers_stand_beside_ours(ml10):
    rows = metaworld.successes(ml10)
    ours = [row for row in rows if row.source.startswith("here")]
    assert [row.source for row in ours] == [
        metaworld.LEVEL,
        metaworld.MAXIMUM,
    ]
    assert all(row.test.value == 100 for row in ours)
    assert all(np.isnan(row.train.value) for row in ours)
    theirs = rows[len(ours) :]
    assert len(theirs) == sum(row.family == "ml10" for row in metaworld.PUBLISHED)
    assert ("PEARL", 23.2, 13) in [
        (row.method, float(row.train.value), float(row.test.value)) for row in theirs
    ]


def test_the_packages_number_is_told_apart(tmp_path):
    make_run(
        tmp_path / "raw",
        suite="ml10",
        family="ml10",
        tested=2,
        package=2,
        success=lambda episode: int(episode > 1),
    )
    publish(tmp_path / "raw", tmp_path / "results", "ml10")
    rows = metaworld.successes(load(tmp_path / "results", "ml10"))
    ours = {row.source: float(row.test.value) for row in rows[:3]}
    assert ours[metaworld.LEVEL] == 100
    assert ours[metaworld.EVALUATOR] == 50


def test_success_curves_have_a_panel_per_split(ml10):
    with style.taste():
        axes = panels(success_figure.draw(ml10))
    test, train = axes["ml10, test tasks"], axes["ml10, train tasks"]
    assert max(x.get_linewidth() for x in test.lines) == 2
    assert {x.get_linewidth() for x in train.lines} == {1}  # published levels alone
    assert "one seed" not in face(test)
