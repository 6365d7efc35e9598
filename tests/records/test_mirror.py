"""Mirrors of the CSV files, with the real libraries."""

import csv
import importlib.util
import json

import pytest
from raw_runs import Silent

from pearl_bench import run
from pearl_bench.config import runs as config
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.work import train_run
from pearl_bench.records.run_folder import FolderInUse, RunRecord, read_run

STEPS = 1600


class Dies(Silent):
    def update(self, env_steps, updates, test_return):
        if env_steps >= STEPS / 2:
            raise KeyboardInterrupt


def resolve(kind):
    words = ["suite=navigation", "budget=smoke", "device=cpu", f"steps={STEPS}"]
    bench = config.load([*words, f"mirror={kind}"])
    return config.run_config(bench, "point-robot", "promp", 0, threads=1)


def train(folder, kind, progress=None, slices=10**9):
    polls = iter(range(10**9))
    train_run(
        resolve(kind), folder, progress or Silent(), lambda: next(polls) >= slices, []
    )


def in_csv(folder, name, column):
    with (folder / name).open(newline="") as file:
        return [
            (int(row["env_steps"]), float(row[column])) for row in csv.DictReader(file)
        ]


def in_tensorboard(folder, name):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    events = accumulators.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def approx(pairs):
    steps, values = zip(*pairs, strict=True)
    return [*zip(steps, map(pytest.approx, values), strict=True)]


def test_tensorboard_shows_the_rows_of_a_stopped_and_resumed_run(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, "tensorboard", slices=30)
    assert 0 < read_run(tmp_path)["env_steps"] < STEPS
    train(tmp_path, "tensorboard")
    for name in ("loss/outer", "return/train_adapted", "wall_s"):
        shown = in_tensorboard(tmp_path, f"train/{name}")
        assert shown == approx(in_csv(tmp_path, "train.csv", name))
    assert len(shown) == STEPS / 160
    (steps, value) = in_tensorboard(tmp_path, "meta_test/return/suite-test/episode_3")[
        -1
    ]
    with (tmp_path / "eval.csv").open(newline="") as file:
        returns = [
            float(row["return"])
            for row in csv.DictReader(file)
            if (row["env_steps"], row["protocol"], row["episode"])
            == (str(steps), "suite", "3")
        ]
    assert value == pytest.approx(sum(returns) / len(returns))


def test_rows_that_a_killed_run_loses_were_never_shown(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, "tensorboard", slices=12)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, "tensorboard", Dies())
    lost = in_csv(tmp_path, "train.csv", "loss/outer")
    shown = in_tensorboard(tmp_path, "train/loss/outer")
    assert len(shown) < len(lost)
    train(tmp_path, "tensorboard")
    rows = in_csv(tmp_path, "train.csv", "loss/outer")
    assert in_tensorboard(tmp_path, "train/loss/outer") == approx(rows)


def test_a_meta_test_after_a_checkpoint_is_shown_although_its_row_was(tmp_path):
    """A run that stops within a meta-test has its row, and plays it when it goes on."""
    pytest.importorskip("tensorboard")

    def tested():
        return sorted({steps for steps, _ in in_csv(tmp_path, "eval.csv", "episode")})

    def stop():
        return len(in_csv(tmp_path, "train.csv", "wall_s")) == 7

    train_run(resolve("tensorboard"), tmp_path, Silent(), stop, [])
    (*_, (row_at, _)) = in_tensorboard(tmp_path, "train/wall_s")
    assert row_at == read_run(tmp_path)["env_steps"] < STEPS
    assert tested() == []
    train(tmp_path, "tensorboard")
    shown = in_tensorboard(tmp_path, "meta_test/return/suite-test/episode_3")
    assert [steps for steps, _ in shown] == tested() == [row_at, STEPS]
    rows = in_csv(tmp_path, "train.csv", "loss/outer")
    assert in_tensorboard(tmp_path, "train/loss/outer") == approx(rows)


def test_a_state_of_one_number_is_read_and_another_refused(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, "tensorboard", slices=12)
    path = tmp_path / "mirror.json"
    state = json.loads(path.read_text())
    for damaged in (None, "9", {}, {"train.csv": 9}, {"train.csv": 9, "eval.csv": "9"}):
        path.write_text(json.dumps(state | {"env_steps": damaged}))
        said = r"mirror\.json is damaged; move it away\. Mend that"
        with pytest.raises(ConfigError, match=said):
            train(tmp_path, "tensorboard")
    once = state | {"env_steps": max(state["env_steps"].values())}
    path.write_text(json.dumps(once))
    train(tmp_path, "tensorboard")
    rows = in_csv(tmp_path, "train.csv", "loss/outer")
    assert in_tensorboard(tmp_path, "train/loss/outer") == approx(rows)


def test_the_mirror_of_a_run_that_another_process_trains_is_left_alone(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "mirror.json").write_text("what the other one is writing")
    with RunRecord(tmp_path), pytest.raises(FolderInUse):
        train(tmp_path, "tensorboard")
    assert not (tmp_path / "tensorboard").exists()


def test_a_mirror_that_comes_late_shows_all_rows(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, "none", slices=12)
    assert not (tmp_path / "mirror.json").exists()
    train(tmp_path, "tensorboard")
    rows = in_csv(tmp_path, "train.csv", "loss/outer")
    assert in_tensorboard(tmp_path, "train/loss/outer") == approx(rows)


def test_the_mirror_changes_no_row(tmp_path):
    pytest.importorskip("tensorboard")
    for kind in ("none", "tensorboard"):
        train(tmp_path / kind, kind)
    for name in ("train.csv", "eval.csv"):
        one, other = (
            [row.rpartition(",")[0] for row in path.read_text().splitlines()]
            for path in (tmp_path / "none" / name, tmp_path / "tensorboard" / name)
        )
        assert one == other


# Their modules use what pydantic and protobuf have deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandb_offline_keeps_one_run_over_sessions(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tmp_path, "wandb", slices=30)
    identity = json.loads((tmp_path / "mirror.json").read_text())["id"]
    train(tmp_path, "wandb")
    logs = sorted((tmp_path / "wandb").glob(f"offline-run-*-{identity}/*.wandb"))
    assert len(logs) == 2
    state = json.loads((tmp_path / "mirror.json").read_text())
    shown = {"train.csv": STEPS, "eval.csv": STEPS}
    assert state == {"mirror": "wandb", "id": identity, "env_steps": shown}


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_extra_is_explained_before_the_run(kind, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run.main(["suite=navigation", f"mirror={kind}"]) == 2
    assert f"pip install 'pearl_bench[{kind}]'" in capsys.readouterr().err
