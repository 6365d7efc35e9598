"""What would rot in the pages; `tox -e docs` builds them, and checks all anchors."""

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from raw_runs import published

import pearl_bench
from pearl_bench.__main__ import DOORS
from pearl_bench.analysis import tables
from pearl_bench.analysis.arms import METHODS
from pearl_bench.analysis.scores import load
from pearl_bench.config.types import OF_METHODS, BenchConfig
from pearl_bench.pearl.update import METRICS, TEMPERATURE
from pearl_bench.registry import LEARNERS, method

PROJECT = Path(__file__).parents[1]
HOOKS = PROJECT / "docs" / "hooks"


def hook(name):
    spec = importlib.util.spec_from_file_location(f"hook_{name}", HOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = hook("files")
PAGES = list(FILES.found(FILES.PAGES))
SITE = yaml.safe_load((PROJECT / "mkdocs.yml").read_text("utf-8"))


def in_nav(entry):
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [page for each in inner for page in in_nav(each)]


def test_every_page_is_in_the_contents_once():
    assert sorted(in_nav(SITE["nav"])) == sorted([*PAGES, FILES.COMMANDS])


def test_every_hook_runs():
    named = {Path(path).stem for path in SITE["hooks"]}
    assert named == {path.stem for path in HOOKS.glob("*.py")}
    assert all(any(n.startswith("on_") for n in dir(hook(name))) for name in named)


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files_of_the_site(page):
    there = {PROJECT / name for name in FILES.found(FILES.PAGES + FILES.ASSETS)}
    text = re.sub("```.*?```", "", (PROJECT / page).read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        path = (PROJECT / page).parent / target
        assert path.resolve() in there, target


def test_the_page_of_commands_has_every_command_with_its_words(capsys):
    text = FILES.commands()
    assert capsys.readouterr().out == ""
    assert re.findall("^## (.*)$", text, re.M) == list(DOORS)
    for name in DOORS:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert f"usage: pearl-bench {name}" in section
        assert section.rstrip().endswith("```")
    run = text.partition("\n## run\n")[2].partition("\n## ")[0]
    for item in fields(BenchConfig):
        if OF_METHODS not in item.metadata:
            assert re.search(rf"^  {item.name}[=.]", run, re.M), item.name
    for learner in LEARNERS:
        for item in fields(method(learner).settings):
            assert f"\n  {learner}.{item.name}=" in run


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_method_has_a_page(learner):
    page = f"docs/methods/{learner}.md"
    assert page in PAGES
    text = (PROJECT / page).read_text("utf-8")
    assert text.startswith(f"# {METHODS.get(learner, learner)}\n")
    assert f"<!-- levels: {learner} -->" in text
    assert "## Equations" in text
    for part in ("Deviations", "metrics", "arXiv"):
        assert part.lower() in text.lower()
    cited = re.findall(r"`([\w/]+\.py)`", text)
    assert cited
    assert all((PROJECT / path).is_file() for path in cited)
    for names, path in re.findall(
        r"((?:`[\w.]+`(?: and )?)+)\s+in\s+`(.+?\.py)`", text
    ):
        code = (PROJECT / path).read_text("utf-8")
        for name in re.findall("`(.+?)`", names):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", code), name


def test_the_pages_tell_every_metric_of_pearl():
    text = (PROJECT / "docs/methods/pearl.md").read_text("utf-8")
    assert all(f"`{name}`" in text for name in (*METRICS, TEMPERATURE))


@pytest.mark.parametrize("learner", LEARNERS)
def test_levels_are_those_of_the_published_tables(learner):
    table = hook("levels").on_page_markdown(f"before\n<!-- levels: {learner} -->\n")
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    name = METHODS.get(learner, learner)
    published = [
        line
        for path in sorted(PROJECT.glob("results/*/tables/tables.md"))
        for line in path.read_text("utf-8")
        .partition("\n## Level of each run")[0]
        .partition("\n## Level of each method")[2]
        .splitlines()
        if f"| {name} · " in line and "| suite |" in line
    ]
    has_curves = any(PROJECT.glob(f"results/*/{learner}.csv"))
    assert len(rows) >= len(published)
    assert bool(published) == has_curves
    for line in published:
        family, level, each = (line.split(" | ")[i].strip("| ") for i in (0, 8, 9))
        told = [row for row in rows if row.startswith(f"| {family} |")]
        assert any(row.endswith(f"| {each or level.split()[0]} |") for row in told)


def test_a_page_has_levels_of_runs_that_ended_at_unequal_steps(tmp_path, monkeypatch):
    (row,) = rows_of(
        monkeypatch,
        published(tmp_path, {"steps": (270_000,)}, {"seed": 1, "steps": (27_000,)}),
    )
    assert "| quick, float32 | 270k | 1.0 to 10 % | 1 | return | " in row


def test_a_page_writes_out_a_level_above_a_thousand(tmp_path, monkeypatch):
    results = published(tmp_path, {"steps": (270_000,), "returns": lambda *_: 1055.3})
    (row,) = rows_of(monkeypatch, results)
    assert row.endswith("| return | 1055 |")


def rows_of(monkeypatch, results):
    """The rows of PEARL's table in a page, from published runs."""
    found = load(results, "locomotion")
    tables.write(found, tables.tables(found), results / "locomotion" / "tables")
    pages = hook("levels")
    monkeypatch.setattr(pages, "RESULTS", results)
    return pages.levels("pearl").splitlines()[2:]


def test_equations_become_mathml_without_a_script():
    pytest.importorskip("latex2mathml")
    convert = hook("equations").on_page_content
    html = convert(
        r'<p><span class="arithmatex">\(z &lt; 1\)</span></p>'
        r'<div class="arithmatex">\[\sum_n z_n\]</div>'
    )
    assert html.count("<math") == 2
    assert 'display="block"' in html
    assert "\\" not in html


def test_lines_that_start_a_module_start_one():
    """Wherever they stand: pages, docstrings, messages."""
    packages = ("pearl_bench", "baselines", "suites")
    sources = [path for name in packages for path in (PROJECT / name).rglob("*.py")]
    named = {
        name
        for path in [*sources, *(PROJECT / page for page in PAGES)]
        for name in re.findall(
            r"-m ((?:pearl_bench|suites)[.\w]*\w)", path.read_text("utf-8")
        )
    }
    assert len(named) > 10
    starts = 'if __name__ == "__main__":'
    for name in named - {"pearl_bench.X"}:
        path = PROJECT.joinpath(*name.split("."))
        found = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert starts in found.read_text("utf-8"), name


API = (PROJECT / "docs" / "api.md").read_text("utf-8")


def test_every_part_of_the_api_has_a_snippet_that_uses_it():
    """In its section, before its docstrings; and so every name that is exported."""
    modules = re.findall(r"^::: ([\w.]+)$", API, re.M)
    assert len(modules) > 10
    for module in modules:
        section = API.partition(f"\n::: {module}\n")[0].rpartition("\n## ")[2]
        code = "".join(re.findall(r"```python\n(.*?)```", section, re.S))
        assert module.rpartition(".")[2] in code, module
    whole = "".join(re.findall(r"```python\n(.*?)```", API, re.S))
    assert all(
        f"pearl_bench.{name}" in whole
        for name in pearl_bench._PUBLIC
        if name != "Trained"
    )
    for verb in ("evaluate", "agent", "adapt", "save"):  # of Trained
        assert f".{verb}(" in whole


def test_the_snippets_of_the_api_run(tmp_path, monkeypatch):
    """From top to bottom, beside the published results."""
    (tmp_path / "results").mkdir()
    published = PROJECT / "results" / "locomotion"
    (tmp_path / "results" / "locomotion").symlink_to(published)
    monkeypatch.chdir(tmp_path)
    found = {"__name__": "snippets"}
    for code in re.findall(r"```python\n(.*?)```", API, re.S):
        exec(code, found)
    assert (tmp_path / "results" / "raw-api" / "navigation").is_dir()


def test_the_three_lines_of_readme_run(monkeypatch):
    monkeypatch.chdir(PROJECT)
    text = (PROJECT / "README.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(import gymnasium.*?)```", text, re.S)
    found = {}
    exec(lines, found)
    assert found["total"] > -100  # standing still gives -284
    found["env"].close()
