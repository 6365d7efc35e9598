"""Checks that the settings of every method share; free of torch."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAY_BE_ZERO = {"may_be_zero": True}
"""Metadata of a setting that need only not be negative."""


def require_positive(settings: DataclassInstance) -> None:
    """Refuse numbers of a dataclass that no run could use.

    Args:
        settings: its true-or-false fields are left out; those with ``MAY_BE_ZERO`` in
            their metadata may be zero.

    Raises:
        ValueError: names the field.
    """
    for item in fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        may_be_zero = item.metadata.get("may_be_zero", False)
        if value < 0 or (value == 0 and not may_be_zero):
            sign = "zero or more" if may_be_zero else "positive"
            raise ValueError(f"{item.name} must be {sign}, not {value}")
