"""Loads matplotlib, with a sentence where it does not load."""

from __future__ import annotations

from pearl_bench.config.errors import UserError


def require_matplotlib() -> None:
    """Load matplotlib, before anything is imported that draws with it.

    Raises:
        UserError: ``MPLBACKEND`` names no backend.
        OSError: there is no folder that it may write to; the message says what to set.
    """
    try:
        import matplotlib  # noqa: F401, PLC0415
    except ValueError as error:
        raise UserError(
            f"matplotlib does not load: {error}; unset MPLBACKEND, or take MPLBACKEND="
            "agg"
        ) from error
