"""Screens and pipes that may go away while runs go on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, NoReturn, TextIO, cast

from rich.console import Console


class Enduring:
    """A text stream that, once it fails, takes everything and shows nothing.

    A closed terminal, a pipe whose reader has left or a full disk end an output; they
    do not end training.

    Args:
        stream: where the text goes for as long as that is possible; None if it is
            closed from the start, as ``sys.stdout`` may be.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or io.StringIO()
        self.lost = stream is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        if not self.lost:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Flush, or pretend to."""
        if not self.lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def _lose(self) -> None:
        """Send what is still buffered, and what others write there, nowhere."""
        self.lost = True
        with suppress(OSError, ValueError):
            lost = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, lost)
            os.close(nowhere)


class Screen(Console):
    """Rich's console; the reader of a pipe that leaves it ends no process by itself."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what any output raises; rich would exit with 1, as a failure does."""
        raise BrokenPipeError


def enduring(stream: TextIO | None) -> TextIO:
    """Return the stream as one that may be lost without an error."""
    return cast(TextIO, Enduring(stream))


@contextmanager
def enduring_outputs() -> Iterator[None]:
    """Let nothing that is printed within end the command."""
    out, err = enduring(sys.stdout), enduring(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()
            err.flush()
