"""What control groups (of containers, Slurm, systemd) leave this process of a machine.

Limits hold for a group and all groups within it, so that the tightest one counts. Both
versions of Linux's control groups are read; elsewhere there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIPS = Path("/proc/self/cgroup")
"""The groups that this process is in, as in ``man 7 cgroups``."""
MOUNT = Path("/sys/fs/cgroup")


def cpu_quota(memberships: Path = MEMBERSHIPS, mount: Path = MOUNT) -> float | None:
    """Return how many cores' time the groups allow; None if all of it.

    Args:
        memberships: see ``MEMBERSHIPS``.
        mount: where the groups' files are.
    """
    shares = []
    for version, folder in _groups("cpu", memberships, mount):
        if version == 2:  # "max 100000", or microseconds of each period
            quota, period = (*_words(folder / "cpu.max"), "", "")[:2]
        else:  # -1 is none
            quota = "".join(_words(folder / "cpu.cfs_quota_us"))
            period = "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal() and int(period):
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


def memory_limit(memberships: Path = MEMBERSHIPS, mount: Path = MOUNT) -> int | None:
    """Return how many bytes the groups allow in all; None if any number.

    Args:
        memberships: see ``MEMBERSHIPS``.
        mount: where the groups' files are.
    """
    groups = _groups("memory", memberships, mount)
    limits = [_limit(version, folder) for version, folder in groups]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_left(memberships: Path = MEMBERSHIPS, mount: Path = MOUNT) -> int | None:
    """Return how many bytes the groups allow beside those in use; None if any.

    Cached pages of files that nobody has asked for lately make room at need.

    Args:
        memberships: see ``MEMBERSHIPS``.
        mount: where the groups' files are.
    """
    left = []
    for version, folder in _groups("memory", memberships, mount):
        names = {2: ("memory.current", "inactive_file")}.get(
            version, ("memory.usage_in_bytes", "total_inactive_file")
        )
        limit, used = _limit(version, folder), "".join(_words(folder / names[0]))
        words = _words(folder / "memory.stat")
        cached = dict(zip(words[::2], words[1::2], strict=False)).get(names[1], "0")
        if limit is not None and used.isdecimal() and cached.isdecimal():
            left.append(max(0, limit - int(used) + int(cached)))
    return min(left, default=None)


def _limit(version: int, folder: Path) -> int | None:
    """Return the bytes that one group allows; None without a limit."""
    name = "memory.max" if version == 2 else "memory.limit_in_bytes"
    limit = "".join(_words(folder / name))  # "max" is none
    return int(limit) if limit.isdecimal() else None


def _groups(
    controller: str, memberships: Path, mount: Path
) -> Iterator[tuple[int, Path]]:
    """Yield the version and the folder of each group, the outermost last."""
    for line in _lines(memberships):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            version, roots = 2, [mount / "unified", mount]
        elif controller in controllers.split(","):
            version, roots = 1, [mount / controllers, mount / controller]
        else:
            continue
        root = next((folder for folder in roots if folder.is_dir()), None)
        if root is None:
            continue
        # a container may see its own group as the root, whatever it is called outside
        names = path.strip("/").split("/")
        inner = [] if ".." in names else names
        for depth in range(len(inner), -1, -1):
            yield version, root.joinpath(*inner[:depth])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
