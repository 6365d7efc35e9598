"""PEARL, MAML-TRPO, RL² and ProMP on one harness."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_bench.execution.trained import Trained as Trained
    from pearl_bench.execution.trained import load as load
    from pearl_bench.execution.trained import train as train
    from pearl_bench.training.agent import Agent as Agent
    from pearl_bench.training.evaluate import EvalRow as EvalRow

if sys.platform == "win32":  # no fcntl, no fork
    _sentence = (
        "pearl_bench runs on Linux and macOS. On Windows install it in WSL: "
        "https://learn.microsoft.com/windows/wsl/install"
    )
    if sys.argv[0] == "-m" or "pearl-bench" in sys.argv[0]:  # a command
        print(_sentence, file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(_sentence)

try:
    __version__ = version("pearl-bench")
except PackageNotFoundError:  # the source, not installed
    __version__ = "unknown"

_PUBLIC = {
    "train": "pearl_bench.execution.trained",
    "load": "pearl_bench.execution.trained",
    "Trained": "pearl_bench.execution.trained",
    "Agent": "pearl_bench.training.agent",
    "EvalRow": "pearl_bench.training.evaluate",
}
"""Loaded when they are first asked for: they import torch, and planning does not."""


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
