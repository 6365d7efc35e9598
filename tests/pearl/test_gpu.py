"""What needs a CUDA device: the captured update equals the CPU's, and is fast."""

import copy
import time

import numpy as np
import pytest
import torch

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.learner import UPDATES_PER_SLICE, PearlLearner
from pearl_bench.pearl.update import Batch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

PAPER = PearlConfig(context_size=100, extra_posterior_steps=600)
STEPS = 8
"""More than the warm-up of the capture, so that replays are compared too."""


def learner_on(family, device: str) -> PearlLearner:
    return PearlLearner(
        PAPER, family, seed=0, device=device, precision="float32", threads=4
    )


@pytest.fixture
def trained(families) -> PearlLearner:
    learner = learner_on(families["half-cheetah-vel"], "cpu")
    learner.collect()
    return learner


def test_captured_update_equals_the_cpus(trained):
    gpu = learner_on(trained.family, "cuda")
    gpu.gradient_step.load_state_dict(copy.deepcopy(trained.gradient_step.state_dict()))
    for _ in range(STEPS):
        batch = trained.meta_batch(np.arange(16))
        on_cpu = trained.gradient_step(batch)
        on_gpu = gpu._replay(Batch(*(tensor.cuda() for tensor in batch)))
        torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
    ours = trained.gradient_step.nets.state_dict()
    for name, theirs in gpu.gradient_step.nets.state_dict().items():
        torch.testing.assert_close(theirs.cpu(), ours[name], rtol=1e-3, atol=1e-4)


def test_updates_per_second_on_an_h100_class_card(families):
    if torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("the target is for an H100-class card")
    learner = learner_on(families["half-cheetah-vel"], "cuda")
    learner.collect()
    learner.update()
    start = time.perf_counter()
    for _ in range(20):
        learner.update()
    rate = 20 * UPDATES_PER_SLICE / (time.perf_counter() - start)
    assert rate >= 1500
