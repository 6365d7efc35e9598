"""The schema describes what is written; the check finds what is not so."""

from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.check import check
from pearl_bench.records import provenance, schema
from pearl_bench.records import run_folder as record
from pearl_bench.records.published.publish import publish
from suites.locomotion import ROWS

README = Path(__file__).parents[2] / "results" / "README.md"
FAMILY = next(row for row in ROWS if row.name == "half-cheetah-vel").family()
CURVES, RUNS = "locomotion/pearl.csv", "locomotion/runs.csv"


@pytest.fixture
def results(tmp_path):
    """Two published runs on the tasks of this version."""
    for seed in (0, 1):
        make_run(tmp_path / "raw", seed=seed)
    for path in tmp_path.glob("raw/*/*/*/*/run.json"):
        text = path.read_text()
        path.write_text(text.replace("0123456789abcdef", FAMILY.fingerprint()))
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
        (CURVES, 4, "172.90714285714284", "", "return is empty; expected is a finite"),
        (CURVES, 3, ",suite,", ",suit,", "protocol is 'suit'; expected is suite or"),
        (CURVES, 3, ",0,", ",", "12 cells; expected are 13"),
        (CURVES, 6, "all,2,", "all,1,", "repeats line 5: run r"),
        (CURVES, 5, ",2000,", ",900,", "env_steps is 900 after 1000 of the same run"),
        (CURVES, 1, "env_steps", "steps", "the columns are run,family,seed,steps"),
        (CURVES, 2, "half-cheetah-vel", "ant-goal-2d", "runs.csv has half-cheetah-vel"),
        (RUNS, 2, ",done,", ",finished,", "status is 'finished'; expected is done or"),
        (RUNS, 2, ",False,", ",False; no,", "dirty is 'no'; expected is True or False"),
        (RUNS, 2, "2026-01-01T00", "2026-13-01T00", "started is '2026-13-01T00"),
        (RUNS, 2, "}", "", "settings is '{"),
        (RUNS, 2, "half-cheetah-vel", "swimmer", "swimmer is no family of locomotion"),
        (RUNS, 3, ",1,quick", ",1,quack", "budget is 'quack'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(results, file, line, old, new, message):
    path = results / file
    alter(path, line, old, new)
    problems = [problem for problem in check(results) if problem.path == path]
    assert (problems[0].path, problems[0].line) == (path, line)
    assert message in str(problems[0])


def test_runs_and_curves_belong_together(results):
    table = (results / RUNS).read_text().splitlines(keepends=True)
    (results / RUNS).write_text("".join(table[:2]))
    (problem,) = check(results)
    assert str(problem).startswith(
        f"{results / CURVES}, line 11: runs.csv has no run r"
    )

    (results / RUNS).write_text("".join(table))
    text = (results / CURVES).read_text()
    (results / CURVES).write_text("".join(text.splitlines(keepends=True)[:10]))
    (problem,) = check(results)
    assert problem.line == 3
    assert "has no curve" in problem.what

    (results / "locomotion" / "rl2.csv").write_text(text)
    (results / CURVES).unlink()
    assert [p.line for p in check(results)] == [2, 11]
    assert "is a run of pearl, not of rl2" in check(results)[0].what


def test_other_tasks_are_unknown(results):
    for file in (RUNS, CURVES):
        text = (results / file).read_text()
        (results / file).write_text(text.replace(FAMILY.fingerprint(), "f" * 16))
    assert [p.line for p in check(results)] == [2, 3]
    assert "fingerprint ffffffffffffffff is unknown" in check(results)[0].what


def test_a_success_in_some_rows_only(results):
    alter(results / CURVES, 3, ",,2,0,", ",1.0,2,0,")
    (problem,) = check(results)
    assert problem.line == 3
    assert "success is given, unlike in the rows of half-cheetah-vel" in problem.what


def test_a_cut_file_and_a_strange_folder(results, capsys):
    path = results / CURVES
    path.write_text(path.read_text()[:-1])
    (problem,) = check(results)
    assert problem.what == "the file ends within a line"
    assert main(["check", f"results={results}"]) == 1
    assert f"{path}, line 19: the file ends" in capsys.readouterr().err
    path.rename(results / "other.csv")
    (results / "locomotion").rename(results / "locomotoin")
    assert "no suite of that name" in check(results)[0].what
    assert "no suite has published" in check(results / "locomotoin")[0].what


def test_many_problems_are_counted(results, capsys):
    path = results / CURVES
    path.write_text(path.read_text().replace(",test,", ",tset,"))
    (results / RUNS).unlink()
    assert main(["check", f"results={results}"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21
    assert said[-1] == "and 1 more"


def test_readme_has_the_schemas_tables():
    assert schema.with_tables(README.read_text()) == README.read_text(), (
        "python -m pearl_bench.records.schema results/README.md writes the tables"
    )
    with pytest.raises(ValueError, match="schema: curves"):
        schema.with_tables("# Results\n")


def test_schema_describes_a_runs_record(tmp_path):
    run = record.read_run(make_run(tmp_path))
    assert run.keys() == schema.RUN_KEYS.keys()
    made = provenance.provenance("f" * 16, ["run"], gpu=None)
    del made["fingerprint"]  # shared by all sessions
    session = made | {"device": "cpu", "threads": 1, "engine": "local", "job": None}
    session |= {"resumed_at_env_steps": 0, "resumed_at_seconds": 0.0}
    assert session.keys() == schema.SESSION_KEYS.keys()
    assert run["sessions"][0].keys() == session.keys()
