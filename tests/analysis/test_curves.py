"""What the figures show, what they leave out, and which are not written at all."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made_up import draw, drawn, published, run_of, seeds

import suites
from pearl_bench.analysis import looks, report
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.reference import load_reference

SUITE = "locomotion"
LONG = (200_000, 400_000, 600_000)
RESULTS = Path(__file__).parents[2] / "results"


def lines_of(ax, color):
    return [line for line in ax.lines if line.get_color() == color]


def x_of(line):
    return np.asarray(line.get_xdata()).tolist()


def y_of(line):
    return np.asarray(line.get_ydata()).tolist()


def about(sheet):
    return " ".join(sheet.about)


BLUE, BLACK = "#0072B2", "#000000"


def test_one_curve_per_method_that_of_the_longest_budget():
    found = published(
        *seeds(2),
        *seeds(1, budget="quick", steps=(1000, 2000)),
        *seeds(2, precision="bf16", steps=(1000, 2000, 3000)),
        *seeds(1, settings={"recurrent": True}, steps=tuple(range(1000, 50_000, 1000))),
    )
    sheet = draw(found)
    (ax,) = sheet.figure.axes
    bold = [line for line in lines_of(ax, BLUE) if line.get_linewidth() > 1]
    assert len(bold) == 1
    assert x_of(bold[0])[-1] == 10_000
    assert list(sheet.called) == ["PEARL · paper · float32"]
    assert ax.get_xlim() == (0, 10_000)


def test_seeds_are_thin_the_mean_is_bold_and_nothing_is_marked():
    ax = draw(published(*seeds(3))).figure.axes[0]
    thin = [line for line in lines_of(ax, BLUE) if line.get_linewidth() < 1]
    (bold,) = [line for line in lines_of(ax, BLUE) if line.get_linewidth() > 1]
    assert len(thin) == 3
    values = np.mean([y_of(line) for line in thin], axis=0)
    assert y_of(bold) == pytest.approx(values)
    assert {str(line.get_marker()) for line in ax.lines} <= {"None", ""}


def test_a_pause_in_a_curve_stays_open():
    steps = (1000, 2000, 3000, 9000, 10_000)
    ax = draw(published(*seeds(2, steps=steps))).figure.axes[0]
    bold = max(ax.lines, key=lambda line: line.get_linewidth())
    x, y = np.asarray(bold.get_xdata()), np.asarray(bold.get_ydata())
    assert x.tolist() == [1000, 2000, 3000, 6000, 9000, 10_000]
    assert np.isnan(y).tolist() == [False] * 3 + [True, False, False]


def test_what_went_on_longer_is_a_level_with_its_steps():
    found = published(*seeds(2), *seeds(2, learner="rl2", steps=LONG))
    ax = draw(found).figure.axes[0]
    (level,) = lines_of(ax, BLACK)
    assert level.get_linestyle() == "--"
    assert y_of(level)[0] == pytest.approx(400 + 3 + 0.5)  # all three, two seeds
    assert [text.get_text() for text in ax.texts] == ["n = 2", "RL² at 600k (3.0 %)"]
    assert "Axes end where PEARL does." in about(draw(found))
    assert "Axes end" not in about(draw(found, until=5000))
    uneven = published(
        *seeds(2),
        *seeds(1, learner="rl2", steps=LONG),
        run_of(learner="rl2", seed=5, steps=LONG[:2]),
    )
    ax = draw(uneven).figure.axes[0]
    assert ax.texts[1].get_text() == "RL² at 400-600k (2.0 to 3.0 %)"
    alike = published(
        *seeds(2),
        *seeds(1, learner="rl2", steps=LONG),
        run_of(learner="rl2", seed=5, steps=(*LONG[:2], 590_000)),
    )
    ax = draw(alike).figure.axes[0]
    assert ax.texts[1].get_text().startswith("RL² at 600k (")


def test_a_method_that_ends_a_little_later_has_no_level():
    found = published(*seeds(2), *seeds(2, learner="rl2", steps=(5000, 10_100)))
    ax = draw(found).figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["n = 2"]
    assert drawn(found, "learning-curves-log") is None


def test_what_begins_where_axes_end_is_a_level_alone():
    late = seeds(2, learner="rl2", steps=(10_000, *LONG), value=lambda s, e: s - 1e6)
    ax = draw(published(*seeds(2), *late)).figure.axes[0]
    (level,) = lines_of(ax, BLACK)
    assert level.get_linestyle() == "--"
    low, _ = ax.get_ylim()
    assert low > -8e5  # its first evaluation is at -990,000


def test_without_the_reference_axes_end_at_the_last_datum():
    found = published(
        *seeds(1, learner="rl2", steps=LONG), *seeds(1, learner="promp", steps=LONG[:2])
    )
    ax = draw(found).figure.axes[0]
    assert ax.get_xlim() == (0, 600_000)
    assert [text.get_text() for text in ax.texts] == ["n = 1"]
    assert drawn(found, "learning-curves-log") is None  # it would show nothing more


def test_panels_without_data_are_left_out_and_counted():
    sheet = draw(published(*seeds(2), *seeds(2, family="ant-fwd-back")))
    titles = [ax.get_title() for ax in sheet.figure.axes]
    assert titles == ["half-cheetah-vel", "ant-fwd-back"]
    assert "Of the suite's 6 families 4 are left out" in about(sheet)


def test_own_exploration_is_a_figure_of_its_own():
    found = published(
        *seeds(2), *seeds(2, learner="promp", steps=LONG, own=tuple(range(1, 22)))
    )
    for name, styles in (
        ("learning-curves-log", {"-"}),
        ("learning-curves-own", {":"}),
    ):
        ax = draw(found, name).figure.axes[0]
        bold = [x for x in lines_of(ax, "#009E73") if x.get_linewidth() > 1]
        assert {line.get_linestyle() for line in bold} == styles
    assert drawn(published(*seeds(2)), "learning-curves-own") is None


def test_the_task_told_and_not_told_bound_the_curve_of_the_method():
    told, kept = ({"inference": to} for to in ("oracle", "none"))
    found = published(
        *seeds(3),
        *seeds(1, settings=told),
        *seeds(1, settings=kept),
        *seeds(1, settings=told | {"latent_dim": 7}),  # another method
        *seeds(1, settings=told, budget="quick"),  # of another length
    )
    sheet = draw(found)
    (ax,) = sheet.figure.axes
    assert set(sheet.called.values()) == {
        "PEARL",
        "PEARL, task told",
        "PEARL, task not told",
    }
    mine = [x for x in lines_of(ax, "#0072B2") if len(x_of(x)) > 2]
    assert {x.get_linewidth() for x in mine} >= {looks.HAIR, looks.THICK}
    assert "n = 3" in [text.get_text() for text in ax.texts]
    assert "told the task's parameters" in about(sheet)
    assert "told the task" not in about(draw(published(*seeds(3))))


@pytest.mark.parametrize("name", ["learning-curves", "adaptation", "score-over-time"])
def test_a_method_looks_the_same_in_panels_of_other_budgets(name):
    found = published(
        *seeds(2),
        *seeds(2, learner="rl2"),
        *seeds(1, family="ant-fwd-back", budget="lean"),
        *seeds(1, family="ant-fwd-back", budget="lean", learner="rl2"),
    )
    sheet = draw(found, name)
    assert set(sheet.called.values()) == {"PEARL", "RL²"}
    styles = {
        line.get_linestyle()
        for ax in sheet.figure.axes
        for line in lines_of(ax, "#0072B2")
        if len(x_of(line)) > 2
    }
    assert styles == {"-"}
    said = {text.get_text() for ax in sheet.figure.axes for text in ax.texts}
    where = ", CPU" if name == "score-over-time" else ""
    assert {f"n = 2, paper{where}", f"n = 1, lean{where}"} <= said
    (ax,) = draw(published(*seeds(2)), name).figure.axes
    assert f"n = 2{where}" in {text.get_text() for text in ax.texts}  # of one budget


def test_a_panel_says_whose_budget_is_another():
    budgets = {"pearl": "lean", "rl2": "paper", "promp": "paper"}
    runs = [run_of(learner=learner, budget=b) for learner, b in budgets.items()]
    (ax,) = draw(published(*runs)).figure.axes
    assert "n = 1, paper (PEARL: lean)" in {text.get_text() for text in ax.texts}


def test_hours_are_of_the_device_that_stands_above_them():
    runs = [*seeds(2, device="cuda"), *seeds(2, learner="rl2")]
    (ax,) = draw(published(*runs), "score-over-time").figure.axes
    (said,) = (text.get_text() for text in ax.texts if "n = 2" in text.get_text())
    assert said == "n = 2, GPU (RL²: CPU)"


def test_other_arms_have_a_figure_of_their_own():
    found = published(
        *seeds(2),
        *seeds(1, budget="quick"),
        *seeds(1, settings={"recurrent": True}),  # an ablation: it has another one
        *seeds(2, learner="rl2"),
    )
    sheet = draw(found, "variants")
    (ax,) = sheet.figure.axes
    assert ax.get_title() == "half-cheetah-vel\nPEARL"
    assert set(sheet.called.values()) == {"PEARL · paper", "PEARL · quick"}
    assert "The learning curves show PEARL · paper (half-cheetah-vel)." in about(sheet)
    assert drawn(published(*seeds(2)), "variants") is None


def test_few_variants_share_a_panel_that_names_them_in_their_colours():
    """A legend of all of them would be longer than the panels are high."""
    found = published(
        *seeds(2),
        *(
            run_of(steps=(1000, 2000, 3000), settings={"latent_dim": size})
            for size in range(11, 16)
        ),
    )
    sheet = draw(found, "variants")
    assert not sheet.figure.legends
    one, two = sheet.figure.axes
    assert one.get_title() == two.get_title() == "half-cheetah-vel\nPEARL"
    drawn_on = []
    for ax in (one, two):
        assert ax.get_xlim()[1] == 3000  # where those that differ end
        named = {text.get_color(): text.get_text() for text in ax.texts}
        bold = [line for line in ax.lines if line.get_linewidth() > 1]
        usual, *others = [named[line.get_color()] for line in bold]
        assert usual == "PEARL (0.4 %)"
        drawn_on += [name.split(" (")[0] for name in others]
    assert sorted(drawn_on) == [f"latent_dim={size}" for size in range(11, 16)]


DEFAULT = {"recurrent": False, "context_sampler": "recent", "probabilistic": True}


def test_each_ablation_stands_beside_pearl_as_it_is():
    found = published(
        *seeds(2, settings=DEFAULT),
        *seeds(2, settings=DEFAULT | {"recurrent": True}),
        *seeds(1, settings=DEFAULT | {"context_sampler": "rl-batch"}),
        *seeds(1, settings=DEFAULT | {"recurrent": True, "probabilistic": False}),
        *seeds(1, learner="rl2"),
    )
    sheet = draw(found, "ablations")
    encoder, sampler = sheet.figure.axes
    assert encoder.get_title() == "half-cheetah-vel\nencoder (fig. 5)"
    assert sampler.get_title() == "half-cheetah-vel\ncontext (fig. 6)"
    for ax in (encoder, sampler):
        assert len([x for x in ax.lines if x.get_linewidth() > 1]) == 2
    assert "pearl.context_sampler=whole-buffer yet on half-cheetah-vel" in about(sheet)
    assert "pearl.probabilistic=false yet on half-cheetah-vel" in about(sheet)
    assert "pearl.recurrent" not in about(sheet)
    assert drawn(published(*seeds(2, settings=DEFAULT)), "ablations") is None


def test_pearl_as_it_is_alone_has_its_colour_beside_ablations():
    """Also where there is one of a GPU and one of a CPU."""
    found = published(
        *seeds(2, settings=DEFAULT, device="cuda"),
        *seeds(2, settings=DEFAULT),
        *seeds(1, settings=DEFAULT | {"context_sampler": "rl-batch"}),
        *seeds(1, settings=DEFAULT | {"context_sampler": "whole-buffer"}),
    )
    (ax,) = draw(found, "ablations").figure.axes
    bold = [line for line in ax.lines if line.get_linewidth() > 1]
    seen = {(line.get_color(), str(line.get_linestyle())) for line in bold}
    assert [color for color, _ in seen].count(BLUE) == 2
    assert len({color for color, _ in seen}) == 3
    assert len(seen) == len(bold) == 4


@pytest.mark.parametrize("first", [0, 1])
def test_adaptation_begins_with_the_episode_before_any_experience(first):
    episodes = tuple(range(first, 4))
    found = published(
        *seeds(2, episodes=episodes),
        *seeds(1, learner="promp", steps=LONG, own=tuple(range(first, 22))),
    )
    sheet = draw(found, "adaptation")
    ax = sheet.figure.axes[0]
    bold = max(ax.lines, key=lambda line: line.get_linewidth())
    assert x_of(bold) == list(episodes)
    assert min(ax.get_xticks()) == first
    assert ("Episode 0 is deterministic" in about(sheet)) == (first == 0)
    short = draw(published(*seeds(2, episodes=episodes)), "adaptation")
    assert x_of(short.figure.axes[0].lines[0]) == list(episodes)


def test_adaptation_of_a_single_episode_says_nothing():
    assert drawn(published(*seeds(2, episodes=(1,))), "adaptation") is None


def test_aggregates_say_more_than_one_number():
    one_family = published(*seeds(2), *seeds(2, learner="rl2"))
    assert drawn(one_family, "aggregates") is None
    two = published(
        *seeds(2, value=lambda s, e: -100.0),
        *seeds(2, family="ant-fwd-back", value=lambda s, e: 500.0),
    )
    titles = [ax.get_title() for ax in draw(two, "aggregates").figure.axes]
    assert titles == ["mean"]  # of two families the median is the mean, and so on
    many = published(
        *(
            run
            for i, family in enumerate(
                ["half-cheetah-vel", "ant-fwd-back", "ant-goal-2d"]
            )
            for run in seeds(5, family=family, value=lambda s, e, i=i: 300.0 * i * i)
        )
    )
    titles = [ax.get_title() for ax in draw(many, "aggregates").figure.axes]
    assert titles == ["IQM", "median", "mean", "optimality gap"]


def test_improvement_is_drawn_where_it_is_not_always_the_same():
    low, high = (lambda s, e: 0.0), (lambda s, e: 500.0)
    above = published(
        *seeds(2, value=high),
        *seeds(2, learner="rl2", value=low),
        *seeds(2, learner="promp", value=low),
    )
    assert drawn(above, "improvement") is None
    mixed = published(
        *seeds(2, value=high),
        *seeds(2, learner="rl2", value=low),
        *seeds(2, learner="promp", value=lambda s, e: 900.0),
    )
    (ax,) = draw(mixed, "improvement").figure.axes
    names = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert names == ["ProMP (<0.1 %)", "RL² (0.1 %)"]
    both = published(
        *seeds(2, value=high),
        *seeds(2, family="ant-fwd-back", value=high, precision="bf16"),
        *seeds(2, learner="rl2", value=low),
        *seeds(2, family="ant-fwd-back", learner="rl2", value=high),
    )
    (ax,) = draw(both, "improvement").figure.axes
    names = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert names == [
        "PEARL · bf16 over RL² (0.1 %)",
        "PEARL · float32 over RL² (0.1 %)",
    ]
    turned = replace(mixed, reference="promp")
    assert drawn(turned, "improvement") is None  # above both


@pytest.mark.parametrize(("runs", "shown"), [((1, 1), False), ((1, 2), True)])
def test_improvement_of_one_run_over_one_says_nothing(runs, shown):
    low, high = (lambda s, e: 0.0), (lambda s, e: 900.0)
    ours, theirs = runs
    found = published(
        *seeds(ours, value=lambda s, e: 500.0),
        *seeds(theirs, learner="rl2", value=low),
        *seeds(theirs, learner="promp", value=high),
    )
    assert (drawn(found, "improvement") is not None) == shown


def test_improvement_of_one_run_over_one_on_several_families_is_drawn():
    """As README's main line has it."""
    low, high = (lambda s, e: 0.0), (lambda s, e: 900.0)
    runs = []
    for family, theirs in (("half-cheetah-vel", low), ("ant-fwd-back", high)):
        runs += seeds(1, family=family, value=lambda s, e: 500.0)
        runs += seeds(1, family=family, learner="rl2", value=theirs)
        runs += seeds(1, family=family, learner="promp", value=low)
    assert drawn(published(*runs), "improvement") is not None


def test_profiles_are_of_five_runs_and_more():
    assert drawn(published(*seeds(4)), "performance-profiles") is None
    found = published(*seeds(5), *seeds(4, learner="rl2"))
    sheet = draw(found, "performance-profiles")
    (line,) = sheet.figure.axes[0].lines
    assert line.get_drawstyle() == "steps-post"
    assert y_of(line)[0] == 1
    assert y_of(line)[-1] == 0
    assert list(np.diff(y_of(line))[:-1]) == pytest.approx([-0.2] * 5)


def test_score_over_time_is_drawn_at_measured_times():
    found = published(
        *seeds(2),
        *seeds(1, learner="rl2"),
        *seeds(1, learner="promp", timed=False),
        *seeds(1, family="ant-fwd-back", timed=False),
    )
    sheet = draw(found, "score-over-time")
    (ax,) = sheet.figure.axes
    (bold,) = [x for x in lines_of(ax, BLUE) if x.get_linewidth() > 1]
    assert x_of(bold) == pytest.approx([i / 360 for i in range(1, 11)], abs=1e-9)
    assert "ProMP" not in sheet.called.values()
    assert "Without the times of their evaluations: ProMP" in about(sheet)
    assert "PEARL · paper · float32 on ant-fwd-back." in about(sheet)


@pytest.mark.parametrize("other", [{"device": "cuda"}, {"cpu": "another CPU"}])
def test_times_of_several_processors_have_no_mean(other):
    on_both = [*seeds(2), run_of(seed=2, **other)]
    (ax,) = draw(published(*on_both), "score-over-time").figure.axes
    assert [line.get_linewidth() < 1 for line in lines_of(ax, BLUE)] == [True] * 3
    (ax,) = draw(published(*on_both), "learning-curves").figure.axes
    assert [line.get_linewidth() < 1 for line in lines_of(ax, BLUE)].count(False) == 1


def test_a_run_that_has_moved_was_trained_on_both_devices():
    (moved,) = seeds(1, device="cpu; cuda")
    moved = replace(moved, row=moved.row | {"gpu": "; a GPU"})  # none at first
    assert moved.trained_on == ("cpu; cuda", "a CPU; a GPU")
    sheet = draw(published(moved), "score-over-time")
    (ax,) = sheet.figure.axes
    assert "n = 1, CPU and GPU" in {text.get_text() for text in ax.texts}
    assert "Hardware: a CPU; a GPU." in about(sheet)


def test_a_curve_of_one_evaluation_can_be_seen():
    found = published(*seeds(1), *seeds(1, learner="rl2", steps=(5000,)))
    (ax,) = draw(found, "score-over-time").figure.axes
    marks = {c: [x.get_marker() for x in lines_of(ax, c)] for c in (BLUE, BLACK)}
    assert marks == {BLUE: ["None"], BLACK: ["None", "D"]}
    assert drawn(published(*seeds(2, timed=False)), "score-over-time") is None


def test_thin_lines_over_time_have_all_evaluations_of_their_runs():
    uneven = [run_of(seed=0), run_of(seed=1, steps=(1000, 2000, 3000))]
    (ax,) = draw(published(*uneven), "score-over-time").figure.axes
    lines = {x.get_linewidth() > 1: len(x_of(x)) for x in lines_of(ax, BLUE)[::-1]}
    assert sorted(len(x_of(x)) for x in lines_of(ax, BLUE)) == [3, 3, 10]
    assert lines[True] == 3


def test_runs_without_a_common_evaluation_have_no_mean_over_time():
    apart = [run_of(steps=(1000, 2000)), run_of(seed=1, steps=(8000, 10_000))]
    apart = [replace(run, row=run.row | {"eval_every": "1000"}) for run in apart]
    (ax,) = draw(published(*apart), "score-over-time").figure.axes
    assert [line.get_linewidth() < 1 for line in lines_of(ax, BLUE)] == [True] * 2


def test_many_families_have_several_rows():
    names = [row.name for row in suites.load("ml1").families][:8]
    many = [run_of(family=name, success=True, value=lambda s, e: 0.5) for name in names]
    axes = draw(published(*many, suite="ml1")).figure.axes
    tops = {round(ax.get_position().y1, 3) for ax in axes}
    assert (len(axes), len(tops)) == (8, 2)


def success(family, suite):
    about = {"family": family, "success": True, "value": lambda s, e: 0.5}
    runs = [run_of(seed=seed, **about) for seed in (0, 1)]
    return drawn(published(*runs, suite=suite), "metaworld")


def test_published_levels_of_ml10_do_not_overlap():
    sheet = success("ml10", "ml10")
    assert sheet is not None
    (ax,) = sheet.figure.axes  # training tasks were not tested
    assert ax.get_title() == "ml10, test tasks"
    texts = [text for text in ax.texts if not text.get_text().startswith("n =")]
    assert {text.get_text() for text in texts} == {"RL²-PPO", "MAML-TRPO", "PEARL"}
    sheet.figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda b: b.y0)
    assert all(a.y1 <= b.y0 + 2 for a, b in pairwise(boxes))
    assert all(box.x0 >= ax.get_window_extent().x1 for box in boxes)


def test_metaworld_is_not_the_learning_curves_again():
    assert success("reach", "ml1") is None


@pytest.mark.parametrize(
    ("caption", "kinds"),
    [("file", {".md"}), ("sheet", {".md"}), ("none", set())],
)
def test_a_caption_has_a_file_unless_there_is_none(tmp_path, caption, kinds):
    config = AnalysisConfig(SUITE, caption=caption)
    _, wrote = report.draw(published(*seeds(2)), config, tmp_path, ["learning-curves"])
    assert {path.suffix for path in wrote} == {".pdf", ".png"} | kinds


def test_figures_that_say_nothing_any_more_are_removed(tmp_path):
    config = AnalysisConfig(SUITE)
    found = published(*seeds(2), *seeds(1, budget="quick"))
    only = ["variants", "learning-curves"]
    _, wrote = report.draw(found, config, tmp_path, only)
    names = {path.name for path in wrote}
    assert names == {f"{n}.{kind}" for n in only for kind in ("pdf", "png", "md")}
    kept = tmp_path / "variants-of-mine.pdf"
    kept.touch()
    sheets, changed = report.draw(published(*seeds(2)), config, tmp_path, only)
    assert set(sheets) == {"learning-curves"}
    assert {p.name for p in changed if not p.exists()} == {
        "variants.pdf",
        "variants.png",
        "variants.md",
    }
    assert kept.exists()


def test_others_curves_are_grey_and_name_their_source():
    curves = tuple(load_reference([RESULTS]))
    steps = tuple(range(20_000, 1_000_000, 20_000))
    runs = seeds(2, family="half-cheetah-fwd-back", steps=steps)
    found = replace(published(*runs), reference_curves=curves)
    sheet = draw(found)
    grey = lines_of(sheet.figure.axes[0], "0.55")
    assert len(grey) == 3
    assert len({str(vars(line)["_dash_pattern"]) for line in grey}) == 3
    assert "katerakelly/oyster@44e20fd" in about(sheet)
    assert "x35f/meta_rl@" in about(sheet)
    others = published(*seeds(2, family="ant-goal-2d", steps=steps))
    sheet = draw(replace(others, reference_curves=curves))
    assert not lines_of(sheet.figure.axes[0], "0.55")


def test_reference_curves_are_thinned_and_whole():
    curves = load_reference([RESULTS / "nowhere", RESULTS])
    assert {"original PEARL on MuJoCo 3.3.0", "PEARL by x35f", "PEARL by CRL"} == {
        curve.name for curve in curves
    }
    for curve in curves:
        assert len(curve.steps) > 3
        assert curve.source
        assert (np.diff(curve.steps // 50_000) >= 1).all()


@pytest.mark.parametrize("figure", ["learning-curves", "adaptation", "variants"])
def test_a_suite_may_mix_returns_and_successes(figure):
    about_success = {"family": "ant-goal-2d", "success": True}
    found = published(
        *seeds(2),
        *seeds(2, budget="quick"),
        *seeds(2, **about_success),
        *seeds(2, budget="quick", **about_success),
    )
    sheet = drawn(found, figure)
    assert sheet is not None
    assert sheet.figure.get_supylabel() == "test return or success"
    if figure == "learning-curves":
        assert "meta-test episode (half-cheetah-vel). Success rate" in about(sheet)
        assert "go on adapting (ant-goal-2d); deterministic" in about(sheet)
