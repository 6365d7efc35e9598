"""Success on Meta-World: ours, and what has been published."""

import numpy as np
import pytest
from made_up import published, run_of
from raw_runs import make_run

from pearl_bench.analysis import metaworld
from pearl_bench.analysis.scores import load
from pearl_bench.records.published.publish import publish


@pytest.fixture
def ml10():
    """Runs that succeed always."""
    about = {"family": "ml10", "success": True, "value": lambda step, episode: 1.0}
    runs = [run_of(seed=seed, **about) for seed in (0, 1)]
    return published(*runs, suite="ml10")


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
