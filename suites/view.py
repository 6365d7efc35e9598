"""How pictures of environments are taken, as plain data."""

from __future__ import annotations

from typing import NamedTuple

PIXELS = 480
"""Pixels per side of a picture, where nobody asks for another size."""


class View(NamedTuple):
    """Where a camera stands.

    Attributes:
        distance: metres from what it looks at.
        elevation: degrees, below 0 where it looks down.
        at: what it looks at (m), from the body that it follows in x and y.
        azimuth: degrees; 90 looks along y, x is to the right.
    """

    distance: float
    elevation: float
    at: tuple[float, float, float]
    azimuth: float = 90.0
