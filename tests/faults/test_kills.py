"""Killed at any moment and resumed, a run equals one that nobody has killed."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import kills
import pytest
from safetensors.numpy import load_file

from pearl_bench.execution.work import POLICY
from pearl_bench.records import checkpoint, schema
from pearl_bench.records.run_folder import CONFIG, EVAL, LOCK, RUN, TRAIN, status
from pearl_bench.registry import LEARNERS

CLOCK = "wall_s"
RUN_FOLDER = Path("raw", kills.SUITE, kills.FAMILY)
LEFT = {CONFIG, EVAL, LOCK, RUN, TRAIN, POLICY, "log.txt"} | {
    checkpoint.NEWEST,
    checkpoint.PREVIOUS,
}


def rows(table, path):
    return [
        {key: value for key, value in line.values.items() if key != CLOCK}
        for line in table.read(path, "")
    ]


def final(folder, learner):
    """Return all that a run has come to, but for the time that it took."""
    raw = folder / RUN_FOLDER / learner / "seed=0"
    assert status(raw).state == "done"
    state = checkpoint.load(raw, pytest.fail)
    assert state is not None
    published = folder / "results" / kills.SUITE
    return {
        "train": rows(schema.TRAIN, raw / TRAIN),
        "eval": rows(schema.EVAL, raw / EVAL),
        "curve": rows(schema.CURVES, published / f"{learner}.csv"),
        "late": rows(schema.LATE, published / "late" / f"{learner}.csv"),
        "policy": {k: v.tobytes() for k, v in load_file(raw / POLICY).items()},
        "learner": plain(state["learner"]),
    }


def plain(state):
    """Return a learner's state with the bytes of its tensors."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [*map(plain, state)]
    return state.numpy().tobytes() if hasattr(state, "numpy") else repr(state)


def campaign(folder, count, seed):
    """Kill runs of all methods; return the kills."""
    done = subprocess.run(
        [sys.executable, kills.__file__, str(folder), str(count), str(seed)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == count
    assert {kill["learner"] for kill in found} == set(LEARNERS)
    for learner in LEARNERS:
        whole = final(folder / learner / "whole", learner)
        assert len(whole["eval"])
        for killed in sorted((folder / learner).glob("killed-*")):
            again = final(killed, learner)
            for part, expected in whole.items():
                assert again[part] == expected, (killed, part, found)
            raw = killed / RUN_FOLDER / learner / "seed=0"
            there = {path.name for path in raw.iterdir() if path.suffix != ".tmp"}
            assert there == LEFT
    return found


def test_runs_are_killed_and_lose_nothing(tmp_path):
    campaign(tmp_path, 10, seed=0)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path):
    found = campaign(tmp_path, 100, seed=1)
    assert set(Counter(kill["by"] for kill in found)) == set(kills.BY)
    assert Counter(kill["state"] for kill in found)["begun"] > 30
