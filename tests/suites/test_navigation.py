"""Point robots, beside what holds for every family and what was recorded of them."""

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["point-robot", "sparse-point-robot"])
def test_a_move_is_a_tenth_on_each_axis_at_most(families, name):
    family = families[name]
    batch = family.make_batch(family.test[:2], threads=1)
    start = batch.reset(np.random.default_rng(0))
    step = batch.step(np.array([[3.0, -0.5], [-1.5, 7.0]]))
    moved = [[0.1, -0.05], [-0.1, 0.1]]
    np.testing.assert_allclose(step.obs - start, moved, rtol=0, atol=1e-6)
