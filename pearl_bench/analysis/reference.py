"""Curves that others have published, read from ``results/reference/``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pearl_bench.analysis.arms import Measure
from pearl_bench.analysis.files import PublishedError, read_table
from pearl_bench.records.schema import (
    REFERENCE,
    REFERENCE_CURVES,
    REFERENCE_CURVES_FILE,
    REFERENCE_SOURCES,
    REFERENCE_SOURCES_FILE,
)


class ReferenceCurve(NamedTuple):
    """A curve that somebody else has published.

    Attributes:
        family: the family that its tasks are most like.
        learner: the method.
        name: what it is called in a legend.
        measure: what its values are.
        statistic: how they were measured.
        source: where they stand.
        steps: ``[P]`` environment steps.
        values: ``[P]``.
    """

    family: str
    learner: str
    name: str
    measure: Measure
    statistic: str
    source: str
    steps: np.ndarray
    values: np.ndarray


def load_reference(results: Sequence[Path]) -> list[ReferenceCurve]:
    """Return the curves of the first folder of results that has some.

    Raises:
        PublishedError: no folder has, or the files are damaged.
    """
    folders = [folder / REFERENCE for folder in results]
    folder = next((found for found in folders if found.is_dir()), None)
    if folder is None:
        raise PublishedError(
            f"There are no reference curves in {', '.join(map(str, folders))}. The "
            "repository has some in results/reference: add its folder of results to "
            "results=."
        )
    points: dict[str, list[tuple[int, float]]] = {}
    for line in read_table(folder / REFERENCE_CURVES_FILE, REFERENCE_CURVES):
        point = line.values["env_steps"], line.values["value"]
        points.setdefault(line.values["curve"], []).append(point)
    found = []
    for line in read_table(folder / REFERENCE_SOURCES_FILE, REFERENCE_SOURCES):
        of = line.values
        drawn = sorted(points.get(of["curve"], []))
        found.append(
            ReferenceCurve(
                *(of["family"], of["learner"], of["name"], of["measure"]),
                *(of["statistic"], of["source"]),
                steps=np.array([steps for steps, _ in drawn], float),
                values=np.array([value for _, value in drawn], float),
            )
        )
    return found
