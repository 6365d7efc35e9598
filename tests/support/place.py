"""Where a learner of a test computes."""

from typing import Any

PLACE: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}
