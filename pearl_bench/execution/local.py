"""Where runs execute: in this process, or each in one of its own, some at a time.

A run is independent of all others, so another place to execute (a cluster's queue)
is another function beside ``_execute_children``: it hands out ``_Order`` texts to
``python -m pearl_bench.execution.local`` and reads lines of progress back.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.runs import ConfigError, RunConfig
from pearl_bench.execution.console import Board, Lines, Progress, Tee
from pearl_bench.execution.plan import Cost, Run
from pearl_bench.machine.malloc import keep_pages
from pearl_bench.records.mirror import Mirror
from pearl_bench.records.run_folder import RecordError, RunRecord, provenance

if TYPE_CHECKING:
    from pearl_bench.training.types import MetaLearner
    from suites.base import TaskFamily

LOG = "log.txt"
TRIAL_TASKS, TRIAL_HORIZON = 20, 50


class StopRequest:
    """Makes the first SIGINT or SIGTERM a polite request; the second ends at once.

    Attributes:
        signal: the signal that came, if any.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()  # the next signal does what it always did
        # print() is not safe within a handler: it may have interrupted a print().
        os.write(2, b"\nstopping after a checkpoint; once more ends at once\n")


def limit_spinning() -> None:
    """Let OpenMP threads that wait sleep after a moment; call before torch is loaded.

    By default they spin for milliseconds at every barrier. Where anybody else wants
    the cores (another run, the environments' threads) that made updates two to seven
    times slower on two cores. A moment (a fraction of a millisecond) still bridges the
    gap from one operation to the next. Children inherit it; a user's choice stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def measure(run: RunConfig) -> Cost:
    """Return what a run takes, from a short trial in this process."""
    _prepare(run)
    family = _meta_tested(registry.family(run.suite, run.family), run)
    learner = _learner(run, family)
    from pearl_bench.training.evaluate import episodes_due  # noqa: PLC0415

    test_steps = episodes_due(learner, family) * family.horizon
    meta_tests = -(-run.steps // run.eval_every)
    tested = meta_tests * test_steps * _meta_test_pace(learner, family, run)
    return Cost(tested + learner.estimate_seconds(run.steps), test_steps)


def _meta_test_pace(learner: MetaLearner, family: TaskFamily, run: RunConfig) -> float:
    """Return the seconds that a step of a meta-test takes, from a small one."""
    from pearl_bench.training.evaluate import evaluate  # noqa: PLC0415

    trial = replace(
        family,
        horizon=min(family.horizon, TRIAL_HORIZON),
        test=family.test[:TRIAL_TASKS],
        checked_train=(),
        package_test=False,
        meta_test=replace(family.meta_test, exploration_episodes=1, test_episodes=1),
    )
    family.make_batch(trial.test, threads=run.threads).close()  # the first is slow
    start = time.perf_counter()
    rows = evaluate(learner, trial, seed=run.seed, threads=run.threads)
    return (time.perf_counter() - start) / sum(row.length for row in rows)


def launch(
    runs: Sequence[Run], jobs: int, board: Board, command: Sequence[str]
) -> tuple[dict[Path, str], signal.Signals | None]:
    """Execute the pending runs, ``jobs`` at a time; one that fails stops no other.

    Args:
        runs: the plan.
        jobs: how many at the same time.
        board: the screen.
        command: the command line, for the records.

    Returns:
        The reason of each failure by run folder, and the signal that stopped the
        others, if one did.
    """
    pending = [run for run in runs if run.pending]
    with StopRequest() as stop:
        execute = _execute_here if jobs == 1 else _execute_children
        failures = execute(pending, jobs, board, command, stop)
    return failures, stop.signal


def train_run(
    run: RunConfig,
    folder: Path,
    progress: Progress,
    stop: Callable[[], bool],
    command: Sequence[str],
) -> bool:
    """Train one run in this process, in its folder, from where it stands.

    Returns:
        Whether it is done; false if ``stop`` ended it.

    Raises:
        RecordError: the folder is in use or damaged.
        NonFiniteLoss: a loss became NaN or infinite.
    """
    _prepare(run)
    import torch  # noqa: PLC0415

    from pearl_bench.training.evaluate import parts  # noqa: PLC0415
    from pearl_bench.training.loop import train  # noqa: PLC0415

    gpu = torch.cuda.get_device_name() if run.device == "cuda" else None
    family = registry.family(run.suite, run.family)
    origin = provenance(family.fingerprint(), command, gpu=gpu)
    origin |= {"device": run.device, "threads": run.threads}
    with (
        Mirror(run, folder) as mirror,
        RunRecord(folder, mirror) as record,
        (folder / LOG).open("a", encoding="utf-8") as log,
    ):
        progress = Tee(progress, Lines(log, run.steps))
        family = _meta_tested(family, run)
        learner = _learner(run, family)
        origin["meta_test"] = [part.describe() for part in parts(learner, family)]
        record.begin(configuration.to_yaml(run), origin)
        try:
            done = train(learner, family, run, record, progress, stop)
        except Exception as error:
            record.finish("failed", _reason(error))
            log.write(traceback.format_exc())
            raise
        record.finish("done" if done else "stopped")
        progress.say("done" if done else "stopped; the same command goes on from here")
        return done


def _meta_tested(family: TaskFamily, run: RunConfig) -> TaskFamily:
    words = run.meta_test
    return family.meta_tested(words.goals, package=words.protocol == "metaworld")


def _prepare(run: RunConfig) -> None:
    keep_pages()
    import torch  # noqa: PLC0415  (seconds, which a finished plan does not wait)

    from pearl_bench.training.nn import use_fastest_float32  # noqa: PLC0415

    torch.set_num_threads(run.threads)
    if run.device == "cpu":
        use_fastest_float32()


def _learner(run: RunConfig, family: TaskFamily) -> MetaLearner:
    try:
        return registry.learner_class(run.learner)(
            run.config,
            family,
            seed=run.seed,
            device=run.device,
            precision=run.precision,
            threads=run.threads,
        )
    except ValueError as error:  # what only the method knows is not allowed
        raise ConfigError(f"{run.learner}: {error}") from error


def _execute_here(
    runs: Sequence[Run],
    jobs: int,
    board: Board,
    command: Sequence[str],
    stop: StopRequest,
) -> dict[Path, str]:
    assert jobs == 1
    failures: dict[Path, str] = {}
    for run in runs:
        if stop():
            break
        with board.run(run) as progress:
            try:
                train_run(run.config, run.folder, progress, stop, command)
            except Exception as error:
                failures[run.folder] = _reason(error)
                progress.say(f"failed: {_reason(error)}")
        gc.collect()  # the learner's buffers, before the next learner's
    return failures


def _execute_children(
    runs: Sequence[Run],
    jobs: int,
    board: Board,
    command: Sequence[str],
    stop: StopRequest,
) -> dict[Path, str]:
    failures: dict[Path, str] = {}
    children: list[subprocess.Popen[str]] = []
    lock = threading.Lock()  # no child starts once the others were told to stop

    def execute(run: Run) -> None:
        with lock:
            if stop():
                return
            child = _start_child(run, command)
            children.append(child)
        with board.run(run) as progress:
            reason = _follow_child(child, progress)
            if reason and not (stop() and child.returncode == -signal.SIGTERM):
                failures[run.folder] = reason
                progress.say(f"failed: {reason}")

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(execute, run) for run in runs}
        try:
            waiting, told = futures, False
            while waiting:
                waiting = wait(waiting, timeout=0.2).not_done
                if stop() and not told:
                    told = True
                    with lock:
                        for child in children:
                            child.terminate()
        except KeyboardInterrupt:
            for child in children:
                child.kill()
            raise
    for future in futures:
        future.result()
    return failures


def _start_child(run: Run, command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process that trains one run and tells its progress on its output."""
    run.folder.mkdir(parents=True, exist_ok=True)
    threads = str(run.config.threads)
    # Libraries size their thread pools when they are loaded; two pools that each take
    # all cores slow each other down tenfold.
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    with (run.folder / LOG).open("a", encoding="utf-8") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pearl_bench.execution.local"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | dict.fromkeys(pools, threads),
            text=True,
            # Out of the terminal's reach: it sends SIGINT to its whole process group,
            # and the parent passes on exactly one request.
            start_new_session=True,
        )
    order = {
        "config": configuration.to_yaml(run.config),
        "folder": str(run.folder),
        "command": list(command),
    }
    assert child.stdin is not None
    try:
        with child.stdin:
            json.dump(order, child.stdin)
    except BrokenPipeError:
        pass  # it died early, and its exit status will say so
    return child


def _follow_child(child: subprocess.Popen[str], progress: Progress) -> str:
    """Pass a child's progress on until it ends; return why it failed, or ``""``."""
    reason = ""
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            message = json.loads(line)
            if "say" in message:
                progress.say(message["say"])
            elif "failed" in message:
                reason = message["failed"]
            else:
                progress.update(**message)
    code = child.wait()
    if code and not reason:
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        reason = f"its process ended with {ended}; {LOG} in the folder may say more"
    return reason


class _Pipe:
    """Progress of a child, told to its parent as lines of JSON."""

    def __init__(self, stream: TextIO, stop: StopRequest) -> None:
        self._stream = stream
        self._stop = stop

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Tell the counters."""
        self.send(env_steps=env_steps, updates=updates, test_return=test_return)

    def say(self, line: str) -> None:
        """Tell a line."""
        self.send(say=line)

    def send(self, **message: object) -> None:
        """Tell anything; without a parent to tell, ask the run to stop."""
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._stop.signal = signal.SIGPIPE


def _reason(error: Exception) -> str:
    if isinstance(error, RecordError | ArithmeticError):  # written for the reader
        return str(error)
    return f"{type(error).__name__}: {error}"


def main() -> int:
    """Train the run that standard input orders; the child's side of a pool."""
    with StopRequest() as stop:
        order = json.load(sys.stdin)
        # What a library prints must not get between the lines of progress.
        pipe = _Pipe(os.fdopen(os.dup(1), "w", encoding="utf-8"), stop)
        os.dup2(2, 1)
        try:
            train_run(
                configuration.from_yaml(order["config"]),
                Path(order["folder"]),
                pipe,
                stop,
                order["command"],
            )
        except Exception as error:
            pipe.send(failed=_reason(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
