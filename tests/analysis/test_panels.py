"""The sheet: what stands where, what the legend names, and that text is text."""

import io
import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import draw, drawn, published, run_of, seeds
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pearl_bench.analysis import figures, legends, looks, notes, style
from pearl_bench.analysis.legends import OWN_IS
from pearl_bench.analysis.options import AnalysisConfig
from pearl_bench.analysis.panels import Panels
from pearl_bench.analysis.stats import Estimate

SUITE = "locomotion"
FAMILIES = (
    "half-cheetah-fwd-back",
    "half-cheetah-vel",
    "ant-fwd-back",
    "ant-goal-2d",
    "humanoid-direc-2d",
    "walker-2d-params",
)
LONG = (200_000, 400_000, 600_000)


def texts_of(figure) -> list[Text]:
    """Everything that is written on a figure, and can be seen."""
    figure.draw_without_rendering()
    cut = set()  # numbers of ticks that an axis has beyond its ends
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            ticks = [*axis.majorTicks, *axis.minorTicks]
            shown = axis._update_ticks()
            cut |= {id(label) for t in ticks if t not in shown for label in (t.label1,)}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in cut
    ]


def boxes_of(figure) -> dict[str, list[Bbox]]:
    """Where everything is written, in pixels, by what is written."""
    found = {}
    for text in texts_of(figure):
        box = text.get_window_extent(figure._get_renderer())
        found.setdefault(text.get_text(), []).append(box)
    return found


def legend_of(figure) -> list[str]:
    """What the legend names, without shares of the paper's budget."""
    return [
        text.get_text().split(" (")[0]
        for legend in figure.findobj(Legend)
        for text in legend.get_texts()
    ]


def all_methods(families, n=2):
    """PEARL, and the paper's baselines that went on for much longer."""
    return [
        run
        for family in families
        for run in (
            *seeds(n, family=family),
            *seeds(n, family=family, learner="rl2", steps=LONG, own=(1, 2)),
            *seeds(
                n, family=family, learner="promp", steps=LONG, own=tuple(range(1, 22))
            ),
            *seeds(n, family=family, learner="maml_trpo", steps=LONG),
        )
    ]


def assert_tidy(figure):
    """All text is on the sheet, and none on other text."""
    placed = [(text, box) for text, of in boxes_of(figure).items() for box in of]
    sheet = figure.bbox.padded(1)
    for text, box in placed:
        assert sheet.contains(*box.min), text
        assert sheet.contains(*box.max), text
    for (text, one), (other, two) in itertools.combinations(placed, 2):
        assert not one.padded(-1).overlaps(two.padded(-1)), (text, other)


@pytest.mark.parametrize("width", [3.3, 6.9])
@pytest.mark.parametrize("count", range(1, 7))
def test_any_number_of_panels_is_tidy(count, width):
    found = published(*all_methods(FAMILIES[:count]))
    for name in ("learning-curves", "adaptation"):
        assert_tidy(draw(found, name, width=width).figure)


@pytest.mark.parametrize(
    "width", [2.5, 3.3, 6.9, pytest.param(10.0, marks=pytest.mark.slow)]
)
def test_every_figure_is_tidy(width):
    runs = [
        run
        for i, family in enumerate(FAMILIES[:3])
        for learner in ("pearl", "maml_trpo", "promp", "rl2", "a_new_method_of_ours")
        for run in seeds(
            5,
            family=family,
            learner=learner,
            value=lambda s, e, i=i, j=learner: 100.0 * i * (len(j) % 4) + e,
        )
    ]
    runs += seeds(2, settings={"recurrent": True})
    runs += seeds(2, budget="quick", precision="bf16", settings={"latent_dim": 12})
    found = published(*runs)
    shown = {
        name: sheet
        for name in figures.of_suite(SUITE)
        if (sheet := drawn(found, name, width=width)) is not None
    }
    assert {"aggregates", "improvement", "performance-profiles", "variants"} <= set(
        shown
    )
    for sheet in shown.values():
        assert_tidy(sheet.figure)


def test_one_row_as_wide_as_a_page_and_two_panels_in_a_column():
    found = published(*all_methods(FAMILIES[:4]))
    for width, columns in ((6.9, 4), (3.3, 2)):
        sheet = draw(found, width=width)
        assert sheet.figure.get_figwidth() == width
        places = [ax.get_position() for ax in sheet.figure.axes]
        assert len({round(place.y0, 3) for place in places}) == 4 // columns
        assert len({round(place.x0, 3) for place in places}) == columns


def test_titles_do_not_jump():
    """However long they are, and whether all panels have the same number of runs."""
    found = published(
        *all_methods(FAMILIES[:2]),
        *seeds(3, family=FAMILIES[2]),
        *seeds(1, family=FAMILIES[3]),
    )
    figure = draw(found).figure
    figure.draw_without_rendering()
    above = [
        ax.title.get_window_extent().y0 - ax.get_window_extent().y1
        for ax in figure.axes
    ]
    assert max(above) - min(above) < 3  # a letter with a descender or none


def test_two_lines_of_a_title_do_not_jump():
    """Whatever letters the second one has."""
    runs = [
        run
        for learner in ("pearl", "promp")  # PEARL has none below the line
        for budget in ("paper", "quick")
        for run in seeds(2, learner=learner, budget=budget)
    ]
    figure = draw(published(*runs), "variants").figure
    figure.draw_without_rendering()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["half-cheetah-vel\nPEARL", "half-cheetah-vel\nProMP"]
    one, two = (ax.title.get_window_extent() for ax in figure.axes)
    assert (one.y0, one.y1) == pytest.approx((two.y0, two.y1))


@pytest.mark.parametrize("font", [6.0, 8.0, 12.0])
def test_text_has_the_size_that_was_asked_for(font):
    found = published(*all_methods(FAMILIES[:2]))
    figure = draw(found, font=font).figure
    assert {text.get_fontsize() for text in texts_of(figure)} == {font, font - 1}


def test_the_legend_names_what_can_be_seen_and_nothing_else():
    """RL² begins within the axis, MAML-TRPO and ProMP where it has ended."""
    found = published(
        *seeds(2),
        *seeds(2, learner="rl2", steps=(5000, 10_000, 15_000)),
        *seeds(2, learner="promp", steps=LONG),
    )
    figure = draw(found).figure
    assert legend_of(figure) == ["PEARL", "RL²"]
    figure = draw(found, width=1.6).figure  # no room for names at the ends
    assert legend_of(figure) == ["PEARL", "ProMP", "RL²"]
    figure = draw(found, "learning-curves-log").figure
    assert legend_of(figure) == ["PEARL", "ProMP", "RL²"]


def test_a_legend_is_no_wider_than_its_figure():
    """Four names in two columns are two and two, not three and one."""
    names = ["PEARL", "PEARL, task not told, lean", "PEARL, task told, lean", "RL²"]
    with style.taste(AnalysisConfig(SUITE)):
        figure = Figure((3.3, 2))
        legend, ax = legends.Legend(), figure.subplots()
        for name in names:
            entry = legends.Entry(looks.KNOWN["pearl"])
            legend.add(name, "curve", entry, *ax.plot([0, 1]))
        shares = dict.fromkeys(names, "22 %")
        legend.write(figure, 7, shares, levels=False)
        figure.draw_without_rendering()
        (written,) = figure.legends
        assert written.get_window_extent().width <= figure.bbox.width


def test_every_label_has_its_share_of_the_papers_budget():
    """Of 2.7M, 2.5M, 160M and 20M steps; a method that is not known has none."""
    found = published(
        *seeds(2, steps=(135_000, 270_000)),
        *seeds(1, family="ant-fwd-back", steps=(125_000,)),
        *seeds(2, learner="promp", steps=(16_000_000,)),
        *seeds(2, learner="rl2", steps=(135_000, 2_000_000)),
        *seeds(2, learner="theirs", steps=(135_000, 270_000)),
    )
    figure = draw(found).figure
    (legend,) = figure.findobj(Legend)
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["PEARL (5.0 to 10 %)", "RL² (10 %)", "theirs"]
    assert legend.get_title().get_text() == notes.OF_PAPER_IS
    ends = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert {"ProMP at 16M (10 %)", "RL² at 2M (10 %)"} <= set(ends)
    (ax, *_) = draw(found, "aggregates").figure.axes
    names = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert names == ["PEARL (5.0 to 10 %)", "ProMP (10 %)", "RL² (10 %)", "theirs"]
    below = [label.get_text().split("\n")[1] for label in ax.get_yticklabels()]
    assert below == ["2 families, n = 1 to 2", *["1 family, n = 2"] * 3]
    unknown = draw(published(*seeds(2, learner="theirs"))).figure
    (legend,) = unknown.findobj(Legend)
    assert legend.get_title().get_text() == ""


@pytest.mark.parametrize(("count", "band"), [(4, False), (5, True)])
def test_a_band_from_five_runs_on_in_panel_and_legend(count, band):
    figure = draw(published(*seeds(count)))
    (ax,) = figure.figure.axes
    assert bool(ax.collections) == band
    (legend,) = figure.figure.findobj(Legend)
    assert bool(legend.get_patches()) == band


def test_a_single_evaluation_is_seen():
    """A line of one point would be nothing."""
    rl2 = seeds(2, learner="rl2", steps=(200_000,))
    figure = draw(published(*seeds(2), *rl2), "learning-curves-log").figure
    assert legend_of(figure) == ["PEARL", "RL²"]
    marks = [str(line.get_marker()) for line in figure.axes[0].lines]
    assert sorted(mark for mark in marks if mark not in ("", "None")) == [".", ".", "D"]
    paused = (1000, 2000, 3000, 9000, 20_000, 21_000)
    (ax,) = draw(published(*seeds(1, steps=paused))).figure.axes
    line, mark = ax.lines
    gaps = np.flatnonzero(np.isnan(np.asarray(line.get_ydata())))
    assert gaps.tolist() == [3, 5]
    assert mark.get_marker() == "o"
    assert np.asarray(mark.get_xdata()).tolist() == [9000]


@pytest.mark.parametrize("log", [False, True])
def test_runs_of_a_single_evaluation_are_drawn_quietly(log):
    found = published(*seeds(5, steps=(5000,)), run_of(learner="rl2", steps=(5000,)))
    shown = {
        name: sheet
        for name in figures.of_suite(SUITE)
        if (sheet := drawn(found, name, log=log)) is not None
    }
    assert {"learning-curves", "adaptation", "score-over-time"} <= set(shown)
    for sheet in shown.values():
        assert_tidy(sheet.figure)


@given(st.floats(1e-3, 1e7), st.floats(1, 1e6), st.integers(2, 5))
def test_a_logarithmic_axis_has_numbers_and_room_for_them(first, times, ticks):
    last = first * times
    ax = Figure().add_subplot()
    style.log_axis(ax, first, last, ticks)
    left, right = ax.get_xlim()
    assert left <= first <= last == right
    shown = [at for at in ax.xaxis.get_majorticklocs() if left <= at <= right]
    assert 2 <= len(shown) <= ticks + 2


def test_numbers_of_a_logarithmic_axis():
    ax = Figure().add_subplot()
    for ends, ticks, numbers in (
        ((2e4, 9.6e5), 3, [3e4, 1e5, 3e5]),
        ((2e4, 9.6e5), 5, [2e4, 5e4, 1e5, 2e5, 5e5]),
        ((1.4e4, 2e7), 3, [1e5, 1e6, 1e7]),
        ((0.3, 0.61), 3, [0.4, 0.6]),
    ):
        style.log_axis(ax, *ends, ticks)
        shown = [at for at in ax.xaxis.get_majorticklocs() if ends[0] <= at <= ends[1]]
        assert shown == pytest.approx(numbers)


def test_dots_are_explained_once():
    found = published(*all_methods(FAMILIES[:1]))
    figure = draw(found, "adaptation").figure
    assert legend_of(figure) == ["PEARL", "MAML-TRPO", "ProMP", "RL²", OWN_IS]


def test_what_is_cut_off_does_not_decide_the_height():
    def late(step, episode):
        return 1e6 if step > 10_000 else 0.0

    found = published(*seeds(2), *seeds(2, learner="rl2", steps=LONG, value=late))
    sheet = draw(found, until=8000)
    assert sheet.figure.axes[0].get_ylim()[1] > 1e6  # its level is shown
    usual = published(*seeds(2), *seeds(2, steps=LONG, value=late, budget="quick"))
    sheet = draw(usual, "variants", until=8000)
    assert sheet.figure.axes[0].get_ylim()[1] < 100


def test_a_curve_of_shares_has_an_axis_of_shares_and_is_seen_at_nothing():
    """Nothing is less than nothing, or more than all."""
    others: list[tuple[float, dict[str, Any]]] = [
        (0.0, {}),
        (0.0, {"seed": 1}),
        (0.5, {"learner": "rl2"}),
        (0.0, {"learner": "promp"}),
        (0.25, {"budget": "quick"}),
    ]
    runs = [
        run_of(family=family, success=True, value=lambda s, e, v=v: v, **other)
        for family in ("push", "reach")
        for v, other in others
    ]
    found = published(*runs, suite="ml1")
    flat, names = 0, set[str]()
    for name in figures.of_suite("ml1"):
        if (sheet := drawn(found, name)) is None:
            continue
        for ax in sheet.figure.axes:
            whiskers = name in ("aggregates", "improvement")
            assert (ax.get_xlim() if whiskers else ax.get_ylim()) == (0, 1), name
            for line in ax.lines:
                if set(np.asarray(line.get_ydata()).tolist()) == {0.0}:
                    flat += 1
                    assert_whole(line)
                    assert all(s.get_zorder() < line.zorder for s in ax.spines.values())
        names.add(name)
    assert flat > 10
    assert {"learning-curves", "adaptation", "score-over-time", "variants"} <= names
    assert {"aggregates", "improvement"} <= names


def assert_whole(line):
    """All of a line, as wide as it is, and of its marks is drawn."""
    figure = line.get_figure()
    figure.draw_without_rendering()
    ax, width = line.axes, line.get_linewidth() / 2 * figure.dpi / 72
    marks = line.get_marker() not in ("", "None", None)
    beyond = line.get_markersize() / 2 * figure.dpi / 72 if marks else 0.0
    left, right = ax.get_xlim()
    points = np.asarray(line.get_xydata())
    points = points[(left <= points[:, 0]) & (points[:, 0] <= right)]
    box = line.get_clip_box().padded(0.01)
    for x, y in ax.transData.transform(points):
        assert box.x0 <= x - beyond <= x + beyond <= box.x1
        assert box.y0 <= y - max(width, beyond) <= y + max(width, beyond) <= box.y1


@pytest.mark.parametrize("dpi", [72, 200])
def test_a_point_at_the_end_of_an_axis_is_whole(dpi):
    for steps in ((4990, 200_000), (5000,)):
        runs = seeds(2, learner="rl2", steps=steps)
        figure = draw(published(*seeds(2, steps=(1000, 5000)), *runs)).figure
        figure.set_dpi(dpi)
        (ax,) = figure.axes
        assert ax.get_xlim() == (0, 5000)
        marked = [x for x in ax.lines if x.get_marker() in ("D", ".")]
        assert len(marked) == 3
        for line in marked:
            assert np.asarray(line.get_xdata()).tolist() == [steps[0]]
            assert_whole(line)


@pytest.mark.parametrize("log", [False, True])
def test_a_line_that_leaves_the_panel_needs_no_mark(log):
    runs = seeds(2, learner="rl2", steps=(2000, 200_000))
    dense = seeds(2, steps=tuple(range(1000, 5001, 10)))
    (ax,) = draw(published(*dense, *runs), log=log).figure.axes
    assert all(line.get_marker() in ("", "None") for line in ax.lines)


AWKWARD = ("<b>bold</b>", "$\\frac{a", "_hidden", "a$b$c", "\\", "100 %", "a_b^c")


@pytest.mark.parametrize("text", AWKWARD)
def test_text_is_text(text):
    found = replace(
        published(*all_methods(FAMILIES[:2])),
        renamed={"pearl": text, "promp": text * 2},
    )
    figure = draw(found, "learning-curves-log").figure
    assert {text, text * 2} <= set(legend_of(figure))
    data = io.BytesIO()
    with style.taste(AnalysisConfig(SUITE)):
        figure.savefig(data, format="svg", metadata=style.METADATA["svg"])
    assert ET.fromstring(data.getvalue()).tag.endswith("svg")


def test_a_caption_may_stand_on_the_sheet():
    found = published(*all_methods(FAMILIES[:3]))
    plain, said = (draw(found, caption=caption).figure for caption in ("file", "sheet"))
    assert not any("deterministic actions" in t.get_text() for t in texts_of(plain))
    placed = boxes_of(said)
    ((caption, (below,)),) = (
        item for item in placed.items() if "deterministic actions" in item[0]
    )
    del placed[caption]
    assert all(box.y0 >= below.y1 - 1 for of in placed.values() for box in of)
    assert below.x0 >= 0
    assert below.x1 <= said.bbox.width


@given(
    st.lists(st.floats(-50, 150), max_size=12),
    st.floats(0.1, 8),
)
def test_spread(wanted, gap):
    wanted = np.array(wanted)
    placed = style.spread(wanted, gap, 0.0, 100.0)
    assert len(placed) == len(wanted)
    if not len(wanted):
        return
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= gap - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 100 + 1e-9
    if (
        (np.diff(wanted[order]) >= gap).all()
        and wanted.min() >= 0
        and wanted.max() <= 100
    ):
        assert placed == pytest.approx(wanted)


def test_spread_moves_apart_about_the_middle():
    assert style.spread(np.array([5.0, 5.0]), 2.0, 0.0, 10.0).tolist() == [4, 6]
    assert style.spread(np.array([9.0, 8.0]), 4.0, 0.0, 10.0).tolist() == [10, 6]


def test_lines_are_broken_at_hyphens_and_about_equally_long():
    assert style.fitted("half-cheetah-fwd-back", 0.9, 8) == [
        "half-cheetah-",
        "fwd-back",
    ]
    assert style.fitted("one\ntwo", 9, 8) == ["one", "two"]
    assert style.fitted("unbreakable", 0.1, 8) == ["unbreakable"]


@pytest.mark.parametrize(
    ("text", "inches", "lines"),
    [
        ("MAML-TRPO over RL²", 1.0, ["MAML-TRPO", "over RL²"]),
        ("RL² · paper (10 to 11 %)", 1.2, ["RL² · paper", "(10 to 11 %)"]),
        ("RL² · paper (10 to 11 %)", 0.6, ["RL² ·", "paper (10", "to 11 %)"]),
        ("n = 1 (PEARL: 3), lean", 0.9, ["n = 1", "(PEARL: 3), lean"]),
        ("of families, n = 3 and 4", 0.9, ["of families,", "n = 3 and 4"]),
    ],
)
def test_what_belongs_together_stays_in_a_line(text, inches, lines):
    assert style.fitted(text, inches, 8) == lines


def test_a_profile_is_drawn_in_steps():
    config = AnalysisConfig(SUITE)
    with style.taste(config):
        panels = Panels(config, [""])
        of = Estimate(np.array([1.0, 0.5]), *np.full((2, 2), np.nan))
        look = looks.of_method("pearl")
        panels.curve(panels.axes[0], np.array([0.0, 1.0]), of, look, "x", steps=True)
    assert panels.axes[0].lines[0].get_drawstyle() == "steps-post"


def test_numbers_below_a_narrow_panel_stand_apart():
    """Also where the first evaluation is far from the start, as after a pool."""
    found = published(*all_methods(FAMILIES))
    for width in (6.9, 5.0):
        figure = draw(found, width=width).figure
        figure.draw_without_rendering()
        for ax in figure.axes:
            left, right = ax.get_xlim()
            boxes = [
                label.get_window_extent()
                for x, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
                if left <= x <= right
            ]
            assert len(boxes) > 1
            for one, two in itertools.pairwise(boxes):
                assert two.x0 - one.x1 > 0.25 * one.height
