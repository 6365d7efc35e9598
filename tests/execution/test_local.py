"""Runs side by side on this machine."""

import errno
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from baselines.promp import PrompLearner
from pearl_bench.config import runs as configuration
from pearl_bench.execution import local
from pearl_bench.execution.console import Board
from pearl_bench.execution.plan import plan
from pearl_bench.execution.signals import StopRequest
from pearl_bench.execution.work import prepare
from pearl_bench.records.run_folder import status
from pearl_bench.run import main

WORDS = ["suite=navigation", "families=point-robot", "learners=promp", "budget=smoke"]


def test_what_the_system_refuses_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    words = [*WORDS, "seeds=0,1", "device=cpu", f"out={tmp_path}"]
    failures, _ = local.launch(plan(configuration.load(words)), 2, Board(), ["run"])
    (reason,) = set(failures.values())
    assert reason.endswith(
        "; raise the limit on processes (ulimit -u), or take fewer jobs="
    )
    assert "Error" not in reason


def test_a_run_computes_on_the_threads_that_its_record_tells(tmp_path):
    (run,) = plan(configuration.load([*WORDS, "device=cpu", f"out={tmp_path}"]))
    for threads in (3, 1):
        prepare(replace(run.config, threads=threads))
        assert torch.get_num_threads() == threads


def test_children_import_what_this_process_does(tmp_path, monkeypatch):
    """Not what lies in the current folder, where this one does not look."""
    (tmp_path / "queue.py").write_text("raise RuntimeError('of a user')\n")
    monkeypatch.chdir(tmp_path)
    runs = plan(configuration.load([*WORDS, "seeds=0,1", "device=cpu", "out=raw"]))
    assert local.launch(runs, 2, Board(), ["run"]) == ({}, None)


def test_a_run_that_cannot_be_started_stops_no_other(tmp_path):
    words = [*WORDS, "seeds=0,1", "device=cpu", f"out={tmp_path}"]
    first, second = plan(configuration.load(words))
    (first.folder / "log.txt").mkdir(parents=True)
    failures, stopped = local.launch([first, second], 2, Board(), ["run"])
    assert (failures.keys(), stopped) == ({first.folder}, None)
    assert f"{first.folder / 'log.txt'} cannot be" in failures[first.folder]
    assert status(second.folder).state == "done"


@pytest.mark.parametrize("place", ["__init__", "collect", "policy_state"])
def test_a_run_that_calls_exit_fails_alone(place, tmp_path, monkeypatch):
    """The command would end there, and as if all were well."""
    words = [*WORDS, "seeds=0,1", "device=cpu", f"out={tmp_path}"]
    monkeypatch.setattr(PrompLearner, place, lambda *_, **__: sys.exit(0))
    failures, _ = local.launch(plan(configuration.load(words)), 1, Board(), ["run"])
    said = "RuntimeError: the method or the environment called sys.exit(0)"
    assert [*failures.values()] == [said, said]


def test_a_trial_that_calls_exit_is_an_error(tmp_path, monkeypatch):
    words = [*WORDS, "seeds=9", "device=cpu", f"out={tmp_path}", "measure=true"]
    monkeypatch.setattr(PrompLearner, "__init__", lambda *_, **__: sys.exit(0))
    with pytest.raises(RuntimeError, match=r"called sys\.exit\(0\)"):
        main([*words, "dry=true"])


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_ends_at_once_goes_on_where_its_folder_is_kept_and_nowhere_else(
    goes_on, tmp_path, monkeypatch, capsys
):
    killed = threading.Event()

    def wait_for_it(*_, **__):
        killed.wait()
        return "killed"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    child = SimpleNamespace(kill=killed.set)
    monkeypatch.setattr(local, "_start_child", lambda *_: child)
    monkeypatch.setattr(local, "_follow_child", wait_for_it)
    monkeypatch.setattr(local, "wait", interrupt)
    runs = plan(configuration.load([*WORDS, "device=cpu", f"out={tmp_path}"]))
    with pytest.raises(KeyboardInterrupt):
        local.launch(runs, 2, Board(), ["run"], goes_on=goes_on)
    (said,) = capsys.readouterr().out.splitlines()
    assert "ended at once" in said
    assert ("goes on from its checkpoint" in said) == goes_on


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_somebody_else_stops_goes_on_where_its_folder_is_kept(goes_on):
    told = json.dumps({"ended": "SIGTERM"}) + "\n"
    child = SimpleNamespace(stdout=io.StringIO(told), wait=lambda: 0)
    reason = local._follow_child(
        child,  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        StopRequest(),
        goes_on=goes_on,
    )
    assert reason.startswith("somebody else stopped it with SIGTERM")
    assert ("repeat the command" in reason) == goes_on
