"""Whether a method has got worse: small runs against stored ones of the same kind.

``python -m pearl_bench.regress`` trains every method at ``budget=regress`` on three
families by some seeds and compares returns and training metrics with those of the runs
published in ``results/regress``, of other seeds (``analysis/regression.py``).
``update=true`` writes the reference anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pearl_bench import registry
from pearl_bench.analysis import scores
from pearl_bench.analysis.arms import Arm
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.regression import (
    FALSE_ALARMS,
    FAR,
    LAST_SHARE,
    TRAINING,
    Finding,
    Key,
    Sample,
    compare,
    sample,
    summary,
    threshold,
    too_few,
)
from pearl_bench.config import runs as configuration
from pearl_bench.config.command import Command
from pearl_bench.config.types import KNOWN, OF_METHODS, BenchConfig, ConfigError
from pearl_bench.config.words import show
from pearl_bench.execution.console import Board, Left, tell_end
from pearl_bench.execution.local import launch
from pearl_bench.execution.plan import Run, plan
from pearl_bench.machine import threads
from pearl_bench.records import schema
from pearl_bench.records.files import (
    kept_or_temporary,
    locked,
    make_folder,
    require_writable,
    write_atomic,
)
from pearl_bench.records.provenance import source_commit
from pearl_bench.records.published.curves import order
from pearl_bench.records.published.publish import (
    LOCK,
    publish,
    read_rows,
    run_order,
)
from pearl_bench.records.published.training import (
    publish_training,
    training_of,
    training_order,
)
from pearl_bench.records.published.unfinished import UNFINISHED, begun, complaint
from pearl_bench.records.run_folder import read_run, run_folders
from pearl_bench.records.table import Row, Table

FAMILIES = {
    "point-robot": "navigation",
    "sparse-point-robot": "navigation",
    "half-cheetah-fwd-back": "locomotion",
}
"""Families that are trained on, and their suites."""
LEARNT = ("point-robot",)
"""Families on which every method learns something, so that returns can be tested."""
BUDGET = "regress"
REFERENCE_SEEDS = tuple(range(100, 112))


def _families() -> tuple[str, ...]:
    return (*FAMILIES,)


@dataclass(frozen=True)
class RegressConfig:
    """What one check compares.

    Attributes:
        update: train the reference's seeds and write the reference anew; with
            families= or learners= only what it has of these.
        reference: folder of the reference.
        families: some of the families; all if empty.
        learners: some of the methods; all of this project's if empty.
        seeds: other seeds than those of the budget.
        jobs: runs at the same time.
        out: a folder that keeps the raw runs, so that the same line goes on where it
            stopped, as long as the code is the same, and known to git, which that of
            other packages is not; a temporary one if none.
        settings: per method, other settings, to see whether they make it worse.
    """

    update: bool = False
    reference: str = "results/regress"
    families: list[str] = field(default_factory=list, metadata={KNOWN: _families})
    learners: list[str] = field(
        default_factory=list, metadata={KNOWN: registry.learner_names}
    )
    seeds: list[int] = field(default_factory=list)
    jobs: int = 1
    out: str | None = None
    settings: dict[str, dict[str, Any]] = field(
        default_factory=dict, metadata={OF_METHODS: True}
    )


COMMAND = Command(
    "regress",
    RegressConfig,
    f"""\
Trains every method on {", ".join(FAMILIES)}
at budget=regress and compares with the reference.

Exit code: 0 none is worse, 1 one is or a run failed, 2 the command cannot be carried
out.""",
    "families=point-robot jobs=2",
)


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code that its help describes."""
    return COMMAND.carry_out(words, _regress)


def _regress(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    place = Path(wanted.reference).expanduser()
    _require_reference(place)
    _require_finished(place, wanted)
    now = _code_now()
    if wanted.update:
        if wanted.seeds or wanted.settings:
            raise ConfigError(
                "update=true trains by the reference's seeds with the settings in "
                "conf/; leave seeds= and settings out"
            )
        if now is None:
            raise ConfigError(
                "update=true takes code that git knows, so that the reference can say "
                "what it was made with; commit first"
            )
    threads.limit_spinning()
    board = Board()
    families = wanted.families or FAMILIES
    suites = _suites(families)
    with (
        kept_or_temporary(wanted.out, "regress") as out,
        # not beside them: runs that are there no more would be compared too
        kept_or_temporary(None, "published") as published,
    ):
        benches = [_bench(wanted, suite, families, out) for suite in suites]
        runs = _plan(benches, out, now)
        left: Left = "nothing"
        if wanted.out is not None:
            known = all(_code_of(run, now) for run in runs)  # as _plan wants it
            left = "checkpoints" if known else "logs"
        if wanted.update:  # not after the training
            require_writable([(place / suite, "reference") for suite in suites], LOCK)
        reference = {} if wanted.update else _reference(place, benches)
        with board:
            failures, stopped = launch(
                runs,
                benches[0].jobs or 1,
                board,
                ["python", "-m", "pearl_bench.regress", *words],
                goes_on=left == "checkpoints",
            )
        code = tell_end(failures, stopped, board, left)
        if code is not None:
            return code
        for suite in suites:
            publish(out, published, suite, board.say)
            publish_training(out, published, suite, LAST_SHARE)
        if wanted.update:
            _replace(place, published, wanted, board)
            return 0
        current = {
            key: one
            for suite in suites
            for key, one in _samples(published, suite, usual=False).items()
        }
    limit = threshold(reference, LEARNT)
    if too_few(reference, current, limit):
        board.say(
            f"{len(benches[0].seeds)} seeds are too few for a test of training metrics "
            f"to reach p < {limit:.2g}; leave seeds= out, or give more"
        )
    found = [*compare(reference, current, tested=LEARNT, limit=limit)]
    return _report(found, limit, board)


def _require_reference(place: Path) -> None:
    """Refuse a folder of other published results: nothing of them is replaced.

    Raises:
        ConfigError: it has runs of another budget.
    """
    for path in sorted(place.glob(f"*/{schema.RUNS_FILE}")):
        others = {row["budget"] for row in read_rows(schema.RUNS, path)} - {BUDGET}
        if others:
            raise ConfigError(
                f"reference={place} is no reference: {path} has runs of "
                f"budget={show(sorted(others))}; name one, such as "
                f"reference={RegressConfig.reference}, or a new folder"
            )


def _require_finished(place: Path, wanted: RegressConfig) -> None:
    """Refuse a reference that is part old and part new, unless this command mends it.

    Raises:
        PublishedError: says how.
    """
    words = begun(place)
    if words is None:
        return
    if _update(wanted) not in (words, _update(RegressConfig(update=True))):
        raise PublishedError(complaint(place, words))


def _update(wanted: RegressConfig) -> str:
    """Return the words that say what of a reference is replaced; none if nothing."""
    if not wanted.update:
        return ""
    part = {"families": wanted.families, "learners": wanted.learners}
    chosen = [f"{key}={show(names)}" for key, names in part.items() if names]
    return " ".join(["update=true", *chosen])


def _suites(families: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(FAMILIES[family] for family in families)]


def _bench(
    wanted: RegressConfig, suite: str, families: Iterable[str], out: Path
) -> BenchConfig:
    bench = configuration.complete(
        BenchConfig(
            suite=suite,
            families=[name for name in families if FAMILIES[name] == suite],
            learners=wanted.learners or [*registry.LEARNERS],
            seeds=[*REFERENCE_SEEDS] if wanted.update else wanted.seeds,
            budget=BUDGET,
            jobs=wanted.jobs,
            device="cpu",
            out=str(out),
            settings=wanted.settings,
        )
    )
    if len(bench.seeds) < 2:
        raise ConfigError("seeds= takes two at least: one has no spread to compare by")
    return bench


def _plan(benches: Sequence[BenchConfig], out: Path, now: str | None) -> list[Run]:
    """Return all runs, and make sure that no other is in their folder.

    Args:
        benches: what is trained.
        out: the folder.
        now: what ``_code_now`` returned.

    Raises:
        ConfigError: another run is there, or one of other code.
    """
    runs = [run for bench in benches for run in plan(bench)]
    planned = {run.folder for run in runs}
    for folder in run_folders(out):
        if folder not in planned:
            raise ConfigError(
                f"{folder} is no run of this command and would be compared too; "
                "take a new out=, or none"
            )
    for run in runs:
        if run.state == "missing":
            continue
        code = _code_of(run, now)
        found = {_code(session) for session in read_run(run.folder)["sessions"]}
        if code is None or found != {code}:
            raise ConfigError(
                f"{run.folder} holds a run of other code, or of code that git does not "
                "know, as that of other packages; take a new out=, or none"
            )
    # Networks this small are fastest on one thread.
    return [replace(run, config=replace(run.config, threads=1)) for run in runs]


def _code(session: Mapping[str, Any]) -> str | None:
    """Return the commit that a session ran; None if that does not say it all."""
    return None if session["dirty"] else session["commit"]


def _code_now() -> str | None:
    """Return the commit that this process runs, as ``_code`` does."""
    commit, dirty = source_commit()
    return _code({"commit": commit, "dirty": dirty})


def _code_of(run: Run, now: str | None) -> str | None:
    """Return the commit of all code that would train a run; None if none says it all.

    Args:
        run: whose method may be of another package, which is of no commit known here.
        now: what ``_code_now`` returned.
    """
    foreign = registry.packages(run.config.learner, run.config.suite)
    return None if foreign else now


def _replace(reference: Path, fresh: Path, wanted: RegressConfig, board: Board) -> None:
    """Make published runs the reference, in place of its runs of the same kind.

    Args:
        reference: its folder.
        fresh: the runs.
        wanted: the words. Where they name no part, nothing is left of the reference of
            before, not only of the methods and families that were trained.
        board: is told the files.
    """
    whole = not (wanted.families or wanted.learners)
    suites = [
        suite
        for suite in _suites(FAMILIES)
        if any((folder / suite).is_dir() for folder in (fresh, reference))
    ]
    with ExitStack() as held:
        for suite in suites:
            make_folder(reference / suite)
            held.enter_context(locked(reference / suite / LOCK))
        write_atomic(reference / UNFINISHED, _update(wanted).encode())
        for suite in suites:
            _replace_suite(reference / suite, fresh / suite, whole=whole, board=board)
        (reference / UNFINISHED).unlink()


def _replace_suite(target: Path, fresh: Path, *, whole: bool, board: Board) -> None:
    trained = {
        (row["family"], row["learner"])
        for row in read_rows(schema.RUNS, fresh / schema.RUNS_FILE)
    }
    names = {x.relative_to(y) for y in (fresh, target) for x in _csv(y)}
    for path in sorted(names):
        table, place = _table(path)
        kept = [
            row
            for row in read_rows(table, target / path)
            if not whole
            and (row["family"], row.get("learner", path.stem)) not in trained
        ]
        rows = sorted([*kept, *read_rows(table, fresh / path)], key=place)
        if not rows:
            (target / path).unlink()
            continue
        make_folder((target / path).parent)
        write_atomic(target / path, table.to_csv(rows))
        board.say(f"wrote {target / path}")


def _csv(folder: Path) -> list[Path]:
    return [*folder.glob("*.csv"), *folder.glob(f"{schema.TRAINING_FOLDER}/*.csv")]


def _table(path: Path) -> tuple[Table, Callable[[Row], Any]]:
    """Return which table a file of the reference is, and the order of its rows."""
    if path.parent.name == schema.TRAINING_FOLDER:
        return schema.TRAINING, training_order
    if path.name == schema.RUNS_FILE:
        return schema.RUNS, run_order
    return schema.CURVES, order


def _reference(folder: Path, benches: Sequence[BenchConfig]) -> dict[Key, Sample]:
    """Read the whole reference and make sure that nothing is missing from it."""
    wanted = {bench.suite for bench in benches}
    known = {
        key: one
        for suite in _suites(FAMILIES)
        if suite in wanted or (folder / suite / schema.RUNS_FILE).exists()
        for key, one in _samples(folder, suite, usual=True).items()
    }
    for bench in benches:
        for family in bench.families:
            for learner in bench.learners:
                if (family, learner) not in known:
                    raise PublishedError(
                        f"{folder / bench.suite} has no runs of {learner} on {family}; "
                        "update=true writes the reference anew"
                    )
                _require_other_seeds(bench.seeds, known[family, learner])
    return known


def _require_other_seeds(seeds: Sequence[int], reference: Sample) -> None:
    """Refuse runs that the reference has: what is compared with itself is no test.

    Raises:
        ConfigError: names the seeds.
    """
    same = sorted(reference.seeds & {*seeds})
    if same:
        raise ConfigError(
            f"seeds={show(same)}: the reference has these, and runs of the same seed "
            "would be compared with themselves; take others, or leave seeds= out"
        )


def _arms(results: Path, suite: str, *, usual: bool) -> list[Arm]:
    """Read a suite's runs: one arm of each method and family."""
    if not (results / suite / schema.RUNS_FILE).exists():
        raise PublishedError(
            f"{results} has no runs on {suite}; run this where the repository is, give "
            "reference=, or write one with update=true"
        )
    published = scores.load(results, suite)
    keys = [(arm.family, arm.learner) for arm in published.arms]
    for key in keys:
        if keys.count(key) > 1:
            raise PublishedError(
                f"{results / suite} has runs of {key[1]} on {key[0]} with different "
                "settings; update=true writes the reference anew"
            )
    for family in published.families:
        for arm in family.arms:
            if arm.runs[0].row["fingerprint"] != family.row.fingerprint():
                raise PublishedError(
                    f"{results / suite}: {family.name} has other tasks now, so returns "
                    "do not compare; update=true writes the reference anew"
                )
            others = [*arm.changed, *_other_steps(arm, suite)] if usual else []
            if others:
                raise PublishedError(
                    f"{results / suite}: {arm.learner} on {family.name} had other "
                    f"settings than conf/ has now: {show(others)}; update=true writes "
                    "the reference anew"
                )
    return published.arms


def _other_steps(arm: Arm, suite: str) -> list[str]:
    """Return ``steps`` if runs had others than ``conf/`` says, as far as they tell."""
    steps = configuration.usual_steps(arm.learner, suite, arm.family, BUDGET)
    had = {run.row["target_steps"] for run in arm.runs} - {""}
    return [] if had <= {str(steps)} else ["steps"]


def _samples(results: Path, suite: str, *, usual: bool) -> dict[Key, Sample]:
    """Return what is compared of a suite's runs.

    Args:
        results: published files.
        suite: the suite.
        usual: refuse runs of other settings than those in ``conf/``.
    """
    training = training_of(results, suite)
    return {
        (arm.family, arm.learner): sample(arm, training)
        for arm in _arms(results, suite, usual=usual)
    }


def _report(found: Sequence[Finding], limit: float, board: Board) -> int:
    """Say what the comparisons have found; return the exit code."""
    for one in found:
        how = "gate" if one.p_value is None else f"p = {one.p_value:.2g}"
        board.say(
            f"{one.family}, {one.learner}, {one.measure}: {summary(one.current)}, "
            f"reference {summary(one.reference)}, {how}"
        )
    alarms = [one for one in found if one.alarm]
    for one in alarms:
        word = "other" if one.measure.startswith(TRAINING) else "worse"
        how = f"far below, by {FAR:g} deviations of the reference"
        how = how if one.p_value is None else f"p = {one.p_value:.2g}"
        print(
            f"{word}: {one.learner} on {one.family}, {one.measure}, {how}\n"
            f"  reference: {_values(one.reference)}\n"
            f"  now:       {_values(one.current)}",
            file=sys.stderr,
        )
    tests = sum(one.p_value is not None for one in found)
    board.say(
        f"{len(alarms)} alarms in {tests} tests at p < {limit:.2g} and "
        f"{len(found) - tests} gates (unchanged code: one in {1 / FALSE_ALARMS:.0f} "
        "whole checks has any)"
    )
    return 1 if alarms else 0


def _values(values: np.ndarray) -> str:
    return " ".join(f"{value:.4g}" for value in np.sort(values))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
