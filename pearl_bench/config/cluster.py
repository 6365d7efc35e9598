"""Words that depend on where the runs execute."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields, replace

from pearl_bench.config.types import BenchConfig, ConfigError
from pearl_bench.config.words import show

_SLURM = "it is a word of Slurm"
_CLUSTER = "it is for engine=slurm and engine=ray"
_MEASURE = "a trial here says nothing about the nodes of a cluster"
REFUSED = {
    "local": {
        "gpus": "device=cuda trains on this machine's own",
        "memory": _CLUSTER,
        "on_stop": _CLUSTER,
        **dict.fromkeys(("time", "partition", "account", "sbatch"), _SLURM),
    },
    "slurm": {"measure": _MEASURE},
    "ray": {
        "jobs": "Ray trains as many runs at a time as have room; threads=, gpus= and "
        "memory= say how much each takes",
        "measure": _MEASURE,
        **dict.fromkeys(("time", "partition", "account", "sbatch"), _SLURM),
    },
}
"""What each engine does not take, and why."""

_MEMORY = re.compile(r"[1-9]\d*[KMGT]?", re.ASCII)
_TIME = re.compile(
    r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|infinite|unlimited", re.ASCII | re.IGNORECASE
)
"""What sbatch takes as ``--time``, by its manual; one number is minutes."""

OWN_OPTIONS = ("-a", "--array", "-J", "--job-name", "-o", "--output", "--wrap")
"""Options of sbatch by which the command finds its jobs again."""
CHAIN = ("-d", "--dependency")
"""The option by which ``jobs=`` lets one array wait for another."""
PLANNED = {"memory": ("--mem",), "threads": ("-c", "--cpus-per-task")}
"""Options that words ask for, by which it is judged what a run may take."""
_NO_VALUE = "-[HOQsvW]*"
"""Letters that may stand before another one, as in ``-Ho FILE``."""


def on_engine(bench: BenchConfig) -> BenchConfig:
    """Return what a command asks for as its engine needs it.

    Raises:
        ConfigError: the engine does not take a word, or not with that value.
    """
    usual = {item.name: item.default for item in fields(BenchConfig)}
    for word, why in REFUSED[bench.engine].items():
        if getattr(bench, word) != usual[word]:
            value = show(getattr(bench, word))
            raise ConfigError(
                f"{word}={value} is not allowed with engine={bench.engine}: {why}"
            )
    if bench.engine == "local":
        return bench
    if bench.gpus not in (0, 1):
        raise ConfigError(f"gpus={bench.gpus}: a run trains on one GPU; take 0 or 1")
    device = "cuda" if bench.gpus else "cpu"
    if bench.device not in ("auto", device):
        raise ConfigError(
            f"device={bench.device} is not allowed with engine={bench.engine} and "
            f"gpus={bench.gpus}, which means device={device}"
        )
    if bench.memory is not None and not _MEMORY.fullmatch(bench.memory):
        raise ConfigError(
            f"memory={bench.memory} is not allowed; write 4G or 500M (of one run)"
        )
    if bench.time is not None and not _TIME.fullmatch(bench.time):
        raise ConfigError(
            f"time={bench.time} is not allowed; write 12:00:00, 1-12:00:00 (days "
            "first) or minutes"
        )
    _require_options(bench)
    return replace(bench, device=device)


def _require_options(bench: BenchConfig) -> None:
    """Refuse options of sbatch that the command itself gives, or plans by.

    Raises:
        ConfigError: says which, and why.
    """
    try:
        options = shlex.split(bench.sbatch)
    except ValueError as error:
        raise ConfigError(f"sbatch={bench.sbatch}: {error}") from error
    for option in options:
        if _is_one_of(option, OWN_OPTIONS):
            raise ConfigError(
                f"sbatch={bench.sbatch}: {option} is the command's own; it finds its "
                f"jobs again by {', '.join(OWN_OPTIONS)}"
            )
        for word, names in PLANNED.items():
            if _is_one_of(option, names):
                raise ConfigError(
                    f"sbatch={bench.sbatch}: for {names[-1]} there is {word}=, by "
                    "which the runs are planned"
                )
        if bench.jobs and _is_one_of(option, CHAIN):
            raise ConfigError(
                f"sbatch={bench.sbatch} is not allowed with jobs={bench.jobs}, which "
                f"itself needs {option} where earlier arrays still run"
            )


def memory_bytes(memory: str) -> int:
    """Return the bytes that text such as ``4G`` means; without a letter, mebibytes."""
    number = int(memory.rstrip("KMGT"))
    return number << {"K": 10, "M": 20, "G": 30, "T": 40}.get(memory[-1], 20)


def _is_one_of(option: str, names: tuple[str, ...]) -> bool:
    """Whether sbatch, which takes long options by how they begin, takes it for one."""
    name = option.partition("=")[0]
    if name.startswith("--"):
        return any(own.startswith(name) for own in names)
    letters = "".join(own[1] for own in names if not own.startswith("--"))
    return bool(letters) and bool(re.match(f"{_NO_VALUE}[{letters}]", name))
