"""Imports run one way: a room may import its own files and what MAY_IMPORT names."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
BELOW = ["records", "config", "registry", "suites"]
METHODS = ["pearl", "baselines"]
MAY_IMPORT = {
    "suites": ["machine"],
    "machine": [],
    "registry": ["suites"],
    "config": ["registry", "suites"],
    "records": ["config", "registry", "suites"],
    "training": [*BELOW, "machine"],
    "pearl": ["training", *BELOW, "machine"],
    "baselines": ["training", *BELOW, "machine"],
    "execution": [*METHODS, "training", *BELOW, "machine"],
    "analysis": BELOW,
    "doors": ["execution", "analysis", *METHODS, "training", *BELOW, "machine"],
}


def room(module: str) -> str:
    """A package, or a file in pearl_bench itself, of which all but one are doors."""
    top, _, rest = module.partition(".")
    name = rest.partition(".")[0] if top == "pearl_bench" else top
    return name if name in MAY_IMPORT else "doors"


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what they name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


PACKAGES = ("pearl_bench", "baselines", "suites")
FILES = [path for name in PACKAGES for path in sorted(PROJECT.glob(f"{name}/**/*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_run_one_way(path):
    parts = path.relative_to(PROJECT).with_suffix("").parts
    here = room(".".join(parts))
    wrong = {
        name
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if room(name) not in (here, *MAY_IMPORT[here])
    }
    assert not wrong, f"{here} may import {', '.join(MAY_IMPORT[here])}, no {wrong}"


def test_the_rooms_are_those_that_there_are():
    folders = {path.parent for path in PROJECT.glob("pearl_bench/*/__init__.py")}
    rooms = {folder.name for folder in folders} | {"baselines", "suites"}
    assert rooms | {"registry", "doors"} == MAY_IMPORT.keys()


def test_the_page_about_it_names_files_that_there_are():
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = page.split("```")[1]
    above: list[Path] = [PROJECT]
    for line in filter(None, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        if depth < 3:  # deeper lines go on with the text of the one before
            place = above[depth] / line.split()[0]
            assert place.exists(), line
            above[depth + 1 :] = [place]
    for room in MAY_IMPORT.keys() - {"doors"}:
        assert f"{room}/ " in tree or f"{room}.py" in tree
