"""What several test files share."""

import pytest
import torch
from hypothesis import settings

import suites
from suites.base import TaskFamily

torch.set_num_threads(1)
settings.register_profile("tests", deadline=None)  # the first call loads things
settings.load_profile("tests")


@pytest.fixture(scope="session")
def families() -> dict[str, TaskFamily]:
    """Every family of every suite that needs no more than MuJoCo, by name."""
    return {
        family.name: family
        for suite in ("locomotion", "navigation")
        for family in suites.load(suite).families
    }
