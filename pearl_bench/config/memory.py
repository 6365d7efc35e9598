"""How much memory a run takes at least, from its settings alone; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

FLOAT32 = 4


def trained_network(sizes: Sequence[int]) -> int:
    """Return the bytes of a fully connected network under Adam.

    Each parameter comes with its gradient and two moments.

    Args:
        sizes: widths of its layers, the input's first.
    """
    return (
        4 * FLOAT32 * sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    )
