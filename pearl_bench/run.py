"""The command: config -> plan -> launch -> publish -> figures.

``python -m pearl_bench.run suite=locomotion``; ``--help`` lists every word. The same
line typed again goes on where it stopped, or finds nothing to do.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from pearl_bench.config import runs as configuration
from pearl_bench.config.command import Command
from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.execution import follow, local, trial
from pearl_bench.execution.console import Board, tell_failures
from pearl_bench.execution.outputs import enduring_outputs
from pearl_bench.execution.pace import recall
from pearl_bench.execution.plan import (
    estimate,
    plan,
    share_cores,
    side_by_side,
    wall_seconds,
)
from pearl_bench.machine import threads
from pearl_bench.records import mirror
from pearl_bench.records.files import require_writable
from pearl_bench.records.schema import RUNS_FILE

COMMAND = Command(
    "run",
    BenchConfig,
    """\
Plans suite x learner x seed, runs what is missing, publishes the curves. The same
line again resumes where it stopped. Lists: families=a,b seeds=0,1

Exit code: 0 all done, 1 a run failed or is not published, 2 the command cannot be
carried out, 128 + n stopped by signal n.""",
    configuration.EXAMPLE,
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code that its help describes."""
    return COMMAND.carry_out(words, _run)


@enduring_outputs()
def _run(words: Sequence[str]) -> int:
    bench = configuration.load(words)
    _refuse_trials(bench)
    mirror.require(bench.mirror)
    threads.limit_spinning()
    board = Board()
    runs = plan(bench)
    if not any(run.pending for run in runs):
        board.show_plan(runs)
        board.say("nothing to do")
        return 0 if bench.dry or _publish(bench, board) else 1
    command = ["python", "-m", "pearl_bench.run", *words]
    cluster = follow.cluster(bench)
    if not bench.dry:
        _require_writable(bench)
    if cluster is None:
        jobs = side_by_side(bench, runs)
        runs = share_cores(bench, runs, jobs)
        if bench.measure:
            board.say("measuring how fast this machine is")
        runs = estimate(runs, trial.measure if bench.measure else recall)
        board.show_plan(runs, jobs, wall_seconds(runs, jobs))
        if bench.dry:
            return 0
        with board:
            failures, stopped = local.launch(runs, jobs, board, command)
    else:
        board.show_plan(runs)
        if bench.dry:
            pending = [run for run in runs if run.pending]
            found = follow.living(cluster, pending)
            new = [run for run in pending if run.folder not in found]
            board.say(
                f"{cluster.name}: {len(new)} to submit, {len(found)} there already"
            )
            if objection := cluster.objection(new):
                board.say(f"{cluster.name}: they could not start now: {objection}")
            return 0
        with board:
            failures, stopped = follow.launch(
                runs, cluster, board, command, bench.on_stop
            )
    tell_failures(failures)
    if stopped is not None:
        if cluster is None:
            board.say("stopped; repeat the command to resume")
        return 128 + stopped
    published = _publish(bench, board, failures.values())
    return 0 if published and not failures else 1


def _publish(bench: BenchConfig, board: Board, told: Collection[str] = ()) -> bool:
    """Bring published curves and figures up to date; quick if they are.

    Args:
        bench: what the command asks for.
        board: is told what changed.
        told: reasons of failures that stand above, and are not said once more.

    Returns:
        Whether all runs are published.
    """
    from pearl_bench.records.published import drawn  # noqa: PLC0415
    from pearl_bench.records.published.publish import (  # noqa: PLC0415
        LeftOutError,
        publish,
    )

    out, results = Path(bench.out).expanduser(), Path(bench.results).expanduser()
    folder, behind = results / bench.suite, _behind(results, bench.suite)
    complete = True
    try:
        changed = publish(out, results, bench.suite, board.say)
    except LeftOutError as error:
        print(error.text(told), file=sys.stderr)
        changed, complete = error.changed, False
    for path in changed:
        board.say(f"wrote {path}")
    if drawn.is_current(folder, *(other / bench.suite for other in behind)):
        return complete
    from pearl_bench.analysis.drawing import require_matplotlib  # noqa: PLC0415

    require_matplotlib()
    from pearl_bench.analysis import report  # noqa: PLC0415  (takes seconds)
    from pearl_bench.analysis.files import NothingPublishedError  # noqa: PLC0415

    try:
        for path in report.refresh(results, bench.suite, *behind):
            board.say(f"{'wrote' if path.exists() else 'removed'} {path}")
    except NothingPublishedError:
        board.say(f"no figure: no run in {out / bench.suite} has been evaluated yet")
    return complete


def _behind(results: Path, suite: str) -> list[Path]:
    """Return what is published beside a folder of a user's own, if anything is."""
    published = results.parent
    shown = _is_published(published) and (published / suite / RUNS_FILE).is_file()
    return [published] if shown else []


def _is_published(results: Path) -> bool:
    """Whether a folder is one of published results: it explains itself."""
    return (results / "README.md").is_file()


def _refuse_trials(bench: BenchConfig) -> None:
    """Keep runs that show nothing but that the code runs out of published results.

    Raises:
        ConfigError: that is asked for.
    """
    if bench.budget in ("smoke", "regress") and _is_published(
        Path(bench.results).expanduser()
    ):
        raise ConfigError(
            f"results={bench.results} is for results that are published (it has a "
            f"README.md), and budget={bench.budget} is no setting to judge a method "
            "by; take another results=, or none"
        )


def _require_writable(bench: BenchConfig) -> None:
    """Find out now, not in each run or after hours, that nothing can be written."""
    from pearl_bench.records.published.publish import LOCK  # noqa: PLC0415

    results, out = Path(bench.results).expanduser(), Path(bench.out).expanduser()
    require_writable(
        [(results / bench.suite, "results"), (out / bench.suite, "out")], LOCK
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
