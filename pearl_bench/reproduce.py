"""A published run trained again from its row alone, and compared row by row.

``python -m pearl_bench.reproduce run=r9a502593aaa2`` takes settings, seed, device,
precision and threads from the run's row of ``runs.csv``, trains up to an evaluation in
a folder of its own, and says whether the curves are equal to the bit, or where they
first differ and what else does. Published files are only read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

from pearl_bench import registry
from pearl_bench.config.command import Command
from pearl_bench.config.conf import of_budget
from pearl_bench.config.runs import meta_tested, require_sensible
from pearl_bench.config.types import (
    Budget,
    ConfigError,
    Device,
    MetaTestConfig,
    Precision,
    RunConfig,
)
from pearl_bench.config.words import build, suggest
from pearl_bench.execution.console import Board, Left, tell_end
from pearl_bench.execution.local import launch
from pearl_bench.execution.plan import Run, look_up, resolve_device
from pearl_bench.machine import threads
from pearl_bench.records import schema
from pearl_bench.records.files import kept_or_temporary
from pearl_bench.records.published.curves import OF_A_SESSION, curve_of, order
from pearl_bench.records.published.identity import describe, title
from pearl_bench.records.published.publish import read_rows
from pearl_bench.records.table import SEPARATOR, Row
from suites.base import TaskFamily

PLACE = ("env_steps", "protocol", "split", "group", "episode")
"""What identifies a row of a curve."""
ORIGIN = (
    *("commit", "dirty", "python", "torch", "mujoco", "gymnasium", "metaworld"),
    *("numpy", "packages", "device", "cpu", "gpu", "cpu_flags", "threads"),
)
"""Columns of ``runs.csv`` that may explain other values."""
NAMED = 8
"""Runs that are named of those whose ids begin alike."""


@dataclass(frozen=True)
class ReproduceConfig:
    """What to train again.

    Attributes:
        run: id of a published run, as runs.csv has it, or how it begins.
        steps: up to the last evaluation within so many environment steps; up to the
            first evaluation without it.
        results: folder of published results; it is only read.
        threads: of a run whose row does not say how many it had.
        out: a folder for the raw run, so that the same line goes on where it stopped;
            a temporary one if none.
    """

    run: str
    steps: int | None = None
    results: str = "results"
    threads: int = 1
    out: str | None = None


COMMAND = Command(
    "reproduce",
    ReproduceConfig,
    """\
Trains a published run again from its row alone and compares the curves.

Exit code: 0 they are equal to the bit, 1 they differ or the run failed, 2 the command
cannot be carried out.""",
    "run=r9a502593aaa2",
)


class Published(NamedTuple):
    """A run as it is published.

    Attributes:
        suite: where it stands.
        row: of runs.csv.
        curve: its rows of ``<learner>.csv``, in their order.
    """

    suite: str
    row: Row
    curve: list[Row]

    @property
    def evaluations(self) -> list[int]:
        """Environment steps of its evaluations, ascending."""
        return sorted({int(row["env_steps"]) for row in self.curve})


class Difference(NamedTuple):
    """A cell that is not what was published.

    Attributes:
        env_steps: of the evaluation.
        place: which row, in words.
        column: its column.
        published: the value in the file; empty where the file has no such row.
        now: the value of the run that was trained again; empty likewise.
    """

    env_steps: int
    place: str
    column: str
    published: str
    now: str


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code that its help describes."""
    return COMMAND.carry_out(words, _reproduce)


def find(results: Path, name: str) -> Published:
    """Return a published run by its id, or by how that begins.

    Raises:
        ConfigError: none has it, or several have.
        RecordError: a published file is damaged.
    """
    found = {
        (path.parent.name, row["run"]): row
        for path in sorted(results.glob(f"*/{schema.RUNS_FILE}"))
        for row in read_rows(schema.RUNS, path)
    }
    if not found:
        raise ConfigError(f"results={results} has no published runs")
    names = [run for _, run in found]
    chosen = [key for key in found if name and key[1].startswith(name)]
    if not chosen:
        hint = suggest(name, names, f"{results}/*/{schema.RUNS_FILE}")
        raise ConfigError(f"run={name} is not in {results}{hint}")
    if len(chosen) > 1:
        alike = ", ".join(f"{run} ({suite})" for suite, run in chosen[:NAMED])
        if len(chosen) > NAMED:
            alike += f" and {len(chosen) - NAMED} more"
        raise ConfigError(f"run={name} may be any of {alike}; give more of it")
    (suite, run), row = chosen[0], found[chosen[0]]
    path = results / suite / f"{row['learner']}.csv"
    curve = [point for point in read_rows(schema.CURVES, path) if point["run"] == run]
    if not curve:
        raise ConfigError(f"{path} has no evaluation of {title(row)} to compare with")
    return Published(suite, row, sorted(curve, key=order))


def _family_of(published: Published) -> TaskFamily:
    """Return the family that a run was trained on.

    Raises:
        ConfigError: there is no such suite here, or no such family in it.
    """
    row, suite = published.row, published.suite
    if suite in registry.suite_names():
        for family in registry.suite(suite).families:
            if family.name == row["family"]:
                return family
    raise ConfigError(
        f"{row['family']} of the suite {suite}, which {title(row)} was trained on, is "
        f"not known here: install {row['packages'] or 'the package that adds it'}, or "
        f"check out commit {row['commit']}"
    )


def run_of(published: Published, *, steps: int | None, threads: int) -> RunConfig:
    """Return the run that a row describes, up to one of its evaluations.

    Args:
        published: the run.
        steps: up to the last evaluation within so many; the first one if None.
        threads: if the row does not say how many it had.

    Raises:
        ConfigError: this version has no such run, or plays other tasks or episodes.
    """
    row, evaluations = published.row, published.evaluations
    known = [at for at in evaluations if steps is None or at <= steps]
    if not known:
        raise ConfigError(
            f"steps={steps}: the first evaluation of {title(row)} is at "
            f"{evaluations[0]}; give at least as many, or leave steps= out"
        )
    if row["learner"] not in registry.learner_names():
        raise ConfigError(
            f"{row['learner']} is no method that is registered here: install "
            f"{row['packages'] or 'the package that adds it'}"
        )
    family = _family_of(published)
    if family.fingerprint() != row["fingerprint"]:
        raise ConfigError(
            f"{title(row)} was trained on other tasks: its fingerprint is "
            f"{row['fingerprint']}, and {family.name} has {family.fingerprint()} now. "
            f"Check out commit {row['commit']} to train it again"
        )
    settings = json.loads(row["settings"])
    gone = sorted(settings.keys() - registry.default_settings(row["learner"]).keys())
    if gone:
        raise ConfigError(
            f"{title(row)} has settings that {row['learner']} no longer has: "
            f"{', '.join(gone)}. Check out commit {row['commit']} to train it again"
        )
    run = RunConfig(
        suite=published.suite,
        family=family.name,
        learner=row["learner"],
        seed=int(row["seed"]),
        budget=cast(Budget, row["budget"]),
        steps=known[0] if steps is None else known[-1],
        eval_every=int(row["eval_every"]),
        device=resolve_device(cast(Device, _first(row["device"]))),
        precision=cast(Precision, row["precision"]),
        threads=int(_first(row["threads"]) or threads),
        checkpoint_minutes=5.0,
        config=build(
            registry.config_class(row["learner"]),
            settings,
            prefix=f"{row['learner']}.",
        ),
    )
    return replace(run, meta_test=_meta_test(published, run, family))


def differences(
    published: Sequence[Row], again: Sequence[Row], until: int
) -> Iterator[Difference]:
    """Yield every cell that differs, in the order of the curve.

    Args:
        published: rows of the published curve.
        again: rows of the same run, trained again.
        until: environment steps of the last evaluation to compare.
    """
    then, now = (
        {tuple(row[key] for key in PLACE): row for row in rows}
        for rows in (published, again)
    )
    for key in sorted(then | now, key=lambda key: order((then | now)[key])):
        if int(key[0]) > until:
            continue
        steps, protocol, split, group, episode = key
        place = f"{steps} steps, {protocol} {split} {group}, episode {episode}"
        old, new = then.get(key, {}), now.get(key, {})
        for column in schema.CURVES.names:
            if column in ("run", *OF_A_SESSION):
                continue
            cells = old.get(column, ""), new.get(column, "")
            if cells[0] != cells[1]:
                yield Difference(int(steps), place, column, *cells)


def _reproduce(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    if wanted.threads < 1:
        raise ConfigError(f"threads={wanted.threads}: it must be positive")
    require_sensible(wanted.threads)
    results = Path(wanted.results).expanduser()
    published = find(results, wanted.run)
    run = run_of(published, steps=wanted.steps, threads=wanted.threads)
    threads.limit_spinning()
    board = Board()
    for sentence in _reservations(published, run):
        board.say(sentence)
    left: Left = "checkpoints" if wanted.out is not None else "nothing"
    with kept_or_temporary(wanted.out, "reproduce") as out:
        if out.resolve().is_relative_to(results.resolve()):
            raise ConfigError(f"out={out} lies within {results}; take another folder")
        again = look_up(
            run,
            out,
            published.row["fingerprint"],
            keep_repetitions=False,
            most_threads=None,
        )
        _require_another(again, published.row)
        command = ["python", "-m", "pearl_bench.reproduce", *words]
        with board:
            failures, stopped = launch(
                [again], 1, board, command, goes_on=left == "checkpoints"
            )
        code = tell_end(failures, stopped, board, left)
        if code is not None:
            return code
        row = describe(again.folder, [published.row])
        curve = curve_of(again.folder, row, board.say).points
    return _report(published, run, row, curve, board)


def _require_another(again: Run, row: Row) -> None:
    """Refuse to compare a run with itself.

    Args:
        again: what is to be trained.
        row: of the published run.

    Raises:
        ConfigError: its folder holds the execution that was published.
    """
    if again.state == "missing":
        return
    found = describe(again.folder)
    # one second may have two runs begin
    if all(found[key] == row[key] for key in ("started", "command")):
        raise ConfigError(
            f"{again.folder} holds {title(row)} as it was trained and published, which "
            "would be compared with itself; take another out=, or none"
        )


def _meta_test(
    published: Published, run: RunConfig, family: TaskFamily
) -> MetaTestConfig:
    """Return the meta-test that a run was played with.

    Its row says how often each task was played, and on how many tasks; which goals
    these are follows from their number. A run of before there were repetitions has no
    episode 0.

    Raises:
        ConfigError: there is no such meta-test any more.
    """
    row, curve = published.row, published.curve
    unadapted = any(point["episode"] == "0" for point in curve)
    played = {point["protocol"] for point in curve}
    due = {"exploration_episodes", "test_episodes"}
    now = {key: str(getattr(family.meta_test, key)) for key in due}
    if any(row[key] != now[key] for key in due):
        raise ConfigError(
            f"{title(row)} was meta-tested by {row['exploration_episodes']} "
            f"exploration and {row['test_episodes']} test episodes, and {family.name} "
            f"no longer is. Check out commit {row['commit']} to train it again"
        )
    usual = MetaTestConfig(
        repetitions=int(row["repetitions"] or 1) if unadapted else None,
        protocol=next(
            (p.name for p in family.protocols if p.on_request and p.name in played),
            "suite",
        ),
    )
    goals = of_budget(run.budget).get("goals", {}).get(run.suite)
    for number in (None, goals, *range(1, len(family.test))):
        tried = replace(usual, goals=number)
        tested = meta_tested(family, replace(run, meta_test=tried)).test
        if len(tested) == int(row["test_tasks"]):
            return tried
    raise ConfigError(
        f"{title(row)} was meta-tested on {row['test_tasks']} tasks, and no choice of "
        f"the {len(family.test)} of {family.name} has as many"
    )


def _first(cell: str) -> str:
    """Return the value of a run's first session."""
    return cell.partition(SEPARATOR)[0]


def _reservations(published: Published, run: RunConfig) -> Iterator[str]:
    """Say what the row leaves open, and how it was filled in."""
    row = published.row
    yield f"{title(row)}: again, up to {run.steps} steps"
    if not row["threads"]:
        yield (
            f"its row does not say on how many threads it ran: threads={run.threads} "
            "is taken"
        )
    if not row["cpu_flags"]:
        yield (
            "its row does not say which instruction sets its processor had; others "
            "round sums otherwise"
        )
    if run.meta_test.repetitions is None:
        yield (
            "its meta-test is that of before there were repetitions: each task once, "
            "without an episode 0"
        )
    foreign = registry.packages(run.learner, run.suite)
    if foreign and not row["packages"]:
        yield (
            f"part of its code is of {', '.join(foreign)}, and its row does not say of "
            "which version"
        )
    usual = registry.default_settings(run.learner)
    filled = sorted(usual.keys() - json.loads(row["settings"]))
    if filled:
        values = ", ".join(f"{key}={usual[key]}" for key in filled)
        yield f"its row lacks settings that there are now; taken are {values}"
    several = [key for key in ORIGIN if SEPARATOR in row[key]]
    if several:
        yield (
            f"it ran in {row['sessions']} sessions that differ in "
            f"{', '.join(several)}; the first one's count"
        )


def _report(
    published: Published, run: RunConfig, row: Row, curve: Sequence[Row], board: Board
) -> int:
    """Say how the curves compare; return the exit code."""
    found = [*differences(published.curve, curve, run.steps)]
    rows = [point for point in published.curve if int(point["env_steps"]) <= run.steps]
    evaluations = len({point["env_steps"] for point in rows})
    compared = (
        f"{len(rows)} rows of {evaluations} evaluation{'s' * (evaluations > 1)} up to "
        f"{run.steps} steps"
    )
    if found:
        first = found[0]
        cells = f"{len(found)} cell{'s' * (len(found) > 1)}"
        board.say(
            f"different: {cells} in {compared}; the first is {first.column} at "
            f"{first.place}: {first.published or 'nothing'} published, "
            f"{first.now or 'nothing'} now"
        )
        for at, apart in _apart(found):
            board.say(f"  at {at} steps returns are up to {apart:.3g} apart")
        from pearl_bench.machine.arithmetic import loops  # noqa: PLC0415 (torch)

        board.say(f"  loops now: {loops()}; docs/protocol.md says what they change")
    else:
        board.say(f"equal to the bit: {compared}")
    for key in ORIGIN:
        if row[key] != published.row[key]:
            then = published.row[key] or "not recorded"
            board.say(f"  {key}: {then} then, {row[key] or 'unknown'} now")
    return 1 if found else 0


def _apart(found: Sequence[Difference]) -> Iterator[tuple[int, float]]:
    """Yield the largest difference of a return of each evaluation that has one."""
    apart: dict[int, float] = {}
    for one in found:
        if one.column == "return" and one.published and one.now:
            distance = abs(float(one.now) - float(one.published))
            apart[one.env_steps] = max(apart.get(one.env_steps, 0.0), distance)
    yield from apart.items()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
