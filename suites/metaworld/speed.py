"""How fast the environments step beside the package's own.

``python -m suites.metaworld.speed`` prints it. Speeds of one core are steps per second
of processor time, so that other load on the machine does not count; what several
workers reach together is wall-clock time and needs the machine for itself.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from suites.metaworld.accelerate import accelerated
from suites.metaworld.batch import MetaWorldBatch, Workers
from suites.metaworld.simulator import Simulator, package_task
from suites.metaworld.tasks import family_tasks

CLASSES = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "peg-insert-side-v3",
    "window-open-v3",
    "sweep-v3",
    "basketball-v3",
)
STEPS = 500
TASKS = 3


def one_core(name: str) -> dict[str, float]:
    """Time a class with and without the replacements, on random actions.

    Returns:
        Steps per second of the package (``plain``) and here (``ours``, three episodes
        in turns), and milliseconds of the package's ``reset``, of a task's first reset
        here and of a later one.
    """
    params = [task.params for task in family_tasks("ml1", name, name)[0][:TASKS]]
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, 4)).astype(np.float32)
    env = ALL_V3_ENVIRONMENTS[name]()
    plain = reset = 0.0
    for one in params:
        env.set_task(package_task(env, one))
        reset += _seconds(env.reset)
        plain += _seconds(lambda: [env.step(action) for action in actions])
    with accelerated():
        simulator = Simulator(name, "v2")
        first = sum(_seconds(lambda p=p: simulator.reset(p)) for p in params)
        later = sum(_seconds(lambda p=p: simulator.reset(p)) for p in params)
        episodes = [simulator.reset(one)[0] for one in params]
        ours = _seconds(
            lambda: [simulator.step(e, a) for a in actions for e in episodes]
        )
    return {
        "plain": TASKS * STEPS / plain,
        "ours": TASKS * STEPS / ours,
        "reset": 1e3 * reset / TASKS,
        "first": 1e3 * first / TASKS,
        "later": 1e3 * later / TASKS,
    }


def together(workers: int, environments: int, steps: int) -> float:
    """Return the steps per second of wall-clock time of ML10's training classes."""
    train = family_tasks("ml10", "ml10")[0]
    tasks = [train[i % 10 * 50 + i // 10] for i in range(environments)]
    pool = Workers(workers)
    batch = MetaWorldBatch(tasks, workers=pool, reward="v2")
    rng = np.random.default_rng(0)
    batch.reset(rng)
    actions = rng.uniform(-1, 1, (steps, environments, 4))
    start = time.perf_counter()
    for action in actions:
        batch.step(action)
    took = time.perf_counter() - start
    batch.close()
    pool.close()
    return steps * environments / took


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main(words: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.metaworld.speed", description=__doc__
    )
    parser.parse_args(words)
    print("class, package steps/s, ours, ratio, ms per reset: package, first, later")
    for name in CLASSES:
        found = one_core(name)
        print(
            f"{name}, {found['plain']:.0f}, {found['ours']:.0f}, "
            f"{found['ours'] / found['plain']:.2f}, {found['reset']:.2f}, "
            f"{found['first']:.2f}, {found['later']:.3f}",
            flush=True,
        )
    one, two = (together(workers, 40, 200) for workers in (1, 2))
    print(f"ml10, 40 environments: one worker {one:.0f} steps/s, two {two:.0f}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest worker: {peak:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])
