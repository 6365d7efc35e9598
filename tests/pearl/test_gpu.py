"""What needs a CUDA device: the captured update equals the CPU's, and pays."""

import copy
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.learner import UPDATES_PER_SLICE, PearlLearner
from pearl_bench.pearl.update import Batch
from pearl_bench.training.rollout import run_episode

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

PAPER = PearlConfig(context_size=100, extra_posterior_steps=600)
VARIANTS = {
    "paper": {},
    "next observation": {"next_obs_in_context": True},
    "whole buffer": {"context_sampler": "whole-buffer"},
    "rl batch": {"context_sampler": "rl-batch"},
    "deterministic": {"probabilistic": False},
    "recurrent": {"recurrent": True},
    "told": {"inference": "oracle"},
    "not told": {"inference": "none"},
    "adaptive temperature": {"adaptive_temperature": True},
}
STEPS = 8
"""More than the warm-up of the capture, so that replays are compared too."""


def learner_on(
    family, device: str, config: PearlConfig = PAPER, precision: str = "float32"
) -> PearlLearner:
    return PearlLearner(
        config, family, seed=0, device=device, precision=precision, threads=4
    )


def few_tasks(families):
    family = families["half-cheetah-vel"]
    return replace(family, train=family.train[:10])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_captured_update_equals_the_cpus(families, changes):
    config = replace(PAPER, initial_steps=400, **changes)
    cpu = learner_on(few_tasks(families), "cpu", config)
    cpu.collect()
    gpu = learner_on(cpu.family, "cuda", config)
    gpu.gradient_step.load_state_dict(copy.deepcopy(cpu.gradient_step.state_dict()))
    for _ in range(STEPS):
        batch = cpu.meta_batch(np.arange(16) % 10)
        on_cpu = cpu.gradient_step(batch)
        on_gpu = gpu._replay(Batch(*(tensor.cuda() for tensor in batch)))
        torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
    ours = cpu.gradient_step.nets.state_dict()
    for name, theirs in gpu.gradient_step.nets.state_dict().items():
        apart = (theirs.cpu() - ours[name]).abs()
        # where a gradient is all rounding, Adam makes whole steps of it
        assert apart.max() <= STEPS * config.learning_rate, name
        assert (apart > 1e-4 + 1e-3 * ours[name].abs()).sum() <= 10, name


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_goes_on_from_its_state_exactly(families, precision):
    config = replace(PAPER, initial_steps=400)
    family = few_tasks(families)

    def slice_of(learner):
        learner.updates_due = UPDATES_PER_SLICE
        return learner.update()

    straight = learner_on(family, "cuda", config, precision)
    straight.collect()
    slice_of(straight)
    resumed = learner_on(family, "cuda", config, precision)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    for _ in range(2):
        assert slice_of(straight) == slice_of(resumed)
        straight.collect()
        resumed.collect()
    ours = straight.gradient_step.nets.state_dict()
    for name, theirs in resumed.gradient_step.nets.state_dict().items():
        assert torch.equal(theirs, ours[name]), name
    ours, theirs = (x.buffer.state_dict() for x in (straight, resumed))
    assert torch.equal(ours["table"], theirs["table"])


def test_meta_tests_as_a_cpu_does(families):
    """It acts on the CPU and infers on the GPU, with the same random numbers."""
    family = few_tasks(families)
    cpu, gpu = (learner_on(family, device) for device in ("cpu", "cuda"))
    actions = {}
    for learner in (cpu, gpu):
        adapter = learner.adapter(family.test[:3], seed=1)
        assert adapter.z.device.type == "cpu"
        for explore in (True, False):
            env = family.make_batch(family.test[:3], threads=1)
            rng = np.random.default_rng(0)
            episode = run_episode(env, adapter, 20, rng, explore=explore)
            env.close()
            adapter.adapt()
            actions[learner, explore] = episode.steps.action
    assert np.array_equal(actions[cpu, True], actions[gpu, True])  # z from the prior
    np.testing.assert_allclose(actions[cpu, False], actions[gpu, False], atol=1e-4)


def test_the_captured_update_pays(families):
    """Four times as fast as the same kernels launched one by one, on an H100."""
    learner = learner_on(few_tasks(families), "cuda", replace(PAPER, initial_steps=400))
    learner.collect()
    batch = learner.meta_batch(np.arange(16) % 10)

    def seconds(step):
        for _ in range(STEPS):
            step(batch)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(100):
            step(batch)
        torch.cuda.synchronize()
        return time.perf_counter() - start

    assert seconds(learner.gradient_step) >= 2 * seconds(learner._replay)
