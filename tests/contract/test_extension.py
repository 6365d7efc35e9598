"""A method and a suite of an installed package, from the plan to the figures."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pearl_bench import registry
from pearl_bench.config.types import BenchConfig
from pearl_bench.config.words import vocabulary
from pearl_bench.records import schema

SOURCES = {
    "own/__init__.py": "",
    "own/settings.py": '''
"""Settings of steady MAML."""
from dataclasses import dataclass
from pathlib import Path

from baselines.maml_trpo_config import MamlTrpoConfig
from pearl_bench.registry import Method


@dataclass(frozen=True)
class SteadyConfig(MamlTrpoConfig):
    """Settings of steady MAML.

    Attributes:
        steadiness: how steady.
    """

    steadiness: float = 2.0


METHOD = Method(
    SteadyConfig,
    "own.learner:SteadyLearner",
    Path(__file__).with_name("steady.yaml"),
    families=("ring", "point-robot"),
    reads_parameters=True,
)
''',
    "own/steady.yaml": """
base: maml_trpo
smoke:
  ring:
    steps: 300
    eval_every: 150
    tasks: 2
    steadiness: 3.5
""",
    "own/learner.py": '''
"""Steady MAML: MAML-TRPO that is told the tasks."""
from baselines.maml_trpo import MamlTrpoLearner


class SteadyLearner(MamlTrpoLearner):
    def collect(self):
        self.goals = [task.params for task in self.family.train]
        return super().collect() | {"steadiness": self.config.steadiness}
''',
    "own/ring.py": '''
"""A suite of one family: goals on a ring."""
from dataclasses import replace
from math import cos, pi, sin
from pathlib import Path

from suites import navigation
from suites.base import Suite, Task


def suite():
    goals = [(cos(2 * pi * i / 8), sin(2 * pi * i / 8)) for i in range(8)]
    tasks = [Task("ring", index, goal) for index, goal in enumerate(goals)]
    family = replace(
        navigation.ROWS[0].family(),
        name="ring",
        train=tuple(tasks[:6]),
        test=tuple(tasks[6:]),
        source="a test",
    )
    return Suite("rings", (family,), conf=Path(__file__).with_name("rings.yaml"))
''',
    "own/rings.yaml": """
promp:
  smoke:
    ring: {steps: 400, eval_every: 200, tasks: 2}
pearl:
  paper:
    ring: {steps: 400, eval_every: 200}
""",
    "own-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n",
    "own-1.0.dist-info/entry_points.txt": """
[pearl_bench.learners]
steady = own.settings:METHOD

[pearl_bench.suites]
rings = own.ring:suite
""",
}


def write(folder, sources):
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)


def python(package, *arguments, code=0):
    paths = [str(package), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write(folder, SOURCES)
    return folder


@pytest.fixture(scope="module")
def trained(package, tmp_path_factory):
    """Words of a command of two runs that has ended, and where its results are."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["suite=rings", "learners=steady,promp", "budget=smoke", "jobs=2"]
    words += ["device=cpu", f"out={folder / 'raw'}", f"results={folder / 'results'}"]
    python(package, "-m", "pearl_bench", "run", *words, "steps=150")
    return words, folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_help_and_list_have_them(package):
    said = python(package, "-m", "pearl_bench", "run", "--help")
    assert "steady.steadiness=  a number (default: 2.0)\n      how steady." in said
    said = python(package, "-m", "pearl_bench", "ls", "suite=rings")
    assert "ring *  6      2     20" in said
    assert "ring    steady     300 / 150" in said


def test_both_are_trained_side_by_side_published_and_drawn(package, trained):
    _, folder = trained
    published = folder / "results" / "rings"
    for learner in ("steady", "promp"):
        curve = rows(published / f"{learner}.csv")
        assert {row["family"] for row in curve} == {"ring"}
    assert list((published / "figures").glob("learning-curves*.png"))
    python(package, "-m", "pearl_bench", "check", f"results={folder / 'results'}")
    train = folder / "raw" / "rings" / "ring" / "steady" / "seed=0" / "train.csv"
    assert {row["steadiness"] for row in rows(train)} == {"3.5"}


@pytest.mark.parametrize("learner", ["steady", "promp"])
def test_the_version_of_the_method_or_suite_is_recorded(learner, trained):
    _, folder = trained
    run = folder / "raw" / "rings" / "ring" / learner / "seed=0" / "run.json"
    for session in json.loads(run.read_text())["sessions"]:
        assert session["versions"]["own"] == "1.0"
    published = rows(folder / "results" / "rings" / "runs.csv")
    assert {row["packages"] for row in published} == {"own 1.0"}


def test_they_resume(package, trained):
    words, folder = trained
    python(package, "-m", "pearl_bench", "run", *words)
    for learner in ("steady", "promp"):
        run = folder / "raw" / "rings" / "ring" / learner / "seed=0"
        steps = [int(row["env_steps"]) for row in rows(run / "train.csv")]
        assert steps == sorted(set(steps))
        assert steps[-1] >= (300 if learner == "steady" else 400)
    assert "nothing to do" in python(package, "-m", "pearl_bench", "run", *words)


def test_the_contract_holds_them_to_it(package):
    code = (
        "from pearl_bench import contract\n"
        "assert contract.families(['rings']) == [('rings', 'ring')]\n"
        "for learner in ('steady', 'rl2'):\n"
        "    contract.check_learner(learner, 'rings', 'ring')\n"
    )
    python(package, "-c", code)


def test_a_method_says_what_it_is_for(package):
    def load(*words, code=0):
        script = (
            "import sys\nfrom pearl_bench.config.runs import load\n"
            "from pearl_bench.config.types import ConfigError\n"
            "try: print(load(sys.argv[1:]).learners)\n"
            "except ConfigError as error: sys.exit(str(error))"
        )
        return python(package, "-c", script, *words, code=code)

    assert "'steady'" in load("suite=navigation")  # for one of its families
    assert "'steady'" not in load("suite=locomotion")
    said = load("suite=navigation", "learners=steady", code=1)
    assert said.startswith(
        "steady cannot be trained on sparse-point-robot: it is for ring, point-robot;"
    )


def test_parameters_of_unequal_number_are_said(package, tmp_path):
    everything = SOURCES["own/settings.py"].replace(
        'families=("ring", "point-robot"),\n    ', ""
    )
    write(tmp_path, SOURCES | {"own/settings.py": everything})
    said = python(
        tmp_path, "-m", "pearl_bench", "run", "suite=ml10", "learners=steady", code=2
    )
    assert said == (
        "steady cannot be trained on ml10: it reads the tasks' parameters, of which "
        "each has 3 or 6; take other learners= or families=\n"
    )


def test_names_of_files_and_words_are_reserved():
    usual = BenchConfig(suite="")
    files = {Path(schema.RUNS_FILE).stem, Path(schema.TRAJECTORIES_FILE).stem}
    words = {word.partition(".")[0] for word in vocabulary(BenchConfig) if "." in word}
    methods = registry.RESERVED[registry.LEARNER_GROUP]
    assert {*methods} == (files | words) - registry.LEARNERS.keys()
    folders = {schema.REFERENCE, schema.REGRESS}
    folders |= {Path(place).name for place in (usual.out, usual.results)}
    assert {*registry.RESERVED[registry.SUITE_GROUP]} == folders


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"own/settings.py": "import nowhere"}, "No module named 'nowhere'"),
        ({"own/settings.py": "METHOD = 1"}, "it is 1, not a Method"),
        ({"own/ring.py": "def suite(): return 1"}, "it is no suite of that name"),
        ({"own/ring.py": "def suite(): return 1 / 0"}, "ZeroDivisionError: division"),
        ({"own/ring.py": "suite = 1"}, "TypeError: 'int' object is not callable"),
        ({"own/ring.py": "raise SystemExit(0)"}, "SystemExit: 0"),
        ({"own/steady.yaml": "base: maml\n"}, "did you mean maml_trpo?"),
        ({"own/steady.yaml": "base: steady\n"}, "base: steady is no method to start"),
        ({"own/steady.yaml": "smoke: {ring: {step: 1}}\n"}, "unknown key smoke.ring"),
    ],
)
def test_a_broken_package_is_named(changed, said, tmp_path):
    write(tmp_path, SOURCES | changed)
    words = ["suite=rings", "learners=steady", "budget=smoke", "dry=true"]
    words += ["device=cpu", f"out={tmp_path / 'raw'}"]
    out = python(tmp_path, "-m", "pearl_bench", "run", *words, code=2)
    assert said in out
    assert "own adds " in out or "steady.yaml" in out
    assert "Traceback" not in out


BROKEN = {
    "own-1.0.dist-info/entry_points.txt": """
[pearl_bench.learners]
broken = own.nowhere:METHOD

[pearl_bench.suites]
gone = own.nowhere:suite
"""
}


def test_a_broken_method_or_suite_stops_nobody_else(tmp_path):
    write(tmp_path, SOURCES | BROKEN)
    command = ["-m", "pearl_bench", "run", "suite=navigation", "budget=smoke"]
    command += ["dry=true", "device=cpu", f"out={tmp_path / 'raw'}"]
    said = python(tmp_path, *command, "learners=pearl")
    assert said.count("warning: own adds broken = own.nowhere:METHOD to") == 1
    assert "No module named 'own.nowhere'; it is left out" in said
    said = python(tmp_path, "-m", "pearl_bench", "run", "--help")
    assert "learners: pearl, maml_trpo, promp, rl2\n" in said
    said = python(tmp_path, "-m", "pearl_bench", "ls")
    for name in ("broken", "gone"):
        assert said.count(f"warning: own adds {name} =") == 1
    assert "suite=navigation" in said
    for word in ("learners=broken", "suite=gone"):
        words = [one for one in command if one.partition("=")[0] != word[:5]]
        said = python(tmp_path, *words, word, code=2)
        assert "which cannot be used" in said
        assert "is unknown" not in said


LEARNERS, SUITES = "[pearl_bench.learners]\n", "[pearl_bench.suites]\n"
TWICE = {
    "too-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: too\nVersion: 1.0\n",
    "too-1.0.dist-info/entry_points.txt": LEARNERS + "steady = own.settings:METHOD\n",
}


@pytest.mark.parametrize(
    ("points", "others", "named", "said"),
    [
        (
            LEARNERS + "runs = own.settings:METHOD",
            {},
            "learners=runs",
            "is reserved, as",
        ),
        (SUITES + "regress = own.ring:suite", {}, "suite=regress", "is reserved, as"),
        (LEARNERS + "../up = own.settings:METHOD", {}, "learners=../up", "has small"),
        (
            LEARNERS + "steady = own.settings:METHOD",
            TWICE,
            "learners=steady",
            "the same",
        ),
        (LEARNERS + "pearl = own.settings:METHOD", {}, None, "is pearl-bench's own"),
    ],
)
def test_a_name_that_cannot_be_used_stops_nobody_else(
    points, others, named, said, tmp_path
):
    names = {"own-1.0.dist-info/entry_points.txt": points}
    write(tmp_path, SOURCES | names | others)
    words = ["suite=navigation", "learners=pearl", "budget=smoke", "dry=true"]
    words += ["device=cpu", f"out={tmp_path / 'raw'}"]
    command = ["-m", "pearl_bench", "run"]
    out = python(tmp_path, *command, *words)
    assert out.count("warning: ") == 1 + len(others) // 2
    assert "warning: own adds " in out
    assert said in out
    assert "; it is left out\n" in out
    if named is not None:
        words = [one for one in words if one[:5] != named[:5]]
        out = python(tmp_path, *command, *words, named, code=2)
        assert out.splitlines()[-1].partition(" adds ")[0] in ("own", "too")
        assert "is unknown" not in out


def test_a_broken_suite_keeps_no_family_from_being_found(tmp_path):
    points = BROKEN["own-1.0.dist-info/entry_points.txt"] + "rings = own.ring:suite\n"
    write(tmp_path, SOURCES | {"own-1.0.dist-info/entry_points.txt": points})
    find = "from pearl_bench.execution.trained import _suite_of as of\n"
    assert "own.nowhere" not in python(tmp_path, "-c", find + "of('point-robot')")
    said = python(tmp_path, "-c", find + "print(of('ring'))")
    assert "rings" in said.splitlines()
    assert said.count("warning: own adds gone = own.nowhere:suite to") == 1


def test_the_results_of_a_broken_suite_are_a_fault_among_others(tmp_path):
    write(tmp_path, SOURCES | BROKEN | {"results/gone/runs.csv": "run\n"})
    (tmp_path / "results" / "zzz").mkdir()
    (tmp_path / "results" / "zzz" / "runs.csv").write_text("run\n")
    results = f"results={tmp_path / 'results'}"
    said = python(tmp_path, "-m", "pearl_bench", "check", results, code=1)
    assert "own adds gone = own.nowhere:suite to" in said
    assert "suite=zzz is unknown" in said


def test_an_own_suite_is_told_how_to_say_its_steps(tmp_path):
    silent = SOURCES["own/ring.py"].replace(
        ', conf=Path(__file__).with_name("rings.yaml")', ""
    )
    words = ["-m", "pearl_bench", "run", "suite=rings", "learners=pearl", "dry=true"]
    words += ["device=cpu", f"out={tmp_path / 'raw'}"]
    write(tmp_path, SOURCES | {"own/ring.py": silent})
    said = python(tmp_path, *words, code=2)
    assert said == (
        "suite=rings does not say how long pearl trains on ring; give its Suite "
        'conf=Path(__file__).with_name("rings.yaml"), and write there:\n'
        "pearl:\n  paper:\n    ring:\n      steps: 100_000\n      eval_every: 10_000\n"
        "Or give steps= and eval_every=\n"
    )
    python(tmp_path, *words, "steps=300", "eval_every=150")
    write(tmp_path, SOURCES | {"own/rings.yaml": "rl2: {}\n"})
    said = python(tmp_path, *words, code=2)
    assert f"on ring; add to {tmp_path / 'own' / 'rings.yaml'}:\npearl:\n" in said
