"""``python -m pearl_bench.bench``: speed against the machine's own limits.

Absolute speeds drift from machine to machine and from minute to minute, so every figure
is also given as a share of a limit measured in the same process within the same second:
bare ``mj_step`` for environments, a matrix product of the update's size for updates.
What a plan trains at a time is compared with one run on all cores instead.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.checks import require_positive
from pearl_bench.config.command import Command
from pearl_bench.config.types import KNOWN, ConfigError
from pearl_bench.execution import apart
from pearl_bench.execution.plan import plan, share_cores, side_by_side
from pearl_bench.execution.throughput import updates_per_second
from pearl_bench.machine.arithmetic import one_thread, use_fastest_float32
from pearl_bench.machine.malloc import keep_pages
from pearl_bench.machine.threads import available_cores
from pearl_bench.pearl.collection import Block, EpisodeMeans
from pearl_bench.pearl.learner import UPDATES_PER_SLICE, PearlLearner
from pearl_bench.records.provenance import peak_memory_mib
from pearl_bench.training.evaluate import episodes_due, evaluate
from pearl_bench.training.rollout import run_episode
from suites.speed import bare, measure

ENGINE_FAMILIES = ("half-cheetah-vel", "ant-fwd-back", "humanoid-direc-2d")
ENGINE_SIZES = (64, 512)
ON_POLICY = ("maml_trpo", "promp", "rl2")
"""The methods whose whole iteration is timed."""
PRECISIONS = ("float32", "bf16")
LOOK_SECONDS = 1.0
"""How long it is watched what other programs do."""
BESIDE = 0.5
"""Cores that others keep busy of which is not warned."""
MOST_SECONDS = 600
"""Hours for all figures together."""
LEAST_ROUNDS = 4
"""Iterations that are timed at least, however long; the first never counts."""
SMALL_FAMILY, SMALL_BATCH = "half-cheetah-fwd-back", 64
"""A small update of PEARL: 4 tasks x 64, with contexts as large as the paper's."""


class Figure(NamedTuple):
    """One measured speed.

    Attributes:
        name: what was measured.
        value: the speed, or the size.
        unit: of ``value``.
        share: ``value`` as a fraction of ``limit``, None where there is no limit.
        limit: what the share refers to.
    """

    name: str
    value: float
    unit: str
    share: float | None = None
    limit: str = ""


class Part(NamedTuple):
    """Figures that are measured together.

    Attributes:
        figures: how many.
        measure: yields them, each measured for about so many seconds.
    """

    figures: int
    measure: Callable[[float], Iterable[Figure]]


def _parts() -> tuple[str, ...]:
    return (*PARTS,)


@dataclass(frozen=True)
class SpeedConfig:
    """What to measure, and how.

    Attributes:
        only: some of the parts; all that this machine can measure if empty.
        seconds: about how long each figure is measured.
        json: print one JSON object per figure, each in a line.
    """

    only: list[str] = field(default_factory=list, metadata={KNOWN: _parts})
    seconds: float = 5.0
    json: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a time in which nothing can be measured, or no end."""
        require_positive(self)
        if self.seconds > MOST_SECONDS:
            raise ValueError(f"seconds must be at most {MOST_SECONDS}")


COMMAND = Command(
    "bench",
    SpeedConfig,
    """\
Measures this machine against its own limits: about 30 figures, each shown once it is
found. It keeps all cores busy for about four minutes and 25 times seconds= on two cores
that are free, six minutes by default, and longer beside other work.""",
    "only=engine,update seconds=2",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    return COMMAND.carry_out(words, _measure)


def _measure(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    names = _chosen(wanted.only)
    _warn_of_others()
    keep_pages()
    torch.set_num_threads(available_cores())
    use_fastest_float32()
    due = [name for name in names for _ in range(PARTS[name].figures)]
    found = chain.from_iterable(PARTS[name].measure(wanted.seconds) for name in names)
    for number, name in enumerate(due, 1):
        with _shown(f"figure {number} of {len(due)}: {name}"):
            figure = next(found)
        line = json.dumps(figure._asdict()) if wanted.json else _in_words(figure)
        print(line, flush=True)
    return 0


def _chosen(only: Sequence[str]) -> Sequence[str]:
    """Return the parts to measure.

    Raises:
        ConfigError: one is of a GPU that is not here.
    """
    gpu = torch.cuda.is_available()
    if "cuda" in only and not gpu:
        raise ConfigError(
            f"only=cuda: torch {torch.__version__} finds no CUDA device; leave it out"
        )
    return only or [name for name in PARTS if gpu or name != "cuda"]


def _warn_of_others() -> None:
    """Say so where other programs leave fewer cores than are measured with."""
    cores = os.cpu_count() or 1
    # not the load average, in which a benchmark that has just ended still counts
    busy = cores * psutil.cpu_percent(LOOK_SECONDS) / 100
    if cores - busy < available_cores() - BESIDE:
        print(
            f"warning: other programs keep {busy:.1f} of the {cores} cores here busy, "
            "and speeds come out lower beside them; end these or wait for them, or go "
            "by the shares, whose limits are measured beside them as well",
            file=sys.stderr,
        )


@contextmanager
def _shown(line: str) -> Iterator[None]:
    """Show a line on standard error; on a terminal for as long as the block takes."""
    if not sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)
        yield
        return
    print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _in_words(figure: Figure) -> str:
    value = f"{figure.value:,.4g}" if figure.value < 100 else f"{figure.value:,.0f}"
    share = "" if figure.share is None else f", {figure.share:.0%} of {figure.limit}"
    return f"{figure.name}: {value} {figure.unit}{share}"


def engine_figures(seconds: float) -> Iterator[Figure]:
    """Environment steps with observation and reward against bare ``mj_step``."""
    for family in ENGINE_FAMILIES:
        for size in ENGINE_SIZES:
            speed = measure(family, size, seconds)
            limit = f"{speed['raw']:,.0f} bare mj_step/s"
            name = f"engine, {family}, N = {size}"
            yield Figure(name, speed["engine"], "env steps/s", speed["share"], limit)


def update_figures(seconds: float) -> Iterator[Figure]:
    """PEARL's gradient step at the paper's size and at a small one."""
    for precision in PRECISIONS:
        large = paper_learner("cpu", precision)
        yield update_figure(large, precision, seconds)
        small = paper_learner(
            "cpu", precision, family=SMALL_FAMILY, batch_size=SMALL_BATCH
        )
        with one_thread():
            yield update_figure(small, precision, seconds)


def update_figure(learner: PearlLearner, precision: str, seconds: float) -> Figure:
    """PEARL's gradient step on the CPU, against the product of its hidden layers' size.

    Steps and as much work in products alternate, equally exposed to whatever else runs;
    the best of each counts.
    """
    learner.collect()
    config, threads = learner.config, torch.get_num_threads()
    drawn = np.arange(config.meta_batch) % len(learner.family.train)
    with FlopCounterMode(display=False) as counter:
        learner.gradient_step(learner.meta_batch(drawn))
    flops = counter.get_total_flops()
    rows, width = config.meta_batch * config.batch_size, config.hidden_size
    product_flops = 2 * rows * width * width
    times = round(flops / product_flops)
    a, b = torch.randn(rows, width), torch.randn(width, width)
    if precision == "bf16":
        a, b = a.bfloat16(), b.bfloat16()

    def step() -> None:
        learner.gradient_step(learner.meta_batch(drawn))

    def products() -> None:
        for _ in range(times):
            torch.mm(a, b)

    step_s, products_s = fastest_of([step, products], seconds)
    limit = times * product_flops / products_s
    how = f"float32 by oneDNN: {torch.get_float32_matmul_precision() == 'medium'}"
    return Figure(
        f"PEARL update of {rows:,} transitions, {precision}, "
        f"{flops / 1e9:.1f} GFLOP, threads: {threads}",
        1e3 * step_s,
        "ms",
        flops / step_s / limit,
        f"{limit / 1e9:,.0f} GFLOP/s in {rows} x {width} x {width}"
        + (f" ({how})" if precision == "float32" else ""),
    )


def plan_figures(seconds: float) -> Iterator[Figure]:
    """Updates of as many runs side by side as are planned here, against one alone.

    One alone has all the cores. Both are measured with nothing else of ours running,
    and beside a process that takes all the time it gets.
    """
    seeds = ",".join(map(str, range(available_cores())))
    with TemporaryDirectory() as out:
        bench = configuration.load(
            [
                *("suite=locomotion", f"families={SMALL_FAMILY}", "learners=pearl"),
                *("budget=paper", f"pearl.batch_size={SMALL_BATCH}", "device=cpu"),
                *(f"seeds={seeds}", f"out={out}"),
            ]
        )
        runs = plan(bench)
        jobs = side_by_side(bench, runs)
        together = [run.config for run in share_cores(bench, runs, jobs)][:jobs]
        alone = [run.config for run in share_cores(bench, runs[:1], 1)]
    for busy, where in enumerate(("quiet", "beside a busy process")):
        one = all_of_them = updates_per_second(alone, seconds, busy=busy)
        if together != alone:  # with one core they are the same
            all_of_them = updates_per_second(together, seconds, busy=busy)
        yield Figure(
            f"the plan, runs side by side: {jobs}, threads of each: "
            f"{together[0].threads}, {where}",
            all_of_them,
            "updates/s",
            all_of_them / one,
            f"{one:,.4g} updates/s of one run, threads: {alone[0].threads}",
        )


def rollout_figures(seconds: float) -> Iterator[Figure]:
    """Collection and evaluation with the policy on 30 tasks of half-cheetah-vel."""
    learner = paper_learner("cpu", "float32", train_tasks=30)
    family, tasks = learner.family, np.arange(30)
    block = [Block(family.horizon, posterior=True, recent=True)]
    steps = len(tasks) * family.horizon

    def collect() -> None:
        learner.collect_blocks(tasks, block, EpisodeMeans())

    def meta_test() -> None:
        evaluate(learner, family, seed=0, threads=learner.threads)

    collect_s, test_s = fastest_of([collect, meta_test], seconds)
    yield Figure("collection, 30 tasks", steps / collect_s, "env steps/s")
    steps = episodes_due(learner, family) * family.horizon
    yield Figure("evaluation, 30 tasks", steps / test_s, "env steps/s")


def iteration_figures(name: str, seconds: float) -> list[Figure]:
    """Whole iterations of an on-policy method at the paper's size, and their memory.

    They are measured in a process of its own, whose memory is theirs alone.
    """
    with apart.pool(1) as pool:
        return pool.submit(_iterations, name, seconds).result()


def _iterations(name: str, seconds: float) -> list[Figure]:
    """Measure them in this process.

    They run on half-cheetah-fwd-back, against bare ``mj_step``
    under the actions that the method itself samples: what a step costs depends on the
    contacts. Iterations and bare steps alternate; the best of each counts.
    """
    keep_pages()
    threads = available_cores()
    torch.set_num_threads(threads)
    use_fastest_float32()
    learner = paper_learner("cpu", "float32", name=name, family="half-cheetah-fwd-back")
    family, rng = learner.family, np.random.default_rng(0)
    tasks = [family.train[i % 2] for i in range(ENGINE_SIZES[0])]
    env = family.make_batch(tasks, threads=threads)
    adapter = learner.adapter(tasks, 0)
    episode = run_episode(env, adapter, family.horizon, rng, explore=True)
    env.close()

    best, rate, raw, before = math.inf, 0.0, 0.0, 0
    parts: dict[str, float] = {}
    rounds, end = 0, time.perf_counter() + 2 * seconds
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        rounds += 1
        start, before = time.perf_counter(), learner.env_steps
        sampling = -learner.sampling_seconds
        learner.collect()
        sampling += learner.sampling_seconds
        collected = time.perf_counter()
        while learner.updates_due:
            learner.update()
        done = time.perf_counter()
        if done - start < best and before:  # the first one pays for fresh memory
            best, rate = done - start, (learner.env_steps - before) / (done - start)
            parts = {
                "sampling": sampling,
                "advantages and inner steps": collected - start - sampling,
                "meta-update": done - collected,
            }
        raw = max(raw, bare(family.name, episode.steps.action, seconds / 10))
    title = f"{name} iteration, {learner.env_steps - before:,} steps"
    return [
        Figure(title, rate, "env steps/s", rate / raw, f"{raw:,.0f} bare mj_step/s"),
        *(
            Figure(f"{name}, {part}", took, "s", took / best, "the iteration")
            for part, took in parts.items()
        ),
        Figure(f"{name}, peak memory", peak_memory_mib(), "MiB"),
    ]


def cuda_figures(seconds: float) -> Iterator[Figure]:
    """PEARL's update on the GPU in both precisions."""
    for precision in PRECISIONS:
        yield cuda_figure(precision, seconds)


def cuda_figure(precision: str, seconds: float) -> Figure:
    """Updates per second on the GPU, sampling included, as training does them."""
    learner = paper_learner("cuda", precision)
    learner.collect()
    learner.updates_due = sys.maxsize

    def updates() -> None:
        learner.update()  # ends by reading the metrics, so the device is done

    (took,) = fastest_of([updates], seconds)
    name = f"PEARL update, {precision}, {torch.cuda.get_device_name()}"
    return Figure(name, UPDATES_PER_SLICE / took, "updates/s")


def memory_figures(_: float) -> Iterator[Figure]:
    """Peak memory of a half-cheetah-vel run of 100 tasks, in a process of its own."""
    with apart.pool(1) as pool:
        peak = pool.submit(_first_updates).result()
    yield Figure("peak memory, 100 train tasks, 205k steps stored", peak, "MiB")


def _first_updates() -> float:
    keep_pages()
    learner = paper_learner("cpu", "float32")
    learner.collect()
    learner.update()
    evaluate(learner, learner.family, seed=0, threads=learner.threads)
    return peak_memory_mib()


def paper_learner(
    device: str,
    precision: str,
    *,
    name: str = "pearl",
    family: str = "half-cheetah-vel",
    train_tasks: int | None = None,
    **changes: Any,
) -> Any:
    """Return a learner at the paper's setting, with the first of its train tasks.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: of the method's arithmetic.
        name: the method's.
        family: the family's name.
        train_tasks: how many of its train tasks; all if None.
        changes: settings of the method that are not the paper's.
    """
    words = ["suite=locomotion", "budget=paper"]
    threads = available_cores()
    run = configuration.run_config(
        configuration.load(words), family, name, 0, threads=threads
    )
    row = registry.family("locomotion", family)
    row = replace(row, train=row.train[:train_tasks])
    config = replace(run.config, **changes)
    return registry.learner_class(name)(
        config, row, seed=0, device=device, precision=precision, threads=threads
    )


def fastest_of(work: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """Do each in turn, over and over; return the least seconds each one took."""
    best = [math.inf] * len(work)
    end = time.perf_counter() + seconds * len(work)
    for do in work:
        do()  # warm up
    while math.inf in best or time.perf_counter() < end:
        for i, do in enumerate(work):
            start = time.perf_counter()
            do()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


PARTS = {
    "engine": Part(len(ENGINE_FAMILIES) * len(ENGINE_SIZES), engine_figures),
    "update": Part(2 * len(PRECISIONS), update_figures),
    "plan": Part(2, plan_figures),
    "rollout": Part(2, rollout_figures),
    **{name: Part(5, partial(iteration_figures, name)) for name in ON_POLICY},
    "cuda": Part(len(PRECISIONS), cuda_figures),
    "memory": Part(1, memory_figures),
}
"""All figures, in the order in which they are measured."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
