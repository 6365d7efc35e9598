"""How close the batch engine comes to the speed of the simulator itself."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import mujoco
import numpy as np

from suites import locomotion
from suites.engine import MujocoBatch
from suites.locomotion.row import LocomotionRow

EPISODE = 40
"""Steps from a reset that both sides play over and over with uniform random actions.

What a step costs depends on the contacts, so both must go through the same states.
"""


def measure(family_name: str, n: int, seconds: float) -> dict[str, float]:
    """Compare the engine at N = ``n`` with bare ``mj_step`` calls on the same cores.

    The bare side has one simulation per thread and does nothing but write controls and
    call ``mj_step``: no observation, no reward. The two alternate, each with 1, 2, ...
    threads up to the cores of this machine, and the best of each counts, so that other
    load on the machine falls on both.

    Args:
        family_name: a family of the locomotion suite.
        n: environments in lock step.
        seconds: about how long to measure; each variant is measured once at least.

    Returns:
        Environment steps per second ``raw`` and ``engine``, and ``share``, their ratio.
    """
    row = next(row for row in locomotion.ROWS if row.name == family_name)
    train = row.family().train
    tasks = [train[i % len(train)] for i in range(n)]
    batches = {
        threads: MujocoBatch(row, tasks, threads=threads)
        for threads in range(1, (os.cpu_count() or 1) + 1)
    }
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (EPISODE, n, row.action_dim))
    raw = engine = 0.0
    end = time.perf_counter() + seconds
    while raw == 0 or time.perf_counter() < end:
        for threads, batch in batches.items():
            batch.reset(rng)
            start = time.perf_counter()
            for action in actions:
                batch.step(action)
            took = time.perf_counter() - start
            engine = max(engine, EPISODE * n / took)
            models = [model for model, _ in batch.simulations[:threads]]
            raw = max(raw, _raw_rate(row, models, took, rng))
    for batch in batches.values():
        batch.close()
    return {"raw": raw, "engine": engine, "share": engine / raw}


def _raw_rate(
    row: LocomotionRow,
    models: Sequence[mujoco.MjModel],
    seconds: float,
    rng: np.random.Generator,
) -> float:
    """Environment steps per second of one bare simulation per thread and model."""
    end = time.perf_counter() + seconds
    play = partial(_play, row, end)
    start = time.perf_counter()
    with ThreadPoolExecutor(len(models)) as pool:
        steps = sum(pool.map(play, models, rng.spawn(len(models))))
    return steps / (time.perf_counter() - start)


def _play(
    row: LocomotionRow, end: float, model: mujoco.MjModel, rng: np.random.Generator
) -> int:
    """Play episodes in one simulation until ``end``; return the steps taken."""
    data = mujoco.MjData(model)
    steps = 0
    while steps == 0 or time.perf_counter() < end:
        offset, qvel = row.start(rng, 1, model.nq, model.nv)
        mujoco.mj_resetData(model, data)
        data.qpos[:] = model.qpos0 + offset[0]
        data.qvel[:] = qvel[0]
        low, high = model.actuator_ctrlrange.T
        for u in rng.uniform(low, high, (EPISODE, model.nu)):
            data.ctrl[:] = u
            mujoco.mj_step(model, data, row.frame_skip)
        steps += EPISODE
    return steps
