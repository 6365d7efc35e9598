"""A signal made a polite request to stop."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class StopRequest:
    """Makes the first SIGINT or SIGTERM a polite request; the second ends at once.

    Attributes:
        signal: the signal that came, if any.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()  # the next signal does what it always did
        # print() is not safe within a handler: it may have interrupted a print().
        os.write(2, b"\nstopping after a checkpoint; once more ends at once\n")
