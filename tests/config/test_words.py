"""Any frozen dataclass as the words of a command, and how a command ends."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Literal

import pytest

from pearl_bench.config.command import Command
from pearl_bench.config.errors import UserError
from pearl_bench.config.types import KNOWN, ConfigError


@dataclass(frozen=True)
class Nested:
    """A prefix.

    Attributes:
        depth: how deep,
            in metres.
    """

    depth: int = 3


@dataclass(frozen=True)
class Words:
    """What a command of the tests takes.

    Attributes:
        place: where.
        parts: which.
        names: of whom.
        format: kinds of file.
        width: in inches.
        mirror: of what, if of anything.
        room: in it.
        key: to it.
        note: at its door.
        label: names of things.
        nested: the words that start with nested.
    """

    place: str = field(metadata={KNOWN: lambda: ("here", "there")})
    parts: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    format: list[Literal["pdf", "png"]] = field(default_factory=lambda: ["pdf"])
    width: float | None = None
    mirror: Literal["none", "glass"] = "glass"
    room: str = "hall"
    key: str | None = None
    note: str = ""
    label: dict[str, str] = field(default_factory=dict)
    nested: Nested = field(default_factory=Nested)


COMMAND = Command("try", Words, "Tries\nthings.", "place=here")


def test_every_kind_of_field_is_a_word():
    words = (
        "place=there parts=1,2e3 format=png,pdf width=2.5 label.a.b=x=y nested.depth=1"
    )
    assert COMMAND.read(words.split()) == Words(
        "there",
        [1, 2000],
        [],
        ["png", "pdf"],
        2.5,
        label={"a.b": "x=y"},
        nested=Nested(1),
    )
    assert COMMAND.read(["place=here", "mirror=none"]) == Words("here", mirror="none")
    assert COMMAND.read(["place=here", "width=none", "key=none"]) == Words("here")
    assert COMMAND.read(["place=here", "room=a,~b?"]) == Words("here", room="a,~b?")
    assert COMMAND.read(["place=here", "note="]) == Words("here")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "place= is missing; place may be: here, there"),
        ("place=her", "place=her is unknown; did you mean here?"),
        ("place", "'place' is not a key=value word, such as place=..."),
        ("here", "'here' is not a key=value word, such as place=here"),
        ("place=here widht=1", "unknown word widht=; did you mean width?"),
        ("place=here label=x", "unknown word label="),
        ("place=here label.a=x label.a=y", "label.a= is given twice"),
        ("place=here nested.dept=1", "did you mean nested.depth?"),
        ("place=here nested.depth=x", "nested.depth=x is not allowed; it takes an int"),
        ("place=here format=gif", "it takes some of pdf, png, comma between"),
        ("place=", "place= is unknown; known are: here, there"),
        ("place=none", "place=none is unknown; known are: here, there"),
        ("place=here room=", "room= is empty; name something, or leave it out"),
        ("place=here room=None", "room=None is not allowed; a name has to be given"),
        ("place=here key= ", "key= is empty; name something, or leave it out"),
        ("place=here note=null", "note=null is not allowed; a name has to be given"),
        ("place=~nobody_here/x", "there is no such home folder; write ./~ for a name"),
        ("place=here room=${HOME}", "room=${HOME} is not allowed; ??? is no name"),
        ("place=here room=a${oc.env:HOME}", "room=a${oc.env:HOME} is not allowed"),
        ("place=here room=???", "room=??? is not allowed"),
        ("place=here label.a.b=${place}", "label.a.b=${place} is not allowed"),
        ("place=here names=a,~nobody_here", "there is no such home folder"),
        ("place=here width=inf", "width=inf is not allowed; it is not finite"),
        (f"place=here parts=1,{'9' * 400}", "parts= is too large to plan"),
    ],
)
def test_mistakes_are_named(words, message):
    with pytest.raises(ConfigError) as error:
        COMMAND.read(words.split(" ") if words else [])
    assert message in str(error.value)


def test_the_help_shows_types_defaults_and_meanings(capsys):
    for word in ("--help", "-h", "help"):
        assert COMMAND.carry_out([word], lambda _: 1) == 0
        assert capsys.readouterr().out == (
            "usage: pearl-bench try place=... [key=value ...]\n\nTries\nthings.\n\n"
            "For example: pearl-bench try place=here\n\nplace: here, there\n\n"
            "  place=  text\n      where.\n"
            "  parts=  integers, comma between\n      which.\n"
            "  names=  names, comma between\n      of whom.\n"
            "  format=  some of pdf, png, comma between (default: pdf)\n"
            "      kinds of file.\n"
            "  width=  a number or none (default: none)\n      in inches.\n"
            "  mirror=  one of none, glass (default: glass)\n"
            "      of what, if of anything.\n"
            "  room=  text (default: hall)\n      in it.\n"
            "  key=  text or none (default: none)\n      to it.\n"
            "  note=  text\n      at its door.\n"
            "  label.<name>=  text for each\n      names of things.\n"
            "  nested.depth=  an integer (default: 3)\n      how deep, in metres.\n"
        )


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("this; do that"), 2, "this; do that\n"),
        (OSError(errno.ENOSPC, "", "x.csv"), 2, "x.csv: No space left on device; free"),
        (
            PermissionError(errno.EACCES, "", b"raw"),
            2,
            "raw: Permission denied; change",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_user_can_mend_ends_a_command_with_a_sentence(error, code, said, capsys):
    def do(_):
        raise error

    assert COMMAND.carry_out([], do) == code
    assert capsys.readouterr().err.startswith(said)


def test_without_a_folder_for_temporary_files_it_is_said_how_to_name_one(
    monkeypatch, capsys
):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/no/such"])
    assert COMMAND.carry_out([], lambda _: len(tempfile.gettempdir())) == 2
    said = capsys.readouterr().err
    assert said.startswith("No usable temporary directory found in ['/no/such']")
    assert said.endswith("; set TMPDIR to a folder that can be written\n")


def test_a_current_folder_that_is_gone_is_called_so(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert COMMAND.carry_out([], lambda _: 0) == 2
    assert capsys.readouterr().err.startswith("the current folder has been removed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_a_command_clean_up(number):
    cleaned = []

    def do(_):
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(number)
        return 0

    before = signal.getsignal(number)
    if number == signal.SIGHUP:  # ignored where the tests run under nohup
        signal.signal(number, signal.SIG_DFL)
    try:
        assert COMMAND.carry_out([], do) == 128 + number
        assert signal.getsignal(number) in (signal.SIG_DFL, before)
    finally:
        signal.signal(number, before)
    assert cleaned == [number]


def test_an_error_of_the_program_is_no_sentence():
    with pytest.raises(ZeroDivisionError):
        COMMAND.carry_out([], lambda _: 1 // 0)


def test_a_reader_may_go_away():
    """As with ``| head -1``: the rest of the help goes nowhere, without a word."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "pearl_bench.run", "--help"],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_text_that_the_screen_does_not_know_is_shown_all_the_same():
    code = (
        "import sys; from test_words import COMMAND\n"
        "sys.exit(COMMAND.carry_out([], lambda _: print('RL² \\udcff')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=os.path.dirname(__file__),
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
        timeout=60,
    )
    assert done.stdout == b"RL\\xb2 \\udcff\n"
    assert done.stderr == b""
