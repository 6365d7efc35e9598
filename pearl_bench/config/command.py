"""A command: its words, its help, and what the shell hears when it ends."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from pearl_bench import registry
from pearl_bench.config import help as helping
from pearl_bench.config import words as reading
from pearl_bench.config.errors import UserError, exits_as_errors, in_words

T = TypeVar("T")

_STANDARD_ERROR = 2


class Interrupted(KeyboardInterrupt):
    """A signal ends the command, as Ctrl-C does.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@dataclass(frozen=True)
class Command(Generic[T]):
    """One command, typed ``pearl-bench <name>`` or ``python -m pearl_bench.<name>``.

    Attributes:
        name: see above; with a dot (records.readme) it has the second form alone.
        words: frozen dataclass of its words, with a sentence each under ``Attributes``.
        purpose: what it does, and its exit codes where they say more than usual.
        example: words to type, shown where none can be read.
    """

    name: str
    words: type[T]
    purpose: str
    example: str

    def read(self, argv: Sequence[str]) -> T:
        """Return what ``key=value`` words ask for.

        Raises:
            ConfigError: a word is not understood or not allowed; the message says why.
        """
        return reading.read(self.words, argv, self.example)

    def help_text(self) -> str:
        """Return every word with its type, default and meaning."""
        return helping.help_text(self.name, self.words, self.purpose, self.example)

    def carry_out(self, argv: Sequence[str], do: Callable[[Sequence[str]], int]) -> int:
        """Do what a command line asks for, or show the help if it asks for that.

        Args:
            argv: the words.
            do: carries them out; returns the exit code.

        Returns:
            The exit code, as of ``guarded``.
        """

        def show() -> int:
            print(self.help_text())
            return 0

        return guarded(show if helping.wants_help(argv) else lambda: do(argv))


def guarded(do: Callable[[], int]) -> int:
    """Return the exit code of what is done, or of how it ends.

    It is 2, with a sentence on standard error, where ``do`` raises what a user can
    mend, 128 + n after signal n (Ctrl-C, SIGTERM, a closed terminal), and 141 if nobody
    reads the output any more. An output that the shell has closed (``>&-``) takes
    everything and shows nothing.
    """
    _fill_closed_handles()
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(sys.stdout or nowhere),
        redirect_stderr(sys.stderr or nowhere),
        _interruptible(),
    ):
        return _guarded(do)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals that would end the process raise ``Interrupted``: it cleans up."""
    changed = []
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # not so under nohup
                signal.signal(number, _interrupt)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, _: object) -> NoReturn:
    raise Interrupted(number)


def _fill_closed_handles() -> None:
    """Let no file take the place of a closed output, and what is printed from C."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(handle, True)
    os.close(handle)


def _require_current_folder() -> None:
    """Refuse to begin where names lead nowhere, and libraries do not find themselves.

    Raises:
        UserError: the current folder has been removed.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError(
            "the current folder has been removed; change to one that is there (cd)"
        ) from error


def _guarded(do: Callable[[], int]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that knows no ² or a path that is no UTF-8 stops no command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _require_current_folder()
        registry.verify()
        with exits_as_errors():
            code = do()
        sys.stdout.flush()
    except BrokenPipeError:
        # what is still buffered would fail again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(in_words(error), file=sys.stderr)
        return 2
    except (UserError, registry.ExtensionError, registry.ForeignPackageError) as error:
        print(error, file=sys.stderr)
        return 2
    except Interrupted as error:
        return 128 + error.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return code
