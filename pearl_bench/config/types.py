"""What a command and a run are, as frozen dataclasses, and how one is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pearl_bench import registry
from pearl_bench.config.errors import UserError

Budget = Literal["smoke", "regress", "quick", "lean", "paper"]

Device = Literal["auto", "cpu", "cuda"]

Precision = Literal["float32", "bf16"]

EngineKind = Literal["local", "slurm", "ray"]

MirrorKind = Literal["none", "tensorboard", "wandb"]

FREE_ON_RESUME = frozenset(
    {"steps", "device", "threads", "checkpoint_minutes", "mirror"}
)
"""Keys of RunConfig that say where and how long a run runs, not what it computes."""

KNOWN, OF_METHODS, NONE = "known", "of_methods", "none"
"""Metadata of words; pearl_bench/config/words.py says what they mean."""


class ConfigError(UserError, ValueError):
    """The command line, ``conf/`` or a stored run cannot be used as it is."""


@dataclass(frozen=True)
class MetaTestConfig:
    """Words about the meta-test.

    Attributes:
        goals: of each class of tasks only the first ones; the budget's if none, which
            for the budget paper are all.
        repetitions: how often each test task is played, with a start, an exploration
            and an adaptation of its own each time; the budget's if none, or else the
            family's. A run that goes on keeps its own: one that was begun before there
            were any plays each task once, and no episode 0.
        protocol: play one beside the suite's that families play only on request, such
            as the evaluator of the package whose tasks they are.
    """

    goals: int | None = None
    repetitions: int | None = None
    protocol: str = "suite"

    def __post_init__(self) -> None:
        """Raise ValueError for a number below one."""
        for key in ("goals", "repetitions"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be positive, not {value}")


@dataclass(frozen=True)
class BenchConfig:
    """What one command asks for.

    Attributes:
        suite: the suite of task families to train on.
        families: some of the suite's families; all if empty, or the suite's choice.
        task: another word for families, for suites that have one family per task.
        learners: the methods to train; all that are for the families if empty.
        seeds: numbers of the seeds, one run each; the budget's if empty.
        budget: how long and how carefully: seconds (smoke; regress, which learns
            something), minutes (quick), hours (lean), or the paper's setting.
        steps: environment steps of a run, which ends with the iteration that reaches
            them (PEARL's first has its initial pool as well); the budget's if none.
        eval_every: environment steps between two evaluations; the budget's if none.
        engine: where the runs execute: on this machine, or on a cluster, whose nodes
            share the folder out= with it.
        jobs: runs at the same time. auto means as many as there are cores and free
            memory for, one on a GPU, and with engine=slurm as many as it has room for.
            Affinity, SLURM_CPUS_PER_TASK and limits of control groups (containers) say
            how many cores and how much memory there are.
        threads: cores of one run; auto gives each of the runs side by side its share,
            at most OMP_NUM_THREADS, one alone takes all, and with another engine than
            local each takes one. A run that goes on keeps the threads that it was begun
            with, here as far as there are cores: they change how sums are rounded.
        gpus: GPUs of one run on a cluster, 0 or 1; with 1 it trains on it.
        memory: of one run on a cluster, as 4G or 500M; the cluster's default if none. A
            run that takes more is refused.
        time: of one session of a run on Slurm, as 12:00:00; what is left when it ends
            is done in the next. Slurm's default if none.
        partition: of Slurm.
        account: of Slurm.
        sbatch: further options of Slurm's sbatch.
        on_stop: what becomes of a cluster's jobs if this command is stopped: leave
            them, so that the same command comes back to them, or cancel them after a
            checkpoint.
        device: where the networks are trained; auto means cuda if there is a device.
        precision: arithmetic of the matrix products in training.
        out: folder of the raw runs (logs, rows, checkpoints).
        results: folder where the curves and figures of this command's runs go. The
            usual one is left out of git, and what is published beside it (results/)
            stands in its figures as well; results=results publishes there, which is
            not for budget=smoke and regress.
        dry: show the plan and stop; nothing is written. A cluster is asked whether it
            could start the runs now.
        measure: find out how long it takes by a trial of each kind of run, before the
            plan is shown. Otherwise what earlier runs took on this machine says it, as
            they have left it in ~/.cache/pearl_bench (or $XDG_CACHE_HOME), or each run
            after its first minutes.
        checkpoint_minutes: time between two checkpoints of a run.
        mirror: where else the curves are shown, from checkpoint to checkpoint; needs
            the extra of that name.
        meta_test: the words that start with meta_test.
        settings: per method, the words that start with its name.
    """

    suite: str = field(metadata={KNOWN: registry.suite_names})
    families: list[str] = field(default_factory=list)
    task: list[str] = field(default_factory=list)
    learners: list[str] = field(
        default_factory=list, metadata={KNOWN: registry.learner_names}
    )
    seeds: list[int] = field(default_factory=list)
    budget: Budget = "quick"
    steps: int | None = None
    eval_every: int | None = None
    engine: EngineKind = "local"
    jobs: int | None = field(default=None, metadata={NONE: "auto"})
    threads: int | None = field(default=None, metadata={NONE: "auto"})
    gpus: int = 0
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    sbatch: str = ""
    on_stop: Literal["leave", "cancel"] = "leave"
    device: Device = "auto"
    precision: Precision = "float32"
    out: str = "results/raw"
    results: str = "results/local"
    dry: bool = False
    measure: bool = False
    checkpoint_minutes: float = 5.0
    mirror: MirrorKind = "none"
    meta_test: MetaTestConfig = field(default_factory=MetaTestConfig)
    settings: dict[str, dict[str, Any]] = field(
        default_factory=dict, metadata={OF_METHODS: True}
    )


@dataclass(frozen=True)
class RunConfig:
    """Everything that one run needs to know, resolved.

    Attributes:
        suite: name of the suite.
        family: name of the task family.
        learner: name of the method.
        seed: of networks, exploration and sampling; the tasks do not depend on it.
        budget: which settings of ``conf/`` apply.
        steps: environment steps to train for.
        eval_every: environment steps between two evaluations.
        device: where the networks are trained; ``auto`` only until it is known that
            there is something to train.
        precision: arithmetic of the matrix products in training.
        threads: threads of torch, and of the environments.
        checkpoint_minutes: time between two checkpoints.
        config: the method's own settings, a frozen dataclass.
        mirror: where else the run's rows are shown.
        meta_test: on how many goals, and by which protocols.
    """

    suite: str
    family: str
    learner: str
    seed: int
    budget: Budget
    steps: int
    eval_every: int
    device: Device
    precision: Precision
    threads: int
    checkpoint_minutes: float
    config: Any
    mirror: MirrorKind = "none"
    meta_test: MetaTestConfig = field(default_factory=MetaTestConfig)
