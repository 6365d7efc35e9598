"""The training loop: what a stop leaves behind, and how a run goes on from there."""

import csv
import json
import re
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from raw_runs import Silent

from pearl_bench import contract, registry
from pearl_bench.config import runs as configuration
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.plan import plan
from pearl_bench.execution.work import train_run
from pearl_bench.records import checkpoint
from pearl_bench.records.schema import NOT_METRICS
from pearl_bench.training import loop

WORDS = (
    "suite=navigation",
    "families=point-robot",
    "learners=rl2",
    "budget=smoke",
    "steps=640",
    "eval_every=320",
    "device=cpu",
    "jobs=64",
)
EPISODES = 20 * (4 + 2)  # suite with episode 0, own


def rows(path):
    with path.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "wall_s"}
            for row in csv.DictReader(file)
        ]


def train(out, stop_at=None, *words):
    """Train until a poll of ``stop``; return the folder and how often it was polled."""
    (run,) = plan(configuration.load([*WORDS, *words, f"out={out}"]))
    polls = 0

    def stop():
        nonlocal polls
        polls += 1
        return stop_at is not None and polls >= stop_at

    train_run(run.config, run.folder, Silent(), stop, ["run"])
    return run.folder, polls


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.99])
def test_a_stop_within_a_meta_test_is_answered_at_once(whole, tmp_path, share):
    """At any poll it is the last; what was trained is kept, the meta-test repeated."""
    stop_at = int(share * whole[1])
    folder, polls = train(tmp_path, stop_at)
    assert polls == stop_at
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "stopped"
    # only whole meta-tests are recorded
    if (folder / "eval.csv").stat().st_size:
        assert len(rows(folder / "eval.csv")) % EPISODES == 0
    trained = len(rows(folder / "train.csv"))
    assert run["env_steps"] >= int(rows(folder / "train.csv")[-1]["env_steps"])
    train(tmp_path)
    assert rows(folder / "eval.csv") == rows(whole[0] / "eval.csv")
    assert rows(folder / "train.csv") == rows(whole[0] / "train.csv")
    assert 0 < trained <= len(rows(folder / "train.csv"))
    assert len(rows(folder / "eval.csv")) == 2 * EPISODES


def test_a_session_says_which_checkpoint_it_went_on_from(whole, tmp_path):
    """The one before the last, if the last is damaged."""
    train(tmp_path, int(0.2 * whole[1]))
    folder, _ = train(tmp_path, int(0.7 * whole[1]))
    first = json.loads((folder / "run.json").read_text())["sessions"][1]
    newest = folder / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    train(tmp_path, 1)
    run = json.loads((folder / "run.json").read_text())
    for key in ("env_steps", "seconds"):
        assert run["sessions"][2][f"resumed_at_{key}"] == first[f"resumed_at_{key}"] > 0
    train(tmp_path)
    assert rows(folder / "eval.csv") == rows(whole[0] / "eval.csv")


class Telling(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def update(self, env_steps, updates, test_return):
        self.told.append((env_steps, updates, test_return))


def test_what_is_told_goes_on_where_it_stopped(tmp_path):
    """Within an iteration: the return of the last meta-test, and the steps learnt."""
    (run,) = plan(configuration.load([*WORDS, f"out={tmp_path}"]))
    before, after = Telling(), Telling()

    def within_the_second_iteration():
        tested = [updates for _, updates, found in before.told if found is not None]
        return bool(tested) and tested[-1] > tested[0]

    assert not train_run(
        run.config, run.folder, before, within_the_second_iteration, ["run"]
    )
    assert not train_run(run.config, run.folder, after, lambda: True, ["run"])
    assert after.told[0] == before.told[-1]
    assert 320 < after.told[0][0] < 640


def test_a_run_that_is_stopped_after_every_slice_is_the_same(tmp_path):
    """Its rows are, and when it is evaluated; each session leaves what is due."""

    def run_in(out):
        words = [*WORDS, "rl2.epochs=2", f"out={tmp_path / out}"]
        return plan(configuration.load(words))[0]

    whole, cut = run_in("whole"), run_in("cut")
    assert train_run(whole.config, whole.folder, Silent(), lambda: False, ["run"])
    done, sessions = False, 0
    while not done:
        now = Telling()  # is told at the beginning and after a slice
        slices = partial(lambda told: len(told) > 1, now.told)
        done = train_run(cut.config, cut.folder, now, slices, ["run"])
        sessions += 1
    # a collection, two updates and a row in each iteration, and two meta-tests
    assert sessions == 4 * (1 + 2 + 1) + 2
    for name in ("train.csv", "eval.csv"):
        assert rows(cut.folder / name) == rows(whole.folder / name)
    tested = {row["env_steps"] for row in rows(cut.folder / "eval.csv")}
    assert tested == {"320", "640"}
    trained = rows(cut.folder / "train.csv")
    assert [row["updates"] for row in trained] == ["2", "4", "6", "8"]


def test_wall_time_is_that_until_the_row(tmp_path, monkeypatch):
    clock = count(step=15)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    folder, _ = train(tmp_path)
    until: list[tuple[int, int, float]] = []
    for after, name in enumerate(("train.csv", "eval.csv")):
        with (folder / name).open(newline="") as file:
            until += {
                (int(row["env_steps"]), after, float(row["wall_s"]))
                for row in csv.DictReader(file)
            }
    seconds = [at for _, _, at in sorted(until)]
    assert len(seconds) == 4 + 2  # rows of training, and meta-tests
    assert seconds[0] > 0
    assert (np.diff(seconds) > 0).all()
    assert seconds[-1] < next(clock)


def test_a_meta_test_is_of_the_runs_seed(tmp_path, monkeypatch):
    asked, evaluate = [], loop.evaluate

    def watched(*args, seed, **words):
        asked.append(seed)
        return evaluate(*args, seed=seed, **words)

    monkeypatch.setattr(loop, "evaluate", watched)
    train(tmp_path, None, "seeds=3")
    assert asked == [3, 3]


@pytest.mark.parametrize(("patience", "told"), [(0.0, [320, 640]), (600.0, [])])
def test_a_long_meta_test_says_once_that_it_is_one(
    tmp_path, monkeypatch, patience, told
):
    """The counters stand still in it, and a log with them."""
    monkeypatch.setattr(loop, "PATIENCE", patience)
    folder, _ = train(tmp_path)
    said = re.findall(r"in the meta-test at ([\d,]+)", (folder / "log.txt").read_text())
    assert [int(number.replace(",", "")) for number in said] == told


def test_a_run_that_has_more_steps_than_it_is_asked_for_ends_with_a_meta_test(
    whole, tmp_path
):
    """It had none due where it was stopped, and goes on from there as it would have."""

    def words(steps):
        return [*WORDS[:4], f"steps={steps}", *WORDS[5:], f"out={tmp_path}"]

    (run,) = plan(configuration.load(words(640)))
    train_csv, eval_csv = run.folder / "train.csv", run.folder / "eval.csv"

    def between_iterations():
        return bool(train_csv.read_text())

    assert not train_run(run.config, run.folder, Silent(), between_iterations, ["run"])
    (row,) = rows(train_csv)
    assert not rows(eval_csv)
    (run,) = plan(configuration.load(words(1)))
    assert train_run(run.config, run.folder, Silent(), lambda: False, ["run"])
    assert [r["env_steps"] for r in rows(eval_csv)] == [row["env_steps"]] * EPISODES
    train(tmp_path)
    assert rows(train_csv) == rows(whole[0] / "train.csv")
    assert rows(eval_csv)[EPISODES:] == rows(whole[0] / "eval.csv")


def test_a_run_that_passes_no_interval_ends_with_a_meta_test(tmp_path):
    words = [*WORDS[:5], "eval_every=1000000", *WORDS[6:], f"out={tmp_path}"]
    (run,) = plan(configuration.load(words))
    assert train_run(run.config, run.folder, Silent(), lambda: False, ["run"])
    assert len(rows(run.folder / "eval.csv")) == EPISODES


def test_what_another_command_has_begun_since_the_plan_is_refused(tmp_path):
    ours, theirs = (
        plan(configuration.load([*WORDS, *more, f"out={tmp_path}"]))[0]
        for more in ((), ("rl2.learning_rate=0.5",))
    )
    assert train_run(theirs.config, theirs.folder, Silent(), lambda: False, ["run"])
    left = {path.name: path.read_bytes() for path in theirs.folder.iterdir()}
    with pytest.raises(ConfigError, match=r"learning_rate: 0\.5 there, .* now"):
        train_run(ours.config, ours.folder, Silent(), lambda: False, ["run"])
    assert {path.name: path.read_bytes() for path in ours.folder.iterdir()} == left


def test_a_checkpoint_is_taken_every_so_many_minutes(tmp_path, monkeypatch):
    clock, save, saved = count(step=15), checkpoint.save, []
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(
        checkpoint, "save", lambda *args: saved.append(next(clock)) or save(*args)
    )
    train(tmp_path, None, "checkpoint_minutes=2")
    *gaps, _ = np.diff(saved)  # the last is taken at the end, however soon
    assert len(gaps) > 1
    assert all(120 < gap < 240 for gap in gaps)


def test_a_slice_weighs_in_a_row_as_many_as_its_updates(tmp_path, monkeypatch):
    build = registry.learner_class("rl2")

    class Uneven(build):
        def collect(self):
            self.env_steps += 100
            self.updates_due = 3
            return {}

        def update(self):
            steps = min(2, self.updates_due)
            self.updates_done += steps
            self.updates_due -= steps
            return {"steps": steps * self.env_steps / 100}

    monkeypatch.setattr(registry, "learner_class", lambda learner: Uneven)
    folder, _ = train(tmp_path, 8)  # two iterations
    found = [float(row["steps"]) for row in rows(folder / "train.csv")]
    assert found == pytest.approx([(2 * 2 + 1 * 1) / 3, 2 * (2 * 2 + 1 * 1) / 3])


@pytest.mark.parametrize("name", NOT_METRICS)
def test_a_metric_does_not_take_the_place_of_a_column(tmp_path, monkeypatch, name):
    build = registry.learner_class("rl2")

    class Named(build):
        def collect(self):
            return super().collect() | {name: 7.0}

    monkeypatch.setattr(registry, "learner_class", lambda learner: Named)
    with pytest.raises(ValueError, match=f"metrics called {name}, .* other names"):
        train(tmp_path)
    with pytest.raises(AssertionError, match=rf"returns \['{name}'\]"):
        contract.check_learner("rl2", "navigation", "point-robot")
