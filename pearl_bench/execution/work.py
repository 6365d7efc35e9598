"""One run, in its process.

``python -m pearl_bench.execution.work`` is the side of a child of ``local``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pearl_bench import registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.errors import UserError, exits_as_errors, in_words
from pearl_bench.config.runs import meta_tested
from pearl_bench.config.types import ConfigError, RunConfig
from pearl_bench.execution import pace
from pearl_bench.execution.console import Lines, Tee
from pearl_bench.execution.outputs import enduring
from pearl_bench.execution.plan import require_memory, require_same
from pearl_bench.execution.signals import StopRequest
from pearl_bench.machine.malloc import keep_pages
from pearl_bench.machine.threads import available_cores
from pearl_bench.records.files import open_log
from pearl_bench.records.mirror import Mirror
from pearl_bench.records.provenance import provenance
from pearl_bench.records.run_folder import CONFIG, RunRecord, status

if TYPE_CHECKING:
    from pearl_bench.training.types import BuildLearner, MetaLearner, Progress
    from suites.base import TaskFamily

LOG = "log.txt"
HERE = {"engine": "local", "job": None}
"""Where a run executes that no cluster has been asked for."""
POLICY = "policy.safetensors"


def train_run(
    run: RunConfig,
    folder: Path,
    progress: Progress,
    stop: Callable[[], bool],
    command: Sequence[str],
    where: Mapping[str, str | None] = HERE,
) -> bool:
    """Train one run in this process, in its folder, from where it stands.

    Args:
        run: the run.
        folder: its folder.
        progress: is told how far it is.
        stop: polled; true ends it with a checkpoint.
        command: the command line, for the records.
        where: ``engine`` and ``job``, for the records.

    Returns:
        Whether it is done; false if ``stop`` ended it.

    Raises:
        ConfigError: the run does not fit this machine's memory, the folder holds one
            with other settings, or the method does not allow a setting.
        RecordError: the folder is in use or damaged.
        NonFiniteLoss: a loss became NaN or infinite.
    """
    prepare(run)
    import torch  # noqa: PLC0415

    from pearl_bench.training.evaluate import (  # noqa: PLC0415
        description,
        episodes_due,
        protocols,
    )
    from pearl_bench.training.loop import train  # noqa: PLC0415

    gpu = torch.cuda.get_device_name() if run.device == "cuda" else None
    family = registry.family(run.suite, run.family)
    packages = registry.packages(run.learner, run.suite)
    origin = provenance(family.fingerprint(), command, gpu=gpu, packages=packages)
    origin |= {"device": run.device, "threads": run.threads, **where}
    origin["cores"] = available_cores()
    mirror = Mirror(run, folder, progress.say)
    with (
        RunRecord(folder, mirror, guarded=where["job"] is not None) as record,
        mirror,  # once the folder is ours: two would show the same run
        open_log(folder / LOG) as log,
    ):
        if status(folder).state != "missing":  # now, if not when this was planned
            require_same(run, folder, configuration.stored(folder / CONFIG))
        expected = pace.expected(run, folder)
        tested = meta_tested(family, run)
        require_memory(run)
        with exits_as_errors():
            learner = build_learner(run, tested)
        origin["meta_test"] = [
            description(protocol, tested) for protocol in protocols(learner, tested)
        ]
        record.begin(configuration.to_yaml(run), origin)
        test_steps = episodes_due(learner, tested) * family.horizon
        stopwatch = pace.Stopwatch(run, folder, test_steps)
        lines = Lines(enduring(log), run.steps, expected=expected)
        progress = Tee(progress, lines, stopwatch)
        try:
            with exits_as_errors():
                done = train(learner, tested, run, record, progress, stop)
                if done:
                    save_policy(folder / POLICY, run, family, learner)
        except Exception as error:
            record.finish("failed", reason_of(error))
            log.write(traceback.format_exc())
            raise
        record.finish("done" if done else "stopped")
        if done:
            stopwatch.end()
        progress.say("done" if done else "stopped after a checkpoint")
        return done


def prepare(run: RunConfig) -> None:
    """Tune this process to the run: memory, threads, arithmetic."""
    keep_pages()
    import torch  # noqa: PLC0415  (seconds, which a finished plan does not wait)

    from pearl_bench.machine.arithmetic import use_fastest_float32  # noqa: PLC0415

    torch.set_num_threads(run.threads)
    if run.device == "cpu":
        use_fastest_float32()


def build_learner(run: RunConfig, family: TaskFamily) -> MetaLearner:
    """Build a run's learner as it is before its first step.

    Raises:
        ConfigError: the method does not allow a setting, or lacks a member.
    """
    build: BuildLearner = registry.learner_class(run.learner)
    # Python would say so too, as an error of types
    _require_members(run.learner, getattr(build, "__abstractmethods__", ()))
    try:
        learner = build(
            run.config,
            family,
            seed=run.seed,
            device=run.device,
            precision=run.precision,
            threads=run.threads,
        )
    except ValueError as error:  # what only the method knows is not allowed
        raise ConfigError(f"{run.learner}: {error}") from error
    from pearl_bench.training.types import MEMBERS  # noqa: PLC0415

    lacking = [name for name in MEMBERS if not hasattr(learner, name)]
    _require_members(run.learner, lacking)
    return learner


def _require_members(learner: str, lacking: Iterable[str]) -> None:
    """Refuse a method that is not whole, before it is trained.

    Raises:
        ConfigError: names what is lacking.
    """
    if names := ", ".join(sorted(lacking)):
        raise ConfigError(
            f"{learner}: {registry.method(learner).learner} lacks {names}. A method "
            "needs all that MetaLearner (pearl_bench/training/types.py) names; write "
            "what is lacking"
        )


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
        except OSError:
            self._stop.signal = signal.SIGPIPE


def save_policy(
    path: Path, run: RunConfig, family: TaskFamily, learner: MetaLearner
) -> None:
    """Write what acting and adapting need as one small file."""
    from pearl_bench.records import policy_file  # noqa: PLC0415  (imports torch)

    description = {
        "config": configuration.to_yaml(run),
        "fingerprint": family.fingerprint(),
        "env_steps": learner.env_steps,
    }
    policy_file.write(path, learner.policy_state(), description)


def reason_of(error: Exception) -> str:
    """Return why a run failed, in a line."""
    if isinstance(error, UserError | registry.ExtensionError | ArithmeticError):
        return str(error)
    if isinstance(error, OSError):
        return in_words(error)
    return f"{type(error).__name__}: {error}"


def main() -> int:
    """Train the run that standard input orders; the child's side of a pool."""
    with StopRequest() as stop:
        order = json.load(sys.stdin)
        # What a library prints must not get between the lines of progress.
        pipe = _Pipe(os.fdopen(os.dup(1), "w", encoding="utf-8"), stop)
        os.dup2(2, 1)
        try:
            done = train_run(
                configuration.from_yaml(order["config"]),
                Path(order["folder"]),
                pipe,
                stop,
                order["command"],
            )
        except Exception as error:
            pipe.send(failed=reason_of(error))
            return 1
        # Stopped by somebody else than the parent, the run is not done.
        pipe.send(ended="done" if done or stop.signal is None else stop.signal.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
