"""The command's side of a cluster: submit what is missing, watch, say how it ends."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pearl_bench.config import runs as configuration
from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.execution.console import Board, duration
from pearl_bench.execution.engine import Engine, EngineError, Job
from pearl_bench.execution.orders import ORDER, Order, ProgressReader, read_order
from pearl_bench.execution.plan import Run, require_same
from pearl_bench.execution.signals import StopRequest
from pearl_bench.records.files import NoLocksError, RecordError, locked, make_folder
from pearl_bench.records.run_folder import RunStatus, status
from pearl_bench.training.types import Progress

SHOWN = 20
"""Runs with a bar, or lines, of their own at a time; the others are only counted."""

PATIENCE = 600.0
"""Seconds that a cluster may leave questions unanswered: controllers are restarted."""

LATENCY = 20.0
"""Seconds that a shared file system may take to show what a node wrote last."""

LONGEST_PAUSE = 15.0
"""Seconds between two questions, once they have been asked for some minutes."""

SUBMITTING = ".submitting"
"""The file in ``<out>/<suite>`` whose lock lets one command submit at a time."""

T = TypeVar("T")


def living(engine: Engine, runs: Sequence[Run]) -> dict[Path, str]:
    """Return the jobs of those of the runs that wait or are trained, by folder.

    Raises:
        EngineError: the cluster does not answer.
    """
    return _living(engine, {run.folder: read_order(run.folder) for run in runs})


def _living(engine: Engine, orders: Mapping[Path, Order | None]) -> dict[Path, str]:
    """Return the jobs that the orders name and that wait or run, by folder."""
    jobs = {f: o.job for f, o in orders.items() if o and o.engine == engine.name}
    alive = engine.alive(jobs.values())
    return {folder: job for folder, job in jobs.items() if job in alive}


def cluster(bench: BenchConfig) -> Engine | None:
    """Return the cluster that a command asks for, None if it is to run here.

    Raises:
        ConfigError: this machine has no way to it.
    """
    if bench.engine == "slurm":
        from pearl_bench.execution.slurm import Slurm  # noqa: PLC0415

        return Slurm(bench)
    if bench.engine == "ray":
        from pearl_bench.execution.ray import Ray  # noqa: PLC0415

        return Ray(bench)
    return None


def launch(
    runs: Sequence[Run],
    engine: Engine,
    board: Board,
    command: Sequence[str],
    on_stop: Literal["leave", "cancel"],
) -> tuple[dict[Path, str], signal.Signals | None]:
    """Have the pending runs trained by a cluster, and follow them until they end.

    Runs that an earlier command has submitted are followed as well.

    Args:
        runs: the plan.
        engine: the cluster.
        board: the screen.
        command: the command line, for the records.
        on_stop: what becomes of the jobs if the command is stopped.

    Returns:
        The reason of each failure by run folder, and the signal that stopped the
        command, if one did.

    Raises:
        EngineError: the cluster takes none of the runs, or answers no more.
    """
    doing = {
        "leave": f"leaving the runs with {engine.name}",
        "cancel": "cancelling the runs after a checkpoint",
    }
    with StopRequest(doing[on_stop]) as stop:
        follower = _Follower(engine, board, stop)
        follower.submit([run for run in runs if run.pending], command)
        follower.follow(on_stop)
    return follower.failures, stop.signal


class _Follower:
    """The runs that are with a cluster, as one command sees them."""

    def __init__(self, engine: Engine, board: Board, stop: StopRequest) -> None:
        self.failures: dict[Path, str] = {}
        self._engine = engine
        self._board = board
        self._stop = stop
        self._watched: list[_Watch] = []
        self._ended = Counter[str]()
        self._silent_since: float | None = None

    def submit(self, runs: Sequence[Run], command: Sequence[str]) -> None:
        """Submit the runs that are not with the cluster yet, and watch all of them.

        One whose folder does not give or take an order fails, as does one that is
        there with other settings, and stops no other.
        """
        with self._alone(runs[0].folder.parents[2]):
            while True:
                if self._stop():
                    return
                orders = self._orders(runs)
                found = self._ask(lambda orders=orders: _living(self._engine, orders))
                if found is not None:
                    break
                time.sleep(1)
            runs = [run for run in runs if run.folder in orders]
            for run in runs:
                if run.folder in found:
                    self._join(run, orders[run.folder], found[run.folder])
            joined = len(self._watched)
            missing = [run for run in runs if run.folder not in found]
            refused = {run.folder for run in missing}
            try:
                for run, job in self._engine.submit(missing, command, found.values()):
                    refused.remove(run.folder)
                    if isinstance(job, RecordError):
                        self.failures[run.folder] = str(job)
                    else:
                        self._watched.append(_Watch(run, job, fresh=True))
            except EngineError as error:
                if not self._watched and not self.failures:
                    raise
                self.failures |= dict.fromkeys(refused, str(error))
        self._board.say(
            f"{self._engine.name}: {len(self._watched) - joined} submitted, "
            f"{joined} there already"
        )

    def _join(self, run: Run, order: Order | None, job: str) -> None:
        """Watch a job that an earlier command has submitted, if it trains this run."""
        assert order is not None
        try:
            there = configuration.parsed(order.config, run.folder / ORDER)
            require_same(run.config, run.folder, there)
        except ConfigError as error:
            self.failures[run.folder] = (
                f"{error}\nIts job {job} waits or runs with {self._engine.name}."
            )
        else:
            self._watched.append(_Watch(run, job, fresh=False))

    def _orders(self, runs: Sequence[Run]) -> dict[Path, Order | None]:
        """Return the orders of the runs by folder; one that is damaged has failed."""
        orders: dict[Path, Order | None] = {}
        for run in runs:
            try:
                orders[run.folder] = read_order(run.folder)
            except RecordError as error:
                self.failures[run.folder] = str(error)
        return orders

    def follow(self, on_stop: Literal["leave", "cancel"]) -> None:
        """Watch until all have ended, or the command is to stop and leave them."""
        began = time.monotonic()
        cancelled = False
        while self._watched:
            if self._stop():
                if on_stop == "leave":
                    break
                cancelled = cancelled or self._cancel()
            jobs = [watch.job for watch in self._watched]
            alive = self._ask(lambda jobs=jobs: self._engine.alive(jobs))
            if alive is not None:
                self._look(alive, cancelled)
            pause = min(max(1.0, (time.monotonic() - began) / 20), LONGEST_PAUSE)
            until = time.monotonic() + pause
            while self._watched and time.monotonic() < until:
                if self._stop() and not cancelled:
                    break
                time.sleep(0.1)
        for watch in self._watched:
            watch.close()
        if self._watched:
            self._board.say(
                f"with {self._engine.name} still: {len(self._watched)}. Repeat the "
                "command to come back to them; on_stop=cancel lets its Ctrl-C stop them"
            )

    def _look(self, alive: Mapping[str, Job], cancelled: bool) -> None:
        """Hear how each run fares, and let go of those that have ended."""
        shown = sum(watch.shown for watch in self._watched)
        staying = []
        for watch in self._watched:
            job = alive.get(watch.job)
            if job is None or job.running:
                shown += watch.hear(self._board, shown < SHOWN)
            end = watch.end(self._engine, alive=job is not None, cancelled=cancelled)
            if end is None:
                staying.append(watch)
                continue
            how, reason = end
            self._ended[how] += 1
            if reason:
                self.failures[watch.run.folder] = reason
                self._board.say(f"{watch.run.name}: {how}: {reason}")
            watch.close()
        self._watched = staying
        texts = Counter(job.text for job in alive.values())
        counts = [*self._ended.items(), *texts.most_common()]
        self._board.status(", ".join(f"{count:,} {what}" for what, count in counts))

    def _cancel(self) -> bool:
        """Tell the cluster to stop the runs; return whether it has heard it."""
        jobs = [watch.job for watch in self._watched]
        try:
            self._engine.cancel(jobs)
        except EngineError as error:
            self._board.say(f"{self._engine.name} does not cancel: {error.said}")
            return False
        self._board.say(f"{self._engine.name}: {len(jobs)} cancelled")
        return True

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Return the cluster's answer, None if it gives none for a while.

        Raises:
            EngineError: that has lasted too long.
        """
        try:
            answer = question()
        except EngineError as error:
            now = time.monotonic()
            if self._silent_since is None:
                self._silent_since = now
                self._board.say(
                    f"{self._engine.name} does not answer ({error.said}); asking again "
                    f"for {duration(PATIENCE)}"
                )
            if now - self._silent_since > PATIENCE:
                raise
            return None
        self._silent_since = None
        return answer

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Let no other command look for jobs and submit the missing ones meanwhile."""
        make_folder(folder)
        with ExitStack() as held:
            told = False
            while not self._stop():
                try:
                    held.enter_context(locked(folder / SUBMITTING, wait=False))
                    break
                except BlockingIOError:
                    if not told:
                        told = True
                        self._board.say("waiting for another command, which submits")
                    time.sleep(0.2)
                except NoLocksError:
                    break  # a job that its run's order does not name ends by itself
            yield


class _Watch:
    """One run that is with a cluster.

    Attributes:
        shown: whether it has a place on the screen.
    """

    def __init__(self, run: Run, job: str, *, fresh: bool) -> None:
        self.run = run
        self.job = job
        self.shown = False
        self._reader = ProgressReader(run.folder, fresh=fresh)
        self._screen = ExitStack()
        self._progress: Progress | None = None
        self._told: dict[str, Any] = {}  # last, by its session
        self._gone_at: float | None = None

    def hear(self, board: Board, room: bool) -> bool:
        """Show what the run has told; return whether that has taken a place."""
        news = self._reader.news()
        taken = bool(news) and room and not self.shown
        if taken:
            self._progress = self._screen.enter_context(board.run(self.run))
            self.shown = True
        self._told = news[-1] if news else self._told
        if self._progress is not None:
            # The last counters only: speeds are taken from when they are heard.
            for message in [m for m in news if "env_steps" in m][-1:]:
                self._progress.update(**message)
            for message in news:
                if "say" in message:
                    self._progress.say(message["say"])
        return taken

    def end(
        self, engine: Engine, *, alive: bool, cancelled: bool
    ) -> tuple[str, str] | None:
        """Return how the run has ended, and why if it failed; None if it has not."""
        if alive and not self._told.get("done"):
            self._gone_at = None
            return None
        try:
            found = status(self.run.folder)
        except RecordError as error:
            return "failed", str(error)
        if found.state == "done" and found.env_steps >= self.run.config.steps:
            return "done", ""
        now = time.monotonic()
        self._gone_at = self._gone_at or now
        known = "failed" in self._told or "killed" in self._told or cancelled
        if alive or (not known and now - self._gone_at < LATENCY):
            return None
        if cancelled and "failed" not in self._told:
            return "stopped", ""
        return "failed", self._reason(engine, found)

    def _reason(self, engine: Engine, found: RunStatus) -> str:
        """Return why a run is gone that is not done."""
        if "failed" in self._told:
            return self._told["failed"]
        if found.state == "done":
            return "an earlier command asked for fewer steps; repeat this one"
        how = ""
        if "killed" in self._told:
            how = f"its process ended with {self._told['killed']}; "
        elif "done" in self._told:
            how = "it was stopped after a checkpoint; "
        return how + engine.ended(self.job)

    def close(self) -> None:
        """Give the place on the screen back."""
        self._screen.close()
        self.shown = False
