"""Runs as tasks of Slurm's array jobs, by plain ``sbatch``, ``squeue`` and ``scancel``.

An array goes by a name that is made up before it is submitted, and a job by that and
its place in the array: whatever happens to the command in between, it finds its jobs.
No accounting database is needed.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pearl_bench.config import runs as configuration
from pearl_bench.config.errors import in_words
from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.execution.engine import EngineError, Job
from pearl_bench.execution.orders import Order, write_order
from pearl_bench.execution.plan import Run
from pearl_bench.execution.work import LOG
from pearl_bench.machine.imports import same_imports
from pearl_bench.records.files import RecordError, make_folder

TASKS = 1000
"""Tasks of one array; Slurm's limit is 1,001 where a site has not changed it."""

WARNING_SECONDS = 60
"""Time for the last checkpoint. Slurm may warn of a time limit a minute earlier."""

ENDED = frozenset(
    (
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    )
)
"""States that a job does not leave, unless Slurm itself requeues it."""

TOO_MUCH = (
    "BadConstraints",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
)
"""Reasons for which Slurm lets a job wait for ever, where it could have refused it."""

SILENCE_SECONDS = 60
"""How long one of Slurm's commands may take."""

UNREACHABLE = (
    "Type the command on a login node of the cluster, where `scontrol ping` shows its "
    "controller as UP, and repeat it there"
)
REFUSED = (
    "Change what it refuses (partition=, account=, time=, memory=, gpus=, threads= or "
    "sbatch=); `sinfo` shows what there is"
)
"""What to do where questions are not answered, and where jobs are not taken."""
UNANSWERED = (
    "Unable to contact slurm controller",
    "Could not establish a configuration source",
)
"""How Slurm's programs say that the controller does not answer, or is not found."""

SCRIPT = Path(__file__).with_suffix(".sh")


class SilenceError(EngineError):
    """The controller has not been reached, so nothing is known."""


class _Task(NamedTuple):
    """A job as ``squeue`` shows it."""

    id: str
    state: str
    reason: str

    def job(self) -> Job:
        if self.state == "PENDING":
            reason = "" if self.reason == "None" else f" ({self.reason})"
            hopeless = ", for more than there is" if self.reason in TOO_MUCH else ""
            return Job(False, f"waiting{reason}{hopeless}")
        return Job(True, self.state.lower())


class Slurm:
    """See ``Engine``."""

    name = "slurm"

    def __init__(self, bench: BenchConfig) -> None:
        for program in ("sbatch", "squeue", "scancel", "scontrol"):
            if shutil.which(program) is None:
                raise ConfigError(
                    f"engine=slurm: there is no {program} on this machine. Type the "
                    "command on a login node of the cluster."
                )
        self._bench = bench
        # Slurm writes the name of the array and the place in it for %x and %a.
        self._logs = Path(bench.out).expanduser().absolute() / bench.suite / ".slurm"
        self._seen: dict[str, _Task] = {}

    def alive(self, jobs: Collection[str]) -> Mapping[str, Job]:
        """See ``Engine``; one call for all."""
        names = sorted({job.partition("/")[0] for job in jobs})
        if not names:
            return {}
        shown = _slurm(
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            f"--name={','.join(names)}",
            "--format=%j/%K|%F_%K|%T|%r",
        )
        seen = {}
        for line in shown.splitlines():
            job, *rest = line.split("|")
            seen[job] = _Task(*rest)
        mine = {job: seen[job] for job in jobs if job in seen}
        self._seen |= mine
        return {job: t.job() for job, t in mine.items() if t.state not in ENDED}

    def objection(self, runs: Sequence[Run]) -> str:
        """See ``Engine``; what ``sbatch --test-only`` says."""
        said = []
        for part in _parts(runs, len(runs)):
            try:
                _slurm(*self._sbatch(part[0]), "--test-only", str(SCRIPT))
            except SilenceError:
                raise
            except EngineError as error:
                said.append(error.said)
        return "; ".join(dict.fromkeys(said))

    def submit(
        self, runs: Sequence[Run], command: Sequence[str], living: Collection[str]
    ) -> Iterator[tuple[Run, str | RecordError]]:
        """See ``Engine``; an array for each 1,000 runs of as many threads.

        With ``jobs=`` an array waits for those before it, or more would run at a time.
        """
        make_folder(self._logs)
        before = {self._seen[job].id.partition("_")[0] for job in living}
        size = max(1, min(TASKS, _largest_array()))
        for part in _parts(runs, size):
            name = f"pearl_bench-{secrets.token_hex(4)}"
            jobs: dict[str, Run] = {}
            for run in part:
                job = f"{name}/{len(jobs)}"
                config = configuration.to_yaml(run.config)
                try:
                    write_order(run.folder, Order(config, [*command], self.name, job))
                except RecordError as error:
                    yield run, error
                else:
                    jobs[job] = run
            if not jobs:
                continue
            words = [f"--job-name={name}", f"--array=0-{len(jobs) - 1}"]
            if self._bench.jobs:
                words[-1] += f"%{self._bench.jobs}"
                words += [f"--dependency=afterany:{':'.join(before)}"] if before else []
            folders = [str(run.folder.absolute()) for run in jobs.values()]
            script = [str(SCRIPT), sys.executable, str(self._logs), *folders]
            told = _slurm(*self._sbatch(part[0]), *words, *script)
            before.add(told.strip().partition(";")[0])
            yield from ((run, job) for job, run in jobs.items())

    def cancel(self, jobs: Collection[str]) -> None:
        """See ``Engine``."""
        self.alive(jobs)
        running, others = [], []
        for task in (self._seen[job] for job in jobs if job in self._seen):
            if task.state not in ENDED:
                (running if task.state == "RUNNING" else others).append(task.id)
        for words, ids in ((["--batch", "--signal=USR2"], running), ([], others)):
            for first in range(0, len(ids), TASKS):
                _slurm("scancel", "--quiet", *words, *ids[first : first + TASKS])

    def ended(self, job: str) -> str:
        """See ``Engine``."""
        task = self._seen.get(job)
        if task is None:
            reason = "Slurm has lost its job"
        elif task.state in ENDED:
            reason = f"job {task.id} ended as {task.state}"
        else:
            reason = f"job {task.id} is gone, last seen {task.state}"
        output = self._logs / f"{job.replace('/', '_')}.out"
        with suppress(OSError):
            lines = output.read_text(errors="replace").splitlines()
            reason += "".join(f"; {line}" for line in lines[-1:])
        return f"{reason}; {LOG} in the folder may say more"

    def _sbatch(self, run: Run) -> list[str]:
        bench = self._bench
        asked = {
            "cpus-per-task": run.config.threads,
            "gres": "gpu:1" if bench.gpus else None,
            "mem": bench.memory,
            "time": bench.time,
            "partition": bench.partition,
            "account": bench.account,
        }
        return [
            "sbatch",
            "--parsable",
            "--requeue",
            "--open-mode=append",
            f"--signal=B:USR1@{WARNING_SECONDS}",
            f"--output={str(self._logs).replace('%', '%%')}/%x_%a.out",
            *(f"--{key}={value}" for key, value in asked.items() if value is not None),
            *shlex.split(bench.sbatch),
        ]


def _parts(runs: Sequence[Run], size: int) -> Iterator[list[Run]]:
    """Yield the runs of each array: all its tasks get as many cores."""

    def threads(run: Run) -> int:
        return run.config.threads

    for _, some in groupby(sorted(runs, key=threads), threads):
        alike = [*some]
        for first in range(0, len(alike), size):
            yield alike[first : first + size]


def _largest_array() -> int:
    settings = _slurm("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize *= *(\d+)", settings, re.MULTILINE)
    return int(found[1]) if found else TASKS


def _slurm(*words: str) -> str:
    """Return what one of Slurm's commands prints.

    Raises:
        SilenceError: it cannot be started, does not end, or has no answer from the
            controller.
        EngineError: it fails.
    """
    program = words[0]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            env=os.environ | same_imports(),  # jobs have it from sbatch
            check=False,
            capture_output=True,
            text=True,
            timeout=SILENCE_SECONDS,
            start_new_session=True,  # out of Ctrl-C's reach
        )
    except subprocess.TimeoutExpired as error:
        said = f"{program} has not answered for {SILENCE_SECONDS} s"
        raise SilenceError(said, UNREACHABLE) from error
    except OSError as error:
        said = f"{program} cannot be started: {in_words(error)}"
        raise SilenceError(said, UNREACHABLE) from error
    if done.returncode:
        lines = dict.fromkeys(map(str.strip, done.stderr.splitlines()))
        quoted = "; ".join(filter(None, lines)) or f"exit code {done.returncode}"
        said = f'{program} failed, and Slurm says "{quoted}"'
        if any(phrase in quoted for phrase in UNANSWERED):
            raise SilenceError(said, UNREACHABLE)
        raise EngineError(said, REFUSED if program == "sbatch" else UNREACHABLE)
    return done.stdout
