"""What the tables say, cell by cell."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import published as made_up
from made_up import run_of
from raw_runs import always, grid, published, rising, seeds

from pearl_bench.analysis import notes, tables
from pearl_bench.analysis.scores import load
from pearl_bench.analysis.tables import table

SUITE = "locomotion"
RESULTS = Path(__file__).parents[2] / "results"


def named(results, suite=SUITE):
    return {of.name: of for of in tables.tables(load(results, suite)) if of.rows}


def rows(results, name, suite=SUITE):
    """The rows of a table as a program reads them."""
    text = table.to_csv(named(results, suite)[name])
    return list(csv.DictReader(text.splitlines()))


def shown(results, name):
    """The rows of a table as people read them."""
    header, *cells = table.cells_in_words(named(results)[name])
    return [dict(zip(header, row, strict=True)) for row in cells]


def test_a_level_says_on_how_much_it_rests(tmp_path):
    results = published(
        tmp_path,
        *seeds(2, budget="paper", steps=grid(270_000, 10_000), returns=rising(0)),
        {"learner": "promp", "steps": (1000, 2000), "returns": rising(0), "own": 20},
    )
    pearl, promp, own = shown(results, "levels")
    assert pearl == {
        "family": "half-cheetah-vel",
        "method": "PEARL · paper · float32",
        "protocol": "suite",
        "runs": "2",
        "steps": "270k",
        "of paper": "10 %",
        "evaluations": "5",
        "measure": "return",
        "level": "-197 [-197, -197]",
        "each run": "-197; -197",
        "spread": "range",
        "score": "0.306 [0.306, 0.306]",
        "unadapted": "",
        "gain": "",
        "first": "-199 [-199, -199]",
    }
    assert (promp["level"], promp["each run"], promp["spread"]) == ("-197", "", "")
    assert (promp["evaluations"], promp["of paper"]) == ("2", "<0.1 %")
    assert (own["protocol"], own["level"]) == ("own", "-179")
    by_run = rows(results, "levels-by-run")
    assert [row["seed"] for row in by_run] == ["0", "1", "0", "0"]
    assert {row["since"] for row in by_run[:2]} == {"230000"}
    assert float(by_run[0]["of_paper"]) == pytest.approx(0.1)


def test_a_gain_is_over_the_episode_without_experience(tmp_path):
    results = published(
        tmp_path,
        *seeds(2, unadapted=True, returns=rising(0)),
        {"learner": "rl2", "returns": rising(0)},
    )
    pearl, rl2 = rows(results, "levels")
    assert (pearl["unadapted"], pearl["gain"], pearl["first"]) == ("-200", "3", "-199")
    assert (pearl["gain_low"], pearl["gain_high"]) == ("3", "3")
    assert (rl2["unadapted"], rl2["gain"], rl2["first"]) == ("", "", "-199")
    of_run = rows(results, "levels-by-run")
    assert [row["gain"] for row in of_run] == ["3", "3", ""]


@pytest.mark.parametrize(
    ("runs", "spread"), [(1, ""), (2, "range"), (4, "range"), (5, "95%")]
)
def test_below_five_runs_there_is_no_interval(tmp_path, runs, spread):
    several = [
        {"seed": seed, "returns": rising(0.1 * seed), "steps": grid(3000)}
        for seed in range(runs)
    ]
    (row,) = rows(published(tmp_path, *several), "levels")
    assert row["spread"] == spread
    assert (row["level_low"] == "") == (runs == 1)
    assert row["each_run"].count(";") == runs - 1


def test_runs_of_other_lengths_are_not_said_to_be_of_one(tmp_path):
    results = published(
        tmp_path, {"steps": grid(27_000)}, {"steps": grid(54_000), "seed": 1}
    )
    (row,) = shown(results, "levels")
    assert row["of paper"] == "1.0 to 2.0 %"
    (line, *_) = (r for r in shown(results, "summary") if r["PEARL"] != "no runs yet")
    assert line["PEARL"].endswith(" at 27k to 54k, 1.0 to 2.0 %")


def test_a_level_never_reached_is_a_bound(tmp_path):
    results = published(
        tmp_path,
        *seeds(2, steps=grid(10_000), returns=rising(1)),
        *seeds(
            2,
            learner="rl2",
            steps=grid(50_000, 5000),
            eval_every=5000,
            returns=rising(1),
        ),
    )
    (row,) = rows(results, "efficiency")
    assert {row[f"needed{end}"] for end in ("", "_low", "_high")} == {">10000"}
    assert row["baseline_steps"] == "30000"  # where its level begins
    assert row["ratio"] == "<3"
    assert row["first_ratio"] == "<4"
    assert (row["grid"], row["baseline_grid"]) == ("1000", "5000")
    assert row["spread"] == "range"
    (row,) = shown(results, "efficiency")
    assert row["needed"] == ">10k [>10k, >10k]"


def test_a_cost_is_of_what_comes_after_the_pool(tmp_path):
    pool = {"initial_steps": 2000}  # in each of 100 training tasks, if it is PEARL's
    results = published(
        tmp_path,
        {"steps": (100_000, 300_000), "settings": pool, "budget": "lean"},
        {"steps": (100_000, 250_000), "settings": pool, "budget": "lean", "seed": 1},
        {"steps": (100_000, 150_000), "settings": pool, "budget": "lean", "seed": 2},
        {"learner": "rl2", "steps": (1_000_000,), "settings": {"cell": "lstm"} | pool},
    )
    pearl, rl2 = rows(results, "cost")  # half an hour each
    assert pearl["runs"] == "2"  # the third is in its pool
    paces = [pearl[f"hours_per_million{end}"] for end in ("", "_low", "_high")]
    assert [float(pace) for pace in paces] == pytest.approx([7.5, 5, 10])
    assert (pearl["spread"], pearl["budget_steps"]) == ("range", "600000")
    assert float(pearl["hours_of_budget"]) == pytest.approx(7.5 * 0.4)
    assert float(rl2["hours_per_million"]) == pytest.approx(0.5)
    assert float(rl2["hours_of_budget"]) == pytest.approx(
        0.5 * int(rl2["budget_steps"]) / 1e6
    )


def test_a_cost_is_of_one_processor(tmp_path):
    others = {"seed": 2, "device": "cuda"}, {"seed": 3, "cpu": "another CPU"}
    results = published(tmp_path, *seeds(2), *others)
    keys = "device", "processor", "runs"
    assert [[row[key] for key in keys] for row in rows(results, "cost")] == [
        ["cpu", "a CPU", "2"],
        ["cpu", "another CPU", "1"],
        ["cuda", "a GPU", "1"],
    ]


def test_a_cost_is_not_known_before_a_checkpoint(tmp_path):
    assert "cost" in named(published(tmp_path / "ended", {"learner": "promp"}))
    begun = published(tmp_path / "begun", {"learner": "promp"})
    runs = begun / SUITE / "runs.csv"
    text = runs.read_text()
    assert ",0.5," in text
    runs.write_text(text.replace(",0.5,", ",0.0,"))
    assert "cost" not in named(begun)


def test_aggregates_name_their_families(tmp_path):
    results = published(
        tmp_path, *seeds(3), {"family": "ant-fwd-back"}, *seeds(4, learner="rl2")
    )
    pearl, rl2 = rows(results, "aggregates")
    assert pearl["families"] == "half-cheetah-vel, ant-fwd-back"
    assert pearl["runs"] == "3, 1"
    assert pearl["IQM"] == pearl["mean_low"] == pearl["spread"] == ""
    assert float(pearl["mean"]) > 0
    assert (rl2["families"], rl2["runs"]) == ("half-cheetah-vel", "4")
    assert float(rl2["IQM"]) > 0
    assert rl2["spread"] == "range"


def test_an_improvement_has_its_runs_and_its_p(tmp_path):
    results = published(
        tmp_path,
        *seeds(2, returns=rising(10)),
        *seeds(2, learner="rl2", returns=rising(1)),
    )
    (row,) = rows(results, "improvement")
    assert row["probability"] == "1"
    assert float(row["p"]) == pytest.approx(1 / 6)
    assert (row["runs"], row["baseline_runs"]) == ("2", "2")
    assert not any(name.endswith(("_low", "_high")) for name in row)


def test_an_improvement_has_the_budgets_share_of_its_own_families(tmp_path):
    results = published(
        tmp_path,
        {"steps": (270_000,)},
        {"family": "ant-fwd-back", "steps": (25_000,)},
        {"family": "walker-2d-params", "steps": (2_580_000,)},
        {"learner": "rl2", "steps": (200_000,)},
        {"family": "ant-fwd-back", "learner": "rl2", "steps": (2_000_000,)},
    )
    found = [
        (row["of paper"], row["baseline of paper"])
        for row in shown(results, "improvement")
    ]
    assert found == [
        ("10 %", "1.0 %"),
        ("1.0 %", "10 %"),
        ("1.0 to 10 %", "1.0 to 10 %"),
    ]


def test_success_has_a_wilson_interval_over_goals(tmp_path):
    run = {
        "family": "ml10",
        "tasks": 4,
        "groups": ("push-v3", "push-v3", "reach-v3", "reach-v3"),
        "success": always,
    }
    results = published(tmp_path, run, run | {"seed": 1}, suite="ml10")
    ours = rows(results, "success", "ml10")[0]
    assert (ours["runs"], ours["test_goals"], ours["test"]) == ("2", "4", "100")
    z2 = 1.959963984540054**2
    assert float(ours["test_low"]) == pytest.approx(100 * 4 / (4 + z2))
    assert float(ours["test_high"]) == 100
    maximum = rows(results, "success", "ml10")[1]
    assert (maximum["source"], maximum["test_low"]) == (
        "here, maximum over training",
        "",
    )
    push = next(r for r in rows(results, "groups", "ml10") if r["group"] == "push-v3")
    assert (push["tasks"], push["spread"]) == ("2", "Wilson")
    assert float(push["level_low"]) == pytest.approx(2 / (2 + z2))


def test_one_table_says_what_scores_are(tmp_path):
    results = published(tmp_path, {}, {"family": "walker-2d-params"})
    vel, walker = rows(results, "scores")
    assert (vel["at_0"], vel["at_1"], vel["what_0_is"]) == ("-284", "0", "zero action")
    assert (walker["at_1"], walker["family"]) == ("760", "walker-2d-params")
    assert "staying up" in walker["what_1_is"]


def test_the_summary_has_a_line_per_family(tmp_path):
    results = published(
        tmp_path,
        *seeds(2, steps=grid(27_000), returns=rising(10)),
        *seeds(2, learner="rl2", steps=grid(60_000), returns=rising(1)),
        {"learner": "promp", "steps": grid(3000), "returns": rising(1)},
        {"family": "ant-fwd-back"},
    )
    found = {row["family"]: row for row in shown(results, "summary")}
    assert len(found) == 6
    line = found["half-cheetah-vel"]
    assert line["budget"] == "quick"
    assert line["PEARL"] == "53 (53; 53) at 27k, 1.0 %"
    assert line["RL²"] == "-140 (-140; -140) at 60k, 0.3 %"
    assert line["PEARL needs for RL²'s"] == "7000"
    assert line["RL² ratio"] == "7.86 (9.67)"
    assert line["ProMP"].startswith("-195 (one run)")
    assert line["PEARL needs for ProMP's"] == "fewer than 10 evaluations"
    assert line["ProMP ratio"] == ""
    few = "(one run) at 3k, 0.1 %, of 3 evaluations"
    assert found["ant-fwd-back"]["PEARL"].endswith(few)
    assert found["ant-fwd-back"]["RL²"] == "no runs yet"
    assert found["walker-2d-params"]["PEARL"] == "no runs yet"
    assert next(iter(named(results))) == "summary"


def test_a_table_without_rows_is_gone(tmp_path):
    """Each table has a file, until it says nothing any more."""
    results = published(
        tmp_path,
        *seeds(2, steps=grid(10_000), returns=rising(1)),
        *seeds(2, learner="rl2", steps=grid(10_000), returns=rising(1)),
    )
    found, folder = load(results, SUITE), tmp_path / "tables"
    before = {path.name for path in tables.write(found, tables.tables(found), folder)}
    assert before == {path.name for path in folder.iterdir()}
    assert {"efficiency.csv", "improvement.csv", "tables.md", "notes.md"} <= before
    alone = replace(found, reference="promp")
    changed = {path.name for path in tables.write(alone, tables.tables(alone), folder)}
    assert before - {path.name for path in folder.iterdir()} == {"improvement.csv"}
    assert "improvement.csv" in changed
    assert "levels.csv" not in changed
    assert "Probability of improvement" not in (folder / "tables.md").read_text()


@pytest.mark.parametrize("suite", ["locomotion", "ml1", "ml10", "navigation"])
def test_the_published_tables_are_of_the_published_curves(suite, tmp_path):
    found = load(RESULTS, suite)
    tables.write(found, tables.tables(found), tmp_path)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    folder = RESULTS / suite / "tables"
    assert {path.name: path.read_text() for path in folder.iterdir()} == drawn, (
        f"pearl-bench analysis suite={suite} draws them"
    )


def readme():
    return (RESULTS / "README.md").read_text()


def test_the_results_readme_has_every_table():
    section = readme().split("## `<suite>/tables/`")[1].split("\n## ")[0]
    named_there = re.findall(r"^\| `(.+)\.csv` \|", section, re.M)
    found = tables.tables(load(RESULTS, SUITE))
    assert sorted(named_there) == sorted(of.name for of in found)


def test_levels_as_the_results_readme_computes_them(monkeypatch):
    monkeypatch.chdir(RESULTS.parent)
    code = readme().split("```python\n")[1].split("```")[0]
    names = {}
    exec(code, names)  # what a reader would type
    levels = {
        row["run"]: float(row["level"])
        for row in rows(RESULTS, "levels-by-run")
        if row["protocol"] == "suite" and row["method"].startswith("PEARL")
    }
    theirs = {run: value for (_, run), value in names["levels"].items()}
    assert theirs == pytest.approx(levels)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (math.nan, ""),
        (12, "12"),
        (0.12345, "0.123"),
        (-1234.5, "-1234"),
        (2_600_000, "2.6M"),
        (table.Share(0.101), "10 %"),
        (table.Share(0.0123), "1.2 %"),
        (table.Bound(504_000.0, ">"), ">504k"),
        (table.Bound(0.972), "0.972"),
        ("as it is", "as it is"),
    ],
)
def test_cells_in_few_digits(cell, text):
    assert table.in_words(cell) == text


def test_markup_of_a_published_file_is_shown_as_it_is(tmp_path):
    results = published(tmp_path, {})
    path = results / "locomotion" / "runs.csv"
    path.write_text(path.read_text().replace("a CPU", "<img src=x> | $a_$ `b`"))
    found = load(results, "locomotion")
    text = tables.to_markdown(found, tables.tables(found))
    assert r"| \<img src=x> \| \$a\_\$ \`b\` |" in text


def test_a_seed_is_no_number_of_steps():
    found = made_up(run_of(seed=20_261_127))
    text = tables.to_markdown(found, tables.tables(found))
    assert "| 20261127 |" in text
    assert "20.3M" not in text


@pytest.mark.parametrize(
    ("shortest", "longest", "said"),
    [
        (5_120_000, 10_240_000, "5.1-10M"),
        (505_000, 999_600, "0.5-1M"),
        (300_000, 515_000, "300-520k"),
        (9000, 1_000_000, "0.009-1M"),
    ],
)
def test_uneven_steps_are_said_in_one_unit(shortest, longest, said):
    uneven = [run_of(seed=i, steps=(n,)) for i, n in enumerate((shortest, longest))]
    uneven = [replace(run, row=run.row | {"eval_every": "1000"}) for run in uneven]
    assert notes.short_steps_of(made_up(*uneven).arms[0]) == said
