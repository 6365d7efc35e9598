"""How close the batch engine comes to the speed of the simulator itself."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import mujoco
import numpy as np

from pearl_bench.machine.threads import available_cores
from suites import locomotion
from suites.engine import MujocoBatch, load_model
from suites.locomotion.row import LocomotionRow
from suites.tasks import read

EPISODE = 40
"""Steps from a reset that both sides play over and over with uniform random actions.

What a step costs depends on the contacts, so both must go through the same states.
"""


def measure(family_name: str, n: int, seconds: float) -> dict[str, float]:
    """Compare the engine at N = ``n`` with bare ``mj_step`` calls on the same cores.

    The bare side has one simulation per thread and does nothing but write controls and
    call ``mj_step``: no observation, no reward. The two alternate, each with 1, 2, 4,
    ... threads up to the cores that there are for this process, and the best of each
    counts, so that other load on the machine falls on both.

    Args:
        family_name: a family of the locomotion suite.
        n: environments in lock step.
        seconds: about how long to measure; each variant is measured once at least.

    Returns:
        Environment steps per second ``raw`` and ``engine``, and ``share``, their ratio.
    """
    row = _row(family_name)
    train, _ = read(row.name)
    tasks = [train[i % len(train)] for i in range(n)]
    batches = {
        threads: MujocoBatch(row, tasks, threads=threads) for threads in _numbers()
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
            raw = max(raw, _raw_rate(row, models, actions, took, rng))
    for batch in batches.values():
        batch.close()
    return {"raw": raw, "engine": engine, "share": engine / raw}


def bare(family_name: str, actions: np.ndarray, seconds: float) -> float:
    """Return how many bare environment steps per second some actions allow.

    Args:
        family_name: a family of the locomotion suite.
        actions: ``[T, N, A]`` in [-1, 1], of episodes that did not end early.
        seconds: about how long to measure with each number of threads.
    """
    row, rng = _row(family_name), np.random.default_rng(0)
    models = [load_model(row.xml, row.timestep) for _ in range(available_cores())]
    return max(
        _raw_rate(row, models[:threads], actions, seconds, rng)
        for threads in _numbers()
    )


def _numbers() -> list[int]:
    """Return how many threads are tried: all cores, and each power of two below."""
    cores = available_cores()
    return [2**k for k in range((cores - 1).bit_length())] + [cores]


def _row(family_name: str) -> LocomotionRow:
    return next(row for row in locomotion.ROWS if row.name == family_name)


def _raw_rate(
    row: LocomotionRow,
    models: Sequence[mujoco.MjModel],
    actions: np.ndarray,
    seconds: float,
    rng: np.random.Generator,
) -> float:
    """Environment steps per second of one bare simulation per thread and model."""
    end = time.perf_counter() + seconds
    play = partial(_play, row, actions, end)
    start = time.perf_counter()
    with ThreadPoolExecutor(len(models)) as pool:
        steps = sum(pool.map(play, models, rng.spawn(len(models))))
    return steps / (time.perf_counter() - start)


def _play(
    row: LocomotionRow,
    actions: np.ndarray,
    end: float,
    model: mujoco.MjModel,
    rng: np.random.Generator,
) -> int:
    """Play episodes in one simulation until ``end``; return the steps taken."""
    data = mujoco.MjData(model)
    low, high = model.actuator_ctrlrange.T
    steps = 0
    while steps == 0 or time.perf_counter() < end:
        offset, qvel = row.start(rng, 1, model.nq, model.nv)
        mujoco.mj_resetData(model, data)
        data.qpos[:] = model.qpos0 + offset[0]
        data.qvel[:] = qvel[0]
        episode = actions[:, rng.integers(actions.shape[1])]
        for u in low + (episode + 1) / 2 * (high - low):
            data.ctrl[:] = u
            mujoco.mj_step(model, data, row.frame_skip)
        steps += len(episode)
    return steps
