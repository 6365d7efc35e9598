"""Published runs trained again: equal, different at a place, or not to be had."""

import csv
import hashlib
import shutil
import signal

import pytest
import torch
from raw_runs import make_run, train_small

from pearl_bench import registry
from pearl_bench.execution import local
from pearl_bench.execution.signals import StopRequest
from pearl_bench.records import schema
from pearl_bench.records.published.curves import digest
from pearl_bench.records.published.publish import publish
from pearl_bench.reproduce import differences, find, main, run_of

WORDS = [
    *("suite=navigation", "families=point-robot", "learners=rl2", "budget=smoke"),
    *("steps=3000", "rl2.hidden_size=8"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results with one short run, evaluated three times."""
    folder = tmp_path_factory.mktemp("reproduce")
    train_small(folder / "raw", *WORDS)
    publish(folder / "raw", folder / "results", "navigation", lambda _: None)
    return folder / "results"


@pytest.fixture
def results(trained, tmp_path):
    """A copy of them that a test may change."""
    folder = tmp_path / "results" / "navigation"
    folder.mkdir(parents=True)
    for path in (trained / "navigation").glob("*.csv"):
        (folder / path.name).write_bytes(path.read_bytes())
    return tmp_path / "results"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(results, *, row=None, curve=None):
    """Change the run's row, or its curve, as an edited or older file would have it."""
    folder = results / "navigation"
    (run,), points = rows_of(folder / "runs.csv"), rows_of(folder / "rl2.csv")
    points = curve(points) if curve else points
    run |= (row or {}) | {"curve": digest(points)}
    (folder / "runs.csv").write_bytes(schema.RUNS.to_csv([run]))
    (folder / "rl2.csv").write_bytes(schema.CURVES.to_csv(points))


def name_of(results):
    return rows_of(results / "navigation" / "runs.csv")[0]["run"]


def reproduce(results, *words):
    return main([f"run={name_of(results)}", f"results={results}", *words])


def contents(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_first_evaluation_is_equal_to_the_bit(results, capsys):
    before = contents(results)
    assert reproduce(results) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "equal to the bit: 6 rows of 1 evaluation up to" in out
    assert contents(results) == before


def test_all_evaluations_and_another_place(results, tmp_path, capsys):
    assert reproduce(results, "steps=1000000", f"out={tmp_path / 'out'}") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "equal to the bit: 18 rows of 3 evaluations up to" in out
    # the same line again finds it done
    assert reproduce(results, "steps=1000000", f"out={tmp_path / 'out'}") == 0
    assert "updates" not in capsys.readouterr().out


class Asked(StopRequest):
    """A request to stop that comes once a run has begun."""

    asked = 0

    def __call__(self):
        self.asked += 1
        if self.asked > 1:
            self.signal = signal.SIGINT
        return super().__call__()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "stopped; out=FOLDER would keep it"),
        (["out=raw"], "stopped; repeat the command to resume"),
    ],
)
def test_a_stopped_command_says_what_is_left(
    results, tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as during:
        during.setattr(local, "StopRequest", Asked)
        assert reproduce(results, *words) == 128 + signal.SIGINT
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == said
    assert "goes on" not in out
    assert [*tmp_path.glob("raw/*/*/*/*/checkpoint.pt")] or not words


def test_a_run_that_failed_in_a_temporary_folder_has_no_log(
    results, monkeypatch, capsys
):
    def fail(*_, **__):
        raise ArithmeticError("a loss is not finite")

    monkeypatch.setattr(local, "train_run", fail)
    assert reproduce(results) == 1
    assert capsys.readouterr().err.endswith(
        "a loss is not finite\nout=FOLDER would keep the logs\n"
    )


@pytest.mark.parametrize("steps", [(), ("steps=1000000",)])
def test_a_run_is_not_compared_with_itself(trained, tmp_path, capsys, steps):
    raw = trained.parent / "raw"
    before = contents(raw)
    assert reproduce(trained, f"out={raw}", *steps) == 2
    assert "compared with itself; take another out=, or none" in capsys.readouterr().err
    assert contents(raw) == before
    copy = shutil.copytree(raw, tmp_path / "copy")
    assert reproduce(trained, f"out={copy}", *steps) == 2


def test_a_changed_value_is_found_at_its_place(results, capsys, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AUTO")

    def changed(points):
        last = points[-1]
        return [*points[:-1], last | {"return": "-1.5"}]

    steps, protocol, episode = (
        rows_of(results / "navigation" / "rl2.csv")[-1][key]
        for key in ("env_steps", "protocol", "episode")
    )
    write(results, row={"commit": "b" * 40, "threads": "2; 1"}, curve=changed)
    assert reproduce(results, "steps=1000000", "threads=1") == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "different: 1 cell in 18 rows of 3 evaluations" in out
    assert (
        f"the first is return at {steps} steps, {protocol} test all, episode "
        f"{episode}: -1.5 published, "
    ) in out
    assert f"at {steps} steps returns are up to" in out
    assert "loops now: torch's for" in out
    assert ", MKL_CBWR=AUTO;" in out
    assert f"commit: {'b' * 40} then," in out
    assert "it ran in 1 sessions that differ in threads; the first one's count" in out
    assert "threads: 2; 1 then, 2 now" in out


def test_a_row_of_an_older_version(results, capsys):
    """Once each task, no episode 0, and nothing recorded of threads and processor."""
    unknown = dict.fromkeys(("threads", "cpu_flags", "repetitions"), "")
    write(
        results,
        row=unknown,
        curve=lambda points: [row for row in points if row["episode"] != "0"],
    )
    assert reproduce(results) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "does not say on how many threads it ran: threads=1 is taken" in out
    assert "does not say which instruction sets its processor had" in out
    assert "each task once, without an episode 0" in out
    assert "equal to the bit: 5 rows" in out
    assert "threads: not recorded then, 1 now" in out


def test_settings_that_there_were_not_yet_are_said(results):
    (run,) = rows_of(results / "navigation" / "runs.csv")
    settings = '{"episodes": 2, "hidden_size": 8}'
    write(results, row={"settings": settings})
    found = find(results, run["run"])
    again = run_of(found, steps=None, threads=1)
    assert (again.config.hidden_size, again.config.epochs) == (8, 5)
    assert again.steps == found.evaluations[0]


def test_a_run_is_had_again_as_its_row_says(results):
    said = {"seed": "7", "precision": "bf16", "eval_every": "500", "threads": "3"}
    write(results, row=said | {"repetitions": "4", "budget": "quick"})
    again = run_of(find(results, name_of(results)), steps=None, threads=1)
    assert (again.seed, again.precision) == (7, "bf16")
    assert (again.eval_every, again.threads) == (500, 3)
    assert (again.meta_test.repetitions, again.budget) == (4, "quick")


@pytest.mark.parametrize(("package", "protocol"), [(None, "suite"), (3, "metaworld")])
def test_only_the_goals_and_the_protocol_that_were_tested(tmp_path, package, protocol):
    make_run(
        tmp_path / "raw",
        suite="ml1",
        family="reach",
        success=lambda _: 1,
        package=package,
    )
    publish(tmp_path / "raw", tmp_path / "results", "ml1", lambda _: None)
    (row,) = rows_of(tmp_path / "results" / "ml1" / "runs.csv")
    made_up = registry.family("ml1", "reach")
    episodes = {
        key: str(getattr(made_up.meta_test, key))
        for key in ("exploration_episodes", "test_episodes")
    }
    row |= episodes | {"fingerprint": made_up.fingerprint(), "test_tasks": "7"}
    row |= {"settings": "{}"}
    (tmp_path / "results" / "ml1" / "runs.csv").write_bytes(schema.RUNS.to_csv([row]))
    found = find(tmp_path / "results", row["run"])
    again = run_of(found, steps=None, threads=1)
    assert (again.meta_test.goals, again.meta_test.protocol) == (7, protocol)


@pytest.mark.parametrize(
    ("row", "words", "said"),
    [
        ({}, ["steps=10"], "steps=10: the first evaluation of point-robot rl2 seed 0"),
        ({}, ["threads=0"], "threads=0: it must be positive"),
        ({"threads": ""}, ["threads=99999"], "a run takes at most 1024; as many as"),
        ({"fingerprint": "0" * 16}, [], "was trained on other tasks"),
        ({"family": "ant-old"}, [], "ant-old of the suite navigation, which "),
        ({"exploration_episodes": "7"}, [], "was meta-tested by 7 exploration and 1"),
        ({"test_tasks": "999"}, [], "meta-tested on 999 tasks, and no choice of"),
        (
            {"settings": '{"hiden_size": 8}'},
            [],
            "has settings that rl2 no longer has: hiden_size",
        ),
        pytest.param(
            *({"device": "cuda"}, [], "finds no CUDA device"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_what_cannot_be_had_again_is_said(results, row, words, said, capsys):
    write(results, row=row)
    assert reproduce(results, *words) == 2
    assert said in capsys.readouterr().err


def test_a_run_of_a_suite_that_is_not_installed_is_refused(results, capsys):
    words = [f"run={name_of(results)}", f"results={results}"]
    (results / "navigation").rename(results / "rings")
    assert main(words) == 2
    assert "of the suite rings, which" in capsys.readouterr().err


def test_other_runs_folders_and_names_are_refused(results, tmp_path, capsys):
    place = f"results={results}"
    name = name_of(results)
    for words, said in [
        (["run=r000000000000", place], "run=r000000000000 is not in"),
        ([f"run={name}", f"results={tmp_path / 'none'}"], "has no published runs"),
        ([f"run={name}", place, f"out={results / 'raw'}"], "lies within"),
    ]:
        assert main(words) == 2
        assert said in capsys.readouterr().err
    train_small(tmp_path / "out", *WORDS, "rl2.epochs=2")
    assert main([f"run={name}", place, f"out={tmp_path / 'out'}"]) == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_the_beginning_of_an_id_is_enough_if_it_is_one_runs(results, capsys):
    assert find(results, name_of(results)[:6]).row["run"] == name_of(results)
    (row,) = rows_of(results / "navigation" / "runs.csv")
    other = row | {"run": row["run"][:6] + "0" * 7, "seed": "1"}
    text = schema.RUNS.to_csv([row, other])
    (results / "navigation" / "runs.csv").write_bytes(text)
    assert main([f"run={row['run'][:6]}", f"results={results}"]) == 2
    assert "may be any of" in capsys.readouterr().err
    others = [other | {"run": f"r{i:012}", "seed": str(i)} for i in range(9)]
    text = schema.RUNS.to_csv([row, *others])
    (results / "navigation" / "runs.csv").write_bytes(text)
    assert main(["run=r", f"results={results}"]) == 2
    assert "(navigation) and 2 more; give more of it" in capsys.readouterr().err


def test_rows_that_are_missing_differ(results):
    points = rows_of(results / "navigation" / "rl2.csv")
    until = int(points[-1]["env_steps"])
    found = [*differences(points, points[:-1], until)]
    assert {one.now for one in found} == {""}
    assert [*differences(points, points[:-1], until - 1)] == []
