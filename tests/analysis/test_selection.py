"""The words of ``python -m pearl_bench.analysis``: each does what it says."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import draw, drawn, run_of, seeds
from made_up import published as made_up
from PIL import Image
from raw_runs import always, make_run

from pearl_bench.analysis import report, selection, style
from pearl_bench.analysis.__main__ import ANALYSIS, main
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.selection import select
from pearl_bench.config.types import ConfigError
from pearl_bench.records.published.drawn import is_current
from pearl_bench.records.published.publish import publish

SUITE = "locomotion"
LONG = (40_000, 80_000)
PUBLISHED = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """PEARL and RL² on two families, and an ablation; another folder with a commit."""
    folder = tmp_path_factory.mktemp("results")
    for name, runs in {
        "published": (
            {},
            {"seed": 1},
            {"family": "ant-fwd-back"},
            {"learner": "rl2", "steps": LONG, "eval_every": 40_000},
        ),
        "own": (
            {"commit": "b" * 40, "started": "2026-02-02T00:00:00+00:00"},
            {"learner": "promp", "steps": LONG, "eval_every": 40_000},
            {"learner": "rl2", "steps": LONG, "eval_every": 40_000},
        ),
    }.items():
        for i, run in enumerate(runs):
            started = run.pop("started", None)
            raw = make_run(folder / name / str(i), **run)
            if started:  # another run of the same name
                path = raw / "run.json"
                record = json.loads(path.read_text())
                record["sessions"][0]["started"] = started
                path.write_text(json.dumps(record))
            publish(folder / name / str(i), folder / name / "results", SUITE)
        (folder / name / "results").rename(folder / f"{name}-results")
    return folder


def words(results, *more, name="published-results"):
    return [f"suite={SUITE}", f"results={results / name}", *more]


def shown(results, *more, **named):
    """What the words leave of what is published: family, label and seeds."""
    found = select(ANALYSIS.read(words(results, *more, **named)))
    return {
        (arm.family, arm.label): [run.seed for run in arm.runs] for arm in found.arms
    }


PEARL, RL2 = "PEARL · quick · float32", "RL² · quick · float32"
VEL, ANT = "half-cheetah-vel", "ant-fwd-back"


def test_families_learners_and_runs_choose(results):
    every = {(VEL, PEARL): [0, 1], (VEL, RL2): [0], (ANT, PEARL): [0]}
    assert shown(results) == every
    assert shown(results, f"families={ANT}") == {(ANT, PEARL): [0]}
    assert shown(results, "learners=rl2") == {(VEL, RL2): [0]}
    found = select(ANALYSIS.read(words(results)))
    second = next(arm for arm in found.arms if arm.family == VEL).runs[1].row["run"]
    assert shown(results, f"runs={second[:7]}") == {(VEL, PEARL): [1]}
    assert shown(results, f"families={VEL}", "learners=pearl") == {(VEL, PEARL): [0, 1]}


def test_several_folders_stand_side_by_side(results):
    both = [f"results={results / 'published-results'},{results / 'own-results'}"]
    config = ANALYSIS.read([f"suite={SUITE}", *both])
    found = select(config)
    vel = {arm.label: arm for arm in found.arms if arm.family == VEL}
    assert set(vel) == {
        f"{PEARL} · published-results",
        f"{PEARL} · own-results",
        "ProMP · quick · float32",
        f"{RL2} · published-results",
    }  # the one run of RL² is in both, once
    commits = {
        label: {run.row["commit"][0] for run in arm.runs} for label, arm in vel.items()
    }
    assert commits[f"{PEARL} · own-results"] == {"b"}
    (family,) = (family for family in found.families if family.name == VEL)
    assert len(family.headline) == 4
    assert report.folder_of(config).name == report.CUSTOM


def test_one_folder_of_two_names_is_shown_once(results):
    folder = results / "published-results"
    twice = [f"suite={SUITE}", f"results={folder},{folder}"]
    assert {arm.source for arm in select(ANALYSIS.read(twice)).arms} == {str(folder)}


def test_the_same_run_stays_where_it_is_longer(tmp_path):
    for name, steps in (("a", (1000, 2000)), ("b", (1000, 2000, 3000))):
        make_run(tmp_path / name, steps=steps)
        publish(tmp_path / name, tmp_path / f"{name}-results", SUITE)
    both = f"results={tmp_path / 'a-results'},{tmp_path / 'b-results'}"
    (arm,) = select(ANALYSIS.read([f"suite={SUITE}", both])).arms
    assert arm.source == "b-results"
    assert arm.runs[0].last_step == 3000


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("families=ant-fwd", "did you mean ant-fwd-back"),
        ("learners=perl", "did you mean pearl"),
        ("reference=rl", "did you mean rl2"),
        ("runs=r000", "runs=r000 is unknown"),
        ("label.perl=x", "known are: label.pearl=, label.pearl-quick-float32="),
        ("label=x", "unknown word label="),
        ("label.pearl=", "label.pearl=: give a name, or leave it out"),
        ("label.pearl=x label.rl2=x", "label.pearl=x: another arm is called so too"),
        ("colour=red", "unknown word colour="),
        ("log=perhaps", "true or false"),
        ("width=wide", "a number"),
        ("width=0.5", "take 1.5 to 60 inches"),
        ("font=100", "take 4 to 24 points"),
        ("until=-3", "from 1 to 1e+15"),
        ("until=0.5", "from 1 to 1e+15"),
        ("until=1e300", "from 1 to 1e+15"),
        ("label.pearl=a\nb", "one line of UTF-8"),
        ("label.pearl=a\udcffb", "one line of UTF-8"),
        ("format=gif", "some of pdf, png, svg"),
        ("format=", "some of pdf, png, svg"),
        ("caption=yes", "one of file, sheet, none"),
        ("learners=promp", "leave no run of those published"),
        ("reference_curves=true", "repository has some in results/reference"),
        ("log", "is not a key=value word"),
        (f"suite={SUITE}", "given twice"),
    ],
)
def test_what_is_not_understood_is_said(results, capsys, word, said):
    assert main(words(results, *word.split(" "))) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", ["results=", "results=,"])
def test_no_folder_of_results_is_refused(capsys, word):
    assert main([f"suite={SUITE}", word]) == 2
    assert "results=: name a folder of published results" in capsys.readouterr().err


def test_where_names_are_listed_that_are_many_is_said(capsys):
    for suite, word, listed in (
        (SUITE, "runs=mine", PUBLISHED / SUITE / "runs.csv"),
        ("ml1", "families=mine", "pearl-bench ls suite=ml1"),
    ):
        assert main([f"suite={suite}", f"results={PUBLISHED}", word]) == 2
        said = f"{word} is unknown; {listed} lists them all"
        assert said in capsys.readouterr().err


def test_help_names_every_word(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in AnalysisConfig.__dataclass_fields__:
        assert f"  {name}" in text


def test_a_command_line_of_many_words(results, tmp_path, capsys):
    """All files, in the formats asked for, of the size asked for, in a place apart."""
    folder = results / "published-results" / SUITE
    before = sorted(folder.rglob("*"))
    assert (
        main(
            words(
                results,
                *(f"families={VEL}", "width=5", "font=7", "format=png,svg"),
                *("caption=none", "until=2000", "label.pearl=Ours", "html=true"),
                f"out={tmp_path}",
            )
        )
        == 0
    )
    wrote = capsys.readouterr().out
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"learning-curves.png", "learning-curves.svg"} <= names
    assert {Path(name).suffix for name in names} == {".png", ".svg"}
    with Image.open(tmp_path / "figures" / "learning-curves.png") as image:
        assert image.width == 5 * style.STYLE["savefig.dpi"]
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "tables" / "tables.md").exists()
    assert f"wrote {tmp_path / 'figures' / 'learning-curves.svg'}" in wrote
    assert sorted(folder.rglob("*")) == before


def test_what_is_custom_does_not_replace_what_is_published(results):
    usual = AnalysisConfig(SUITE, [str(results)])
    assert report.folder_of(usual) == results / SUITE
    for custom in (
        replace(usual, log=True),
        replace(usual, families=[VEL]),
        replace(usual, label={"pearl": "x"}),
        replace(usual, results=[str(results), "b"]),
    ):
        assert report.folder_of(custom) == results / SUITE / report.CUSTOM
    assert report.folder_of(replace(usual, html=True)) == results / SUITE


@pytest.mark.parametrize(
    ("more", "place"),
    [
        (["families=ant-fwd-back"], SUITE),
        (["learners=rl2"], SUITE),
        (["caption=none"], SUITE),
        ([], "../own-results/locomotion"),  # another's curves
        ([], "."),  # where `check` takes tables/ for a suite
        (["learners=rl2"], "."),
    ],
)
def test_other_figures_are_not_put_among_what_is_published(
    results, capsys, more, place
):
    before = sorted(results.rglob("*"))
    out = results / "published-results" / place
    assert main(words(results, *more, f"out={out}")) == 2
    assert "take another out=, or none" in capsys.readouterr().err
    assert sorted(results.rglob("*")) == before


def test_figures_are_those_of_their_place_however_it_is_written(tmp_path):
    make_run(tmp_path / "raw")
    publish(tmp_path / "raw", tmp_path, SUITE)
    folder = tmp_path / SUITE
    out = folder / ".." / SUITE
    assert main([f"suite={SUITE}", f"results={tmp_path}", f"out={out}"]) == 0
    assert is_current(folder)


def test_folders_whose_names_are_no_utf8_are_drawn(tmp_path):
    places = [tmp_path / os.fsdecode(name) for name in (b"a\xff", b"b\xff")]
    for i, place in enumerate(places):
        make_run(tmp_path / str(i), seed=i, returns=lambda *where: -1.0)
        publish(tmp_path / str(i), place, SUITE)
        (place / SUITE / "clips").mkdir()
        (place / SUITE / "clips" / f"{VEL}.gif").write_bytes(b"GIF89a")
    shown = ",".join(map(str, places))
    out = places[0] / "drawn"
    assert main([f"suite={SUITE}", f"results={shown}", f"out={out}", "html=true"]) == 0
    assert "b%FF/" in (out / "report.html").read_text()


def test_an_axis_has_whole_steps(results):
    axis = draw(select(AnalysisConfig(SUITE, [str(results / "own-results")])), until=1)
    ticks = axis.figure.axes[0].get_xticks()
    assert [*ticks] == [0, 1]


def test_axes_end_where_the_reference_does_or_where_asked():
    found = made_up(*seeds(2), *seeds(2, learner="rl2", steps=(20_000, 40_000)))
    turned = replace(found, reference="rl2")
    for sheet, ends in [
        (draw(found), (0, 10_000)),
        (draw(found, until=5000), (0, 5000)),
        (draw(found, log=True), (1000, 40_000)),
        (draw(found, "learning-curves-log"), (1000, 40_000)),
        (draw(turned), (0, 40_000)),
    ]:
        assert sheet.figure.axes[0].get_xlim() == ends
    assert drawn(turned, "learning-curves-log") is None
    assert drawn(found, "learning-curves-log", log=True) is None


def test_a_users_method_may_be_compared(results, tmp_path):
    config = ANALYSIS.read(words(results, "reference=rl2", f"out={tmp_path}"))
    found = select(config)
    assert found.reference == "rl2"
    sheet = draw(found)
    assert "Axes end where RL² does" in sheet.about[0]


def test_slugs_can_be_typed():
    arm = made_up(run_of(learner="rl2", settings={"discount": 0.5})).arms[0]
    assert arm.label == "RL² · paper · float32 · discount=0.5"
    assert selection.slug(arm) == "rl2-paper-float32-discount-0-5"
    with pytest.raises(ConfigError, match="given twice"):
        ANALYSIS.read([f"suite={SUITE}", "label.pearl=a", "label.pearl=b"])


def test_families_that_one_folder_has_alone_are_drawn(tmp_path):
    made = {"mine": ("push", "rl2"), "theirs": ("reach", "pearl")}
    for name, (family, learner) in made.items():
        raw = tmp_path / name
        make_run(raw, suite="ml1", family=family, learner=learner, success=always)
        publish(tmp_path / name, tmp_path / f"{name}-results", "ml1")
    for first, second in (("mine", "theirs"), ("theirs", "mine")):
        both = f"results={tmp_path / first}-results,{tmp_path / second}-results"
        found = select(ANALYSIS.read(["suite=ml1", both]))
        measured = {(family.name, family.measure) for family in found.families}
        assert measured == {("push", "success"), ("reach", "success")}
        assert [arm.family for arm in found.arms] == ["push", "reach"]


def test_folders_that_judge_a_family_differently_are_refused(tmp_path, capsys):
    for name, success in (("a", ""), ("b", always)):
        make_run(tmp_path / name, suite="ml1", family="reach", success=success)
        publish(tmp_path / name, tmp_path / f"{name}-results", "ml1")
    both = f"results={tmp_path / 'a-results'},{tmp_path / 'b-results'}"
    assert main(["suite=ml1", both]) == 2
    assert "reach has a success in some of" in capsys.readouterr().err


def test_figures_of_another_kind_stay(results, tmp_path):
    out = f"out={tmp_path}"
    assert main(words(results, out)) == 0
    assert main(words(results, out, "format=svg", "caption=none")) == 0
    kinds = {path.suffix for path in (tmp_path / "figures").glob("learning-curves.*")}
    assert kinds == {".pdf", ".png", ".md", ".svg"}


def test_one_name_is_not_that_of_another_method(results, capsys):
    taken = ("label.rl2=PEARL", "label.rl2= PEARL ", f"label.rl2={PEARL}")
    for word in (*taken, "label.pearl=RL²"):
        assert main(words(results, word)) == 2
        assert "another arm is called so too" in capsys.readouterr().err
    swapped = ("label.rl2=PEARL", "label.pearl=RL²")
    for allowed in (swapped, ("label.rl2=RL²",), ("label.pearl-quick-float32=PEARL",)):
        found = select(ANALYSIS.read(words(results, *allowed)))
        assert len(found.renamed) == len(allowed)
