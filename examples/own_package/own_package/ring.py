"""A suite of one family: the point robot with goals on a ring, tested between them."""

from dataclasses import replace
from math import cos, pi, sin
from pathlib import Path

from suites import navigation
from suites.base import Suite, Task

GOALS = 16


def suite() -> Suite:
    """Return the suite; even goals are for training, odd ones for the test."""
    angles = [2 * pi * i / GOALS for i in (*range(0, GOALS, 2), *range(1, GOALS, 2))]
    tasks = [Task("ring", i, (cos(a), sin(a))) for i, a in enumerate(angles)]
    family = replace(
        navigation.ROWS[0].family(),
        name="ring",
        train=tuple(tasks[: GOALS // 2]),
        test=tuple(tasks[GOALS // 2 :]),
        source="examples/own_package",
    )
    return Suite("ring", (family,), conf=Path(__file__).with_name("ring.yaml"))
