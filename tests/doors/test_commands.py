"""All commands under one name: what is listed, what each one's help says."""

import subprocess
import sys
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import pearl_bench
from pearl_bench import registry
from pearl_bench.__main__ import DOORS, main
from pearl_bench.config import command
from pearl_bench.config.words import vocabulary

PROJECT = Path(__file__).parents[2]


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_name_alone_lists_the_commands():
    done = python("-m", "pearl_bench")
    assert (done.returncode, done.stderr) == (0, "")
    for name, door in DOORS.items():
        assert f"  {name:<10}{door.does}\n" in done.stdout


def test_the_installed_name_is_this_module():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["pearl-bench"].partition(":")
    assert getattr(import_module(module), function)
    assert pearl_bench.__version__ == project["version"]
    assert main(["--version"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum"], "'rum' is no command; did you mean run?"),
        (["--suite=ml1"], "'--suite=ml1' is no command; known are: analysis, bench"),
        (["clip"], "run= is missing"),
        (["ls", "suite=ml11"], "suite=ml11 is unknown; did you mean ml"),
        (["ls", "suite=zzz"], "(is the package installed that adds it?); known are:"),
        (["run", "suite=ml1", "learners=perl"], "perl is unknown; did you mean pearl?"),
        (
            ["run", "suite=ml1", "learners=PEARL"],
            "=PEARL is unknown; did you mean pearl?",
        ),
        (["run", "suite=ml1", "pearl.lr=1"], "did you mean pearl.learning_rate?"),
        (
            ["run", "suite=ml1", "dry"],
            "'dry' is not a key=value word, such as dry=true",
        ),
        (["run", "suite=ant-fwd-back"], "is a family of locomotion; take suite=locomo"),
        (
            ["run", "suite=navigation", "task=ant-fwd-back"],
            "task=ant-fwd-back is no family of navigation, but of locomotion; take",
        ),
        (["bench", "only=engin"], "only=engin is unknown; did you mean engine?"),
        (["trace", "results/raw/x"], "is not a key=value word, such as run="),
        (["regress", "seeds=x"], "seeds=x is not allowed; it takes integers"),
        (["bench", "--json"], "'--json' is not a key=value word, such as json="),
        (["bench", "seconds=0"], "seconds must be positive, not 0"),
        (["bench", "seconds=-1"], "seconds must be positive, not -1"),
        (["bench", "seconds=inf"], "seconds must be at most 600"),
        (
            ["run", "suite=locomotion", "checkpoint_minutes=inf"],
            "checkpoint_minutes=inf is not allowed; it is not finite",
        ),
        (["check", "suite=ml1"], "unknown word suite=; known are: results"),
        (["analysis", "suite=ml1", "htlm=true"], "did you mean html?"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(words, message, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.fixture
def commands():
    """Every command there is, by the name of its ``main``'s module and its own."""
    modules = {import_module(door.module) for door in DOORS.values()}
    modules.add(import_module("pearl_bench.records.readme"))
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, command.Command)
    ]


def test_every_word_of_every_command_is_explained(commands):
    assert {one.name for one in commands} >= DOORS.keys()
    for one in commands:
        lines = one.help_text().splitlines()
        for word in vocabulary(one.words):
            (index,) = (i for i, x in enumerate(lines) if x.startswith(f"  {word}=  "))
            assert lines[index + 1].startswith("      ")


def test_the_example_of_every_command_can_be_read(commands):
    for one in commands:
        assert isinstance(one.read(one.example.split()), one.words)


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("how", ["{} --help", "{} -h", "help {}"])
def test_every_command_has_help(how, name, capsys):
    assert main(how.format(name).split()) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: pearl-bench {name} ")


def test_the_maintenance_commands_have_help_too():
    for module in ("suites.draw", "suites.metaworld.speed"):
        done = python("-m", module, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: python -m {module}")


def test_what_there_is_is_listed(capsys):
    assert main(["ls"]) == 0
    overview = capsys.readouterr().out
    for name in (*registry.suite_names(), *registry.learner_names()):
        assert name in overview
    assert main(["ls", "suite=navigation"]) == 0
    listed = capsys.readouterr().out
    for family in registry.suite("navigation").families:
        (row,) = (
            line.split()
            for line in listed.splitlines()
            if line.startswith(f"{family.name} *")
        )
        assert [int(cell) for cell in row[2:7]] == [
            len(family.train),
            len(family.test),
            family.horizon,
            family.obs_dim,
            family.action_dim,
        ]
    assert "1M / 2k" in listed  # PEARL on point-robot at budget=paper


def test_what_a_user_can_mend_is_a_sentence_when_libraries_are_loaded_too(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "unfit.py").write_text("raise OSError('fonts have no place')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(DOORS, "clip", DOORS["clip"]._replace(module="unfit"))
    assert main(["clip"]) == 2
    assert capsys.readouterr().err == "fonts have no place\n"


NOWHERE_TO_WRITE = """
import runpy, sys, tempfile

def refuse(**_):
    raise FileNotFoundError("No usable temporary directory")

tempfile.mkdtemp = refuse
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""

UNFIT = {"MPLCONFIGDIR": "/dev/null/x", "MPLBACKEND": "none"}


@pytest.mark.parametrize(
    ("module", "words", "unfit", "said"),
    [
        ("analysis", ["suite=ml1"], ["MPLCONFIGDIR"], "set the MPLCONFIGDIR"),
        ("analysis", ["suite=ml1"], ["MPLBACKEND"], "unset MPLBACKEND, or take"),
        ("analysis", ["check", "results=x"], UNFIT, "no suite has published files"),
        ("clip", ["run=x"], UNFIT, "x holds no run"),
    ],
)
def test_where_matplotlib_does_not_load_a_sentence_says_so_if_it_is_needed(
    module, words, unfit, said, tmp_path, monkeypatch
):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    for name in unfit:
        monkeypatch.setenv(name, UNFIT[name])
    done = python("-c", NOWHERE_TO_WRITE, f"pearl_bench.{module}", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert (module == "analysis") or "atplotlib" not in done.stderr


@pytest.mark.parametrize(("suite", "name"), [("navigation", None), ("ml10", "ml10")])
def test_a_task_list_that_nobody_drew_is_asked_for(suite, name, tmp_path):
    """As for a family that is new: everything but its list is there."""
    code = (
        "import pathlib, sys, suites.tasks, pearl_bench.__main__\n"
        "suites.tasks.FOLDER = pathlib.Path(sys.argv[1])\n"
        "sys.exit(pearl_bench.__main__.main(sys.argv[2:]))"
    )
    done = python("-c", code, str(tmp_path), "run", f"suite={suite}", "dry=true")
    assert (done.returncode, done.stdout) == (2, "")
    name = name or registry.suite(suite).families[0].name
    assert done.stderr == (
        f"{tmp_path / name}.csv: there is no such task list yet; python -m "
        f"suites.draw {name} draws it\n"
    )


def test_nothing_of_a_list_is_folded_where_no_terminal_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert main(["ls"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for learner in registry.LEARNERS:
        assert [learner, "all", "families", f"conf/{learner}.yaml"] in lines


def test_on_windows_a_command_says_where_to_go_instead():
    code = "import sys; sys.platform = 'win32'; sys.argv = ['-m']; import pearl_bench"
    done = python("-c", code)
    assert done.returncode == 2
    assert done.stderr.startswith("pearl_bench runs on Linux and macOS. On Windows")
    assert "Traceback" not in done.stderr


def test_every_dataclass_of_words_is_frozen(commands):
    for one in commands:
        assert fields(one.words)
        assert one.words.__dataclass_params__.frozen
