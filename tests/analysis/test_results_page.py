"""docs/results.md says of half-cheetah what the published tables say."""

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "half-cheetah-fwd-back": "## Half-cheetah, forwards and backwards",
    "half-cheetah-vel": "## Half-cheetah, velocity",
}
PEARL = "PEARL · paper · bf16"


def rows(name):
    path = ROOT / "results" / "locomotion" / "tables" / f"{name}.csv"
    with path.open(newline="") as file:
        return [r for r in csv.DictReader(file) if "suite" in r.values()]


def steps(text):
    number = float(text)
    if number >= 1e6:
        return f"{number / 1e6:.1f}".removesuffix(".0") + " million"
    return f"{number:,.0f}"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_what_the_tables_say(family):
    text = (ROOT / "docs" / "results.md").read_text()
    section = text.split(FAMILIES[family])[1].split("\n## ")[0]
    said = {}
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| method"):
            method, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            said[method.split(",")[0]] = cells
    assert set(said) == {"PEARL", "RL²", "MAML-TRPO", "ProMP"}

    efficiency = {
        row["baseline"].split(" · ")[0]: row
        for row in rows("efficiency")
        if row["family"] == family and row["method"] == PEARL
    }
    for method, (at, share, levels, needed, ratio) in said.items():
        label = PEARL if method == "PEARL" else f"{method} · paper · float32"
        of_runs = [
            row
            for row in rows("levels-by-run")
            if (row["family"], row["method"]) == (family, label)
        ]
        assert at == steps(of_runs[0]["steps"])
        assert share == f"{100 * float(of_runs[0]['of_paper']):.0f} %"
        assert levels == ", ".join(f"{float(row['level']):.0f}" for row in of_runs)
        if method == "PEARL":
            assert needed == ratio == ""
            continue
        row = efficiency[method]
        assert needed == f"{steps(row['needed'])} ({steps(row['first_needed'])})"
        ratios = (float(row[name]) for name in ("ratio", "first_ratio"))
        assert ratio == "{:.0f} ({:.0f})".format(*ratios)
