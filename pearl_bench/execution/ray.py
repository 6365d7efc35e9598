"""Runs as actors of a Ray cluster: detached, and named by the run's folder.

Ray has one actor of a name, whoever asks for it; starts it anew on another node when
its own dies; and still knows it when the command comes back.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pearl_bench.config import runs as configuration
from pearl_bench.config.cluster import memory_bytes
from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.execution.engine import EngineError, Job
from pearl_bench.execution.node import carry_out
from pearl_bench.execution.orders import PROGRESS, Order, write_order
from pearl_bench.execution.plan import Run
from pearl_bench.execution.work import LOG
from pearl_bench.machine import threads
from pearl_bench.records.files import RecordError

NAMESPACE = "pearl_bench"
RESTARTS = 100
"""How often an actor is started anew; one that gets nowhere ends itself earlier."""
REMEDY = (
    "See by `ray status` whether the cluster is up that RAY_ADDRESS names, then repeat "
    "the command"
)
"""What to do where Ray does not answer."""


class Ray:
    """See ``Engine``; a job is the path of the run's folder."""

    name = "ray"

    def __init__(self, bench: BenchConfig) -> None:
        self._ray = _connect()
        memory = 0 if bench.memory is None else memory_bytes(bench.memory)
        self._needs = {"GPU": bench.gpus, "memory": memory}
        self._cores: dict[str, int] = {}
        self._usual_cores = bench.threads or 1
        self._environment: dict[str, str] = {}
        if "PYTHONPATH" in os.environ:
            self._environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def alive(self, jobs: Collection[str]) -> Mapping[str, Job]:
        """See ``Engine``."""
        with _explained():
            names = set(self._ray.util.list_named_actors())
        needed = {job: self._cores.get(job, self._usual_cores) for job in jobs}
        lacking = self._lacking(needed.values())

        def waiting(cores: int) -> Job:
            reason = f" ({lacking[cores]})" if lacking[cores] else ""
            return Job(False, f"waiting{reason}")

        return {
            job: Job(True, "running")
            if Path(job, PROGRESS).exists()
            else waiting(cores)
            for job, cores in needed.items()
            if job in names
        }

    def objection(self, runs: Sequence[Run]) -> str:
        """See ``Engine``; what no node has, as ``alive`` says it."""
        lacking = self._lacking(run.config.threads for run in runs)
        return "; ".join(filter(None, lacking.values()))

    def _lacking(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return, by a run's number of cores, what no node has for it, or ""."""
        with _explained():
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        found = {}
        for cores in sorted({*numbers}):
            needs = {"CPU": cores} | {k: v for k, v in self._needs.items() if v}
            room = any(all(n.get(k, 0) >= v for k, v in needs.items()) for n in nodes)
            lacking = " ".join(f"{key}={need}" for key, need in needs.items())
            found[cores] = "" if room else f"no node has {lacking}"
        return found

    def submit(
        self, runs: Sequence[Run], command: Sequence[str], living: Collection[str]
    ) -> Iterator[tuple[Run, str | RecordError]]:
        """See ``Engine``."""
        del living  # Ray itself knows what has room
        actor = self._ray.remote(Trainer)
        for run in runs:
            job = str(run.folder.absolute())
            config = configuration.to_yaml(run.config)
            try:
                write_order(run.folder, Order(config, [*command], self.name, job))
            except RecordError as error:
                yield run, error
                continue
            self._cores[job] = cores = run.config.threads
            pools = dict.fromkeys(threads.POOLS, str(cores))
            with _explained():
                actor.options(
                    name=job,
                    lifetime="detached",
                    get_if_exists=True,
                    max_restarts=RESTARTS,
                    num_cpus=cores,
                    num_gpus=self._needs["GPU"],
                    memory=self._needs["memory"] or None,
                    runtime_env={"env_vars": self._environment | pools},
                ).remote(job)
            yield run, job

    def cancel(self, jobs: Collection[str]) -> None:
        """See ``Engine``."""
        for job in self.alive(jobs):
            with _explained(), suppress(ValueError):  # it has just ended
                actor = self._ray.get_actor(job)
                if Path(job, PROGRESS).exists():
                    actor.stop.remote()
                else:  # it would start only to stop
                    self._ray.kill(actor, no_restart=True)

    def ended(self, job: str) -> str:
        """See ``Engine``."""
        return f"its actor is gone; {LOG} in the folder may say more"


class Trainer:
    """The actor: trains one run in a thread until it is done, stopped or failed.

    Args:
        job: the run's folder.
    """

    def __init__(self, job: str) -> None:
        threads.limit_spinning()
        self._stop = threading.Event()
        threading.Thread(target=self._train, args=(job,)).start()

    def stop(self) -> None:
        """Ask for an end with a checkpoint."""
        self._stop.set()

    def _train(self, job: str) -> None:
        import ray  # noqa: PLC0415

        context = ray.get_runtime_context()
        try:
            with Path(job, LOG).open("a") as log:  # where libraries' words belong
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            task = context.get_actor_id() or ""
            carry_out(Path(job), job, task, self._stop.is_set)
        except Exception:
            traceback.print_exc()
        ray.kill(context.current_actor, no_restart=True)


@contextmanager
def _explained() -> Iterator[None]:
    """Let whatever Ray raises be heard as its answer.

    Raises:
        EngineError: in place of it.
    """
    try:
        yield
    except Exception as error:
        raise EngineError(f"{type(error).__name__}: {error}", REMEDY) from error


def _connect() -> Any:
    """Return the module ``ray``, connected to the cluster that RAY_ADDRESS names.

    Raises:
        ConfigError: Ray is not installed or does not answer.
    """
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"engine=ray needs Ray ({error}): pip install 'pearl-bench[ray]', with the "
            "version that the cluster has"
        ) from error
    address = os.environ.get("RAY_ADDRESS", "auto")
    before = signal.getsignal(signal.SIGTERM)
    try:
        host = re.fullmatch(r"(.+):(\d+)", address)
        if host and "://" not in address:  # Ray itself tries for minutes
            socket.create_connection((host[1], int(host[2])), timeout=10).close()
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
        )
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"engine=ray: no cluster answers at RAY_ADDRESS={address} ({reason}). "
            "Start one with `ray start`, or set RAY_ADDRESS to its head's host:port; "
            "versions and tokens have to agree."
        ) from error
    signal.signal(signal.SIGTERM, before)  # Ray's own would end the command at once
    return ray
