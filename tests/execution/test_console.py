"""Speeds and lines say what the counters and the clock say."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from pearl_bench.config.runs import load
from pearl_bench.execution.console import (
    WINDOW_SECONDS,
    Board,
    Lines,
    Meter,
    Tee,
    duration,
)
from pearl_bench.execution.pace import FIRST_SECONDS
from pearl_bench.execution.plan import plan


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """What tells rich that a file were a terminal is not heard."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_speeds_leave_out_the_steps_before_the_first_update():
    clock = Clock()
    meter = Meter(10_000, clock=clock)
    meter.add(0, 0)
    clock.now += 1
    meter.add(4000, 0)  # filling the buffers
    assert meter.steps_per_second is meter.updates_per_second is None
    clock.now += 5
    meter.add(4000, 100)
    assert meter.steps_per_second is meter.updates_per_second is None
    clock.now += 5
    meter.add(4000, 200)
    assert meter.updates_per_second == 20
    assert meter.seconds_to_go is None  # no step was taken since
    clock.now += 5
    meter.add(5000, 300)
    assert meter.steps_per_second == 100
    assert meter.updates_per_second == 20
    assert meter.seconds_to_go == 50
    clock.now += 50
    meter.add(10_500, 1300)  # an iteration is not cut where the steps are reached
    assert meter.seconds_to_go is None


def test_the_first_iteration_is_forgotten():
    """Its steps hold the initial pool, so they are soon said to be learnt from."""
    clock = Clock()
    meter = Meter(300_000, clock=clock)
    meter.add(0, 0)
    for second in range(1, 401):  # 200,000 steps in 50 seconds, then 80 a second
        clock.now += 1
        meter.add(min(4000 * second, 200_000) + 80 * max(0, second - 50), 20 * second)
        if second == 40:
            assert meter.steps_per_second == 4000
        if second >= 50 + WINDOW_SECONDS:
            assert meter.steps_per_second == pytest.approx(80)
    assert meter.seconds_to_go == pytest.approx(72_000 / 80)
    assert meter.updates_per_second == pytest.approx(20)


def test_steps_that_come_in_leaps_are_counted_from_leap_to_leap():
    clock = Clock()
    meter = Meter(10**7, clock=clock)
    meter.add(0, 0)
    for second in range(1, 1000):
        clock.now += 1
        meter.add(10_000 * (second // 70), second // 70)
        if second >= 140:
            assert meter.steps_per_second == pytest.approx(10_000 / 70)


def test_what_is_expected_is_told_until_there_is_a_measurement():
    clock = Clock()
    meter = Meter(1000, expected=0.5, clock=clock)
    meter.add(400, 70)
    assert (meter.steps_per_second, meter.seconds_to_go) == (None, 300)
    clock.now += FIRST_SECONDS - 1
    meter.add(400, 80)  # within an iteration
    assert (meter.steps_per_second, meter.seconds_to_go) == (None, 300)
    clock.now += 2 * FIRST_SECONDS
    meter.add(520, 90)
    assert (meter.steps_per_second, meter.seconds_to_go) == (1, 480)


def test_a_long_meta_test_after_a_short_count_counts_too():
    """Or a run that takes hours would say after its first iterations: 2 min left."""
    clock = Clock()
    new, resumed = Meter(10**6, clock=clock), Meter(10**6, expected=0.001, clock=clock)
    for iteration in range(5):
        for meter in (new, resumed):
            meter.add(64_000 * iteration, iteration)
        clock.now += 1
    assert new.steps_per_second == 64_000
    assert resumed.seconds_to_go == 744  # three seconds tell less
    for _ in range(100):  # the meta-test
        for meter in (new, resumed):
            meter.add(256_000, 4)
        clock.now += 1
    for meter in (new, resumed):
        assert meter.steps_per_second == pytest.approx(192_000 / 103)
        assert meter.seconds_to_go == pytest.approx(744_000 * 103 / 192_000)


def test_lines_are_few_but_tell_new_returns_at_once():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, 1000, "run", clock=clock)
    for seconds, updates, test_return in [
        (0, 0, None),
        (4, 10, None),
        (4, 20, None),
        (4, 30, None),  # 12 s after the first line
        (1, 40, -7.25),
        (1, 50, -7.25),
    ]:
        clock.now += seconds
        lines.update(500, updates, test_return)
    lines.say("done")
    texts = [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]
    assert texts == [
        "run: 500/1,000 steps, 0 updates",
        "run: 500/1,000 steps, 30 updates, 2.5 updates/s",
        "run: 500/1,000 steps, 40 updates, 3.3 updates/s, test return -7.2",
        "run: done",
    ]


@pytest.fixture
def runs(tmp_path):
    words = [
        "suite=navigation",
        "learners=pearl",
        "budget=smoke",
        "steps=1000",
        "device=cpu",
    ]
    first, second = plan(load([*words, f"out={tmp_path}"]))
    return [
        dataclasses.replace(first, test_steps=1200),
        dataclasses.replace(second, test_steps=1200, remaining=7200.0),
    ]


def test_a_file_gets_plain_lines(runs):
    stream = io.StringIO()
    board = Board(Console(file=stream))
    board.show_plan(runs, 2, 7200.0)
    with board, board.run(runs[0]) as progress:
        progress.update(400, 3, -1.5)
        progress.say("[bold]hello[/bold]")
    text = stream.getvalue()
    assert "\x1b" not in text
    title, head, first, second, about, *_ = text.splitlines()
    assert title.startswith("navigation, budget=smoke")
    assert title.endswith("device=cpu, jobs=2, threads=1")
    names = ["family", "learner", "seed", "state", "steps", "meta-test", "to go"]
    assert re.split("  +", head) == names
    row = ["point-robot", "pearl", "0", "missing", "0/1,000", "1,200 every 1,000", "-"]
    assert re.split("  +", first) == row
    assert first.index("pearl") == second.index("pearl") == head.index("learner")
    assert about == (
        "about 2.0 h, measured on this machine, for 1 of 2 runs; the others say later"
    )
    assert "point-robot pearl seed=0: 400/1,000 steps, 3 updates, test return -1.5" in (
        text
    )
    assert "seed=0: [bold]hello[/bold]\n" in text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_table_and_a_bar(runs, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    board = Board(Console(file=stream, force_terminal=True, width=120))
    board.show_plan(runs)
    with board, board.run(runs[0]) as progress:
        both = Tee(progress, Lines(stream, 1000))
        both.update(400, 3, -1.5)
        both.say("[bold]hello[/bold]")
        board._bars.refresh()
    text = stream.getvalue()
    assert "sparse-point-robot" in text
    assert "40%" in text
    assert text.count("hello") == 2
    assert text.count("test return -1.5") >= 2


@pytest.mark.parametrize(
    ("stream", "term"), [(Terminal(), "dumb"), (io.StringIO(), "xterm")]
)
def test_lines_are_written_where_no_bar_can_be_redrawn(runs, stream, term, monkeypatch):
    """On a dumb terminal, and in a file under FORCE_COLOR."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    board = Board(Console(file=stream))
    assert board.console.is_terminal
    with board, board.run(runs[0]) as progress:
        progress.update(400, 3, -1.5)
        board.status("1 of 2 runs")
    text = stream.getvalue()
    assert "seed=0: 400/1,000 steps" in text
    assert "1 of 2 runs\n" in text
    assert "━" not in text


@pytest.mark.parametrize(
    ("width", "parts", "missing"),
    [
        (120, ["meta-test", "1,200 every 1,000", "to go", "2.0 h"], ["steps,"]),
        (80, ["family", "point-robot", "to go", "2.0 h"], ["meta-test", "1,200"]),
        (
            40,
            [
                "point-robot pearl seed=0\n  missing, 0% of 1,000\n",
                "seed=0\n  missing, 0% of 1,000, 2.0 h to go\n",
            ],
            ["family", "1,200"],
        ),
    ],
)
def test_a_plan_reads_well_at_any_width(runs, width, parts, missing):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    Board(console).show_plan(runs, 2)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert all(part in text for part in parts), text
    assert not any(part in text for part in missing), text
    assert "…" not in text


def test_what_was_never_measured_is_said_so(runs):
    stream = io.StringIO()
    Board(Console(file=stream)).show_plan(runs[:1], 1, 0.0)
    assert stream.getvalue().endswith("measure=true measures ahead\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
