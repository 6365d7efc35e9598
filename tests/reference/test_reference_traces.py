"""The families against trajectories recorded from PEARL's original environments.

``PEARL_BENCH_TRACES`` names another folder with an ``index.json`` of the same format.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import suites
from suites.base import Task, TaskFamily
from suites.locomotion import walker

FOLDER = Path(
    os.environ.get(
        "PEARL_BENCH_TRACES", Path(__file__).parents[1] / "data" / "env_traces"
    )
)
INDEX = json.loads((FOLDER / "index.json").read_text())["traces"]
FAMILIES = {
    family.name: family
    for suite in ("locomotion", "navigation")
    for family in suites.load(suite).families
}
FLOAT32_REFERENCE = ("half-cheetah-fwd-back", "half-cheetah-vel")
"""Families whose reference casts its observations to float32."""


def recorded_task(family: TaskFamily, entry: dict, trace: dict) -> Task:
    if entry["task"] is None:
        arrays = [trace[f"mult_{name}"].ravel() for name, _, _ in walker.ARRAYS]
        params = np.concatenate(arrays)
    else:
        params = np.atleast_1d(entry["task"])
    return Task(family.name, -1, tuple(map(float, params)))


def start(batch: Any, trace: dict) -> np.ndarray:
    keys = ("start",) if "start" in trace else ("qpos", "qvel")
    return batch.set_state(*(trace[key][None] for key in keys))


def test_every_family_has_traces():
    assert {entry["family"] for entry in INDEX.values()} == set(FAMILIES)


@pytest.mark.parametrize("file", INDEX)
def test_replay(file):
    entry = INDEX[file]
    family = FAMILIES[entry["family"]]
    with np.load(FOLDER / file) as arrays:
        trace = dict(arrays)
    batch = family.make_batch([recorded_task(family, entry, trace)], threads=1)
    obs = [start(batch, trace)]
    steps = [batch.step(action[None]) for action in trace["actions"]]
    batch.close()

    assert not any(step.unstable.any() for step in steps)
    atol = 1e-6 if family.name in FLOAT32_REFERENCE else 1e-9
    obs = np.concatenate([*obs, *(step.obs for step in steps)])
    np.testing.assert_allclose(obs, trace["obs"], rtol=1e-6, atol=atol)
    reward = np.concatenate([step.reward for step in steps])
    np.testing.assert_allclose(reward, trace["reward"], rtol=1e-6, atol=1e-9)
    terminated = np.concatenate([step.terminated for step in steps])
    np.testing.assert_array_equal(terminated, trace["terminated"])
    sparse = np.concatenate([step.sparse_reward for step in steps])
    expected = reward
    if family.name == "sparse-point-robot":
        expected = trace["sparse_reward"]
    np.testing.assert_allclose(sparse, expected, rtol=1e-6, atol=1e-9)
