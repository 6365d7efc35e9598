"""Reading, writing and locking files; an OSError of one becomes a sentence here.

Writing is such that a reader, or a kill at any moment, finds the old or the new
content. Files are opened where they are: a link out of a run's folder is not followed
in writing, and what is no regular file (a pipe, a device) is never waited for.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NoReturn, TextIO

from pearl_bench.config.errors import UserError, in_words

LEFTOVER_SECONDS = 60.0
"""Age from which on a temporary file that nobody holds is a dead process's."""
PROBE_BYTES = 65536
"""What is written to try a folder out: more than run.json and a row need."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Word = Literal["out", "results", "reference"]
"""Of a command line, that names a folder."""

_BOM = b"\xef\xbb\xbf"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL)


class RecordError(UserError):
    """A run's folder or a file cannot be used as it is; the message says what to do."""


class NoLocksError(RecordError):
    """A file system keeps no locks; the message says what to do."""


def refuse(path: Path, error: OSError | ValueError, doing: str) -> NoReturn:
    """Turn what the system says of a file into a sentence for a person.

    Args:
        path: the file or folder.
        error: an OSError, or a ValueError for a name that cannot be one.
        doing: what was not possible: ``read``, ``written``, ``locked``.

    Raises:
        RecordError: always.
    """
    if isinstance(error, OSError):  # said of this file, whichever it came from
        reason = in_words(OSError(error.errno, error.strerror))
    else:
        reason = str(error)
    raise RecordError(f"{path} cannot be {doing}: {reason}.") from error


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Explain an OSError within the block as one of this file.

    Raises:
        RecordError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        refuse(path, error, doing)


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        FileNotFoundError: there is none: for most readers not a fault.
        RecordError: it cannot be read, or is no regular file.
    """
    with open_bytes(path) as file, explained(path, "read"):
        return file.read()


def open_bytes(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises:
        FileNotFoundError: there is none: for most readers not a fault.
        RecordError: it cannot be read, or is no regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        refuse(path, error, "read")
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        refuse(path, OSError(errno.EISDIR, os.strerror(errno.EISDIR)), "read")
    raise RecordError(
        f"{path} cannot be read: it is a pipe or a device, not a file. Remove it, or "
        "restore the file."
    )


def read_text(path: Path) -> str:
    """Return a file's text, which is UTF-8 without a byte-order mark.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it cannot be read, or is other text.
    """
    data = read_bytes(path)
    if data.startswith(_BOM):
        raise RecordError(
            f"{path} begins with a byte-order mark, which editors of other systems "
            "add. Save it as UTF-8 without one, or restore it."
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecordError(
            f"{path}, line {line}: this is not UTF-8 ({error.reason}). Restore it."
        ) from error


def read_json(path: Path) -> object:
    """Return what a JSON file holds; only finite numbers are numbers.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RecordError(
            f"{path} is damaged: it is not JSON ({why}). Restore it, or move its "
            "folder away."
        ) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        RecordError: that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        refuse(path, error, "made a folder")


@contextmanager
def kept_or_temporary(folder: str | None, purpose: str) -> Iterator[Path]:
    """Yield a folder that a user names, or one that goes when the block ends.

    Args:
        folder: the user's word; a temporary folder if None.
        purpose: part of that one's name.
    """
    if folder is not None:
        yield Path(folder).expanduser()
    else:
        with TemporaryDirectory(prefix=f"pearl_bench-{purpose}-") as temporary:
            yield Path(temporary)


def open_own(path: Path, flags: int) -> int:
    """Open a file of a run's folder, for reading and writing; made if missing.

    The rights of a new file follow the umask. A link is not followed.

    Args:
        path: the file.
        flags: more of ``os.open``, such as ``os.O_APPEND``.

    Raises:
        OSError: that is not possible; ``explained`` says it to people.
        RecordError: it is a link, a pipe or a device.
    """
    always = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, os.O_RDWR | always | flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise RecordError(
                f"{path} is a link; put the file itself in its place."
            ) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RecordError(f"{path} is a pipe or a device, not a file: remove it.")
    return handle


def open_log(path: Path) -> TextIO:
    """Open a log for appending; a link is not followed.

    Raises:
        RecordError: that is not possible.
    """
    with explained(path, "written"):
        return os.fdopen(open_own(path, os.O_APPEND), "a", encoding="utf-8")


def sync_folder(folder: Path) -> None:
    """Make renames within the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes) -> bool:
    """Replace a file's content in one step; return whether it changed.

    A reader, or a process killed at any moment, leaves the old or the new content. A
    file that already holds the data is not touched.

    Raises:
        RecordError: it cannot be written; the file is as it was.
    """
    if path.is_dir():
        refuse(path, OSError(errno.EISDIR, os.strerror(errno.EISDIR)), "written")
    with suppress(FileNotFoundError):
        if read_bytes(path) == data:
            return False
    with explained(path, "written"):
        _remove_leftovers(path)
        temporary = _temporary(path)
        handle = os.open(temporary, _NEW, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                _hold(handle)
                file.write(data)
                file.flush()
                os.fsync(handle)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    return True


def remove_files(paths: Iterable[Path]) -> list[Path]:
    """Remove files where they are there; return those that this command removed.

    Another one may do so at the same time.
    """
    removed = []
    for path in paths:
        with suppress(FileNotFoundError):
            if path.is_file():
                path.unlink()
                removed.append(path)
    return removed


def _temporary(path: Path) -> Path:
    """Name a file beside another for this process alone, on whatever host it is.

    Two commands may write a file at a time, and the same process number is given in
    every container that shares the folder.
    """
    host = re.sub(r"[^\w-]", "-", socket.gethostname())[:32]
    unique = f"{host}.{os.getpid()}.{secrets.token_hex(6)}"
    return path.with_name(f".{_beginning(path)}.{unique}.tmp")


def _beginning(path: Path) -> str:
    """Return so much of a file's name that more can follow it, and no odd bytes."""
    return os.fsencode(path.name)[:120].decode(errors="ignore")


def _hold(handle: int) -> bool:
    """Take a file for this process, so that it is not taken for a leftover."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or the file system keeps no locks
        return False
    return True


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that died while they wrote this file."""
    name = re.escape(_beginning(path))
    ours = re.compile(rf"\.{name}\.[\w-]+\.\d+\.[0-9a-f]+\.tmp")
    for entry in os.scandir(path.parent):
        if not ours.fullmatch(entry.name):
            continue
        with suppress(OSError):  # another process removes it, or it is another user's
            if time.time() - entry.stat(follow_symlinks=False).st_mtime < (
                LEFTOVER_SECONDS
            ):
                continue
            handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _hold(handle):
                    os.unlink(entry.path)
            finally:
                os.close(handle)


def take_lock(path: Path, *, wait: bool) -> int:
    """Lock a file for this process and return its handle; closing it releases it.

    The lock belongs to the open file, so it ends with the process, however that ends.
    One that belongs to another user of a shared folder need only be readable.

    Args:
        path: made if missing, its rights as the umask has them.
        wait: until another process releases it.

    Raises:
        BlockingIOError: it is held, and ``wait`` is false.
        NoLocksError: the file system keeps none.
        RecordError: it cannot be opened.
    """
    try:
        try:
            handle = open_own(path, 0)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        refuse(path, error, "locked")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        if error.errno in _NO_LOCKS:
            raise NoLocksError(
                f"{path.parent} cannot be used: its file system keeps no locks "
                f"({error.strerror}), so two commands could write there at a time. "
                "Choose out= and results= on a local disk, or mount it with locks "
                "(NFS: version 4 and lockd; Lustre: -o flock)."
            ) from error
        refuse(path, error, "locked")
    return handle


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold a lock for a block; see ``take_lock``."""
    handle = take_lock(path, wait=wait)
    try:
        yield handle
    finally:
        os.close(handle)


def require_folder(folder: Path, about: Word) -> Path:
    """Refuse a folder where something else lies; return what there is of its path.

    Args:
        folder: it, or where it will be.
        about: the word of the command line that names it.

    Raises:
        RecordError: what is there is no folder.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise RecordError(f"{about}={folder}: {there} is no folder; name another.")
    return there


def require_place(folder: Path, about: Word) -> None:
    """Refuse a folder that could not be made or written to; nothing is made.

    Args:
        folder: it, or where it will be.
        about: the word of the command line that names it.

    Raises:
        RecordError: what is there is no folder, or lets nobody write.
    """
    there = require_folder(folder, about)
    if not os.access(there, os.W_OK | os.X_OK):
        raise RecordError(
            f"{about}={folder}: {there} cannot be written to; change its rights, or "
            "name another."
        )


def require_file(path: Path, about: Word) -> None:
    """Refuse a file that could not be written, before work depends on it.

    Nothing is made that stays.

    Args:
        path: where it will be; folders above it may be missing.
        about: the word of the command line that names it.

    Raises:
        RecordError: says what is wrong with it.
    """
    require_place(path.parent, about)
    if path.is_dir():
        raise RecordError(f"{about}={path} is a folder; name a file.")
    refused = f"{about}={path} cannot be written; name another file."
    if path.exists() and not os.access(path, os.W_OK):
        raise RecordError(refused)
    if path.parent.is_dir():
        try:
            _try_to_write(path.parent)
        except OSError as error:
            raise RecordError(refused) from error


def require_writable(places: Sequence[tuple[Path, Word]], lock: str) -> None:
    """Make folders, lock each, write a file there and remove it, before training.

    None is made where another cannot be.

    Args:
        places: each folder, and the word of the command line that names it.
        lock: name of the lock file that guards each.

    Raises:
        RecordError: one of these is not possible.
    """
    try:
        for folder, about in places:
            require_place(folder, about)
        for folder, about in places:
            try:
                make_folder(folder)
                with locked(folder / lock), explained(folder, "written to"):
                    _try_to_write(folder)
            except RecordError as error:
                raise RecordError(f"{about}={folder}: {error}") from error
    except RecordError as error:
        raise RecordError(f"{error} Nothing has been trained yet.") from error


def _try_to_write(folder: Path) -> None:
    """Write a file in a folder and remove it.

    Raises:
        OSError: that is not possible.
    """
    probe = _temporary(folder / "probe")
    handle = os.open(probe, _NEW, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(handle)
    finally:
        probe.unlink(missing_ok=True)
