"""A real Slurm and a real Ray, each of two virtual nodes with one core."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import virtual_slurm
from command import LONG, Command
from virtual_ray import VirtualRay
from virtual_slurm import VirtualSlurm


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """Sockets have short paths."""
    with tempfile.TemporaryDirectory(prefix="pearl-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def slurm(short_folder: Path) -> Iterator[VirtualSlurm]:
    """Slurm, where Debian's slurmctld, slurmd, slurm-client and munge are."""
    if missing := virtual_slurm.missing():
        pytest.skip(f"Slurm is not installed: no {', '.join(missing)}")
    with VirtualSlurm(short_folder / "slurm") as slurm:
        yield slurm


@pytest.fixture(scope="session")
def ray(short_folder: Path) -> Iterator[VirtualRay]:
    """Ray, where its extra is installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'pearl-bench[ray]'")
    with VirtualRay(short_folder / "ray") as ray:
        yield ray


@pytest.fixture
def on_slurm(slurm: VirtualSlurm, tmp_path: Path) -> Command:
    """The command in a fresh folder."""
    return Command(tmp_path, "slurm", slurm.environment)


@pytest.fixture
def on_ray(ray: VirtualRay, tmp_path: Path) -> Command:
    """The command in a fresh folder."""
    return Command(tmp_path, "ray", ray.environment)


@pytest.fixture(params=["slurm", "ray"])
def on_cluster(request: pytest.FixtureRequest) -> Command:
    """The command in a fresh folder, on each kind of cluster."""
    return request.getfixturevalue(f"on_{request.param}")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """What the command has left that ran on this machine."""
    return _run_here(tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="session")
def long_local(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The same of runs that take most of a minute."""
    return _run_here(tmp_path_factory.mktemp("long"), *LONG)


def _run_here(folder: Path, *words: str) -> Command:
    command = Command(folder, "local")
    code, _, err = command.run("jobs=2", "device=cpu", *words)
    assert (code, err) == (0, "")
    return command
