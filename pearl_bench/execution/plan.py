"""Suite x learner x seed made into runs: what is done, what is left, how long it takes.

The store answers what is done, so the same command typed again finds nothing to do.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.cluster import memory_bytes
from pearl_bench.config.runs import meta_tested
from pearl_bench.config.types import BenchConfig, ConfigError, Device, RunConfig
from pearl_bench.execution.pace import Pace, recall
from pearl_bench.machine.memory import available_memory, most_memory
from pearl_bench.machine.threads import available_cores, share_of_cores
from pearl_bench.records import run_folder as record
from pearl_bench.records.files import require_folder

MEMORY_OF_A_RUN = 2 << 30
"""Bytes that a run may take of which nothing was measured here: twice as much as most
do (``runs.csv``: peak_memory_mib)."""

EVAL_ROW = 144
"""Bytes of a row of a meta-test (``EvalRow``), whose rows are held until all are
there: at least one of each time that a task is begun."""


@dataclass(frozen=True)
class Run:
    """One run of the plan.

    Attributes:
        config: what the run is.
        folder: where it lives, ``<out>/<suite>/<family>/<learner>/seed=<k>``.
        state: what the folder says; a run that was once done and now has more steps
            to take is ``begun`` again.
        env_steps: environment steps it has behind it.
        test_steps: environment steps of one meta-test; none before ``estimate``, or
            if there is none to come.
        remaining: estimated seconds to its end; none before ``estimate``.
    """

    config: RunConfig
    folder: Path
    state: Literal["missing", "begun", "done", "failed"]
    env_steps: int
    test_steps: int | None = None
    remaining: float | None = None

    @property
    def name(self) -> str:
        """Family, learner and seed in short."""
        run = self.config
        return f"{run.family} {run.learner} seed={run.seed}"

    @property
    def pending(self) -> bool:
        """Whether there is anything left to do."""
        return self.state != "done"


def plan(bench: BenchConfig) -> list[Run]:
    """Return every run of a command with its state in the store.

    Raises:
        ConfigError: a folder holds another run than the one asked for, or the device
            is not there, or a run does not fit this machine's memory or ``memory=``,
            or its method does not allow a setting.
        RecordError: ``out`` is no folder.
    """
    most_threads = None
    if bench.threads is None:  # how many cores a cluster's nodes have, it knows
        most_threads = available_cores() if bench.engine == "local" else sys.maxsize
    families = [registry.family(bench.suite, name) for name in bench.families]
    runs = [
        look_up(
            replace(run, seed=seed),
            Path(bench.out).expanduser(),
            fingerprint,
            keep_repetitions=bench.meta_test.repetitions is None,
            most_threads=most_threads,
        )
        for family in families
        for fingerprint in [family.fingerprint()]
        for learner in bench.learners
        if not registry.why_not(learner, bench.suite, family)
        for run in [
            configuration.run_config(
                bench,
                family.name,
                learner,
                bench.seeds[0],
                threads=bench.threads or 1,
            )
        ]
        for seed in bench.seeds
    ]
    for run in runs:
        if run.pending:
            _require_allowed(run.config)
    if bench.engine == "local" and any(run.pending for run in runs):
        device = resolve_device(bench.device)
        runs = [replace(r, config=replace(r.config, device=device)) for r in runs]
    if bench.engine == "local" or bench.memory is not None:
        for run in runs:  # those on a GPU, too: checkpoints pass through memory
            if run.pending:
                require_memory(run.config, bench.memory)
    return runs


def _require_allowed(run: RunConfig) -> None:
    """Refuse what a learner would refuse when it is built, before others are trained.

    Raises:
        ConfigError: names the setting and what is allowed.
    """
    require = registry.method(run.learner).require
    try:
        if require is not None:
            require(run.config, registry.family(run.suite, run.family))
        if run.precision != "float32":  # which any method computes in
            _require_precision(run)
    except ValueError as error:
        raise ConfigError(f"{run.learner}: {error}") from error


def _require_precision(run: RunConfig) -> None:
    from pearl_bench.training.learner import Learner  # noqa: PLC0415  (imports torch)

    build = registry.learner_class(run.learner)
    if isinstance(build, type) and issubclass(build, Learner):
        build.require_precision(run.precision)


def require_memory(run: RunConfig, memory: str | None = None) -> None:
    """Refuse a run that cannot fit, before anything of it is built.

    Args:
        run: the run.
        memory: the word by which a cluster gives it so much; this machine if None,
            where a container counts with its limit.

    Raises:
        ConfigError: says how much it takes at least.
    """
    needed = _least_memory(run)
    there = most_memory() if memory is None else memory_bytes(memory)
    if needed > there:
        where, mend = "here", "take"
        if memory is not None:
            where, mend = f"by memory={memory}", "give it more, or take"
        raise ConfigError(
            f"{run.learner} on {run.family} takes at least {needed / 2**30:,.1f} GiB "
            f"with these settings, and there are {there / 2**30:,.1f} GiB {where}; "
            f"{mend} smaller ones, or fewer steps=. pearl-bench run --help names them"
        )


def _least_memory(run: RunConfig) -> int:
    """Return how many bytes a run takes at least, as far as its method says."""
    family = registry.family(run.suite, run.family)
    at_least = registry.method(run.learner).memory
    needed = 0 if at_least is None else at_least(run.config, family, run.steps)
    begun = len(meta_tested(family, run).test) * (run.meta_test.repetitions or 1)
    return int(needed) + EVAL_ROW * begun


def side_by_side(bench: BenchConfig, runs: Sequence[Run]) -> int:
    """Return how many pending runs this machine trains at a time (``jobs=``).

    Args:
        bench: what the command asks for.
        runs: its plan.
    """
    pending = [run for run in runs if run.pending]
    most = max(1, len(pending))
    if bench.jobs:
        return min(bench.jobs, most)
    if not pending or any(run.config.device == "cuda" for run in pending):
        return 1
    threads = max(run.config.threads for run in pending)
    jobs = max(1, min(most, available_cores() // threads))
    shared = share_cores(bench, pending, jobs)
    return max(1, min(jobs, available_memory() // max(map(_memory, shared))))


def _memory(run: Run) -> int:
    """Return the bytes that a run takes, as it was measured here or with a margin."""
    pace = recall(run.config, run.folder)
    measured = pace and pace.memory  # perhaps of a shorter run
    return max(measured or MEMORY_OF_A_RUN, _least_memory(run.config))


def share_cores(bench: BenchConfig, runs: Sequence[Run], jobs: int) -> list[Run]:
    """Return the plan with its share of the cores for each run that begins.

    Args:
        bench: what the command asks for; what it says of threads stays.
        runs: its plan.
        jobs: how many runs are trained at a time.
    """
    if bench.threads:
        return [*runs]
    threads = share_of_cores(available_cores(), jobs)
    return [
        replace(run, config=replace(run.config, threads=threads))
        if run.state == "missing"
        else run
        for run in runs
    ]


def estimate(
    runs: Sequence[Run], pace_of: Callable[[RunConfig, Path], Pace | None]
) -> list[Run]:
    """Fill in how long each pending run will take, as far as that is known.

    Args:
        runs: the plan.
        pace_of: returns a run's pace on this machine, None if nobody knows it.
    """
    estimated = []
    for run in runs:
        pace = pace_of(run.config, run.folder) if run.pending else None
        if pace is not None:
            estimated.append(
                replace(
                    run,
                    test_steps=pace.test_steps,
                    remaining=pace.seconds(run.env_steps, run.config.steps),
                )
            )
        else:
            estimated.append(run if run.pending else replace(run, remaining=0.0))
    return estimated


def wall_seconds(runs: Sequence[Run], jobs: int) -> float:
    """Return when the last run ends if ``jobs`` of them run at a time, in order."""
    free_at = [0.0] * jobs
    for run in runs:
        heapq.heappush(free_at, heapq.heappop(free_at) + (run.remaining or 0.0))
    return max(free_at)


def resolve_device(asked: Device) -> Literal["cpu", "cuda"]:
    """Return the device that training will use.

    Raises:
        ConfigError: ``cuda`` is asked for and there is none.
    """
    if asked == "cpu" or (asked == "auto" and _torch_knows_no_gpu()):
        return "cpu"
    import torch  # noqa: PLC0415  (takes seconds; a finished plan does without)

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise ConfigError(
            f"device=cuda: torch {torch.__version__} finds no CUDA device; take "
            "device=cpu, or install a torch with CUDA and check the driver"
        )
    return "cpu"


def _torch_knows_no_gpu() -> bool:
    """Whether the torch that is installed was built for CPUs only, by its version."""
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:  # one that was built in place; it says itself
        return False


def look_up(
    wanted: RunConfig,
    out: Path,
    fingerprint: str,
    *,
    keep_repetitions: bool,
    most_threads: int | None,
) -> Run:
    """Look a run up in the store; keep what it was begun with, where that is asked.

    The repetitions are part of what it is. Its threads are not, but where many add up
    one sum they change how it is rounded, and what comes after is another run's.

    Args:
        wanted: the run.
        out: the store.
        fingerprint: of the family's tasks.
        keep_repetitions: those that it was begun with.
        most_threads: of those that it was begun with; None to have other ones.

    Raises:
        ConfigError: its folder holds another run.
        RecordError: the store is no folder.
    """
    require_folder(out, "out")
    folder = out.joinpath(
        *record.place(wanted.suite, wanted.family, wanted.learner, wanted.seed)
    )
    found = record.status(folder)
    if found.state != "missing":
        there = configuration.stored(folder / record.CONFIG)
        if keep_repetitions:
            kept = configuration.stored_repetitions(there)
            meta_test = replace(wanted.meta_test, repetitions=kept)
            wanted = replace(wanted, meta_test=meta_test)
        threads = there.get("threads")
        if most_threads is not None and isinstance(threads, int):
            threads = max(1, min(threads, most_threads))
            wanted = replace(wanted, threads=threads)
        require_same(wanted, folder, there, fingerprint)
    state = found.state
    if state == "done" and found.env_steps < wanted.steps:
        state = "begun"
    return Run(wanted, folder, state, found.env_steps)


def require_same(
    wanted: RunConfig,
    folder: Path,
    there: Mapping[str, Any],
    fingerprint: str | None = None,
) -> None:
    """Refuse to continue a run as another one.

    Args:
        wanted: the run.
        folder: its folder.
        there: what this one holds or has been ordered to, as ``configuration.stored``
            returns it.
        fingerprint: of the tasks, to be compared with that of a run that has begun.

    Raises:
        ConfigError: they differ.
    """
    changed = configuration.differences(there, wanted)
    if fingerprint is not None:
        tasks = record.read_run(folder)["fingerprint"], fingerprint
        if tasks[0] != tasks[1]:
            changed["fingerprint of the tasks"] = tasks
    if changed:
        lines = [f"  {key}: {a} there, {b} now" for key, (a, b) in changed.items()]
        raise ConfigError(
            f"{folder} holds a run with other settings:\n" + "\n".join(lines) + "\n"
            "Give another out= for the new settings, or the old words to continue it."
        )
