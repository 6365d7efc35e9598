"""PEARL's update against recordings of the original's, in float64.

In a recording, ``meta`` (JSON) holds sizes and coefficients, ``init/...`` the
parameters before, ``step<s>/...`` batch, noise and losses of update s and
``after<s>/...`` the parameters after it. ``PEARL_BENCH_UPDATES`` names another folder.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from place import PLACE
from recorded import recorded_family

from pearl_bench.pearl.config import PearlConfig
from pearl_bench.pearl.learner import PearlLearner
from pearl_bench.pearl.update import Batch

FOLDER = Path(
    os.environ.get(
        "PEARL_BENCH_UPDATES", Path(__file__).parents[1] / "data/update_traces"
    )
)
TOLERANCE = 1e-8
INPUTS = ("obs", "action", "reward", "next_obs", "terminated")


def learner_of(meta: dict) -> PearlLearner:
    config = PearlConfig(
        latent_dim=meta["Z"],
        hidden_size=meta["hidden"],
        encoder_hidden_size=meta["encoder_hidden"],
        learning_rate=meta["lr"],
        meta_batch=meta["T"],
        batch_size=meta["B"],
        context_size=meta["C"],
        discount=meta["discount"],
        target_tau=meta["tau"],
        reward_scale=meta["reward_scale"],
        kl_weight=meta["kl_weight"],
        policy_mean_reg=meta["policy_mean_reg"],
        policy_std_reg=meta["policy_std_reg"],
        next_obs_in_context=meta["next_obs_in_context"],
        probabilistic=meta["probabilistic"],
    )
    family = recorded_family(meta["O"], meta["A"])
    learner = PearlLearner(config, family, **PLACE)
    learner.nets.double()
    return learner


def parameters(trace, prefix: str) -> dict[str, torch.Tensor]:
    """Return one set of recorded parameters under the names of PearlNetworks."""
    return {
        name.removeprefix(prefix).replace("encoder.", "encoder.mlp."): torch.from_numpy(
            trace[name]
        )
        for name in trace.files
        if name.startswith(prefix)
    }


def close(ours, recorded):
    np.testing.assert_allclose(
        np.asarray(ours), np.asarray(recorded), rtol=TOLERANCE, atol=TOLERANCE * 1e-4
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.npz")), ids=lambda p: p.stem)
def test_every_loss_and_parameter_follows_the_recording(path):
    with np.load(path, allow_pickle=False) as trace:
        meta = json.loads(str(trace["meta"]))
        start = parameters(trace, "init/")
        meta["hidden"] = len(start["q1.hidden0.bias"])
        meta["encoder_hidden"] = len(start["encoder.mlp.hidden0.bias"])
        learner = learner_of(meta)
        learner.nets.load_state_dict(start)
        updates = sum(name.endswith("/context") for name in trace.files)
        assert updates > 1
        for s in range(updates):
            step = {
                name.split("/")[1]: torch.from_numpy(trace[name])
                for name in trace.files
                if name.startswith(f"step{s}/")
            }
            zeros = torch.zeros(meta["T"], meta["Z"], dtype=torch.float64)
            batch = Batch(
                context=step["context"],
                noise_z=step.get("noise_z", zeros),  # a deterministic z has none
                noise_action=step["noise_action"],
                **{name: step[name].double() for name in INPUTS},
            )
            critic, value, policy, kl = learner.gradient_step(batch)[:4]
            close(critic, step["loss_critic"])
            close(value, step["loss_value"])
            close(policy, step["loss_policy"])
            if meta["probabilistic"]:
                close(kl, step["kl"])
            after = parameters(trace, f"after{s}/")
            ours = learner.nets.state_dict()
            assert set(after) == set(ours)
            for name, recorded in after.items():
                close(ours[name], recorded)


def test_both_kinds_of_latent_are_recorded():
    """Guards against an empty folder, which would parametrise nothing."""
    kinds = set()
    for path in FOLDER.glob("*.npz"):
        with np.load(path, allow_pickle=False) as trace:
            kinds.add(json.loads(str(trace["meta"]))["probabilistic"])
    assert kinds == {True, False}
