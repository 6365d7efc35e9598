"""Damaged files: a sentence or the same numbers, and never anything in between."""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_runs import make_run

from pearl_bench import registry
from pearl_bench.analysis import tables
from pearl_bench.analysis.check import check, remarks
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.scores import load
from pearl_bench.config.conf import read_text
from pearl_bench.config.errors import UserError
from pearl_bench.records import checkpoint, policy_file, schema
from pearl_bench.records.checkpoint import CheckpointError
from pearl_bench.records.files import RecordError, open_log
from pearl_bench.records.published.identity import describe
from pearl_bench.records.published.publish import publish
from pearl_bench.records.run_folder import RunRecord, read_run, status

SUITE = "locomotion"
FAMILY = registry.family(SUITE, "half-cheetah-vel")
FEW, MANY = 60, 3000
TRAIN = "env_steps,loss/critic,wall_s\n1000,0.5,10.0\n2000,-0.25,20.0\n"
ANYWAY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def examples(count):
    return settings(max_examples=count, suppress_health_check=ANYWAY, deadline=None)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw")
    for seed in (0, 1):
        folder = make_run(out, seed=seed, fingerprint=FAMILY.fingerprint())
        (folder / "train.csv").write_text(TRAIN)
    return out


@pytest.fixture(scope="module")
def sound(raw):
    results = raw.parent / f"{raw.name}-results"
    publish(raw, results, SUITE)
    assert check(results) == []
    return results


def curves(results: Path) -> list[dict[str, object]]:
    path = results / SUITE / "pearl.csv"
    return [line.values for line in schema.CURVES.read(path, "")]


def read_damaged(sound: Path, place: Path, file: str, harm) -> None:
    """Check and load published files of which one is damaged."""
    results = place / "results"
    shutil.rmtree(results, ignore_errors=True)
    shutil.copytree(sound, results)
    path = results / SUITE / file
    path.write_bytes(harm(path.read_bytes()))
    problems = check(results)
    remarks(results)
    assert all(str(problem) and "\n" not in str(problem) for problem in problems)
    try:
        found = load(results, SUITE)
        tables.to_markdown(found, tables.tables(found))
    except PublishedError:
        assert problems, "what cannot be drawn passes the check"
    if not problems:
        assert curves(results) == curves(sound), "other numbers pass the check"


FILES = st.sampled_from(["pearl.csv", "runs.csv", "late/pearl.csv"])


@examples(FEW)
@given(file=FILES, harm=damage())
def test_published_files(sound, tmp_path, file, harm):
    read_damaged(sound, tmp_path, file, harm)


@pytest.mark.slow
@examples(MANY)
@given(file=FILES, harm=damage())
def test_many_published_files(sound, tmp_path, file, harm):
    read_damaged(sound, tmp_path, file, harm)


def use_damaged(raw: Path, place: Path, file: str, harm) -> None:
    """Publish and continue a run of whose files one is damaged."""
    out, results = place / "raw", place / "results"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(results, ignore_errors=True)
    shutil.copytree(raw, out)
    folder = out / SUITE / FAMILY.name / "pearl" / "seed=0"
    position = position_of(folder)
    (folder / file).write_bytes(harm((folder / file).read_bytes()))
    try:
        publish(out, results, SUITE, lambda line: None)
    except RecordError:
        assert {row["seed"] for row in curves(results)} == {1}, "it is published"
    try:
        status(folder)
        run = read_run(folder)
        assert run["env_steps"] >= 0
        assert run["seconds"] >= 0
        with RunRecord(folder) as record:
            session = run["sessions"][0] | {
                key: run[key] for key in ("fingerprint", "meta_test")
            }
            record.begin("", session)
            record.rewind(position)
    except (UserError, FileNotFoundError):
        return
    assert position_of(folder) == position, "edited rows go on"


def position_of(folder: Path) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for name in ("train.csv", "eval.csv"):
        data = (folder / name).read_bytes()
        found |= {name: len(data), f"{name} sha256": hashlib.sha256(data).hexdigest()}
    return found


RAW_FILES = st.sampled_from(["eval.csv", "train.csv", "run.json", "config.yaml"])


@examples(FEW)
@given(file=RAW_FILES, harm=damage())
def test_raw_folders(raw, tmp_path, file, harm):
    use_damaged(raw, tmp_path, file, harm)


@pytest.mark.slow
@examples(MANY)
@given(file=RAW_FILES, harm=damage())
def test_many_raw_folders(raw, tmp_path, file, harm):
    use_damaged(raw, tmp_path, file, harm)


def state_of(generation: int) -> dict[str, Any]:
    return {"generation": generation, "x": torch.arange(300) / (generation + 1)}


def plain(state: dict[str, Any] | None) -> object:
    """Return a state that can be compared."""
    return state and {**state, "x": state["x"].tolist()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two generations of a checkpoint, and a policy file."""
    folder = tmp_path_factory.mktemp("saved")
    for generation in range(2):
        checkpoint.save(folder, state_of(generation))
    policy_file.write(
        folder / "policy.safetensors",
        {"policy.weight": torch.arange(30) / 7},
        {"config": "suite: navigation", "fingerprint": "f" * 16, "env_steps": 5},
    )
    return folder


def load_damaged(saved: Path, place: Path, older, newer, policy) -> None:
    """Load checkpoints of which both may be damaged, and a policy file that is."""
    folder = place / "saved"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder)
    sound = []
    for generation, name, harm in (
        (0, checkpoint.PREVIOUS, older),
        (1, checkpoint.NEWEST, newer),
    ):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(harm(data))
        if harm(data) == data:
            sound.append(generation)
    said: list[str] = []
    state = None
    with suppress(CheckpointError):
        state = checkpoint.load(folder, said.append)
    if sound:
        assert plain(state) == plain(state_of(sound[-1]))
        assert bool(said) == (sound[-1] == 0)
    else:
        assert state is None
    path = folder / "policy.safetensors"
    path.write_bytes(policy(path.read_bytes()))
    with suppress(RecordError):
        tensors, description = policy_file.read(path)
        assert tensors
        assert description["format"] == policy_file.FORMAT


SOMETIMES = st.one_of(st.just(lambda data: data), damage())


@examples(FEW)
@given(older=SOMETIMES, newer=SOMETIMES, policy=damage())
def test_checkpoints_and_policies(saved, tmp_path, older, newer, policy):
    load_damaged(saved, tmp_path, older, newer, policy)


@pytest.mark.slow
@examples(MANY)
@given(older=SOMETIMES, newer=SOMETIMES, policy=damage())
def test_many_checkpoints_and_policies(saved, tmp_path, older, newer, policy):
    load_damaged(saved, tmp_path, older, newer, policy)


def test_a_pipe_in_place_of_a_configuration_is_not_waited_for(raw, tmp_path):
    folder = shutil.copytree(raw / SUITE / FAMILY.name / "pearl", tmp_path / "pearl")
    path = folder / "seed=0" / "config.yaml"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: it is no file"):
        read_text(path)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: it is a pipe"):
        describe(path.parent)


@pytest.mark.parametrize("name", [checkpoint.NEWEST, checkpoint.PREVIOUS])
def test_a_pipe_in_place_of_a_checkpoint_is_not_waited_for(saved, tmp_path, name):
    folder = shutil.copytree(saved, tmp_path / "saved")
    for path in folder.glob("*.pt"):
        path.unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RecordError, match=f"{name} cannot be read: it is a pipe"):
        checkpoint.load(folder, lambda line: None)


def go_on(folder: Path) -> None:
    """Open what a session writes to."""
    run = read_run(folder)
    about = {key: run[key] for key in ("fingerprint", "meta_test")}
    with RunRecord(folder) as record, open_log(folder / "log.txt"):
        record.begin("", run["sessions"][0] | about)
        record.rewind({})


@pytest.mark.parametrize("name", ["lock", "log.txt", "eval.csv", "train.csv"])
def test_a_link_in_a_runs_folder_is_called_one(raw, tmp_path, name):
    out = shutil.copytree(raw, tmp_path / "raw")
    folder = out / SUITE / FAMILY.name / "pearl" / "seed=0"
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match=f"{name} is a link; put the file itself"):
        go_on(folder)
    assert not (tmp_path / "elsewhere").exists()
