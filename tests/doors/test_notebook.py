"""The notebook: executed here at a reduced size, and as it is stored."""

from pathlib import Path
from tempfile import gettempdir

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).parents[2] / "results/navigation/posterior-sampling.ipynb"
SMALL = [
    *("budget=smoke", "steps=2000", "pearl.initial_steps=20"),
    "pearl.updates_per_iteration=10",
]


def test_the_notebook_runs_and_draws_paths_and_curves(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # not the user's
    notebook = nbformat.read(PATH, as_version=4)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    parameters.source = f"WORDS = {SMALL}"
    root = {"metadata": {"path": str(PATH.parents[2])}}
    NotebookClient(notebook, timeout=300, resources=root).execute()
    assert pictures(notebook) == 2


def pictures(notebook):
    outputs = (o for cell in notebook.cells for o in cell.get("outputs", []))
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_stored_notebook_was_executed_from_top_to_bottom():
    notebook = nbformat.read(PATH, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    assert pictures(notebook) == 2


def test_the_notebook_is_small_and_names_no_folder():
    text = PATH.read_text(encoding="utf-8")
    assert len(text) < 300_000
    for place in {Path.home(), PATH.parents[2], Path(gettempdir())} - {Path("/")}:
        assert f"{place}/" not in text
