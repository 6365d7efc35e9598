"""What the command shows: the plan, a progress bar per run, plain lines elsewhere."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from pearl_bench.execution.outputs import Screen
from pearl_bench.execution.pace import FIRST_SECONDS
from pearl_bench.training.types import Progress

if TYPE_CHECKING:
    from pearl_bench.execution.plan import Run


WINDOW_SECONDS = 120.0
"""Seconds over which a run's own speed is taken."""
LINE_EVERY = 10.0
"""Seconds between two lines about a run's progress."""
STATUS_EVERY = 60.0
"""Seconds between two lines about the whole command."""
NAMED = 10
"""Runs that are named of those that fail for one reason."""
Left = Literal["nothing", "logs", "checkpoints"]
"""What a command leaves of runs that are not done; from checkpoints it goes on."""
AFTER: dict[Left, str] = {
    "nothing": "out=FOLDER would keep it",
    "logs": "nothing goes on from there, since git does not know all of this code; "
    "take a new out=, and commit first what is not of another package",
    "checkpoints": "repeat the command to resume",
}
"""What to do after a stop, by what is left."""


class Tee:
    """Tells several."""

    def __init__(self, *targets: Progress) -> None:
        self._targets = targets

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Tell the counters to all."""
        for target in self._targets:
            target.update(env_steps, updates, test_return)

    def say(self, line: str) -> None:
        """Tell all."""
        for target in self._targets:
            target.say(line)


class Meter:
    """Speeds and time to go of one run, from its counters.

    Counting starts with the first update that it sees done, from one moment at which
    the counters moved to another, since they may move in leaps. Speeds are those of
    the last ``WINDOW_SECONDS``: the steps of the first iteration, with the initial
    pool among them, are much faster than all that follow. Where the counters have
    stood for longer than they are counted, as in a first meta-test, that counts too.

    Args:
        steps: environment steps of the whole run.
        expected: seconds per step of what is left, known from before; what is
            counted takes their place after ``FIRST_SECONDS``.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        steps: int,
        expected: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = steps
        self._expected = expected
        self._clock = clock
        self._updates_before: int | None = None
        self._moves: deque[tuple[float, int, int]] = deque()
        self.steps_per_second: float | None = None
        self.updates_per_second: float | None = None
        self.seconds_to_go: float | None = None

    def add(self, env_steps: int, updates: int) -> None:
        """Take note of the counters now; speeds are known after some progress."""
        now, moves = self._clock(), self._moves
        if self._updates_before is None:
            self._updates_before = updates
        last = moves[-1][1:] if moves else None
        if updates > self._updates_before and (env_steps, updates) != last:
            moves.append((now, env_steps, updates))
        while len(moves) > 2 and moves[1][0] <= now - WINDOW_SECONDS:
            moves.popleft()
        counted = 0.0
        if len(moves) > 1:
            (start, steps_then, updates_then), (end, *_) = moves[0], moves[-1]
            counted = end - start
            if now - end > counted:
                counted = now - start
            seconds = max(counted, 1e-9)
            self.updates_per_second = (updates - updates_then) / seconds
            self.steps_per_second = (env_steps - steps_then) / seconds or None
        speed = self.steps_per_second
        if self._expected and counted < FIRST_SECONDS:
            speed = 1 / self._expected
        if env_steps > self._steps:  # an iteration is ended, however long it is
            self.seconds_to_go = None
        elif speed is not None:
            self.seconds_to_go = (self._steps - env_steps) / speed


def report(meter: Meter, test_return: float | None) -> str:
    """Return what is known of speeds, time to go and last test return in one line."""
    parts = [
        (meter.steps_per_second, lambda x: f"{x:,.0f} steps/s"),
        (meter.updates_per_second, lambda x: f"{x:,.1f} updates/s"),
        (meter.seconds_to_go, lambda x: f"{duration(x)} left"),
        (test_return, lambda x: f"test return {x:.1f}"),
    ]
    return ", ".join(text(value) for value, text in parts if value is not None)


class Lines:
    """Plain, timed lines in a stream: log files and outputs that are no terminal.

    Of progress there is one every ``LINE_EVERY``; a new test return is told at once.

    Args:
        stream: where the lines go, flushed one by one.
        steps: environment steps of the whole run.
        label: put before each line.
        expected: see ``Meter``.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        stream: IO[str],
        steps: int,
        label: str = "",
        expected: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._steps = steps
        self._label = f"{label}: " if label else ""
        self._clock = clock
        self._meter = Meter(steps, expected, clock)
        self._last: tuple[float, float | None] = (-float("inf"), None)

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Write a line if it is time for one."""
        self._meter.add(env_steps, updates)
        now = self._clock()
        if now - self._last[0] < LINE_EVERY and test_return == self._last[1]:
            return
        self._last = (now, test_return)
        done = f"{env_steps:,}/{self._steps:,} steps, {updates:,} updates"
        known = report(self._meter, test_return)
        self.say(f"{done}, {known}" if known else done)

    def say(self, line: str) -> None:
        """Write a line."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._stream.write(f"{stamp} {self._label}{line}\n")
        self._stream.flush()


class Bar:
    """One run's bar on a terminal."""

    def __init__(
        self,
        bars: RichProgress,
        task: TaskID,
        label: str,
        steps: int,
        expected: float | None,
    ) -> None:
        self._bars = bars
        self._task = task
        self._label = label
        self._meter = Meter(steps, expected)

    def update(self, env_steps: int, updates: int, test_return: float | None) -> None:
        """Move the bar."""
        self._meter.add(env_steps, updates)
        text = report(self._meter, test_return)
        self._bars.update(self._task, completed=env_steps, report=text)

    def say(self, line: str) -> None:
        """Write a line above the bars."""
        self._bars.console.print(
            f"{self._label}: {line}", markup=False, highlight=False
        )


class _Bars(RichProgress):
    """Bars of runs, and below them how the whole command stands."""

    status = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.status:
            yield Text(self.status)


class Board:
    """The screen: rich on a terminal, plain lines otherwise; a context manager.

    Attributes:
        live: whether bars can be redrawn. Not on a dumb terminal, where rich shows
            none, nor in a file that is to have a terminal's colours (``FORCE_COLOR``).
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Screen()
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self.live = terminal and self.console.file.isatty()
        self._status = ("", -float("inf"))
        self._bars = _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[report]}"),
            console=self.console,
            refresh_per_second=2,
            disable=not self.live,
        )

    def __enter__(self) -> Board:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def run(self, run: Run) -> Iterator[Progress]:
        """Yield the place where a run tells how far it is."""
        steps = run.config.steps
        left = max(0, steps - run.env_steps)
        expected = run.remaining / left if run.remaining and left else None
        if not self.live:
            yield Lines(self.console.file, steps, run.name, expected=expected)
            return
        task = self._bars.add_task(
            run.name, total=steps, completed=run.env_steps, report=""
        )
        try:
            yield Bar(self._bars, task, run.name, steps, expected)
        finally:
            self._bars.remove_task(task)

    def status(self, line: str) -> None:
        """Show how the whole command stands; where lines stay, one a minute."""
        self._bars.status = line
        now = time.monotonic()
        if self.live or line == self._status[0]:
            return
        if now - self._status[1] >= STATUS_EVERY:
            self._status = (line, now)
            self.say(line)

    def say(self, line: str) -> None:
        """Write a line about the whole command."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show_plan(
        self,
        runs: Sequence[Run],
        jobs: int | None = None,
        wall_seconds: float | None = None,
    ) -> None:
        """Show every run with its state, steps and, where known, its time to go.

        Args:
            runs: the plan.
            jobs: how many are trained at a time, if that is decided here.
            wall_seconds: when the last of those ends whose time to go is known.
        """
        title = _title(runs, jobs)
        if self.console.is_terminal:
            self._show_table(title, runs)
        else:
            cells = [_cells(run) for run in runs]
            table = [HEAD, *([row[k] or "-" for k in HEAD] for row in cells)]
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            self.say(title)
            for row in table:
                self.say("  ".join(map(str.ljust, row, widths)).rstrip())
        if wall_seconds is not None:
            self.say(_outlook(runs, wall_seconds))

    def _show_table(self, title: str, runs: Sequence[Run]) -> None:
        """Show as much as there is room for: a table, or two lines for each run."""
        rows = [_cells(run) for run in runs]
        anywhere = self.console.options.update(max_width=10_000)
        for head in (HEAD, NARROW_HEAD):
            used = [k for k in head if any(row[k] for row in rows)]
            table = Table(
                *used,
                title=title,
                title_justify="left",
                box=SIMPLE_HEAD,
                pad_edge=False,
                show_edge=False,
            )
            for row in rows:
                table.add_row(*(row[k] for k in used))
            needed = self.console.measure(table, options=anywhere).maximum
            if needed <= self.console.width:
                self.console.print(table)
                return
        self.console.print(title, markup=False, highlight=False)
        for run, cells in zip(runs, rows, strict=True):
            to_go = cells["to go"] and f"{cells['to go']} to go"
            known = filter(None, [cells["state"], cells["done"], to_go])
            self.console.print(run.name, style="bold", markup=False, highlight=False)
            self.console.print("  " + ", ".join(known), markup=False, highlight=False)


HEAD = ("family", "learner", "seed", "state", "steps", "meta-test", "to go")
"""Columns of the plan."""
NARROW_HEAD = ("family", "learner", "seed", "state", "done", "to go")
"""Those of a terminal that has no room for them."""


def _title(runs: Sequence[Run], jobs: int | None) -> str:
    first = runs[0].config
    threads = sorted({run.config.threads for run in runs if run.pending})
    words = {
        "budget": first.budget,
        "precision": first.precision,
        "device": first.device,
        "jobs": jobs,
        "threads": " to ".join(map(str, dict.fromkeys([*threads[:1], *threads[-1:]]))),
    }
    return ", ".join([first.suite, *(f"{k}={v}" for k, v in words.items() if v)])


def _cells(run: Run) -> dict[str, str]:
    """Return a run's row of the plan by column, empty where nothing is known."""
    tests, steps, every = run.test_steps, run.config.steps, run.config.eval_every
    many = f"{steps:,}" if steps < 10**6 else f"{steps / 10**6:.3g} M"
    return {
        "family": run.config.family,
        "learner": run.config.learner,
        "seed": str(run.config.seed),
        "state": run.state,
        "steps": f"{run.env_steps:,}/{steps:,}",
        "done": f"{min(1, run.env_steps / steps):.0%} of {many}",
        "meta-test": "" if tests is None else f"{tests:,} every {every:,}",
        "to go": "" if not run.remaining else duration(run.remaining),
    }


def _outlook(runs: Sequence[Run], seconds: float) -> str:
    """Say when the runs will have ended, as far as this machine has measured them."""
    pending = [run for run in runs if run.pending]
    known = sum(run.remaining is not None for run in pending)
    if not known:
        return (
            "how long it takes is not measured on this machine yet: each run says so "
            "after its first minutes, and measure=true measures ahead"
        )
    about = f"about {duration(seconds)}, measured on this machine"
    if known < len(pending):
        about += f", for {known} of {len(pending)} runs; the others say later"
    return about


def tell_failures(failures: Mapping[Path, str]) -> None:
    """Name the runs that failed with their reasons; of one reason not hundreds."""
    for reason in dict.fromkeys(failures.values()):
        folders = [folder for folder, why in failures.items() if why == reason]
        for folder in folders[:NAMED]:
            print(f"failed: {folder}: {reason}", file=sys.stderr)
        if len(folders) > NAMED:
            print(f"failed: {len(folders) - NAMED} more: {reason}", file=sys.stderr)


def tell_end(
    failures: Mapping[Path, str],
    stopped: signal.Signals | None,
    board: Board,
    left: Left,
) -> int | None:
    """Say how runs have ended that are to be compared, unless all are done.

    Args:
        failures: the reason of each failure by run folder.
        stopped: the signal that stopped the others, if one did.
        board: the screen.
        left: what the command leaves of those that are not done.

    Returns:
        The exit code; None if all are done.
    """
    tell_failures(failures)
    if failures and left == "nothing":
        print("out=FOLDER would keep the logs", file=sys.stderr)
    if stopped is not None:
        board.say(f"stopped; {AFTER[left]}")
        return 128 + stopped
    return 1 if failures else None


def duration(seconds: float) -> str:
    """Write a duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
