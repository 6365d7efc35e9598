"""Where a session's numbers come from: machine, source, versions, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CPU_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c"),
    *("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "sve", "sve2", "bf16", "i8mm"),
)
"""Instruction sets that torch, MKL, oneDNN, OpenBLAS or numpy choose their loops by."""

PACKAGES = ("torch", "mujoco", "gymnasium", "metaworld", "numpy")

OF_A_REPOSITORY = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CEILING_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
"""Variables that name a repository or a part of it, as a hook has them of its own."""


def provenance(
    family_fingerprint: str,
    command: Sequence[str],
    *,
    gpu: str | None,
    packages: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return where a session's numbers come from, as plain data.

    Args:
        family_fingerprint: fingerprint of the task family.
        command: the command line.
        gpu: name of the GPU in use, None without one.
        packages: names and versions of other packages that the method and the suite
            are of.

    Returns:
        ``started``, ``command``, ``host``, ``cpu``, ``cpu_flags``, ``gpu``,
        ``commit`` and ``dirty`` of the source tree (None outside git), ``versions``,
        ``fingerprint``.
    """
    commit, dirty = source_commit()
    return {
        "started": timestamp(),
        "command": list(command),
        "host": socket.gethostname(),
        "cpu": cpu_model(),
        "cpu_flags": cpu_flags(),
        "gpu": gpu,
        "commit": commit,
        "dirty": dirty,
        "versions": versions() | dict(packages or {}),
        "fingerprint": family_fingerprint,
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python and ``PACKAGES``; None of one that is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def peak_memory_mib() -> float:
    """Return the largest resident memory this process has had."""
    try:
        # Unlike ru_maxrss, not inherited from the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        kibibytes = next(int(x.split()[1]) for x in lines if x.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kibibytes = peak / 2**10 if sys.platform == "darwin" else peak
    return round(kibibytes / 2**10, 1)


def timestamp() -> str:
    """Return date and time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def source_commit() -> tuple[str | None, bool | None]:
    """Return the commit of the running source tree, and whether its code differs."""
    here = Path(__file__).resolve()
    root = here.parents[2]
    environ = {k: v for k, v in os.environ.items() if k not in OF_A_REPOSITORY}

    def git(*words: str) -> str | None:
        try:
            return subprocess.run(
                # a clone of another user, whose code this process runs already
                ["git", "-c", f"safe.directory={root}", "-C", str(root), *words],
                env=environ,
                capture_output=True,
                check=True,
                text=True,
                timeout=10,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    # A copy in site-packages may lie within some other repository, which then does
    # not track this file.
    if git("ls-files", "--error-unmatch", str(here)) is None:
        return None, None
    commit = git("rev-parse", "HEAD")
    code = ("pearl_bench", "baselines", "suites")
    changes = git("status", "--porcelain", "--", *code)
    return commit, None if changes is None else bool(changes)


def _cpuinfo(*keys: str) -> str:
    """Return what Linux says of the first processor under one of some keys."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value for key, _, value in pairs if key.strip() in keys), "").strip()


def cpu_flags() -> list[str]:
    """Return which of ``CPU_FLAGS`` the processor has; none where it does not say."""
    known = set(_cpuinfo("flags", "Features").split())
    return [flag for flag in CPU_FLAGS if flag in known]


def cpu_model() -> str:
    """Return what the CPU calls itself."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()
