"""Checks that the settings of every method share; free of torch."""

from __future__ import annotations

from collections.abc import Collection


def require_positive(settings: object, may_be_zero: Collection[str] = ()) -> None:
    """Refuse numbers of a dataclass that no run could use.

    Args:
        settings: its true-or-false fields are left out.
        may_be_zero: fields that need only not be negative.

    Raises:
        ValueError: names the field.
    """
    for key, value in vars(settings).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value < 0 or (value == 0 and key not in may_be_zero):
            sign = "zero or more" if key in may_be_zero else "positive"
            raise ValueError(f"{key} must be {sign}, not {value}")
