"""The on-policy baselines against values computed with plain loops, in float64.

In a recording, ``theta_old`` and ``theta_moved`` are meta-parameters, ``pre/<i>`` and
``post/<i>`` what task i sampled and ``adapted_old/<i>`` its adapted parameters; then
come the objectives at both points with gradients and Hessian-vector products, and
episodes with returns, baseline and advantages. ``PEARL_BENCH_PG`` names another folder.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from place import PLACE
from recorded import recorded_family
from torch import Tensor

from baselines.maml_trpo import MamlTrpoLearner
from baselines.maml_trpo_config import MamlTrpoConfig
from baselines.policy_gradient import (
    Params,
    Phase,
    baseline_features,
    baseline_weights,
    fit_baseline,
    flatten,
    gae,
    per_task,
    returns,
    standardise,
    unflatten,
)
from baselines.promp import PrompLearner
from baselines.promp_config import PrompConfig

OURS = Path(__file__).parents[1] / "data/policy_gradient_traces"
FOLDER = Path(os.environ.get("PEARL_BENCH_PG", OURS))
TOLERANCE = 1e-8


class Trace:
    """One recording, with its tasks stacked."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays["meta"]))
        self.family = recorded_family(self.meta["O"], self.meta["A"])
        self.shared = {
            "tasks": self.meta["tasks"],
            "inner_rate": self.meta["alpha"],
            "hidden_size": self.meta["H"],
            "ridge": self.meta["ridge"],
            "discount": self.meta["gamma"],
            "gae_lambda": self.meta["lam"],
        }

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def params(self, prefix: str) -> Params:
        layers = [f"{kind}{i}" for i in range(3) for kind in "wb"]
        return {name: self.tensor(f"{prefix}/{name}") for name in [*layers, "log_std"]}

    def phases(self) -> list[Phase]:
        return [self.phase("pre"), self.phase("post")]

    def phase(self, name: str) -> Phase:
        def stacked(field: str) -> Tensor:
            of_tasks = [
                self.tensor(f"{name}/{i}/{field}") for i in range(self.meta["tasks"])
            ]
            return torch.stack(of_tasks).unsqueeze(1)  # one episode each

        advantage = stacked("adv")
        return Phase(
            obs=stacked("obs"),
            action=stacked("action"),
            reward=torch.zeros_like(advantage),
            alive=torch.ones_like(advantage, dtype=torch.bool),
            mean=stacked("mean"),
            log_std=stacked("log_std"),
            advantage=advantage,
        )

    def maml(self, objective: Any) -> MamlTrpoLearner:
        config = MamlTrpoConfig(**self.shared, inner_objective=objective)
        return MamlTrpoLearner(config, self.family, **PLACE)

    def promp(self) -> PrompLearner:
        config = PrompConfig(
            **self.shared,
            clip=self.meta["clip"],
            kl_weight=self.meta["eta"],
            learning_rate=self.meta["adam_lr"],
        )
        learner = PrompLearner(config, self.family, **PLACE)
        for name, value in learner.theta.items():
            value.data = self.tensor(f"theta_old/{name}").clone()
        learner.kl_weights = learner.kl_weights.double().fill_(self.meta["eta"])
        return learner


def close(ours, recorded) -> None:
    ours, recorded = np.asarray(ours), np.asarray(recorded)
    scale = TOLERANCE * 1e-2 * max(1e-2, float(np.abs(recorded).max()))
    np.testing.assert_allclose(ours, recorded, rtol=TOLERANCE, atol=scale)


def flat_gradient(value: Tensor, weights: list[Tensor], **options: Any) -> Tensor:
    return torch.cat(
        [x.reshape(-1) for x in torch.autograd.grad(value, weights, **options)]
    )


def adapted(learner: MamlTrpoLearner, theta: Params, phases: list[Phase]) -> Params:
    params = per_task(theta, len(phases[0].obs))
    for phase in phases:
        params = learner._adapt(params, phase, create_graph=True)
    return params


def leaves(params: Params) -> Params:
    return {name: value.clone().requires_grad_() for name, value in params.items()}


@pytest.fixture(params=sorted(FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def trace(request) -> Trace:
    return Trace(request.param)


def test_there_are_recordings():
    assert {path.stem for path in OURS.glob("*.npz")} == {"small", "unequal"}


@pytest.mark.parametrize("objective", ["likelihood_ratio", "log_likelihood"])
@pytest.mark.parametrize("at", ["old", "moved"])
def test_maml_objective_gradient_and_hessian_vector_product(trace, objective, at):
    learner, theta = trace.maml(objective), leaves(trace.params(f"theta_{at}"))
    *inner, last = trace.phases()
    prefix = f"maml/{at}/{objective}"
    through = learner.outer(adapted(learner, theta, inner), last)
    adaptation = learner.adaptation(theta, [*inner, last])
    for outer in (through, learner.outer(adaptation.adapted, last)):
        close(outer.surrogate.detach(), trace.tensor(f"{prefix}/surrogate"))
        close(outer.kl.detach(), trace.tensor(f"{prefix}/kl_post"))
    weights = list(theta.values())
    recorded = flatten(trace.params(f"{prefix}/grad"))
    close(flat_gradient(through.surrogate, weights, retain_graph=True), recorded)
    close(learner.surrogate_gradient(adaptation, last), recorded)
    recorded = flatten(trace.params(f"{prefix}/kl_hvp"))
    vector = flatten(trace.params("vector"))
    kl_gradient = flat_gradient(through.kl, weights, create_graph=True)
    close(flat_gradient(kl_gradient @ vector, weights), recorded)
    if at == "old":  # where training needs it
        close(learner.kl_hessian(adaptation, last)(vector), recorded)


@pytest.mark.parametrize("objective", ["likelihood_ratio", "log_likelihood"])
def test_adapted_parameters(trace, objective):
    theta = leaves(trace.params("theta_old"))
    learner = trace.maml(objective)
    ours = [
        adapted(learner, theta, trace.phases()[:1]),
        learner.adaptation(theta, trace.phases()).adapted,
    ]
    for i in range(trace.meta["tasks"]):
        for name, recorded in trace.params(f"adapted_old/{i}").items():
            for params in ours:
                close(params[name][i].detach(), recorded)


@pytest.mark.parametrize("at", ["old", "moved"])
def test_promp_objective_and_gradient(trace, at):
    theta = leaves(trace.params(f"theta_{at}"))
    result = trace.promp().objective(theta, trace.phases())
    close(result.loss.detach(), trace.tensor(f"promp/{at}/loss"))
    close(result.surrogate.detach(), trace.tensor(f"promp/{at}/surrogate"))
    close(result.kl.detach().mean(), trace.tensor(f"promp/{at}/kl_pre"))
    gradient = flat_gradient(result.loss, list(theta.values()))
    close(gradient, flatten(trace.params(f"promp/{at}/grad")))


def test_five_promp_steps(trace):
    learner = trace.promp()
    for _ in range(5):
        learner.outer_update(trace.phases())
    for name, recorded in trace.params("promp/after5").items():
        close(learner.theta[name].detach(), recorded)


def test_returns_baseline_and_advantages(trace):
    numbers = sorted(
        {name.split("/")[1] for name in trace.arrays if name.startswith("episode/")}
    )
    lengths = [len(trace.tensor(f"episode/{j}/reward")) for j in numbers]
    assert len(set(lengths)) > 1

    def padded(field: str) -> Tensor:
        episodes = [trace.tensor(f"episode/{j}/{field}") for j in numbers]
        return torch.nn.utils.rnn.pad_sequence(episodes, batch_first=True)[None]

    reward, obs = padded("reward"), padded("obs")
    alive = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])[None]
    meta = trace.meta
    target = returns(reward, alive, meta["gamma"])
    close(target, padded("returns"))
    weights = baseline_weights(baseline_features(obs), target, alive, meta["ridge"])
    close(weights[0], trace.tensor("baseline/weights"))
    value = fit_baseline(obs, target, alive, meta["ridge"])
    close(value, padded("value"))
    advantage = gae(reward, value, alive, meta["gamma"], meta["lam"])
    close(advantage, padded("advantage"))
    close(standardise(advantage, alive), padded("advantage_standardised"))


def test_flat_vectors_round_trip(trace):
    params = trace.params("theta_old")
    again = unflatten(flatten(params), params)
    assert all(torch.equal(again[name], params[name]) for name in params)
