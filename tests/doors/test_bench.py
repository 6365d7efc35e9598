"""The speed targets, on a machine that has nothing else to do."""

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import as_completed
from multiprocessing import active_children

import psutil
import pytest
import torch

from pearl_bench import bench
from pearl_bench.bench import ON_POLICY, plan_figures
from pearl_bench.config.errors import UserError
from pearl_bench.config.runs import load
from pearl_bench.config.types import ConfigError
from pearl_bench.execution import apart, throughput
from pearl_bench.execution.plan import plan
from pearl_bench.machine.threads import available_cores

SHARES = {
    "engine, half-cheetah-vel": 0.65,
    "engine, ant-fwd-back": 0.85,
    "engine, humanoid-direc-2d": 0.85,
    "PEARL update of 4,096 transitions, float32": 0.60,
    "PEARL update of 4,096 transitions, bf16": 0.55,
    "PEARL update of 256 transitions, float32": 0.70,
    "PEARL update of 256 transitions, bf16": 0.40,
    "maml_trpo iteration": 0.45,
    "promp iteration": 0.45,
    "rl2 iteration": 0.45,
}
MEMORY = 2048  # MiB
SPEEDS = {"collection, 30 tasks": 25_000, "evaluation, 30 tasks": 25_000}


ONE_FIGURE = """
import sys, time
from pearl_bench import bench

def figures(seconds):
    yield bench.Figure("engine", 1234.5, "env steps/s", 0.5, "2,469 bare mj_step/s")
    time.sleep(60)

bench.PARTS = {"engine": bench.Part(2, figures)}
bench.psutil.cpu_percent = lambda interval: 0.0  # of a machine that is free
sys.exit(bench.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_figure_is_shown_at_once_and_stays_when_the_command_is_stopped(
    number, as_json
):
    words = ["json=true"] if as_json else []
    command = [sys.executable, "-c", ONE_FIGURE, *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        counted = [process.stderr.readline() for _ in range(2)]
        process.send_signal(number)
        rest = process.communicate(timeout=60)
    assert counted == ["figure 1 of 2: engine\n", "figure 2 of 2: engine\n"]
    assert (process.returncode, *rest) == (128 + number, "", "")
    if as_json:
        assert json.loads(line)["share"] == 0.5
    else:
        assert line == "engine: 1,234 env steps/s, 50% of 2,469 bare mj_step/s\n"


@pytest.fixture
def quick(monkeypatch):
    """Parts that take no time."""

    def part(name, count):
        figures = [bench.Figure(f"{name} {i}", 1.0, "s") for i in range(count)]
        return bench.Part(count, lambda _: figures)

    parts = {"engine": part("engine", 2), "memory": part("memory", 1)}
    monkeypatch.setattr(bench, "PARTS", parts)
    monkeypatch.setattr(bench.psutil, "cpu_percent", lambda interval: 0.0)


def test_only_some_parts_are_measured_and_counted(quick, capsys):
    assert bench.main(["only=memory"]) == 0
    out, err = capsys.readouterr()
    assert out == "memory 0: 1 s\n"
    assert err == "figure 1 of 1: memory\n"
    assert bench.main([]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 3
    assert err.splitlines()[-1] == "figure 3 of 3: memory"


def test_a_terminal_shows_a_line_for_as_long_as_it_is_measured(quick, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    assert bench.main(["only=memory"]) == 0
    assert screen.getvalue() == "\r\x1b[Kfigure 1 of 1: memory\r\x1b[K"


@pytest.mark.parametrize(("busy", "warned"), [(0.4, False), (0.6, True), (4.0, True)])
def test_a_busy_machine_is_warned_of(quick, monkeypatch, capsys, busy, warned):
    """Of what others do while it is looked at, and not of what has just ended."""

    def of_four(interval):
        assert interval > 0  # without one psutil answers 0 when first asked
        return 100 * busy / 4

    monkeypatch.setattr(bench.psutil, "cpu_percent", of_four)
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(bench, "available_cores", lambda: 4)
    assert bench.main(["only=memory"]) == 0
    said = f"warning: other programs keep {busy} of the 4 cores here busy"
    assert (said in capsys.readouterr().err) == warned


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_what_needs_a_gpu_is_left_out_without_one(capsys):
    assert bench.main(["only=cuda"]) == 2
    assert "finds no CUDA device; leave it out" in capsys.readouterr().err


def test_every_engine_figure_is_counted():
    part = bench.PARTS["engine"]
    assert len([*part.measure(0.001)]) == part.figures


def test_a_time_without_end_is_refused(capsys):
    assert bench.main(["seconds=1e30"]) == 2
    assert capsys.readouterr().err == "seconds must be at most 600\n"


def test_the_help_says_how_long_it_takes_and_that_it_takes_the_cores(capsys):
    assert bench.main(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "keeps all cores busy" in told
    assert "minutes" in told


MEASURING = """
import sys, time
from pearl_bench.config.command import guarded
from pearl_bench.execution.apart import pool
from pearl_bench.execution.throughput import _busy

def measure():
    with _busy(1), pool(1) as measured:
        measured.submit(time.sleep, 600)
        print("begun", flush=True)
        time.sleep(600)

sys.exit(guarded(measure))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)]
)
def test_no_process_outlives_a_command_that_is_ended(number, code):
    command = [sys.executable, "-c", MEASURING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        left = psutil.Process(process.pid).children(recursive=True)
        assert len(left) >= 2
        process.send_signal(number)
        assert process.wait(60) == code
        _, living = psutil.wait_procs(left, timeout=60)
        for child in living:
            child.kill()
        assert not living


def test_what_fails_in_one_process_ends_the_others():
    work = [(time.sleep, 600), (load, ["suite=there-is-none"])]
    with pytest.raises(ConfigError, match="suite=there-is-none is unknown"):
        carry_out(work)
    assert not active_children()


def test_a_process_that_the_system_ends_is_missed():
    with pytest.raises(UserError, match="close other programs"):
        carry_out([(os._exit, 1)])
    assert not active_children()


def test_a_run_that_is_far_behind_the_others_is_not_waited_for(monkeypatch):
    bench = load(
        ["suite=navigation", "families=point-robot", "learners=rl2", "budget=smoke"]
    )
    (run,) = plan(bench)
    monkeypatch.setattr(throughput, "PATIENCE", 0.1)
    throughput._meet_at(multiprocessing.get_context("spawn").Barrier(2))
    with pytest.raises(UserError, match="behind them"):
        throughput._updates_per_second(run.config, 0.1)


def test_a_run_is_measured_in_the_shortest_time(monkeypatch):
    words = ["suite=navigation", "families=point-robot", "budget=smoke"]
    (run,) = plan(load([*words, "learners=pearl", "device=cpu"]))
    monkeypatch.setattr(throughput, "prepare", lambda _: None)
    throughput._meet_at(multiprocessing.get_context("spawn").Barrier(1))
    assert throughput._updates_per_second(run.config, 1e-9) > 0


def carry_out(work):
    with apart.pool(len(work)) as pool:
        for done in as_completed([pool.submit(*one) for one in work]):
            done.result()


@pytest.mark.slow
def test_the_plans_throughput_is_measured_quiet_and_beside_others():
    quiet, beside = plan_figures(0.5)
    for figure in (quiet, beside):
        assert figure.value > 0
        assert figure.share is not None
        assert f"side by side: {available_cores()}, threads of each: 1" in figure.name
    assert beside.name.endswith("beside a busy process")
    left = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
    assert all("resource_tracker" in command for command in left)


@pytest.mark.slow
def test_every_target_is_reached():
    done = subprocess.run(
        [sys.executable, "-m", "pearl_bench.bench", "json=true"],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    left_out = 0 if torch.cuda.is_available() else bench.PARTS["cuda"].figures
    assert len(figures) == sum(p.figures for p in bench.PARTS.values()) - left_out
    for target, share in SHARES.items():
        shares = [f["share"] for f in figures if f["name"].startswith(target)]
        assert shares
        assert min(shares) >= share, target
    for name, speed in SPEEDS.items():
        (value,) = (f["value"] for f in figures if f["name"] == name)
        assert value >= speed, name
    memory = [f["value"] for f in figures if f["name"].endswith(", peak memory")]
    assert len(memory) == len(ON_POLICY)
    assert max(memory) < MEMORY
