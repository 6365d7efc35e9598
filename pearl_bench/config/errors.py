"""Errors that a user can mend, and the operating system's errors as sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

REMEDIES = {
    errno.ENOSPC: "free some space, or name another folder",
    errno.EDQUOT: "free some of your quota, or name another folder",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or name another folder",
    errno.EACCES: "change its rights, or name another",
    errno.EPERM: "change its rights, or name another",
    errno.EROFS: "name another folder",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ELOOP: "mend the links, or name another",
    errno.ENOTDIR: "name a folder",
    errno.EEXIST: "name another, or move it away",
    errno.EISDIR: "name a file",
    errno.ENOENT: "look at the name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOMEM: "close other programs, or ask for less",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or take fewer jobs=",
}
"""What to do about an error of the operating system."""
NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""How Python begins to say so."""


class UserError(Exception):
    """Something that the user can mend: the message says what is wrong and how."""


def in_words(error: OSError) -> str:
    """Return an error of the operating system as a sentence: what, and what to do."""
    system = os.strerror(error.errno) if error.errno else str(error)
    what = error.strerror or system
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    remedy = REMEDIES.get(error.errno or 0)
    if what.startswith(NO_TEMPORARY_FOLDER):  # there is no name to look at
        remedy = "set TMPDIR to a folder that can be written"
    return f"{where}{what}" + (f"; {remedy}" if remedy else "")


@contextmanager
def exits_as_errors() -> Iterator[None]:
    """Let ``sys.exit`` in a method or an environment be an error as any other there.

    The command would end with it, and as if all were well.

    Raises:
        RuntimeError: in place of SystemExit.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(
            f"the method or the environment called sys.exit({error.code!r})"
        ) from error
