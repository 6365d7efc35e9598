"""Whether a method has got worse: small runs against stored ones of the same kind.

``python -m pearl_bench.regress`` trains every method at ``budget=regress`` on three
families by some seeds and compares with the runs published in ``results/regress``, of
other seeds. Runs on another machine differ in rounding and then in everything, so
distributions are compared, never values. ``update=true`` writes the reference anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pearl_bench import registry
from pearl_bench.analysis import scores
from pearl_bench.analysis.arms import OWN, REPORTED, Arm, RunCurve
from pearl_bench.analysis.files import PublishedError
from pearl_bench.config import runs as configuration
from pearl_bench.config.command import Command
from pearl_bench.config.types import KNOWN, OF_METHODS, BenchConfig, ConfigError
from pearl_bench.execution.console import Board
from pearl_bench.execution.local import launch
from pearl_bench.execution.plan import Run, plan
from pearl_bench.machine import threads
from pearl_bench.records.files import kept_or_temporary, write_atomic
from pearl_bench.records.provenance import provenance
from pearl_bench.records.published.publish import publish
from pearl_bench.records.run_folder import RUN, read_run

FAMILIES = {
    "point-robot": "navigation",
    "sparse-point-robot": "navigation",
    "half-cheetah-fwd-back": "locomotion",
}
"""Families that are trained on, and their suites."""
REFERENCE_SEEDS = tuple(range(100, 116))
FALSE_ALARMS = 0.01
"""Chance that unchanged code raises any alarm, over all comparisons together."""
LAST_SHARE = 1 / 3
"""A run counts with its evaluations in this last share of its steps."""
RESAMPLES = 200_000
PUBLISHED = "published"
"""Where the curves of one command's runs are gathered, in the folder of the runs."""


def _families() -> tuple[str, ...]:
    return (*FAMILIES,)


@dataclass(frozen=True)
class RegressConfig:
    """What one check compares.

    Attributes:
        update: train the reference's seeds and write the reference anew.
        reference: folder of the reference.
        families: some of the families; all if empty.
        learners: some of the methods; all of this project's if empty.
        seeds: other seeds than those of the budget.
        jobs: runs at the same time.
        out: a folder that keeps the raw runs, so that the same line goes on where it
            stopped, as long as the code is the same; a temporary one if none.
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


class Comparison(NamedTuple):
    """One measure of one method on one family.

    Attributes:
        learner: the method.
        family: the task family.
        measure: ``adapted return`` (last episode) or ``gain`` (last minus first).
        reference: ``[R]`` one value per seed.
        current: ``[S]`` one value per seed.
        p_value: of the hypothesis that both come from one distribution, small if the
            current values are lower.
    """

    learner: str
    family: str
    measure: str
    reference: np.ndarray
    current: np.ndarray
    p_value: float


def main(words: Sequence[str]) -> int:
    """Carry out a command line; return the exit code that its help describes."""
    return COMMAND.carry_out(words, _regress)


def compare(reference: Sequence[Arm], current: Sequence[Arm]) -> Iterator[Comparison]:
    """Compare the current runs with the reference's, method by method."""
    known = {(arm.family, arm.learner): arm for arm in reference}
    for arm in current:
        old, new = _measures(known[arm.family, arm.learner]), _measures(arm)
        for measure, values in new.items():
            p_value = bootstrap(old[measure], values)
            yield Comparison(
                arm.learner, arm.family, measure, old[measure], values, p_value
            )


def bootstrap(reference: np.ndarray, current: np.ndarray) -> float:
    """Return the p-value of a one-sided two-sample bootstrap test.

    Both samples are drawn anew from all values together, as if they were alike; the
    p-value is the share of draws whose means are at least as far apart, in units of
    their own pooled standard error (Efron and Tibshirani 1993, algorithm 16.1).

    Args:
        reference: ``[R]``.
        current: ``[S]``, small p-values if its mean is lower.
    """
    # equal data, equal verdict
    rng = np.random.default_rng(0)
    pool = np.concatenate([reference, current])

    def distance(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        squares = sum(x.var(-1) * x.shape[-1] for x in (old, new))
        error = np.sqrt(squares * (1 / old.shape[-1] + 1 / new.shape[-1]))
        # without any spread (returns of exactly 0) nothing is far apart but unequal
        return (old.mean(-1) - new.mean(-1)) / np.maximum(error, 1e-9)

    draws = distance(
        rng.choice(pool, (RESAMPLES, len(reference))),
        rng.choice(pool, (RESAMPLES, len(current))),
    )
    # the slack is for sums that differ in their order only
    beyond = int((draws >= distance(reference, current) - 1e-9).sum())
    return (1 + beyond) / (1 + RESAMPLES)


def threshold(methods: int) -> float:
    """Return the p-value below which one comparison of all raises an alarm.

    Args:
        methods: number of methods; each is compared by two measures on each family.
    """
    return FALSE_ALARMS / (2 * methods * len(FAMILIES))


def _regress(words: Sequence[str]) -> int:
    wanted = COMMAND.read(words)
    if wanted.update:
        if wanted.families or wanted.learners or wanted.seeds or wanted.settings:
            raise ConfigError(
                "update=true trains every method on every family by the reference's "
                "seeds with the settings in conf/; leave the other words out"
            )
        if _code(provenance("", [], gpu=None)) is None:
            raise ConfigError(
                "update=true takes code that git knows, so that the reference can say "
                "what it was made with; commit first"
            )
    threads.limit_spinning()
    board = Board()
    place = Path(wanted.reference).expanduser()
    families = wanted.families or FAMILIES
    suites = dict.fromkeys(FAMILIES[family] for family in families)
    with kept_or_temporary(wanted.out, "regress") as out:
        benches = [_bench(wanted, suite, families, out) for suite in suites]
        runs = _plan(benches, out)
        reference = [] if wanted.update else _reference(place, benches)
        with board:
            failures, stopped = launch(
                runs,
                benches[0].jobs or 1,
                board,
                ["python", "-m", "pearl_bench.regress", *words],
            )
        for folder, reason in failures.items():
            print(f"failed: {folder}: {reason}", file=sys.stderr)
        if failures and wanted.out is None:
            print("out=FOLDER would keep their logs", file=sys.stderr)
        if stopped is not None:
            return 128 + stopped
        if failures:
            return 1
        if wanted.update:
            _replace(place, out, board)
            return 0
        current = []
        for suite in suites:
            publish(out, out / PUBLISHED, suite, board.say)
            current += _arms(out / PUBLISHED, suite)
    return _report([*compare(reference, current)], board)


def _bench(
    wanted: RegressConfig, suite: str, families: Iterable[str], out: Path
) -> BenchConfig:
    bench = configuration.complete(
        BenchConfig(
            suite=suite,
            families=[name for name in families if FAMILIES[name] == suite],
            learners=wanted.learners or [*registry.LEARNERS],
            seeds=[*REFERENCE_SEEDS] if wanted.update else wanted.seeds,
            budget="regress",
            jobs=wanted.jobs,
            device="cpu",
            out=str(out),
            settings=wanted.settings,
        )
    )
    if len(bench.seeds) < 2:
        raise ConfigError("seeds= takes two at least: one has no spread to compare by")
    return bench


def _plan(benches: Sequence[BenchConfig], out: Path) -> list[Run]:
    """Return all runs, and make sure that no other is in their folder."""
    runs = [run for bench in benches for run in plan(bench)]
    planned = {run.folder for run in runs}
    for path in sorted(out.glob(f"*/*/*/seed=*/{RUN}")):
        if path.parent not in planned:
            raise ConfigError(
                f"{path.parent} is no run of this command and would be compared too; "
                "take a new out=, or none"
            )
    code = _code(provenance("", [], gpu=None))
    for run in runs:
        if run.state == "missing":
            continue
        found = {_code(session) for session in read_run(run.folder)["sessions"]}
        if code is None or found != {code}:
            raise ConfigError(
                f"{run.folder} holds a run of other code, or of code that git does not "
                "know; take a new out=, or none"
            )
    # Networks this small are fastest on one thread.
    return [replace(run, config=replace(run.config, threads=1)) for run in runs]


def _code(session: Mapping[str, Any]) -> str | None:
    """Return the commit that a session ran; None if that does not say it all."""
    return None if session["dirty"] else session["commit"]


def _replace(reference: Path, out: Path, board: Board) -> None:
    """Publish raw runs as the reference, and nothing of the one before.

    The old one stays until the new one is whole.
    """
    for suite in dict.fromkeys(FAMILIES.values()):
        publish(out, out / PUBLISHED, suite, board.say)
    for suite in dict.fromkeys(FAMILIES.values()):
        (reference / suite).mkdir(parents=True, exist_ok=True)
        fresh = {path.name: path for path in (out / PUBLISHED / suite).glob("*.csv")}
        for path in (reference / suite).glob("*.csv"):
            if path.name not in fresh:
                path.unlink()
        for name, path in sorted(fresh.items()):
            write_atomic(reference / suite / name, path.read_bytes())
            board.say(f"wrote {reference / suite / name}")


def _reference(folder: Path, benches: Sequence[BenchConfig]) -> list[Arm]:
    """Read the reference and make sure that nothing is missing from it."""
    arms = [arm for bench in benches for arm in _arms(folder, bench.suite)]
    known = {(arm.family, arm.learner) for arm in arms}
    for bench in benches:
        for family in bench.families:
            for learner in bench.learners:
                if (family, learner) not in known:
                    raise PublishedError(
                        f"{folder / bench.suite} has no runs of {learner} on {family}; "
                        "update=true writes the reference anew"
                    )
    return arms


def _arms(results: Path, suite: str) -> list[Arm]:
    """Read a suite's runs: one arm of each method and family."""
    if not (results / suite).is_dir():
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
    return published.arms


def _measures(arm: Arm) -> dict[str, np.ndarray]:
    """Return ``[R]`` values of each measure.

    A method is judged after as much exploration as it is trained to adapt from.
    """

    def levels(run: RunCurve) -> tuple[float, float]:
        part = OWN if run.points.get(OWN) else REPORTED
        means = [
            np.mean([p.total for p in run.level_points(part, k, LAST_SHARE, 1)])
            for k in (1, -1)
        ]
        return float(means[0]), float(means[1])

    first, last = np.array([levels(run) for run in arm.runs]).T
    return {"adapted return": last, "gain": last - first}


def _report(found: Sequence[Comparison], board: Board) -> int:
    limit = threshold(len(registry.LEARNERS))
    for c in found:
        board.say(
            f"{c.family}, {c.learner}, {c.measure}: {_summary(c.current)}, "
            f"reference {_summary(c.reference)}, p = {c.p_value:.2g}"
        )
    alarms = [c for c in found if c.p_value < limit]
    for c in alarms:
        print(
            f"worse: {c.learner} on {c.family}, {c.measure}, p = {c.p_value:.2g}\n"
            f"  reference: {_values(c.reference)}\n"
            f"  now:       {_values(c.current)}",
            file=sys.stderr,
        )
    board.say(
        f"{len(alarms)} of {len(found)} comparisons are worse at p < {limit:.2g} "
        f"(unchanged code: one in {1 / FALSE_ALARMS:.0f} checks has any)"
    )
    return 1 if alarms else 0


def _summary(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f} ({len(values)} seeds)"


def _values(values: np.ndarray) -> str:
    return " ".join(f"{value:.2f}" for value in np.sort(values))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
