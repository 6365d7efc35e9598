"""Atomic save and restore of a run's whole state.

A file is a 64-byte header (magic, format version, length and SHA-256 of the payload,
CRC-32 of the header) followed by what ``torch.save`` writes. The header is written
last, so that an unfinished file never looks like a finished one. Two generations are
kept; whenever a process is killed, at least one sound file remains.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader, BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pearl_bench.records.files import RecordError, open_bytes, refuse, sync_folder

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12

FORMAT_VERSION = 1
NEWEST, INCOMING, PREVIOUS = (
    "checkpoint.pt",
    "checkpoint.incoming.pt",
    "checkpoint.previous.pt",
)

_MAGIC = b"\x89PEARLB\n"
_FIELDS = struct.Struct("!8sIQ32s")
_CRC = struct.Struct("!I")
_HEADER_BYTES = 64
_MAX_INT_BITS = 2000  # torch's restricted unpickler reads integers below 2040 bits


class CheckpointError(RecordError):
    """A checkpoint cannot be written, or none can be used though there should be."""


class _DamagedError(Exception):
    """The file is truncated or altered."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; the newest one before it becomes the fallback.

    Args:
        folder: an existing folder; nobody else may be writing there.
        state: tensors, numbers, strings and None in dictionaries, lists and tuples. A
            tensor that is a view is stored with all of its base.

    Raises:
        TypeError: something in the state would not load again; the message says where.
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    _check("state", state)
    newest, incoming = folder / NEWEST, folder / INCOMING
    try:
        incoming.unlink(missing_ok=True)  # a killed save's, or a link to elsewhere
        with _HashingWriter(FileIO(incoming, "x")) as file:
            file.seek(_HEADER_BYTES)
            _serialise(state, file)
            header = _header(file.length, file.sha256.digest())
            file.seek(0)
            file.write(header)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):  # of a file system that has become read-only, say
            incoming.unlink(missing_ok=True)
        before = " The one before is as it was." if newest.exists() else ""
        raise CheckpointError(
            f"{newest} cannot be written: {error.strerror or error}.{before} Make "
            "room, then repeat the command."
        ) from error
    # Killed from here on, the incoming file is sound, and `load` takes it.
    if newest.exists():
        newest.replace(folder / PREVIOUS)
    incoming.replace(newest)
    sync_folder(folder)


def load(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest sound checkpoint's state, on the CPU; None if there is none.

    Args:
        folder: where ``save`` wrote; nothing in it is changed.
        say: is told when the newest checkpoint could not be used.

    Raises:
        CheckpointError: there are checkpoints but all are damaged, or one is of another
            format version.
        RecordError: one cannot be read, or is no regular file.
    """
    problems: list[str] = []
    for name in (NEWEST, INCOMING, PREVIOUS):
        try:
            with open_bytes(folder / name) as file:
                state = _read(folder / name, file)
        except FileNotFoundError:
            continue
        except _DamagedError as damage:
            if name != INCOMING:  # an unfinished one is what a killed save leaves
                problems.append(f"{name} {damage}")
            continue
        except OSError as error:
            refuse(folder / name, error, "read")
        if name != NEWEST:
            reason = "; ".join(problems) or f"{NEWEST} is missing"
            say(f"{folder}: {reason}. Going on from {name}.")
        return state
    if problems:
        raise CheckpointError(
            f"{folder}: {'; '.join(problems)}. No sound checkpoint is left. Restore "
            "one from a backup, or move the folder away to start this run over; the "
            "rows recorded in it are not affected."
        )
    return None


def _read(path: Path, file: BufferedReader) -> dict[str, Any]:
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise _DamagedError(f"is cut short ({len(header)} bytes)")
    magic, version, length, digest = _FIELDS.unpack_from(header)
    (crc,) = _CRC.unpack_from(header, _FIELDS.size)
    if magic != _MAGIC:
        raise _DamagedError(
            f"is no pearl_bench checkpoint (format {FORMAT_VERSION}), or its beginning "
            f"is damaged: it starts with {magic!r}"
        )
    if crc != zlib.crc32(header[: _FIELDS.size]):
        raise _DamagedError("has a damaged header")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has checkpoint format {version}; this version of pearl_bench "
            f"reads format {FORMAT_VERSION}. Use the version that wrote it, or another "
            "out=."
        )
    present = os.fstat(file.fileno()).st_size - _HEADER_BYTES
    if present != length:
        raise _DamagedError(f"has {present} bytes of {length}")
    if hashlib.file_digest(file, "sha256").digest() != digest:
        raise _DamagedError("does not match its checksum")
    file.seek(_HEADER_BYTES)
    return torch.load(file, map_location="cpu", weights_only=True)


def _header(length: int, digest: bytes) -> bytes:
    fields = _FIELDS.pack(_MAGIC, FORMAT_VERSION, length, digest)
    return (fields + _CRC.pack(zlib.crc32(fields))).ljust(_HEADER_BYTES, b"\0")


class _HashingWriter(BufferedWriter):
    """Hashes what is written on its way to the file, so that nothing is held twice."""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self.length = 0
        self.sha256 = hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self.length += view.nbytes
        try:
            return super().write(view)
        except OSError as error:
            self.failure = error
            raise


def _serialise(state: dict[str, Any], file: _HashingWriter) -> None:
    try:
        torch.save(state, file)
    except RuntimeError:
        if file.failure:  # torch's own clean-up hides it
            raise file.failure from None
        raise


def _check(path: str, value: object) -> None:
    """Refuse what ``torch.load(weights_only=True)`` would not give back as it was.

    Types are compared exactly: a numpy float is a float to Python, not to torch.
    """
    kind = type(value)
    if kind in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) not in (str, int, float, bool, type(None)):
                raise TypeError(f"{path} has a key of type {type(key).__name__}")
            _check(f"{path}[{key!r}]", item)
    elif kind in (list, tuple):
        for i, item in enumerate(value):  # type: ignore[arg-type]
            _check(f"{path}[{i}]", item)
    elif kind is int and value.bit_length() > _MAX_INT_BITS:  # type: ignore[attr-defined]
        raise TypeError(f"{path} is an integer of more than {_MAX_INT_BITS} bits")
    elif kind not in (
        torch.Tensor,
        torch.nn.Parameter,
        torch.Size,
        int,
        float,
        bool,
        str,
        type(None),
    ):
        raise TypeError(
            f"{path} is a {kind.__module__}.{kind.__qualname__}, which a checkpoint "
            "cannot hold: store tensors (torch.as_tensor) and plain numbers, strings, "
            "None, dictionaries, lists and tuples."
        )
