"""The page in a real browser: whole, quiet, readable on a phone, without network."""

import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench import registry
from pearl_bench.analysis import tables
from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.crossings import Bound
from pearl_bench.analysis.page import clips
from pearl_bench.analysis.page.table import number
from pearl_bench.analysis.scores import load
from pearl_bench.analysis.tables.table import Share
from pearl_bench.records.published.publish import publish

PHONE = (390, 844)
"""Width and height of a common phone in CSS pixels."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a few runs."""
    folder = tmp_path_factory.mktemp("page")
    for seed in (0, 1):
        for learner, own in (("pearl", None), ("promp", 20)):
            make_run(folder / "raw", seed=seed, learner=learner, own=own)
    publish(folder / "raw", folder / "results", "locomotion")
    words = ["suite=locomotion", f"results={folder / 'results'}", "html=true"]
    assert main(words) == 0
    return folder / "results" / "locomotion" / "report.html"


@pytest.fixture(scope="module")
def browser():
    """The script, where Chromium finds the system's libraries that it needs."""
    imported = [sys.executable, "-c", "import PySide6.QtWebEngineWidgets"]
    done = subprocess.run(imported, capture_output=True, text=True, check=False)
    if "cannot open shared object file" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    return Path(__file__).parents[1] / "support" / "browser.py"


class Parsed(HTMLParser):
    """Collects tags, and checks that they close in order."""

    VOID = frozenset({"meta", "link", "img", "source"})

    def __init__(self, text):
        super().__init__()
        self.attributes = []
        self.open = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, key, value) for key, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_holds_everything_and_refers_to_nothing(page):
    text = page.read_text()
    found = Parsed(text).attributes
    loaded = [value for _, key, value in found if key in ("src", "srcset")]
    assert all(value.startswith("data:") for value in loaded)
    assert "url(" not in text
    assert "@import" not in text
    anchors = {value for _, key, value in found if key == "id"}
    for link in [value for _, key, value in found if key == "href"]:
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("data:"):
            assert (page.parent / link.partition("#")[0]).is_file()
    images = [value for tag, key, value in found if (tag, key) == ("img", "alt")]
    drawn = {path.stem for path in (page.parent / "figures").glob("*.png")}
    # the phone has figures of a column's width anyway
    assert set(images) == drawn - {"learning-curves-column"}
    assert len([key for _, key, _ in found if key == "srcset"]) == len(images)
    published = load(page.parents[1], "locomotion")
    for table in tables.filled(tables.tables(published)):
        assert f'id="table-{table.name}"' in text
    for arm in published.arms:
        assert all(run.row["run"] in text for run in arm.runs)
    missing = sorted(set(registry.learner_names()) - {"pearl", "promp"})
    assert f"no runs of {', '.join(missing)} yet" in text


def test_a_run_leads_to_its_settings_and_rows(page):
    text = page.read_text()
    for arm in load(page.parents[1], "locomotion").arms:
        for run in arm.runs:
            name, file = run.row["run"], f"{arm.learner}.csv"
            assert f'<a href="#run-{name}">{name}</a>' in text
            of_run = text.partition(f'<div id="run-{name}">')[2].partition(
                "</details>"
            )[0]
            link = re.search(rf'href="{file}#L(\d+)-L(\d+)"', of_run)
            assert link
            first, last = map(int, link.groups())
            lines = (page.parent / file).read_text().splitlines()
            own = [i for i, line in enumerate(lines, 1) if name in line]
            assert own == list(range(first, last + 1))
            described = re.search(r'href="runs.csv#L(\d+)"', of_run)
            assert described
            rows = (page.parent / "runs.csv").read_text().splitlines()
            assert rows[int(described[1]) - 1].startswith(name)
            for key in run.settings:
                assert f'<th scope="row">{key}</th>' in of_run


def test_clips_are_shown_where_there_are_some(page, tmp_path):
    assert 'id="clips"' not in page.read_text()
    results = tmp_path / "results"
    shutil.copytree(page.parents[1], results)
    films = results / "locomotion" / "clips"
    films.mkdir()
    for name in ("half-cheetah-vel.mp4", "half-cheetah-vel.gif", "ant-goal-2d.gif"):
        (films / name).write_bytes(b"")
    words = ["suite=locomotion", f"results={results}", "html=true"]
    assert main([*words, "families=half-cheetah-vel"]) == 0
    # custom/, a folder below
    text = (results / "locomotion" / "custom" / "report.html").read_text()
    assert '<source src="../clips/half-cheetah-vel.mp4"' in text
    assert 'data-gif="../clips/half-cheetah-vel.gif"' in text
    assert "ant-goal-2d" not in text
    found = clips.clips(load(results, "locomotion"), results / "locomotion")
    assert 'src="clips/half-cheetah-vel.mp4"' in found
    assert 'src="clips/ant-goal-2d.gif"' in found


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("", math.nan),
        (math.nan, math.nan),
        (3, 3),
        (Bound(2e5, ">"), 2e5),
        (Share(0.13), 0.13),
        ("10 to 15 %", 0.1),
        ("<0.1 to 1.2 %", 0.001),
        ("912; 966", 912),
        ("2, 1", 2),
        ("-47.4", -47.4),
        ("half-cheetah-vel", None),
        ("0b5f6cf", None),
        ("2.13.0+cpu", None),
    ],
)
def test_what_a_cell_is_sorted_by(cell, value):
    assert number(cell) == pytest.approx(value, nan_ok=True)


def test_the_same_input_gives_the_same_page(page):
    before = page.read_bytes()
    page.unlink()
    results = page.parents[1]
    assert main(["suite=locomotion", f"results={results}", "html=true"]) == 0
    assert page.read_bytes() == before


def test_other_words_for_html_are_refused(page, capsys):
    assert main(["suite=locomotion", f"results={page.parents[1]}", "html=perhaps"]) == 2
    assert "true or false" in capsys.readouterr().err


@pytest.mark.parametrize("size", [PHONE, (1280, 900)])
def test_in_a_browser(page, browser, size):
    done = subprocess.run(
        [sys.executable, browser, page, *map(str, size)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["width"] == size[0]
    assert found["content"] <= size[0]  # nothing to scroll sideways
    assert found["images"] >= 5
    assert found["broken"] == found["loose"] == found["small"] == found["targets"] == 0
    assert found["network"] == found["console"] == []
    assert found["unfolded"] == [False, True]
    columns = [column for table in found["sorted"] for column in table]
    assert len(columns) > 50
    for reached, before, up, down, after in columns:
        assert reached  # by the keyboard
        assert before == after
        filled = [value for value in before if value != ""]
        empty = [""] * (len(before) - len(filled))
        if all(isinstance(value, int | float) for value in filled):
            assert up == sorted(filled) + empty
            assert down == sorted(filled, reverse=True) + empty
        else:
            assert sorted(up) == sorted(before)
            assert up != down or len(set(filled)) == 1
            assert up[len(filled) :] == down[len(filled) :] == empty
