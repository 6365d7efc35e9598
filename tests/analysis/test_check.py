"""The schema describes what is written; the check finds what is not so."""

import os
import re
import shutil
from pathlib import Path

import pytest
from raw_runs import make_run, published

from pearl_bench import registry
from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.check import check, remarks
from pearl_bench.analysis.files import PublishedError
from pearl_bench.analysis.report import refresh
from pearl_bench.analysis.scores import load
from pearl_bench.pearl.config import PearlConfig
from pearl_bench.records import keys, provenance, readme
from pearl_bench.records import run_folder as record
from pearl_bench.records.published.publish import publish

README = Path(__file__).parents[2] / "results" / "README.md"
FAMILY = registry.family("locomotion", "half-cheetah-vel")
CURVES, RUNS = "locomotion/pearl.csv", "locomotion/runs.csv"
LATE = "locomotion/late/pearl.csv"


@pytest.fixture
def results(tmp_path):
    """Two published runs on the tasks of this version."""
    for seed in (0, 1):
        make_run(tmp_path / "raw", seed=seed, fingerprint=FAMILY.fingerprint())
    publish(tmp_path / "raw", tmp_path / "results", "locomotion")
    return tmp_path / "results"


def alter(path, line, old, new):
    """Replace text in a line (counted from 1), the last occurrence of it."""
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[line - 1], lines[line - 1]
    lines[line - 1] = new.join(lines[line - 1].rsplit(old, 1))
    path.write_text("".join(lines))


def test_sound_files_have_no_problems(results, capsys):
    assert check(results) == []
    assert main(["check", f"results={results}"]) == 0
    assert "as they should be" in capsys.readouterr().out


def test_what_is_published_here_is_sound():
    assert check(README.parent) == []


@pytest.mark.parametrize(
    ("file", "line", "old", "new", "message"),
    [
        (CURVES, 2, ",2,0,", ",2.5,0,", "tasks is '2.5'; expected is a whole number"),
        (CURVES, 2, ",2,0,", ",0,0,", "tasks is '0'; expected is a whole number from"),
        (CURVES, 2, ",,2,0,", ",1.5,2,0,", "success is '1.5'; expected is a number"),
        (CURVES, 4, "172.9", "nan172.9", "return is 'nan172.9"),
        (CURVES, 4, "172.90714285714284", "inf", "return is 'inf'; expected is a fin"),
        (
            CURVES,
            4,
            "172.90714285714284",
            "1e300",
            "return is '1e300'; expected is a",
        ),
        (CURVES, 4, "172.90714285714284", "1e9", "return is 1000000000.0; in half-che"),
        (CURVES, 4, "172.90714285714284", "172.91", "return is 172.91; its single tas"),
        (CURVES, 4, "172.90714285714284", "1_7", "return is '1_7'; expected is a fini"),
        (CURVES, 4, ",2,0,", ",2,3,", "unstable is 3, and there were 2 episodes"),
        (CURVES, 4, ",2,0,", ",3,0,", "tasks is 3; suite test all has 2 in rows befor"),
        (
            CURVES,
            4,
            "all,3,",
            "all,77,",
            "at 1000 has the episodes 1, 2, 77",
        ),
        (CURVES, 10, ",3000,", ",4000,", "env_steps is 4000; the run ended at 3000"),
        (CURVES, 10, ",30.0", ",9.0", "wall_s is 9.0 after 30.0"),
        (CURVES, 10, ",30.0", ",99999.0", "wall_s is 99999.0 after 30.0"),
        (CURVES, 4, "172.90714285714284", "", "return is empty; expected is a finite"),
        (CURVES, 3, ",suite,", ",su it,", "protocol is 'su it'; expected is a name"),
        (CURVES, 3, ",0,", ",", "13 cells; expected are 14"),
        (CURVES, 6, "all,2,", "all,1,", "repeats line 5: run r"),
        (CURVES, 5, ",2000,", ",900,", "stands after line 4, and belongs before it"),
        (CURVES, 1, "env_steps", "steps", "the columns are 'run,family,seed,steps"),
        (CURVES, 2, "half-cheetah-vel", "ant-goal-2d", "runs.csv has half-cheetah-vel"),
        (RUNS, 2, ",done,", ",finished,", "status is 'finished'; expected is done or"),
        (RUNS, 2, ",False,", ",False; no,", "dirty is 'no'; expected is True or False"),
        (RUNS, 2, "2026-01-01T00", "2026-13-01T00", "started is '2026-13-01T00"),
        (RUNS, 2, "}", "", "settings is '{"),
        (RUNS, 2, "half-cheetah-vel", "swimmer", "swimmer is no family of locomotion"),
        (RUNS, 3, ",1,quick", ",1,quack", "budget is 'quack'"),
        (RUNS, 2, ",3000,done", ",2000,done", "status is done at 2000 of 3000 steps"),
        (RUNS, 3, ",pearl,1,", ",pearl,0,", "stands after line 2, and belongs before"),
        (
            RUNS,
            2,
            ",done,0.5,",
            ",done,9000.0,",
            "training_hours is 9000.0 for 3000 st",
        ),
        (RUNS, 2, ",0.5,100.0,", ",0.5,0.0,", "peak_memory_mib is 0.0; a process that"),
        (RUNS, 2, 'dim"": 5', 'dim"": 6', "is the id of another row: its method"),
        (RUNS, 2, ",quick,", ",paper,", "is the id of another row: its method, budget"),
        (RUNS, 2, ',1000,"{', ',2000,"{', "is the id of another row: its method, bu"),
        (
            LATE,
            4,
            ",200,",
            ",201,",
            "length is 201; episodes of half-cheetah-vel have 1",
        ),
        (
            LATE,
            4,
            ",200,",
            ",0,",
            "length is 0; episodes of half-cheetah-vel have 1 to",
        ),
        (LATE, 20, ",100,,", ",7,,", "task 7 of group none is none of the test tasks"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(results, file, line, old, new, message):
    path = results / file
    alter(path, line, old, new)
    problems = [p for p in check(results) if (p.path, p.line) == (path, line)]
    assert any(message in problem.what for problem in problems), check(results)


def rows_with(text):
    return lambda lines: [line for line in lines if text not in line]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:3] + x[4:], "has the episodes 1, 2 of suite test all; due are"),
        (rows_with(",2000,"), "2 evaluations; runs.csv has 3"),
        (rows_with(",1000,"), "2 evaluations; runs.csv has 3"),
        (rows_with(",3000,"), "there is no evaluation at the run's end, 3000 steps"),
        (
            rows_with("all,3,"),
            "the episodes 1, 2 of suite test all; due are 1 to 3",
        ),
        (
            lambda x: [*x[:1], x[2], x[1], *x[3:]],
            "line 3: stands after line 2, and",
        ),
        (lambda x: [*x, x[-1]], "line 20: repeats line 19"),
        (
            lambda x: [y.replace(",1000,", ",1001,") for y in x],
            "are not those that",
        ),
    ],
)
def test_what_is_missing_or_moved_is_noticed(results, change, message):
    path = results / CURVES
    before = path.read_text().splitlines(keepends=True)
    after = change(before)
    assert after != before
    path.write_text("".join(after))
    found = "\n".join(map(str, check(results)))
    assert message in found, found


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (lambda line: True, "late/pearl.csv: r"),
        (
            lambda line: ",2000," in line,
            "has 0 rows at 2000 steps; due is one of each ",
        ),
        (
            lambda line: ",2000,suite,test,101," in line,
            "3 rows at 2000 steps; due is on",
        ),
        (
            lambda line: ",1,3," in line,
            "4 rows at 1000 steps; due is one of each task,",
        ),
    ],
)
def test_single_tasks_that_are_missing_are_noticed(results, gone, message):
    path = results / LATE
    header, *lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not gone(line)]
    assert len(kept) < len(lines)
    path.write_text("".join([header, *kept]))
    found = "\n".join(map(str, check(results)))
    assert message in found, found
    path.unlink()
    assert len(check(results)) == 6  # one for each evaluation of each run


def test_runs_of_before_there_were_single_tasks_need_none(results):
    """As those of the regression check, which are published without."""
    shutil.rmtree(results / "locomotion" / "late")
    table = results / RUNS
    header, *lines = table.read_text().splitlines(keepends=True)
    older = [re.sub(r'",3000,1,2,run,avx2 fma,', '",,,,,,', line) for line in lines]
    assert older != lines
    table.write_text(header + "".join(older))
    assert check(results) == []


def test_an_evaluation_in_the_middle_is_missed_without_a_digest(tmp_path):
    steps = tuple(range(1000, 9000, 1000))
    family = FAMILY.fingerprint()
    published(tmp_path, {"steps": steps, "fingerprint": family})
    path = tmp_path / "results" / CURVES
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",4000," not in line))
    runs = tmp_path / "results" / RUNS
    runs.write_text(re.sub(r",8,[0-9a-f]{16}\n", ",,\n", runs.read_text()))
    said = "\n".join(map(str, check(tmp_path / "results")))
    assert "there is no evaluation between 3000 and 5000 steps; every 1000" in said
    assert "curve is empty; runs that have target_steps have it" in said
    assert "has rows at 4000 steps, none of its level's evaluations" in said


def test_a_second_file_of_the_same_runs(results):
    path = results / CURVES
    text = path.read_text()
    for name in ("pearl copy.csv", "rl2.csv"):
        copy = path.with_name(name)
        copy.write_text(text.replace("152.85", "952.85"))
        assert "is a run of pearl, not of " in str(check(results)[0])
        with pytest.raises(PublishedError, match=r"stand in .*pearl\.csv"):
            load(results, "locomotion")
        copy.unlink()
    path.with_name("._pearl.csv").write_bytes(b"\0\5\x16\7")  # other systems leave it
    assert check(results) == []
    load(results, "locomotion")


def test_one_run_under_two_ids_is_noticed(results):
    """As before defaults were filled in: the same seed, one setting less."""
    path = results / RUNS
    header, first, second = path.read_text().splitlines(keepends=True)
    other = first.replace(', ""latent_dim"": 5', "", 1)
    assert other != first
    assert PearlConfig().latent_dim == 5
    run = first.split(",")[0]
    path.write_text(header + first + other.replace(run, run[:-1] + "g", 1) + second)
    assert "run is" in str(check(results)[0])  # an id has hex digits
    ids = sorted([run, "r" + "0" * 12])
    rows = sorted([first, other.replace(run, "r" + "0" * 12, 1)])
    path.write_text(header + "".join(rows) + second)
    found = "\n".join(map(str, check(results)))
    assert f"{ids[1]} is seed 0 of the same arm as {ids[0]} in line 2" in found


def test_seeds_of_several_commits_are_listed(results, capsys):
    path = results / RUNS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1] + lines[2].replace("a" * 40, "b" * 40))
    assert check(results) == []
    (remark, *settings) = remarks(results)
    assert "seed 0 of aaaaaaa, seed 1 of bbbbbbb" in remark
    assert ": half-cheetah-vel, PEARL · quick · float32: its seeds ran" in remark
    assert all("ran before there were the settings" in text for text in settings)
    assert main(["check", f"results={results}"]) == 0
    assert f"note: {remark}" in capsys.readouterr().out


def test_figures_older_than_the_files_are_told_with_the_words_that_draw_them(results):
    refresh(results, "locomotion")
    assert not [text for text in remarks(results) if "are older" in text]
    (results / "locomotion" / "rl2.csv").write_text("newer\n")
    (said,) = [text for text in remarks(results) if "are older" in text]
    assert f"analysis suite=locomotion results={results} draws" in said


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()), "not UTF-8"),
        (
            lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
            "byte-o",
        ),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "within a line"),
        (lambda path: path.write_text('"' + path.read_text()), "is no CSV file"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "mend the links"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "a pipe or a device"),
    ],
)
@pytest.mark.parametrize("file", [CURVES, RUNS])
def test_a_damaged_file_is_a_sentence(results, capsys, damage, message, file):
    damage(results / file)
    assert main(["check", f"results={results}"]) == 1
    assert message in capsys.readouterr().err
    assert main(["suite=locomotion", f"results={results}"]) == 2
    assert message in capsys.readouterr().err


def test_runs_and_curves_belong_together(results):
    table = (results / RUNS).read_text().splitlines(keepends=True)
    (results / RUNS).write_text("".join(table[:2]))
    assert str(check(results)[0]).startswith(
        f"{results / CURVES}, line 11: runs.csv has no run r"
    )

    (results / RUNS).write_text("".join(table))
    text = (results / CURVES).read_text()
    (results / CURVES).write_text("".join(text.splitlines(keepends=True)[:10]))
    problem = check(results)[0]
    assert problem.line == 3
    assert "has no curve" in problem.what

    (results / "locomotion" / "rl2.csv").write_text(text)
    (results / CURVES).unlink()
    assert [p.line for p in check(results)][:2] == [2, 11]
    assert "is a run of pearl, not of rl2" in check(results)[0].what


def test_other_tasks_are_unknown(results):
    for file in (RUNS, CURVES):
        text = (results / file).read_text()
        (results / file).write_text(text.replace(FAMILY.fingerprint(), "f" * 16))
    said = "fingerprint ffffffffffffffff is unknown"
    found = [problem for problem in check(results) if said in problem.what]
    assert [(p.path, p.line) for p in found] == [
        (results / RUNS, 2),
        (results / RUNS, 3),
    ]


def test_a_success_in_some_rows_only(results):
    alter(results / CURVES, 3, ",,2,0,", ",1.0,2,0,")
    (problem,) = (p for p in check(results) if p.line == 3)
    assert "success is given, unlike in the rows of half-cheetah-vel" in problem.what


def test_a_cut_file_and_a_strange_folder(results, capsys):
    path = results / CURVES
    path.write_text(path.read_text()[:-1])
    problem = check(results)[0]
    assert problem.what == "the file ends within a line"
    assert main(["check", f"results={results}"]) == 1
    assert f"{path}, line 19: the file ends" in capsys.readouterr().err
    path.rename(results / "other.csv")
    (results / "locomotion").rename(results / "locomotoin")
    said = "suite=locomotoin is unknown; did you mean locomotion?"
    assert check(results)[0].what.startswith(said)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("locomotion", "is the folder of a suite; name the one that it lies in, "),
        ("others", "no suite has published files there; name the folder that has"),
        ("none", "no suite has published files there; name the folder that has"),
    ],
)
def test_another_folder_than_one_of_results_is_refused(results, capsys, folder, said):
    for tables in ("locomotion", "others"):
        path = results / tables / "tables" / "levels.csv"
        path.parent.mkdir(parents=True)
        path.touch()
    place = results / folder
    assert main(["check", f"results={place}"]) == 2
    assert f"results={place}" in (err := capsys.readouterr().err)
    assert said in err


def test_many_problems_are_counted(results, capsys):
    path = results / CURVES
    path.write_text(path.read_text().replace(",test,", ",tset,"))
    (results / RUNS).unlink()
    assert main(["check", f"results={results}"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21
    assert re.fullmatch(r"and \d+ more", said[-1])


def test_the_readme_may_be_in_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "README.md").write_text(README.read_text())
    assert readme.main(["file=~/README.md"]) == 0


def test_readme_has_the_schemas_tables():
    assert readme.with_tables(README.read_text()) == README.read_text(), (
        "python -m pearl_bench.records.readme writes the tables"
    )
    with pytest.raises(ValueError, match="schema: curves"):
        readme.with_tables("# Results\n")


def test_schema_describes_a_runs_record(tmp_path):
    run = record.read_run(make_run(tmp_path))
    assert run.keys() == keys.RUN_KEYS.keys()
    made = provenance.provenance("f" * 16, ["run"], gpu=None)
    del made["fingerprint"]  # shared by all sessions
    session = made | {"device": "cpu", "threads": 1, "engine": "local", "job": None}
    session |= {"cores": 2}
    session |= {"resumed_at_env_steps": 0, "resumed_at_seconds": 0.0}
    assert session.keys() == keys.SESSION_KEYS.keys()
    assert run["sessions"][0].keys() == session.keys()


def test_the_regression_checks_reference_is_checked_too(tmp_path):
    shutil.copytree(README.parent / "regress", tmp_path / "regress")
    assert check(tmp_path) == []
    training = tmp_path / "regress" / "navigation" / "training" / "promp.csv"
    header, *lines = training.read_text().splitlines(keepends=True)
    gone = lines[0].split(",")
    training.write_text("".join([header, *lines[1:]]))
    (problem,) = check(tmp_path)
    assert problem == (training, 0, f"{gone[0]} lacks {gone[3]}")
    rest = [line for line in lines if not line.startswith(gone[0])]
    training.write_text("".join([header, *rest]))
    (problem,) = check(tmp_path)
    assert problem.what.startswith(f"{gone[0]} lacks ")
    training.write_text("".join([header, *lines]))
    curves = tmp_path / "regress" / "locomotion" / "rl2.csv"
    curves.write_text("".join(curves.read_text().splitlines(keepends=True)[:-3]))
    assert {problem.path for problem in check(tmp_path)} == {curves}


@pytest.mark.parametrize("reference", ["results/regress", "results"])
def test_a_reference_that_is_part_new_is_noticed(tmp_path, reference):
    """A killed update=true leaves files that are sound, each by itself."""
    place = tmp_path / reference
    shutil.copytree(README.parent / "regress", place)
    assert check(tmp_path / "results") == []
    (place / ".unfinished").write_text("update=true learners=pearl")
    (problem,) = check(tmp_path / "results")
    assert problem.path == place / ".unfinished"
    assert "part old and part new: regress update=true learners=pearl" in problem.what


def test_a_task_without_its_traced_episode_is_noticed(tmp_path):
    folder = tmp_path / "navigation"
    shutil.copytree(README.parent / "navigation", folder)
    path = folder / "trajectories.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    (problem,) = check(tmp_path)
    assert problem.what.endswith("has 399 episodes of tasks; due are 400")


def test_others_curves_are_checked_too(tmp_path):
    shutil.copytree(README.parent / "reference", tmp_path / "reference")
    assert check(tmp_path) == []
    sources = tmp_path / "reference" / "sources.csv"
    curves = tmp_path / "reference" / "curves.csv"
    lines = sources.read_text().splitlines(keepends=True)
    sources.write_text("".join(lines[:-1]))
    gone = lines[-1].split(",")[0]
    (problem,) = check(tmp_path)
    assert str(problem).endswith(f"the curve {gone} has no source")
    assert curves.read_text().splitlines()[problem.line - 1].startswith(f"{gone},")
    sources.write_text("".join(lines) + lines[-1].replace(gone, "zzz"))
    (problem,) = check(tmp_path)
    assert problem == (sources, len(lines) + 1, "the curve zzz has no points")
    sources.write_text("".join(lines))
    curves.write_text(curves.read_text().replace(",450,", ",much,", 1))
    (problem,) = check(tmp_path)
    assert "value is 'much'" in problem.what


def test_arms_that_differ_in_a_setting_are_told_apart(tmp_path):
    for weight in (0.1, 0.5):
        for seed in (0, 1):
            settings: dict[str, object] = {"kl_weight": weight}
            out = tmp_path / f"{weight}-{seed}"
            make_run(out, seed=seed, commit="ab"[seed] * 40, settings=settings)
            publish(out, tmp_path / "results", "locomotion", lambda _: None)
    said = [x for x in remarks(tmp_path / "results") if "seed 0 of aaaaaaa" in x]
    assert len(said) == len(set(said)) == 2
    assert sum("kl_weight=0.5" in text for text in said) == 1


def test_a_suites_folder_is_not_that_of_results(results, monkeypatch):
    (results / "locomotion" / "tables").mkdir()
    (results / "locomotion" / "tables" / "levels.csv").write_text("a\n")
    for given in (results / "locomotion", Path()):
        monkeypatch.chdir(results / "locomotion")
        with pytest.raises(PublishedError, match=rf"lies in, results={results}$"):
            check(given)


def test_a_run_that_was_stopped_before_its_first_evaluation_is_no_problem(results):
    """It stands among the published runs, and has nothing to show yet."""
    out = results.parent / "early"
    tasks = FAMILY.fingerprint()
    early = make_run(out, seed=9, status="stopped", fingerprint=tasks)
    header = (early / "eval.csv").read_text().splitlines(keepends=True)[0]
    (early / "eval.csv").write_text(header)
    publish(out, results, "locomotion", lambda _: None)
    assert check(results) == []
    text = (results / RUNS).read_text()
    (results / RUNS).write_text(text.replace(",stopped,", ",done,"))
    (problem,) = check(results)
    assert "has no curve in any file" in problem.what
