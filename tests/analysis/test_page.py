"""The page in a real browser: whole, quiet, readable on a phone, without network."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from raw_runs import make_run

from pearl_bench import registry
from pearl_bench.analysis import tables
from pearl_bench.analysis.__main__ import main
from pearl_bench.analysis.scores import load
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

    VOID = frozenset({"meta", "link", "img"})

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
    sources = [value for _, key, value in found if key in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in sources)
    assert "url(" not in text
    assert "@import" not in text
    images = [value for tag, key, value in found if (tag, key) == ("img", "alt")]
    assert "learning-curves" in images
    assert len(images) == len(list((page.parent / "figures").glob("*.png")))
    published = load(page.parents[1], "locomotion")
    for table in tables.filled(tables.tables(published)):
        assert f'id="table-{table.name}"' in text
    for arm in published.arms:
        assert all(run.row["run"] in text for run in arm.runs)
    missing = sorted(set(registry.learner_names()) - {"pearl", "promp"})
    assert f"no runs of {', '.join(missing)} yet" in text


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
    assert found["images"] > 5
    assert found["broken"] == found["loose"] == found["small"] == found["targets"] == 0
    assert found["network"] == found["console"] == []
