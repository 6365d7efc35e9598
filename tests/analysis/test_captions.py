"""What stands beside a figure: whole, and shown by Markdown as it is."""

from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import draw, published, run_of, seeds
from markdown_it import MarkdownIt
from matplotlib.text import Text

from pearl_bench.analysis import captions
from pearl_bench.analysis.figures import learning_curves
from pearl_bench.analysis.markdown import cell, plain
from pearl_bench.registry import default_settings


def rendered(text):
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    return html.removeprefix("<p>").removesuffix("</p>\n")


@pytest.mark.parametrize(
    "text",
    [
        *("<b>x</b>", "a_b_c and *d*", "[link](x)", "1. item", "12) item", "- item"),
        *("# head", "a | b", "`code`", "&amp;", "\\*", "![i](j)", "~~x~~", "$x$"),
        *("> quote", "+ item", "<!-- comment -->", "=== ", "---", "***"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text):
    shown = escape(" ".join(text.split()), quote=False)
    assert rendered(plain(text)) == shown


@pytest.mark.parametrize("text", ["-123", "+5", "<0.79", "a_b", "#1", "1.5", "R&D"])
def test_what_is_no_markup_stays_as_it_is(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>x</script>", r"\<script>x\</script>"),
        ("a|b", r"a\|b"),
        ("[x](javascript:y)", r"[x]\(javascript:y)"),
        ("`x` *y* $z$ &lt; _em_", r"\`x\` \*y\* \$z\$ \&lt; \_em\_"),
        ("two\nlines", "two lines"),
        (">12M [>12M, >12M]", ">12M [>12M, >12M]"),
        ("219 [210, 228] <0.8 >12M a_b=1", "219 [210, 228] <0.8 >12M a_b=1"),
    ],
)
def test_text_is_text_in_markdown(text, escaped):
    assert cell(text) == escaped


@settings(max_examples=500)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_any_text_is_shown_as_it_is(text):
    shown = " ".join(text.split())
    assert rendered(plain(text)).replace("&quot;", '"') == escape(shown, quote=False)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"PEARL": 2, "RL²": 2}, "n = 2"),
        ({"PEARL": 1, "RL²": 2, "ProMP": 2}, "n = 2 (PEARL: 1)"),
        ({"PEARL": 1, "RL²": 2}, "n = 2 (PEARL: 1)"),
        ({"PEARL": 5, "RL²": 2, "ProMP": 1}, "n = 5 (RL²: 2, ProMP: 1)"),
    ],
)
def test_numbers_of_runs(numbers, said):
    assert captions.count_in_words(numbers) == said


def test_numbers_of_runs_without_their_names():
    said = [
        captions.counts_between(published(*seeds(n), *seeds(2, budget="quick")).arms)
        for n in (2, 3)
    ]
    assert said == ["n = 2", "n = 2 to 3"]


def test_the_file_beside_a_figure_says_what_it_rests_on():
    found = published(
        *seeds(2, commit="b" * 40),
        run_of(family="ant-fwd-back", learner="rl2", seed=3),
        run_of(family="ant-fwd-back", learner="rl2", budget="quick", commit="c" * 40),
    )
    sheet = draw(found)
    text = captions.markdown(found, learning_curves.TITLE, sheet)
    assert text.startswith("# Learning curves: locomotion\n\n")
    assert "commit bbbbbbb" in text
    assert "seeds 0, 1" in text
    assert "ccccccc" not in text  # of an arm that is not shown
    assert (
        "Of the suite's 6 families 4 are left out, which have no data for this figure: "
        "half-cheetah-fwd-back, ant-goal-2d, humanoid-direc-2d, walker-2d-params."
    ) in " ".join(text.split())
    assert "- PEARL (PEARL · paper · float32): half-cheetah-vel;" in text


def test_a_figures_face_has_none_of_it():
    found = published(*seeds(2), *seeds(1, learner="rl2", steps=(50_000, 90_000)))
    for name in ("learning-curves", "adaptation", "score-over-time"):
        sheet = draw(found, name)
        face = " ".join(text.get_text() for text in sheet.figure.findobj(Text))
        assert "n = 2 (RL²: 1)" in face
        for said in ("seed", "commit", "aaaaaaa", "bootstrap", "Note", "r0"):
            assert said not in face


def test_runs_of_other_tasks_are_said_to_be_left_out():
    found = published(
        *seeds(2),
        run_of(learner="rl2", fingerprint="f" * 16),
        *seeds(1, learner="promp"),
    )
    sheet = draw(found)
    said = " ".join(sheet.about)
    label = "RL² · paper · float32 · tasks ffffff"
    assert f"Left out, because of other tasks: {label} on half-cheetah-vel." in said
    assert label not in sheet.called


def test_runs_that_a_figure_does_not_show_are_not_beside_it():
    """An arm may be the one of its method in one family, and not in another."""
    few = {"budget": "lean", "steps": (1000, 2000), "commit": "c" * 40}
    found = published(
        *seeds(2),
        run_of(**few, timed=False),
        run_of(family="ant-fwd-back", **few),
        *seeds(2, family="ant-fwd-back", learner="rl2", budget="lean"),
        run_of(learner="rl2", timed=False),
    )
    for name in ("learning-curves", "adaptation", "score-over-time", "improvement"):
        text = captions.markdown(found, name, draw(found, name))
        (of_lean,) = (
            line
            for line in text.splitlines()
            if line.startswith("- PEARL") and "PEARL · lean" in line
        )
        assert "ant-fwd-back; seeds 0; 20 test tasks" in of_lean
        assert "half-cheetah-vel, PEARL · lean" not in text
    whole = captions.markdown(found, "aggregates", draw(found, "aggregates"))
    assert "(PEARL · lean · float32): half-cheetah-vel, ant-fwd-back;" in whole


def test_what_a_reader_of_the_numbers_should_know_stands_beside_a_figure():
    known = default_settings("pearl")
    older = {key: known[key] for key in known if key not in ("inference", "recurrent")}
    found = published(
        run_of(settings=known),
        run_of(seed=1, settings=older, commit="b" * 40),
        run_of(learner="rl2", settings=default_settings("rl2"), steps=(9000,)),
    )
    text = plain_text(captions.markdown(found, "Title", draw(found)))
    label = f"half-cheetah-vel, {found.labels[0]}: "
    each = "seed 0 of aaaaaaa, seed 1 of bbbbbbb"
    assert f"{label}its seeds ran on several commits: {each}." in text
    assert (
        f"{label}seed 1: older than some settings; counts as recurrent=false, "
        "inference=posterior."
    ) in text
    assert text.count("older than") == 1
    assert "its level is the mean of 1 evaluation." in text


def plain_text(markdown):
    return markdown.replace("\\", "")
