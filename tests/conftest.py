"""What several test files share."""

import os
import signal

import gymnasium
import pytest
import torch
from hypothesis import settings
from programs import Programs

import suites.gym
from suites.base import TaskFamily

torch.set_num_threads(1)
# A shell's background jobs, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("tests", deadline=None)  # the first call loads things
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Remember paces of no test where the user's are."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(autouse=True)
def untuned():
    """No test finds torch as a run that was trained in this process has tuned it."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")


@pytest.fixture(scope="session")
def families() -> dict[str, TaskFamily]:
    """Every family of every suite that needs no more than MuJoCo, by name."""
    return {
        family.name: family
        for suite in ("locomotion", "navigation")
        for family in suites.load(suite).families
    }


@pytest.fixture(scope="session")
def point_robot(families) -> TaskFamily:
    return families["point-robot"]


@pytest.fixture(scope="session")
def opengl():
    """Skip where no OpenGL library is installed, and only there."""
    env = None
    try:
        env = gymnasium.make("pearl_bench/ant-fwd-back-v0", render_mode="rgb_array")
    except RuntimeError as error:
        if "rendering needs the OpenGL library" not in str(error):
            raise
        pytest.skip(str(error))
    finally:
        if env is not None:
            env.close()


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Programs:
    """Programs of Slurm's names, found before any others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Programs(folder)
