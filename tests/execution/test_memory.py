"""Runs that cannot fit are refused before anything of them is built."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest

from pearl_bench import registry
from pearl_bench.config.runs import load
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.plan import plan
from pearl_bench.machine import cgroups, memory

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize(
    "word",
    [
        "pearl.hidden_size=1e9",
        "pearl.encoder_hidden_size=1e9",
        "pearl.batch_size=1e12",
        "maml_trpo.hidden_size=1e9",
        "promp.tasks=1e12",
        "rl2.hidden_size=1e9",
        "rl2.trials=1e12",
        "meta_test.repetitions=1e12",
    ],
)
def test_what_cannot_fit_is_refused(word, tmp_path):
    name = word.partition(".")[0]
    learner = name if name in registry.learner_names() else "promp"
    words = ["suite=locomotion", f"learners={learner}", "device=cpu", word]
    with pytest.raises(ConfigError, match=r"takes at least .* GiB with these"):
        plan(load([*words, f"out={tmp_path}"]))
    assert not any(tmp_path.iterdir())


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    """A run that the machine could hold, in a group that is allowed less."""
    words = ["suite=navigation", "learners=pearl", "device=cpu", "budget=smoke"]
    bench = load([*words, f"out={tmp_path / 'raw'}"])
    plan(bench)
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "memory.max").write_text("1000\n")
    allowed = partial(cgroups.memory_limit, tmp_path / "cgroup", tmp_path)
    monkeypatch.setattr(memory, "memory_limit", allowed)
    with pytest.raises(ConfigError, match=r"settings, and there are 0\.0 GiB here"):
        plan(bench)


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_what_a_cluster_gives_has_to_hold_a_run(engine, tmp_path):
    words = ["families=humanoid-direc-2d", "learners=pearl", "budget=paper"]
    words = ["suite=locomotion", *words, f"engine={engine}", f"out={tmp_path}"]
    for where in ("gpus=0", "gpus=1"):
        little = r"7\.8 GiB .* 4\.0 GiB by memory=4G; give"
        with pytest.raises(ConfigError, match=little):
            plan(load([*words, where, "memory=4G"]))
        assert plan(load([*words, where, "memory=24G"]))


def published():
    for path in sorted(RESULTS.glob("*/runs.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            yield from (
                row | {"suite": path.parent.name} for row in csv.DictReader(file)
            )


def test_no_run_that_was_trained_would_have_been_refused():
    """What a run takes at least is less than what it was measured to take."""
    seen = False
    for row in published():
        method = registry.method(row["learner"])
        usual = registry.default_settings(row["learner"])
        settings = {
            key: value
            for key, value in json.loads(row["settings"]).items()
            if key in usual
        }
        family = registry.family(row["suite"], row["family"])
        assert method.memory
        needed = method.memory(
            method.settings(**(usual | settings)), family, int(row["steps"])
        )
        assert needed / 2**20 < float(row["peak_memory_mib"]), row["run"]
        seen = True
    assert seen


def test_what_is_told_has_no_encoder_to_keep():
    """Nor what it is trained on: a wide one costs a run nothing that has none."""
    method, family = (
        registry.method("pearl"),
        registry.family("locomotion", "ant-goal-2d"),
    )
    assert method.memory
    needed = {
        (inference, width): method.memory(
            method.settings(inference=inference, encoder_hidden_size=width), family, 1
        )
        for inference in ("posterior", "oracle", "none")
        for width in (200, 30_000)
    }
    for inference in ("oracle", "none"):
        assert needed[inference, 200] == needed[inference, 30_000]
    assert needed["posterior", 200] < needed["posterior", 30_000]
