"""A state and a breakdown of MuJoCo's simulations; its warnings go to the log."""

# MuJoCo's extension modules have no stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import logging

import mujoco

STATE = mujoco.mjtState.mjSTATE_INTEGRATION
"""All that the next step depends on, the solver's warm start included."""

BREAKDOWN = slice(
    int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1
)
"""Warnings that mean NaN or huge values; MuJoCo then resets the simulation."""

# Without a handler MuJoCo writes MUJOCO_LOG.TXT into the working directory.
if mujoco.get_mju_user_warning() is None:
    mujoco.set_mju_user_warning(logging.getLogger(__name__).warning)
