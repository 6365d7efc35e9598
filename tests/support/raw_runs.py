"""Run folders: with made-up rows, or of a real run, short and silent."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from pearl_bench.config import runs as config
from pearl_bench.execution.plan import plan
from pearl_bench.execution.work import train_run
from pearl_bench.records.published.publish import publish
from pearl_bench.records.run_folder import RunRecord

VERSIONS = {
    "python": "3.11.7",
    "torch": "2.13.0",
    "mujoco": "3.3.0",
    "gymnasium": "1.4.0",
    "metaworld": "3.1.1",
    "numpy": "2.4.6",
}


def some_return(env_steps: int, task: int, episode: int) -> float:
    return env_steps / 7 + 0.1 * task + 10 * episode


def always(episode: int) -> int:
    del episode
    return 1


def make_run(
    out: Path,
    *,
    suite: str = "locomotion",
    family: str = "half-cheetah-vel",
    learner: str = "pearl",
    seed: int = 0,
    budget: str = "quick",
    steps: tuple[int, ...] = (1000, 2000, 3000),
    tasks: int = 2,
    episodes: int = 3,
    tested: int = 1,
    repetitions: int = 1,
    unadapted: bool = False,
    returns: Callable[[int, int, int], float] = some_return,
    success: str | Callable[[int], int] = "",
    unstable: int = 0,
    status: str = "done",
    device: str = "cpu",
    cpu: str = "a CPU",
    commit: str = "a" * 40,
    settings: dict[str, object] | None = None,
    own: int | None = None,
    package: int | None = None,
    groups: Sequence[str] | None = None,
    fingerprint: str = "0123456789abcdef",
    started: str = "2026-01-01T00:00:00+00:00",
    **config: object,
) -> Path:
    """Write a run with one evaluation at each of ``steps``; return its folder.

    The last ``tested`` episodes are test episodes; each task is played ``repetitions``
    times; ``unadapted`` adds an episode 0; ``own`` and ``package`` are the
    episodes of two more protocols, explored and counted. A success is of an episode.
    """
    parts = {"suite": (episodes - tested, tested)}
    parts |= {} if own is None else {"own": (own, 1)}
    parts |= {} if package is None else {"metaworld": (0, package)}
    folder = out / suite / family / learner / f"seed={seed}"
    plain = {
        "suite": suite,
        "family": family,
        "learner": learner,
        "seed": seed,
        "budget": budget,
        "steps": steps[-1] if steps else 3000,
        "eval_every": 1000,
        "device": device,
        "precision": "float32",
        "threads": 2,
        "checkpoint_minutes": 5.0,
        "config": settings or {"latent_dim": 5, "context": "recent"},
    }
    origin = {
        "started": started,
        "command": ["run"],
        "host": "somewhere",
        "cpu": cpu,
        "cpu_flags": ["avx2", "fma"],
        "cores": 2,
        "gpu": None if device == "cpu" else "a GPU",
        "commit": commit,
        "dirty": False,
        "versions": VERSIONS,
        "fingerprint": fingerprint,
        "device": device,
        "threads": 2,
        "engine": "local",
        "job": None,
        "meta_test": [
            {
                "protocol": protocol,
                "split": "test",
                "tasks": tasks,
                "exploration_episodes": explored,
                "test_episodes": played,
            }
            | ({"repetitions": repetitions} if repetitions > 1 else {})
            | ({"unadapted": True} if unadapted else {})
            for protocol, (explored, played) in parts.items()
        ],
    }
    with RunRecord(folder) as run:
        run.begin(yaml.safe_dump(plain | config), origin)
        for step in steps:
            run.append_eval(
                [
                    {
                        "env_steps": step,
                        "protocol": protocol,
                        "split": "test",
                        "task": 100 + task,
                        "group": "" if groups is None else groups[task],
                        "repetition": repetition,
                        "episode": episode,
                        "return": returns(step, task, episode),
                        "length": 200,
                        "success": success(episode) if callable(success) else success,
                        "unstable": unstable,
                        "distance": "",
                        "wall_s": step / 100,
                    }
                    for protocol, (explored, played) in parts.items()
                    for task in range(tasks)
                    for repetition in range(1, repetitions + 1)
                    for episode in range(0 if unadapted else 1, explored + played + 1)
                ]
            )
        run._run["peak_memory_mib"] = 100.0  # not this process's
        run.progress(steps[-1] if steps else 0, 1800.0)
        run._run["peak_memory_mib"] = 100.0
        if status != "begun":
            run.finish(status)  # type: ignore[arg-type]
    return folder


def published(tmp_path: Path, *runs: dict[str, Any], suite: str = "locomotion") -> Path:
    """Publish runs that ``make_run`` makes; return the folder of results."""
    for i, run in enumerate(runs):
        make_run(tmp_path / str(i), suite=suite, **run)
        publish(tmp_path / str(i), tmp_path / "results", suite)
    return tmp_path / "results"


def rising(slope: float) -> Callable[[int, int, int], float]:
    """Returns that rise by the slope per 1000 steps, and by 1 per episode."""
    return lambda step, task, episode: -200 + slope * step / 1000 + episode


def grid(until: int, every: int = 1000) -> tuple[int, ...]:
    """Environment steps of evaluations at equal distances."""
    return tuple(range(every, until + 1, every))


def seeds(n: int, **run: object) -> list[dict[str, Any]]:
    """Runs that differ in the seed alone."""
    return [{"seed": seed, **run} for seed in range(n)]


def silent(line: str) -> None:
    raise AssertionError(f"nothing should be said: {line}")


class Silent:
    """Progress that nobody watches."""

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        pass

    def say(self, line: str) -> None:
        pass


def train_small(out: Path, *words: str, progress: Silent | None = None) -> Path:
    """Train the one run that the words ask for, on one thread; return its folder."""
    bench = config.load([*words, "device=cpu", f"out={out}", "jobs=64"])
    (run,) = plan(bench)
    train_run(run.config, run.folder, progress or Silent(), lambda: False, ["run"])
    return run.folder
