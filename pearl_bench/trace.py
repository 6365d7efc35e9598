"""Records posterior sampling in the plane, from checkpoints of PEARL.

``pearl-bench trace run=results/raw/navigation/sparse-point-robot/pearl/seed=0`` plays
every test task of a run once more and writes the paths, and how wide the posterior was,
to ``results/local/<suite>/trajectories.csv``; ``results=results`` publishes them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pearl_bench.config.command import Command
from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.execution.trained import load
from pearl_bench.pearl.adapter import PearlAdapter
from pearl_bench.records.files import RecordError
from pearl_bench.records.published.identity import describe, title
from pearl_bench.records.published.publish import read_rows
from pearl_bench.records.published.trajectories import publish_trajectories
from pearl_bench.records.schema import RUNS, RUNS_FILE
from pearl_bench.records.table import Row
from pearl_bench.training.rollout import run_episode
from suites.base import Task

TRACE_STREAM = 2
"""Key that separates this module's random stream from all others of a seed."""
WHOLE = 4
"""Test tasks of which every step is kept; of the others the last of each episode."""


@dataclass(frozen=True)
class TraceConfig:
    """What to record.

    Attributes:
        run: raw run folders with a checkpoint.
        results: folder where the paths go: the one where the run's curve is. The usual
            one is left out of git; results=results publishes there.
    """

    run: list[str]
    results: str = BenchConfig.results


COMMAND = Command(
    "trace",
    TraceConfig,
    "Records posterior sampling in the plane, from checkpoints of PEARL.",
    "run=results/raw/navigation/sparse-point-robot/pearl/seed=0",
)


def trace(folder: Path, results: Path) -> tuple[str, list[Row]]:
    """Play every test task of a run for as many episodes as its meta-test has.

    Unlike there, the posterior is inferred after each episode (algorithm 2 of the
    paper), so that an episode's number says from how many its z was inferred.

    Args:
        folder: a raw run folder with a checkpoint.
        results: published files, with the run's curve among them.

    Returns:
        The run's suite, and a row per step that is kept, by episode, task and time.

    Raises:
        RecordError: the run is not PEARL's in the plane, or cannot be read, or has no
            curve in ``results``.
        ConfigError: its configuration is damaged.
    """
    if not folder.is_dir():
        raise RecordError(
            f"{folder} is no folder; give a raw run folder, such as {COMMAND.example}."
        )
    run, family, learner = load(folder)
    listed = results / run.suite / RUNS_FILE
    published = read_rows(RUNS, listed)
    described = describe(folder, published)
    if run.learner != "pearl" or run.suite != "navigation":
        raise RecordError(
            f"{folder} holds {run.learner} on {run.family}; only PEARL has a "
            "posterior, and only suite=navigation a plane."
        )
    if described["run"] not in {row["run"] for row in published}:
        raise RecordError(
            f"{listed} has no {title(described)}, whose paths would be of an unknown "
            "run there. Give the results= that the run was trained with."
        )
    entropy = [run.seed, TRACE_STREAM, learner.env_steps]
    env_seed, adapter_seed = np.random.SeedSequence(entropy).spawn(2)
    rng = np.random.default_rng(env_seed)
    adapter = learner.adapter(family.test, int(adapter_seed.generate_state(1)[0]))
    assert isinstance(adapter, PearlAdapter)
    env = family.make_batch(family.test, threads=run.threads)
    rows: list[Row] = []
    try:
        for number in range(1, family.meta_test.episodes + 1):
            width = adapter.belief.variance.sqrt().mean(1).numpy()
            episode = run_episode(env, adapter, family.horizon, rng, explore=False)
            adapter.end_episode()
            adapter.adapt()
            steps = episode.steps
            places = np.concatenate([steps.obs[:1], steps.next_obs])
            totals = np.pad(steps.sparse_reward.cumsum(0), ((1, 0), (0, 0)))
            rows += [
                _row(described, learner.env_steps, task, number, t)
                | _values(places[t, i], task, totals[t, i], width[i])
                for i, task in enumerate(family.test)
                for t in range(0 if i < WHOLE else len(totals) - 1, len(totals))
            ]
    finally:
        env.close()
    return run.suite, rows


def _row(run: Row, env_steps: int, task: Task, episode: int, t: int) -> Row:
    counts = {"env_steps": env_steps, "task": task.index, "episode": episode, "t": t}
    shared = {key: run[key] for key in ("run", "family", "seed")}
    return shared | {key: str(count) for key, count in counts.items()}


def _values(place: np.ndarray, task: Task, total: float, width: float) -> Row:
    """Return numbers in single precision, which is what the point moves in."""
    values = {
        "x": place[0],
        "y": place[1],
        "goal_x": task.params[0],
        "goal_y": task.params[1],
        "return": total,
        "posterior_std": width,
    }
    return {key: str(np.float32(value)) for key, value in values.items()}


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _trace)


def _trace(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    if not wanted.run:
        raise ConfigError(f"run= names no folder; give one, such as {COMMAND.example}")
    results = Path(wanted.results).expanduser()
    for folder in wanted.run:
        suite, rows = trace(Path(folder).expanduser(), results)
        path = publish_trajectories(results, suite, rows)
        print(f"wrote {path}: {len(rows)} rows of {rows[0]['run']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
