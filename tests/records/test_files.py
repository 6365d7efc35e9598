"""Files are whole or as they were, are where they seem, and speak when they fail."""

import errno
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from on_disk import witness

from pearl_bench.records import files
from pearl_bench.records.files import (
    RecordError,
    locked,
    open_log,
    read_json,
    read_text,
    remove_files,
    require_file,
    require_writable,
    take_lock,
    write_atomic,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_temporary_names_are_of_a_host_and_random(tmp_path):
    made = {files._temporary(tmp_path / "x.csv").name for _ in range(100)}
    assert len(made) == 100  # the same process, as in two containers of one name
    host = socket.gethostname().replace(".", "-")[:32]
    assert all(f".x.csv.{host}.{os.getpid()}." in name for name in made)
    long = tmp_path / ("n" * 250 + ".csv")
    assert write_atomic(long, b"1")
    assert long.read_bytes() == b"1"


def test_many_writers_at_a_time_leave_one_whole_file(tmp_path):
    path = tmp_path / "x.csv"
    texts = [bytes([65 + i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_atomic, args=(path, t)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names(tmp_path) == ["x.csv"]


def leave(path: Path, *, old: bool = True) -> Path:
    """Leave a temporary file as a killed process of some host does."""
    leftover = path.with_name(f".{path.name}.elsewhere.4711.0123456789ab.tmp")
    leftover.write_bytes(b"half")
    if old:
        os.utime(leftover, (0, time.time() - 2 * files.LEFTOVER_SECONDS))
    return leftover


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    path = tmp_path / "x.csv"
    leave(path)
    other = tmp_path / ".y.csv.elsewhere.1.0123456789ab.tmp"  # another file's
    other.write_bytes(b"")
    write_atomic(path, b"1")
    assert names(tmp_path) == sorted([other.name, "x.csv"])


def test_what_a_living_process_writes_is_no_leftover(tmp_path):
    path = tmp_path / "x.csv"
    young = leave(path, old=False)
    write_atomic(path, b"1")
    assert young.exists()
    held = leave(path)
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomic(path, b"2")
        assert held.exists()
    write_atomic(path, b"3")
    assert not held.exists()


def test_a_power_cut_finds_the_old_content_or_the_new(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_temporary", lambda path: path.with_name("new"))
    events = witness(monkeypatch, tmp_path)
    write_atomic(tmp_path / "x.csv", b"1")
    assert events == ["sync new", "new -> x.csv", "sync ."]


def test_what_is_being_written_is_held(tmp_path, monkeypatch):
    """By the lock that tells others that its process lives."""
    held = []
    sync = os.fsync

    def at_sync(handle):
        sync(handle)
        for path in tmp_path.iterdir():
            with path.open("rb") as file:
                held.append(not files._hold(file.fileno()))

    monkeypatch.setattr(os, "fsync", at_sync)
    write_atomic(tmp_path / "x.csv", b"1")
    assert held[0]


def test_a_write_that_fails_leaves_the_old_content(tmp_path):
    path = tmp_path / "x.csv"
    write_atomic(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RecordError, match=r"x\.csv cannot be written: File too la"):
            write_atomic(path, bytes(10_000))
        with pytest.raises(RecordError, match=r"results=.* Nothing has been trained"):
            require_writable([(tmp_path / "r", "results")], ".lock")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["r", "x.csv"]
    require_writable([(tmp_path / "r", "results")], ".lock")
    assert names(tmp_path / "r") == [".lock"]


def test_no_folder_is_made_where_another_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    good, bad = tmp_path / "good", tmp_path / "file" / "x"
    with pytest.raises(
        RecordError, match=r"out=.* is no folder.*\. Nothing has been tr"
    ):
        require_writable([(good, "results"), (bad, "out")], ".lock")
    assert names(tmp_path) == ["file"]


def test_a_file_that_can_be_written_leaves_nothing_behind(tmp_path):
    require_file(tmp_path / "new" / "x.gif", "out")
    require_file(tmp_path / "x.gif", "out")
    assert names(tmp_path) == []
    with pytest.raises(RecordError, match=r"results=.* is a folder; name a file\."):
        require_file(tmp_path, "results")


def test_what_another_command_removes_meanwhile_is_not_missed(tmp_path, monkeypatch):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.touch()
    monkeypatch.setattr(Path, "is_file", lambda _: True)  # it was, a moment ago
    assert remove_files([theirs, ours]) == [ours]
    assert names(tmp_path) == []


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("log.txt", "lock"):
        (folder / name).symlink_to(outside)
    with pytest.raises(RecordError, match=r"log\.txt is a link; put the file"):
        open_log(folder / "log.txt")
    with pytest.raises(RecordError, match="lock is a link; put the file"):
        take_lock(folder / "lock", wait=False)
    (folder / "x.csv").symlink_to(outside)
    write_atomic(folder / "x.csv", b"1")  # takes the link's place
    assert outside.read_text() == "precious"
    assert not (folder / "x.csv").is_symlink()


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError, match="a pipe or a device"):
        read_text(tmp_path / "pipe")
    with pytest.raises(RecordError, match="a pipe or a device"):
        open_log(tmp_path / "pipe")
    with pytest.raises(RecordError, match="a pipe or a device"):
        read_text(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        (b'{"a": "\xe4"}', "line 1: this is not UTF-8"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": Infinity}', "Infinity is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 10_000, "not JSON"),
        (b"", "not JSON"),
        (b"\0", "not JSON"),
    ],
)
def test_json_that_is_none_is_a_sentence(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        read_json(path)


def test_names_that_cannot_be_are_sentences(tmp_path):
    for name, said in {"n" * 300: "too long", "a\0b": "null"}.items():
        with pytest.raises(RecordError, match=said):
            read_text(tmp_path / name)
        with pytest.raises(RecordError, match=said):
            files.make_folder(tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="Not a directory"):
        read_text(tmp_path / "file" / "below")


def test_locks_take_the_umask(tmp_path):
    before = os.umask(0o002)
    try:
        with locked(tmp_path / "lock"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from pearl_bench.records.files import require_writable
from pearl_bench.records.run_folder import RunRecord
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
require_writable([(folder, "results")], ".lock")
with RunRecord(folder / "run"):
    print("both locked")
"""


def test_another_users_lock_in_a_shared_folder_can_be_taken(tmp_path):
    """A lock of mode 0644, or for who is not root one that cannot be written."""
    folder = tmp_path / "shared"
    (folder / "run").mkdir(parents=True)
    for place in (folder, folder / "run"):
        place.chmod(0o777)
    for lock in (folder / ".lock", folder / "run" / "lock"):
        lock.write_text("")
        lock.chmod(0o644 if os.getuid() == 0 else 0o444)
    tmp_path.chmod(0o755)
    closed = {
        parent: mode
        for parent in tmp_path.parents
        if os.getuid() == parent.stat().st_uid == 0
        and ~(mode := parent.stat().st_mode) & 0o055
    }
    try:
        for parent, mode in closed.items():
            parent.chmod(mode | 0o055)
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for parent, mode in closed.items():
            parent.chmod(mode)
    assert done.stdout == "both locked\n", done.stderr


@pytest.mark.parametrize("number", [37, 38, 95])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    """No such file system is at hand: what it answers is put in the kernel's place."""

    def flock(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RecordError) as refusal:
        take_lock(tmp_path / "lock", wait=True)
    assert str(tmp_path) in str(refusal.value)
    assert "keeps no locks" in str(refusal.value)
    assert "Choose out= and results= on a local disk" in str(refusal.value)
    assert write_atomic(tmp_path / "x", b"1")  # which needs none
    assert errno.errorcode[number] in ("ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP")


def test_a_held_lock_is_waited_for_or_not(tmp_path):
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError):
        take_lock(tmp_path / "lock", wait=False)
    os.close(take_lock(tmp_path / "lock", wait=False))


def test_json_reads_back(tmp_path):
    value = {"a": [1, 2.5, None, True, "ä"], "b": {}}
    write_atomic(tmp_path / "x.json", json.dumps(value).encode())
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize("name", [b"\xff.csv", "ü".encode() * 100 + b".csv"])
def test_any_name_that_a_file_can_have_is_written(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    assert write_atomic(path, b"1")
    assert write_atomic(path, b"2")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"2"]
