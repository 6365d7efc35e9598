"""A trained policy as one small file: tensors and a JSON description.

The format is safetensors, whose header holds text and offsets only, so that reading a
file executes nothing. It has what acting and adapting need, and neither critics, nor
optimisers, nor the replay buffer. A digest of all of it tells a damaged file, which
would load as another policy; files of before have none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pearl_bench.records.files import RecordError, write_atomic

FORMAT = 1
KEY = "pearl_bench"
"""Of the description in the header's metadata."""
DIGEST = "sha256"
"""Of the digest in the description."""


def write(
    path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write a policy.

    Args:
        path: the file, in an existing folder.
        tensors: what ``MetaLearner.policy_state`` returned.
        description: plain data that say which run this is.
    """
    packed = {
        name: value.detach().cpu().contiguous() for name, value in tensors.items()
    }
    known = {"format": FORMAT, **description}
    text = json.dumps(known | {DIGEST: _digest(packed, known)}, sort_keys=True)
    write_atomic(path, safetensors.torch.save(packed, {KEY: text}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a policy's tensors, on the CPU, and its description.

    Raises:
        RecordError: the file is no policy, is damaged, or is of another format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        version = description["format"]
        written = description.pop(DIGEST, None)
    except (OSError, safetensors.SafetensorError) as error:
        raise RecordError(f"{path} is no policy file: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} was not written by pearl_bench, or its description is damaged "
            f"({type(error).__name__}: {error})"
        ) from error
    if version != FORMAT:
        raise RecordError(
            f"{path} has format {version}; this version reads format {FORMAT}. Use the "
            "version that wrote it."
        )
    if written is not None and written != _digest(tensors, description):
        raise RecordError(
            f"{path} is damaged: it is not what was written. Restore it, or save it "
            "again from its run's folder."
        )
    if bad := [name for name, value in tensors.items() if not _is_finite(value)]:
        raise RecordError(
            f"{path} holds no policy: its tensor {bad[0]} has entries that are no "
            "numbers. Save it again from a run that has not failed."
        )
    return tensors, description


def _is_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())


def _digest(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a description, and of all tensors in order of their name.

    It is the same for a file and for what is about to be one.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
