"""A run that was trained on a GPU is loaded, and goes on, on a CPU."""

import numpy as np
import pytest
import torch
from raw_runs import Silent

from pearl_bench.config import runs as configuration
from pearl_bench.execution.plan import plan
from pearl_bench.execution.trained import load
from pearl_bench.execution.work import train_run
from pearl_bench.records import checkpoint

CUDA_STATE = torch.arange(16, dtype=torch.uint8)
"""As of ``torch.Generator("cuda").get_state()``: a seed and an offset."""


class Told(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def as_if_on_a_gpu(folder):
    """Leave in a run's folder what a GPU would: its generator, Adam to be captured."""
    state = checkpoint.load(folder, print)
    assert state is not None
    state["learner"]["noise"] = CUDA_STATE
    optimizers = state["learner"].get("gradient_step", {}).get("optimizers", {})
    for optimizer in optimizers.values():
        for group in optimizer["param_groups"]:
            assert not group["capturable"]
            group["capturable"] = True
    checkpoint.save(folder, state)
    path = folder / "config.yaml"
    text = path.read_text()
    assert "device: cpu\n" in text
    path.write_text(text.replace("device: cpu\n", "device: cuda\n"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("learner", ["pearl", "rl2", "maml_trpo", "promp"])
def test_a_run_of_a_gpu_goes_on_on_a_cpu(tmp_path, learner):
    words = (
        f"suite=navigation families=point-robot learners={learner} budget=smoke "
        f"steps=640 eval_every=320 threads=1 out={tmp_path}"
    ).split()
    (run,) = plan(configuration.load([*words, "device=cpu"]))
    polls = iter(range(1000))
    stop = lambda: next(polls) >= 2  # noqa: E731
    assert not train_run(run.config, run.folder, Silent(), stop, ["run"])
    as_if_on_a_gpu(run.folder)

    draws, lines = [], []
    for _ in range(2):
        trained = load(run.folder, lines.append)
        generator = trained.learner.noise  # type: ignore[attr-defined]
        draws.append(torch.rand(4, generator=generator).numpy())
    assert np.array_equal(*draws)  # wherever it is moved, it is moved to the same
    assert "now on cpu" in lines[0]

    (again,) = plan(configuration.load(words))
    assert (again.state, again.config.device) == ("begun", "cpu")
    told = Told()
    assert train_run(again.config, again.folder, told, lambda: False, ["run"])
    assert any("now on cpu" in line for line in told.lines)
    told = Told()
    load(again.folder, told.say)
    assert not told.lines  # it has become one of a CPU
