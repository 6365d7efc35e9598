"""Cores and memory are what affinity, Slurm and control groups leave of a machine."""

from pathlib import Path

import pytest

from pearl_bench.machine.cgroups import cpu_quota, memory_left, memory_limit
from pearl_bench.machine.memory import available_memory, most_memory
from pearl_bench.machine.threads import available_cores, share_of_cores


@pytest.fixture
def machine(tmp_path):
    """Write made-up memberships and groups' files; return where they are."""

    def write(memberships: str, **files: str) -> tuple[Path, Path]:
        listed, mount = tmp_path / "cgroup", tmp_path / "mount"
        listed.write_text(memberships)
        mount.mkdir()
        for name, text in files.items():
            path = mount / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return listed, mount

    return write


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"a/cpu.max": "max 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, 2),
        ({"cpu.max": "rubbish"}, None),
        ({"cpu.max": "100000 0"}, None),
        ({}, None),
    ],
)
def test_the_tightest_quota_counts(machine, files, cores):
    assert cpu_quota(*machine("0::/a/b\n", **files)) == cores


def test_quotas_of_version_1(machine):
    listed = "3:cpuset:/x\n2:cpu,cpuacct:/docker/7f\n1:name=systemd:/x\n"
    files = {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "50000\n"}
    # in a container the group is the root, and its path is that outside
    inside = {f"cpu,cpuacct/{name}": text for name, text in files.items()}
    assert cpu_quota(*machine(listed, **inside)) == 3


def test_no_quota_in_version_1_is_none(machine):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(*machine("2:cpu:/\n", **files)) is None


def test_a_group_outside_its_namespace(machine):
    files = {"cpu.max": "100000 100000", "../cpu.max": "50000 100000"}
    assert cpu_quota(*machine("0::/../../other\n", **files)) == 1  # and no file outside


def test_without_control_groups(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path) is None
    assert memory_left(tmp_path / "none", tmp_path) is None
    assert memory_limit(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    ("listed", "files", "limit", "left"),
    [
        ("0::/\n", {"memory.max": "max", "memory.current": "5"}, None, None),
        ("0::/\n", {"memory.max": "1000", "memory.current": "400"}, 1000, 600),
        ("0::/\n", {"memory.max": "1000", "memory.current": "1200"}, 1000, 0),
        ("0::/\n", {"memory.max": "1000"}, 1000, None),
        ("0::/a\n", {"memory.max": "7", "a/memory.max": "max"}, 7, None),
        (
            "0::/\n",
            {
                "memory.max": "1000",
                "memory.current": "400",
                "memory.stat": "anon 100\ninactive_file 250\n",
            },
            1000,
            850,
        ),
        (
            "9:memory:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "3000",
                "memory/job/memory.usage_in_bytes": "1000",
                "memory/job/memory.stat": "total_inactive_file 10\n",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "5000",
            },
            3000,
            2010,
        ),
    ],
)
def test_memory_that_groups_allow_and_leave(machine, listed, files, limit, left):
    where = machine(listed, **files)
    assert memory_limit(*where) == limit
    assert memory_left(*where) == left


@pytest.mark.parametrize(
    ("environ", "affinity", "quota", "cores"),
    [
        ({}, 8, 16.0, 8),
        ({}, 8, 2.9, 2),
        ({}, 8, 0.5, 1),
        ({"SLURM_CPUS_PER_TASK": "3"}, 8, 16.0, 3),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8, 16.0, 8),
        ({"SLURM_CPUS_PER_TASK": "rubbish"}, 8, 16.0, 8),
        ({"SLURM_CPUS_PER_TASK": "0"}, 8, 16.0, 8),
        ({"OMP_NUM_THREADS": "1"}, 8, 16.0, 8),  # of a process, not of all
    ],
)
def test_cores(environ, affinity, quota, cores):
    assert available_cores(environ, affinity, quota) == cores


@pytest.mark.parametrize(
    ("environ", "processes", "threads"),
    [
        ({}, 1, 8),
        ({}, 3, 2),
        ({}, 16, 1),
        ({"OMP_NUM_THREADS": "1"}, 1, 1),
        ({"OMP_NUM_THREADS": "4,2"}, 1, 4),
        ({"OMP_NUM_THREADS": "4"}, 4, 2),
        ({"OMP_NUM_THREADS": ""}, 2, 4),
    ],
)
def test_each_process_gets_its_share(environ, processes, threads):
    assert share_of_cores(8, processes, environ) == threads


def test_this_machine_has_some():
    assert available_cores() >= 1
    assert 0 < available_memory() < most_memory()
