"""A signal made a polite request to stop."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A closed terminal (SIGHUP) asks like the others."""


class StopRequest:
    """Makes the first of ``POLITE`` a request to stop; the second ends at once.

    Args:
        doing: what is told to happen now.
        patient: no signal ends at once, then or later: whoever sends them has SIGKILL.

    Attributes:
        signal: the signal that came, if any.
    """

    def __init__(
        self, doing: str = "stopping after a checkpoint", *, patient: bool = False
    ) -> None:
        self._doing = doing
        self._patient = patient
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        for number in POLITE:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: who asked to outlive the terminal does
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._patient else handler)

    def _note(self, number: int, _: object) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()  # the next signal does what it always did
        again = b"" if self._patient else b"; once more ends at once"
        # print() is not safe within a handler: it may have interrupted a print().
        with suppress(OSError):  # the terminal may be gone
            os.write(2, b"\n" + self._doing.encode() + again + b"\n")
