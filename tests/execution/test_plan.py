"""The plan says what is done, what is left, and refuses to mix two runs."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

from baselines.promp_config import PrompConfig
from pearl_bench import registry
from pearl_bench.config import runs as config
from pearl_bench.config.runs import load
from pearl_bench.config.types import ConfigError, MetaTestConfig
from pearl_bench.execution import trial
from pearl_bench.execution.pace import Pace
from pearl_bench.execution.plan import (
    Run,
    _least_memory,
    estimate,
    plan,
    resolve_device,
    share_cores,
    side_by_side,
    wall_seconds,
)
from pearl_bench.execution.slurm import _parts
from pearl_bench.records.files import RecordError
from pearl_bench.records.provenance import provenance
from pearl_bench.records.run_folder import RunRecord


@pytest.fixture
def words(tmp_path):
    return [
        "suite=navigation",
        "families=point-robot",
        "budget=smoke",
        "steps=1000",
        "device=cpu",
        f"out={tmp_path}",
        "learners=pearl",
    ]


def keep(run: Run, status: str, env_steps: int) -> None:
    """Leave a folder as a session that got so far would."""
    family = registry.family(run.config.suite, run.config.family)
    origin = provenance(family.fingerprint(), ["test"], gpu=None)
    with RunRecord(run.folder) as record:
        part = {
            "protocol": "suite",
            "split": "test",
            "tasks": 20,
            "exploration_episodes": 2,
            "test_episodes": 1,
        }
        where = {"device": "cpu", "threads": 1, "cores": 2, "meta_test": [part]}
        record.begin(config.to_yaml(run.config), origin | where)
        record.progress(env_steps, 1.0)
        record.finish(status)  # type: ignore[arg-type]


def states(words):
    return [(run.state, run.env_steps) for run in plan(load(words))]


def test_one_run_per_family_learner_and_seed(tmp_path):
    runs = plan(
        load(["suite=navigation", "learners=pearl", "seeds=0,3", f"out={tmp_path}"])
    )
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs] == [
        "navigation/point-robot/pearl/seed=0",
        "navigation/point-robot/pearl/seed=3",
        "navigation/sparse-point-robot/pearl/seed=0",
        "navigation/sparse-point-robot/pearl/seed=3",
    ]
    assert {run.state for run in runs} == {"missing"}
    assert not any(tmp_path.iterdir())


def test_states_come_from_the_folders(words):
    words.append("seeds=0,1,2,3")
    runs = plan(load(words))
    keep(runs[0], "done", 1040)
    keep(runs[1], "stopped", 400)
    keep(runs[2], "failed", 200)
    expected = [("done", 1040), ("begun", 400), ("failed", 200), ("missing", 0)]
    assert states(words) == expected
    assert [run.pending for run in plan(load(words))] == [False, True, True, True]


def test_more_steps_continue_a_finished_run(words):
    (run,) = plan(load(words))
    keep(run, "done", 1040)
    for steps in (1000, 1040):
        words[3] = f"steps={steps}"
        assert states(words) == [("done", 1040)]
    words[3] = "steps=1041"
    assert states(words) == [("begun", 1040)]


def test_another_run_in_the_folder_is_refused(words):
    (run,) = plan(load(words))
    keep(run, "stopped", 400)
    with pytest.raises(ConfigError) as error:
        plan(load([*words, "pearl.kl_weight=0.7", "precision=bf16"]))
    message = str(error.value)
    assert str(run.folder) in message
    assert f"pearl.kl_weight: {run.config.config.kl_weight} there, 0.7 now" in message
    assert "precision: float32 there, bf16 now" in message
    assert "another out=" in message
    assert message.count(" there, ") == 2


@pytest.mark.parametrize("engine", ["local", "slurm"])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            # 400 and 600 steps in whole episodes of up to 200; pages have 1,024
            "learners=pearl pearl.replay_capacity=1397",
            r"pearl: replay_capacity \(1397\) must be at least 1398: .* in half-",
        ),
        (
            "learners=pearl,rl2 precision=bf16",
            "rl2: precision=bf16 is not offered; this method computes in float32",
        ),
    ],
)
def test_what_a_learner_would_refuse_is_refused_before_any_is_built(
    engine, asked, message, tmp_path
):
    words = "suite=locomotion families=half-cheetah-vel budget=paper device=cpu"
    with pytest.raises(ConfigError, match=message):
        plan(load([*f"{words} {asked}".split(), f"engine={engine}", f"out={tmp_path}"]))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("lines", [0, 5])
def test_a_configuration_that_is_cut_off_is_no_other_run(words, lines):
    (run,) = plan(load(words))
    keep(run, "done", 1040)
    path = run.folder / "config.yaml"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(ConfigError, match=r"config\.yaml does not describe a run"):
        plan(load(words))


def test_a_quick_run_goes_on_as_the_lean_one_that_it_is_the_first_part_of(tmp_path):
    words = ["suite=locomotion", "families=ant-goal-2d", "device=cpu"]
    words += [f"out={tmp_path}", "seeds=0", "learners=pearl,rl2"]
    quick = plan(load([*words, "budget=quick"]))
    for run in quick:
        keep(run, "done", run.config.steps)
    assert states([*words, "budget=lean"]) == [
        ("begun", run.config.steps) for run in quick
    ]
    with pytest.raises(ConfigError, match=r"pearl\.kl_weight: 1\.0 there, 0\.7 now"):
        plan(load([*words, "budget=lean", "pearl.kl_weight=0.7"]))
    with pytest.raises(ConfigError, match="budget: quick there, paper now"):
        plan(load([*words, "budget=paper"]))
    for run in plan(load([*words, "budget=lean"])):
        keep(run, "stopped", run.config.steps // 2)
    with pytest.raises(ConfigError, match="budget: lean there, quick now"):
        plan(load([*words, "budget=quick"]))


def test_place_and_length_of_a_run_may_change(words):
    (run,) = plan(load(words))
    other = dataclasses.replace(
        run.config,
        steps=900,
        device="cuda",
        threads=run.config.threads + 1,
        checkpoint_minutes=1.0,
        mirror="tensorboard",
    )
    keep(dataclasses.replace(run, config=other), "stopped", 400)
    assert states(words) == [("begun", 400)]


def test_a_setting_that_is_newer_than_a_run_had_its_default(words):
    (run,) = plan(load(words))
    keep(run, "stopped", 400)
    path = run.folder / "config.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in lines if "context_sampler" not in x))
    assert len(path.read_text().splitlines()) == len(lines) - 1
    assert states(words) == [("begun", 400)]
    with pytest.raises(ConfigError, match="recent there, whole-buffer now"):
        plan(load([*words, "pearl.context_sampler=whole-buffer"]))


def test_other_tasks_of_the_same_name_are_refused(words):
    (run,) = plan(load(words))
    keep(run, "stopped", 400)
    path = run.folder / "run.json"
    stored = json.loads(path.read_text()) | {"fingerprint": "0" * 16}
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigError, match=r"fingerprint of the tasks: 0{16} there"):
        plan(load(words))


def test_a_run_goes_on_with_the_repetitions_that_it_was_begun_with(words):
    (run,) = plan(load([*words, "meta_test.repetitions=3"]))
    assert run.config.meta_test.repetitions == 3
    keep(run, "stopped", 400)
    (again,) = plan(load(words))
    assert again.config == run.config
    with pytest.raises(ConfigError, match="repetitions: 3 there, 1 now"):
        plan(load([*words, "meta_test.repetitions=1"]))
    # of a version that knew of none
    older = dataclasses.replace(run.config, meta_test=MetaTestConfig())
    (run.folder / "config.yaml").write_text(config.to_yaml(older))
    (again,) = plan(load(words))
    assert again.config == older
    with pytest.raises(ConfigError, match="repetitions: None there, 1 now"):
        plan(load([*words, "meta_test.repetitions=1"]))


def test_what_is_left_is_estimated_where_the_pace_is_known(words):
    words.append("seeds=0,1,2,3")
    runs = plan(load(words))
    keep(runs[0], "done", 1040)
    keep(runs[2], "stopped", 400)

    def pace_of(run, folder):
        assert folder.name == f"seed={run.seed}"
        return None if run.seed == 3 else Pace(0.1, 5)

    estimated = estimate(plan(load(words)), pace_of)
    assert [run.remaining for run in estimated] == [0.0, 100.0, 60.0, None]
    assert [run.test_steps for run in estimated] == [None, 5, 5, None]


@pytest.mark.parametrize("learner", ["pearl", "rl2"])
def test_the_cost_of_a_meta_test_counts_all_its_parts(words, learner):
    bench = load(words)
    run = config.run_config(bench, "point-robot", learner, 0, threads=1)
    own = run.config.episodes if learner == "rl2" else 0
    pace = trial.measure(run, Path("none"))
    assert pace.test_steps == 20 * 20 * (4 + own)
    # runs that differ in the seed are measured once
    assert trial.measure(dataclasses.replace(run, seed=1), Path("none")) is pace


@dataclasses.dataclass(frozen=True)
class ListedConfig(PrompConfig):
    """Settings of a method of another package; a list cannot be hashed.

    Attributes:
        widths: of nothing.
    """

    widths: list[int] = dataclasses.field(default_factory=lambda: [1, 2])


def test_settings_that_are_lists_can_be_measured(words, monkeypatch):
    monkeypatch.setattr(registry, "config_class", lambda learner: ListedConfig)
    bench = load([*words[:-1], "learners=promp"])
    run = config.run_config(bench, "point-robot", "promp", 0, threads=1)
    assert run.config == ListedConfig(**dataclasses.asdict(run.config))
    pace = trial.measure(run, Path("none"))
    assert trial.measure(dataclasses.replace(run, seed=1), Path("none")) is pace


def test_wall_time_of_jobs_in_order(words):
    (run,) = plan(load(words))
    runs = [dataclasses.replace(run, remaining=float(s)) for s in (5, 1, 1, 4)]
    assert wall_seconds(runs, 1) == 11
    assert wall_seconds(runs, 2) == 6  # 5 | 1 1 4
    assert wall_seconds(runs, 4) == 5


@pytest.fixture
def machine(monkeypatch):
    """Make this machine one of 8 cores and 64 GiB, of any others if asked."""

    def make(cores=8, gibibytes=64):
        home = "pearl_bench.execution.plan"
        monkeypatch.setattr(f"{home}.available_cores", lambda: cores)
        monkeypatch.setattr(f"{home}.available_memory", lambda: gibibytes << 30)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    make()
    return make


def shares(words):
    """Return the jobs and each run's threads."""
    bench = load(words)
    runs = plan(bench)
    jobs = side_by_side(bench, runs)
    return jobs, [run.config.threads for run in share_cores(bench, runs, jobs)]


@pytest.mark.parametrize(
    ("other", "jobs", "threads"),
    [
        (["seeds=0"], 1, 8),
        (["seeds=0", "jobs=3"], 1, 8),
        (["seeds=0,1,2"], 3, 2),
        (["seeds=0,1,2", "jobs=auto"], 3, 2),
        (["seeds=0,1,2", "jobs=2"], 2, 4),
        (["seeds=0,1,2", "threads=4"], 2, 4),
        (["seeds=0,1,2", "jobs=3", "threads=4"], 3, 4),
        ([f"seeds={','.join(map(str, range(20)))}"], 8, 1),
        ([f"seeds={','.join(map(str, range(20)))}", "jobs=16"], 16, 1),
    ],
)
def test_cores_are_shared_among_jobs(words, machine, other, jobs, threads):
    found = shares([*words, *other])
    assert found == (jobs, [threads] * len(found[1]))


def test_memory_limits_the_runs_side_by_side(words, machine):
    machine(gibibytes=5)
    assert shares([*words, "seeds=0,1,2"]) == (2, [4] * 3)
    machine(gibibytes=1)
    assert shares([*words, "seeds=0,1,2"]) == (1, [8] * 3)


def test_a_gpu_trains_one_run_at_a_time_unless_asked_otherwise(words, machine):
    bench = load([*words, "seeds=0,1,2"])
    runs = plan(bench)
    on_gpu = dataclasses.replace(runs[2].config, device="cuda")
    runs[2] = dataclasses.replace(runs[2], config=on_gpu)
    assert side_by_side(bench, runs) == 1
    assert side_by_side(dataclasses.replace(bench, jobs=2), runs) == 2


def test_a_run_goes_on_with_the_threads_that_it_was_begun_with(words, machine):
    words.append("seeds=0,1,2")
    bench = load([*words, "threads=3"])
    keep(plan(bench)[0], "stopped", 400)
    assert shares(words) == (2, [3, 4, 4])  # two of three threads fit
    assert shares([*words, "threads=1"]) == (3, [1] * 3)
    machine(cores=2)
    assert shares(words) == (1, [2] * 3)


def test_on_a_cluster_too_whatever_cores_this_machine_has(words, machine):
    words.append("seeds=0,1,2")
    bench = load([*words, "threads=3"])
    keep(plan(bench)[1], "stopped", 400)
    machine(cores=2)
    for engine in ("slurm", "ray"):
        runs = plan(load([*words, f"engine={engine}"]))
        assert [run.config.threads for run in runs] == [1, 3, 1]
        runs = plan(load([*words, f"engine={engine}", "threads=2"]))
        assert [run.config.threads for run in runs] == [2] * 3
    runs = plan(load([*words, "engine=slurm"]))
    parts = [[run.config.seed for run in part] for part in _parts(runs, 1000)]
    assert parts == [[0, 2], [1]]
    assert [len(part) for part in _parts(runs, 1)] == [1] * 3


def test_the_device_is_known_before_training():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_an_error_only_if_there_is_work(words):
    (run,) = plan(load(words))
    words[4] = "device=cuda"
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        plan(load(words))
    keep(run, "done", 1040)
    assert states(words) == [("done", 1040)]


def test_too_little_memory_is_an_error_only_if_there_is_work(words, monkeypatch):
    bench = load([*words[:-1], "learners=pearl,rl2"])
    least = {run: _least_memory(run.config) for run in plan(bench)}
    largest = max(least, key=lambda run: least[run])
    there = least[largest]
    assert there > min(least.values())
    monkeypatch.setattr("pearl_bench.execution.plan.most_memory", lambda: there)
    plan(bench)
    there -= 1
    with pytest.raises(ConfigError, match="takes at least"):
        plan(bench)
    keep(largest, "done", 1000)
    assert [run.pending for run in plan(bench)].count(True) == 1


def test_what_runs_of_many_seeds_share_is_read_once(words, monkeypatch):
    words.append("seeds=0,1,2,3,4")
    runs = plan(load(words))
    for run in runs:
        keep(run, "done", 1040)
    read, asked = config.read_yaml, []

    def count(text, where):
        asked.append(where)
        return read(text, where)

    monkeypatch.setattr(config, "read_yaml", count)
    config._of_every_seed.cache_clear()
    assert [run.config for run in plan(load(words))] == [run.config for run in runs]
    assert len(asked) == 1

    damaged = runs[3].folder / "config.yaml"
    damaged.write_text("seed: 3\nsteps: [\n")
    with pytest.raises(ConfigError, match=re.escape(str(damaged))):
        plan(load(words))
    # another seed's settings in the folder
    damaged.write_text((runs[2].folder / "config.yaml").read_text())
    with pytest.raises(ConfigError, match="seed: 2 there, 3 now"):
        plan(load(words))


def test_a_store_that_is_no_folder_is_named_by_its_word(words, tmp_path):
    (tmp_path / "file").write_text("")
    words = [word for word in words if not word.startswith("out=")]
    for out in (tmp_path / "file", tmp_path / "file" / "raw"):
        with pytest.raises(RecordError, match=rf"out={out}: .*/file is no folder"):
            plan(load([*words, f"out={out}"]))
