"""Published results: raw run folders made into small CSV files that stay.

``results/<suite>/<learner>.csv`` holds the curves, ``results/<suite>/runs.csv`` where
each comes from, and ``results/<suite>/late/<learner>.csv`` the single tasks of the last
evaluations; ``results/README.md`` describes the columns. Publishing merges: what was
published before and is not in the raw folders stays, and the same input gives the same
bytes. A file of an older version is read, and written in the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from pearl_bench import registry
from pearl_bench.config.conf import BENEATH
from pearl_bench.records import schema
from pearl_bench.records.files import RecordError, locked, make_folder, write_atomic
from pearl_bench.records.published import unchanged
from pearl_bench.records.published.curves import (
    OF_A_SESSION,
    Curve,
    curve_of,
    digest,
    last_step,
    order,
)
from pearl_bench.records.published.identity import (
    RefusedRowsError,
    StoreError,
    describe,
    require_place,
    require_sound,
    title,
)
from pearl_bench.records.published.late import late_order, late_rows
from pearl_bench.records.run_folder import EVAL, read_run, run_folders
from pearl_bench.records.table import Row, Table, same_cells

LOCK = ".lock"

_REMEDY = "Restore the file (git has it), or move it away."

ByRun = dict[str, list[Row]]


class LeftOutError(StoreError):
    """Some raw folders are not published; the message has a line for each.

    Attributes:
        causes: what is wrong with each.
        changed: the files that changed when the others were.
    """

    def __init__(self, causes: Sequence[Exception], changed: list[Path]) -> None:
        self.causes = causes
        self.changed = changed
        super().__init__(self.text())

    def text(self, told: Collection[str] = ()) -> str:
        """Return the message.

        Args:
            told: reasons that its reader knows and that are not said once more.
        """
        lines = (
            cause.what
            if isinstance(cause, RefusedRowsError) and cause.why in told
            else str(cause)
            for cause in self.causes
        )
        return "\n".join(dict.fromkeys(lines))


def publish(
    out: Path, results: Path, suite: str, say: Callable[[str], None] = print
) -> list[Path]:
    """Bring the published curves of a suite up to date with the raw run folders.

    A published curve is never replaced by a shorter one of the same run, nor by other
    rows of the same execution than a resumed run plays again. A run that went on under
    a larger budget leaves the one that it was begun with.

    Args:
        out: raw run folders, ``<out>/<suite>/<family>/<learner>/seed=<k>/``.
        results: published files, ``<results>/<suite>/``.
        suite: the suite's name.
        say: is told what was left out or kept, and why.

    Returns:
        The files that changed.

    Raises:
        LeftOutError: raw folders are damaged, or of methods that are not installed. The
            others are published.
        RecordError: a published file is damaged, or cannot be written.
    """
    folders = run_folders(out, suite)
    if not folders:
        return []
    target = results / suite
    make_folder(target)
    with locked(target / LOCK):
        raw = unchanged.raw_digest(folders)
        if unchanged.is_unchanged(target, raw):
            return []
        said: list[str] = []

        def tell(line: str) -> None:
            said.append(line)
            say(line)

        files = _Files(target)
        left_out: list[Exception] = []
        for folder in folders:
            try:
                run = describe(folder, files.runs.values())
                require_place(folder, suite, run)
                require_sound(folder)
                _take(files, folder, run, tell)
            except (RecordError, registry.ExtensionError) as error:
                left_out.append(error)
        changed = files.write()
        # what was left out is said each time
        unchanged.note(target, None if said or left_out else raw)
        if left_out:
            raise LeftOutError(left_out, changed)
        return changed


def _take(files: _Files, folder: Path, run: Row, say: Callable[[str], None]) -> None:
    """Put a run's row and curve in the place of what was published of it."""
    name = run["run"]
    published = files.runs.get(name)
    rows = files.of(run["learner"])
    before = rows.curves.get(name, [])
    whole = run["status"] == "done" and last_step(before) >= int(run["steps"])
    if before and published and whole and rows.late_as_noted and name in rows.late:
        known = {"evaluations": published["evaluations"], "curve": published["curve"]}
        if published == run | known and known["curve"] == digest(before):
            return  # published when it was done, and not touched since
    curve = curve_of(folder, run, say)
    if last_step(curve.points) < last_step(before):
        reached = (
            f"ends at {last_step(curve.points)} environment steps"
            if curve.points
            else "has no evaluation"
        )
        say(
            f"{folder} {reached}; the published curve of {title(run)} at "
            f"{last_step(before)} is kept"
        )
        return
    since = _first_difference(before, curve)
    if since is not None:
        began = published["started"] if published else "unknown"
        if began != run["started"]:
            why = f"came from another execution ({began})"
        elif published and published["curve"] == digest(before):
            _require_played_again(folder, run, since)
            why = f"was played anew from {since} environment steps on"
        else:
            why = "has other rows than its folder has now"
        say(f"the published curve of {title(run)} {why}; that of {folder} replaces it")
    for outgrown in _outgrown(files, run):
        files.forget(outgrown)
    files.runs[name] = run | _of_curve(curve.points)
    rows.curves[name] = curve.points
    rows.late[name] = late_rows(run, curve.raw, curve.steps)


def _outgrown(files: _Files, run: Row) -> list[str]:
    """Return the ids of this execution under budgets that were its first part."""
    same = "family", "learner", "seed", "precision", "started"
    return [
        name
        for name, row in files.runs.items()
        if run["budget"] in BENEATH.get(row["budget"], ())
        and all(row[key] == run[key] for key in same)
        and int(row["steps"]) <= int(run["steps"])
    ]


def _of_curve(points: list[Row]) -> Row:
    """Return what runs.csv says of a run's curve."""
    evaluations = len({row["env_steps"] for row in points})
    return {"evaluations": str(evaluations), "curve": digest(points)}


def migrate(folder: Path) -> list[Path]:
    """Write a suite's published files in the newest version, no value changed.

    Args:
        folder: ``results/<suite>``; the caller holds its lock.

    Returns:
        The files that changed.

    Raises:
        RecordError: a file is damaged, or cannot be written.
    """
    files = _Files(folder)
    for name, run in files.runs.items():
        points = sorted(files.of(run["learner"]).curves.get(name, []), key=order)
        if not run["curve"]:
            files.runs[name] = run | _of_curve(points)
    return files.write()


def _first_difference(before: list[Row], curve: Curve) -> int | None:
    """Return from where on a curve is not as published, in environment steps.

    None if it begins as the published one does.
    """
    for old, new in zip_longest(before, curve.points[: len(before)], fillvalue={}):
        if not new or not same_cells(old, new, OF_A_SESSION):
            return min(int(row["env_steps"]) for row in (old, new) if row)
    return None


def _require_played_again(folder: Path, run: Row, since: int) -> None:
    """Refuse rows that no session can have played again.

    What was published of an execution stays, but for what came after a checkpoint that
    a later session went on from: on another device that has other returns. It need not
    be later than what is published: a copy of the folder may have gone on elsewhere.

    Args:
        folder: the run's.
        run: its row of runs.csv.
        since: the first environment steps at which the folder has other rows.

    Raises:
        StoreError: there is no such session.
    """
    later = read_run(folder)["sessions"][1:]
    if all(since < session["resumed_at_env_steps"] for session in later):
        raise StoreError(
            f"{folder / EVAL} has been edited: at {since} environment steps it has "
            f"other rows than the published curve of {title(run)}, which is kept. "
            "Restore the file, or move the folder away; if its rows are the right "
            f"ones, take the line of {run['run']} out of {schema.RUNS_FILE}, and they "
            "replace it."
        )


class _OfLearner:
    """The published rows of a method, by run."""

    def __init__(self, folder: Path, learner: str, as_noted: set[str]) -> None:
        self.curves = _by_run(schema.CURVES, folder / f"{learner}.csv")
        late = f"{schema.LATE_FOLDER}/{learner}.csv"
        self.late = _by_run(schema.LATE, folder / late)
        # no digest in runs.csv vouches for these rows, as it does for a curve's
        self.late_as_noted = late in as_noted


class _Files:
    """The published files of a suite: those of a method once it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = {
            row["run"]: row for row in read_rows(schema.RUNS, folder / schema.RUNS_FILE)
        }
        self._learners: dict[str, _OfLearner] = {}
        self._as_noted = unchanged.as_noted(folder)

    def of(self, learner: str) -> _OfLearner:
        """Return the rows of a method."""
        if learner not in self._learners:
            self._learners[learner] = _OfLearner(self.folder, learner, self._as_noted)
        return self._learners[learner]

    def forget(self, run: str) -> None:
        """Take a run out."""
        rows = self.of(self.runs.pop(run)["learner"])
        rows.curves.pop(run, None)
        rows.late.pop(run, None)

    def write(self) -> list[Path]:
        """Write what was asked for and has rows; return the files that changed."""
        found: dict[Path, bytes] = {}
        for learner in sorted({row["learner"] for row in self.runs.values()}):
            if learner not in self._learners:
                continue
            rows = self._learners[learner]
            curves = sorted(_flat(rows.curves), key=order)
            if curves:  # a run that failed before its first evaluation has none
                found[self.folder / f"{learner}.csv"] = schema.CURVES.to_csv(curves)
            late = sorted(_flat(rows.late), key=late_order)
            if late:
                path = self.folder / schema.LATE_FOLDER / f"{learner}.csv"
                make_folder(path.parent)
                found[path] = schema.LATE.to_csv(late)
        # Last, so that a run it calls done has its whole curve published.
        if self.runs:
            runs = sorted(self.runs.values(), key=run_order)
            found[self.folder / schema.RUNS_FILE] = schema.RUNS.to_csv(runs)
        return [path for path, data in found.items() if write_atomic(path, data)]


def run_order(row: Row) -> tuple[str | int, ...]:
    """Return the place of a run in runs.csv."""
    return row["family"], row["learner"], int(row["seed"]), row["run"]


def read_rows(table: Table, path: Path) -> list[Row]:
    """Read a published file; no rows if there is none.

    Raises:
        RecordError: it is damaged; names the line.
    """
    if not path.exists():
        return []
    return [line.text for line in table.read(path, _REMEDY)]


def _by_run(table: Table, path: Path) -> ByRun:
    found: ByRun = {}
    for row in read_rows(table, path):
        found.setdefault(row["run"], []).append(row)
    return found


def _flat(by_run: ByRun) -> Iterable[Row]:
    return (row for rows in by_run.values() for row in rows)
