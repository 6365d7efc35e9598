"""Checkpoints come back as they were, whatever happens while they are written."""

import errno
import hashlib
import os
import random
import struct
import subprocess
import sys
import zlib
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from on_disk import witness
from raw_runs import silent

from pearl_bench.records import checkpoint
from pearl_bench.records.checkpoint import INCOMING, NEWEST, PREVIOUS, CheckpointError


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def assert_same(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.numpy().tobytes() == b.numpy().tobytes()
    elif isinstance(a, dict) and isinstance(b, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert repr(a) == repr(b)


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "SFC64"])
def test_generators_go_on_where_they_were(tmp_path, bits):
    ours = np.random.Generator(getattr(np.random, bits)(7))
    ours.normal(size=5)
    state = ours.bit_generator.state
    if bits == "SFC64":  # its state is an array: refused, with the place named
        with pytest.raises(TypeError, match=r"state\['numpy'\]\['state'\]\['state'\]"):
            checkpoint.save(tmp_path, {"numpy": state})
        return
    theirs = torch.Generator().manual_seed(3)
    torch.randn(5, generator=theirs)
    plain = random.Random(5)
    checkpoint.save(
        tmp_path,
        {"numpy": state, "torch": theirs.get_state(), "python": plain.getstate()},
    )
    loaded = checkpoint.load(tmp_path, silent)
    assert loaded is not None
    again = np.random.Generator(getattr(np.random, bits)())
    again.bit_generator.state = loaded["numpy"]
    assert again.normal(size=9).tolist() == ours.normal(size=9).tolist()
    theirs_again = torch.Generator()
    theirs_again.set_state(loaded["torch"])
    expected = torch.randn(9, generator=theirs)
    assert torch.equal(torch.randn(9, generator=theirs_again), expected)
    plain_again = random.Random()
    plain_again.setstate(loaded["python"])
    assert plain_again.random() == plain.random()


def test_optimiser_continues_exactly(tmp_path):
    def step(net, adam):
        adam.zero_grad()
        net(torch.ones(2, 3)).square().sum().backward()
        adam.step()

    net = torch.nn.Linear(3, 3)
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    step(net, adam)
    checkpoint.save(tmp_path, {"net": net.state_dict(), "adam": adam.state_dict()})
    loaded = checkpoint.load(tmp_path, silent)
    assert loaded is not None
    other = torch.nn.Linear(3, 3)
    other_adam = torch.optim.Adam(other.parameters())
    other.load_state_dict(loaded["net"])
    other_adam.load_state_dict(loaded["adam"])
    step(net, adam)
    step(other, other_adam)
    assert_same(dict(other.state_dict()), dict(net.state_dict()))


def test_plain_data_comes_back_as_it_was(tmp_path):
    state = {
        "floats": [0.1, -0.0, float("inf"), float("nan"), 5e-324],
        "ints": (0, -1, 2**64, -(2**127), 2**1999),
        "nested": [{"a": (None, True, {3: "x", 2.5: [], None: ()})}],
        "ordered": OrderedDict(b=1, a=2),
        "text": "zwölf\n",
        "size": torch.Size([2, 3]),
        "tensors": [
            torch.arange(6, dtype=dtype).reshape(2, 3)
            for dtype in (torch.float16, torch.float32, torch.float64, torch.int64)
        ],
        "transposed": torch.arange(6).reshape(2, 3).T,
        "empty": torch.zeros(0, 4),
        "mask": torch.tensor([True, False]),
    }
    checkpoint.save(tmp_path, state)
    assert_same(checkpoint.load(tmp_path, silent), state)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(3),
        np.float64(1.0),
        np.int64(1),
        {1, 2},
        {("a", "b"): 1},
        b"x",
        1j,
        1 << 2048,
        Path("x"),
        ValueError("x"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_would_not_load_is_refused_by_place(tmp_path, value):
    checkpoint.save(tmp_path, {"generation": 0})
    with pytest.raises(TypeError, match=r"^state\['buffer'\]\[1\] (is|has)"):
        checkpoint.save(tmp_path, {"buffer": [0, value]})
    assert checkpoint.load(tmp_path, silent) == {"generation": 0}


def test_loading_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "owned").touch, ())

    payload = BytesIO()
    torch.save({"x": Evil()}, payload)
    data = payload.getvalue()
    digest = hashlib.sha256(data).digest()
    (tmp_path / NEWEST).write_bytes(checkpoint._header(len(data), digest) + data)
    with pytest.raises(Exception, match=r"[Ww]eights only"):
        checkpoint.load(tmp_path, silent)
    assert not (tmp_path / "owned").exists()


def test_two_generations_on_disk(tmp_path):
    assert checkpoint.load(tmp_path, silent) is None
    assert checkpoint.load(tmp_path / "absent", silent) is None
    for generation in range(4):
        checkpoint.save(tmp_path, {"generation": generation})
        assert checkpoint.load(tmp_path, silent) == {"generation": generation}
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST, PREVIOUS}
    (tmp_path / NEWEST).unlink()
    said: list[str] = []
    assert checkpoint.load(tmp_path, said.append) == {"generation": 2}
    assert f"{NEWEST} is missing" in said[0]


def test_a_power_cut_finds_what_a_name_says(tmp_path, monkeypatch):
    """A file is on the disk before it has the name, and the names before it goes on."""
    events = witness(monkeypatch, tmp_path)
    checkpoint.save(tmp_path, {"generation": 0})
    assert events == [f"sync {INCOMING}", f"{INCOMING} -> {NEWEST}", "sync ."]
    events.clear()
    checkpoint.save(tmp_path, {"generation": 1})
    renames = [f"{NEWEST} -> {PREVIOUS}", f"{INCOMING} -> {NEWEST}"]
    assert events == [f"sync {INCOMING}", *renames, "sync ."]


def test_killed_between_two_renames_the_newest_is_taken(tmp_path):
    for generation in range(3):
        checkpoint.save(tmp_path, {"generation": generation})
    (tmp_path / NEWEST).rename(tmp_path / INCOMING)
    said: list[str] = []
    assert checkpoint.load(tmp_path, said.append) == {"generation": 2}
    assert f"Going on from {INCOMING}" in said[0]


def damages():
    """Name and function of each way to damage a file."""

    def truncate(size):
        def damage(path: Path) -> None:
            with path.open("r+b") as file:
                file.truncate(size if size >= 0 else path.stat().st_size + size)

        return damage

    yield from ((f"cut to {n}", truncate(n)) for n in (0, 5, 63, 64, 500, -1))
    # magic, version, length, checksum, crc, payload
    for offset in (0, 9, 15, 30, 53, 64, 700, -1):
        yield f"bit {offset}", lambda path, offset=offset: flip(path, offset)
    yield "zeroed", lambda path: path.write_bytes(bytes(path.stat().st_size))
    yield "longer", lambda path: path.write_bytes(path.read_bytes() + b"\0")
    yield "garbage", lambda path: path.write_bytes(b"garbage" * 100)


DAMAGES = dict(damages())


@pytest.mark.parametrize("name", list(DAMAGES))
def test_damage_falls_back_and_says_so(tmp_path, name):
    damage = DAMAGES[name]
    for generation in range(2):
        checkpoint.save(tmp_path, {"generation": generation, "x": torch.rand(300)})
    damage(tmp_path / NEWEST)
    said: list[str] = []
    loaded = checkpoint.load(tmp_path, said.append)
    assert loaded is not None
    assert loaded["generation"] == 0
    assert len(said) == 1
    assert NEWEST in said[0]
    assert PREVIOUS in said[0]

    # The next save replaces the damaged one; the sound one must survive until then.
    checkpoint.save(tmp_path, {"generation": 2})
    assert checkpoint.load(tmp_path, silent) == {"generation": 2}

    damage(tmp_path / NEWEST)
    with pytest.raises(CheckpointError, match="No sound checkpoint is left"):
        checkpoint.load(tmp_path, silent)


def test_a_single_damaged_checkpoint_is_no_fresh_start(tmp_path):
    checkpoint.save(tmp_path, {"generation": 0})
    flip(tmp_path / NEWEST, 100)
    with pytest.raises(CheckpointError, match="move the folder away"):
        checkpoint.load(tmp_path, silent)


def test_another_format_version_is_refused(tmp_path):
    for generation in range(2):
        checkpoint.save(tmp_path, {"generation": generation})
    data = bytearray((tmp_path / NEWEST).read_bytes())
    struct.pack_into("!I", data, 8, 7)
    struct.pack_into("!I", data, 52, zlib.crc32(bytes(data[:52])))
    (tmp_path / NEWEST).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"format 7; .* reads format 1"):
        checkpoint.load(tmp_path, silent)


def test_a_foreign_file_is_refused(tmp_path):
    torch.save({"x": 1}, tmp_path / NEWEST)
    with pytest.raises(CheckpointError, match="no pearl_bench checkpoint"):
        checkpoint.load(tmp_path, silent)


def test_a_file_system_that_has_become_read_only_is_named(tmp_path, monkeypatch):
    """There even what is not there cannot be removed."""
    checkpoint.save(tmp_path, {"step": 1})

    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CheckpointError, match="cannot be written: Read-only"):
        checkpoint.save(tmp_path, {"step": 2})
    assert checkpoint.load(tmp_path, silent) == {"step": 1}


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from pearl_bench.records import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    checkpoint.save(Path(sys.argv[1]), {"x": torch.zeros(100_000)})
except checkpoint.CheckpointError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("before", [{"generation": 0}, None])
def test_a_full_disk_leaves_the_checkpoint_before_if_there_is_one(tmp_path, before):
    if before:
        checkpoint.save(tmp_path, before)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "File too large" in done.stderr
    assert ("The one before is as it was" in done.stderr) is (before is not None)
    assert {p.name for p in tmp_path.iterdir()} == ({NEWEST} if before else set())
    assert checkpoint.load(tmp_path, silent) == before


# Forked children save; the parent kills them and looks at what is left. Each state is
# checked for being whole, and for being no older than the last save that returned.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from pearl_bench.records import checkpoint

torch.set_num_threads(1)
folder, generation, random_rounds = Path(sys.argv[1]), 0, int(sys.argv[2])
said = []

def state(number):
    return {"generation": number, "x": torch.full((50_000,), float(number))}

def child(at_line):
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    lines = 0
    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename != checkpoint.__file__:
            return None
        if event == "line" and frame.f_code.co_name == "save":
            lines += 1
            if lines == at_line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    if at_line:
        sys.settrace(trace)
    for number in range(generation + 1, generation + (2 if at_line else 1000)):
        checkpoint.save(folder, state(number))
        os.write(write, number.to_bytes(4, "big"))
    os._exit(0)

def check(read, first=b""):
    global generation
    told = first + os.read(read, 1_000_000)
    os.close(read)
    least = int.from_bytes(told[-4:], "big") or generation
    loaded = checkpoint.load(folder, said.append)
    assert loaded is not None
    found = loaded["generation"]
    assert least <= found <= least + 1, (least, found, said)
    assert torch.equal(loaded["x"], state(found)["x"])
    generation = found

checkpoint.save(folder, state(0))
line = 0
while True:  # before each line of `save` in turn
    line += 1
    pid, read = child(line)
    _, how = os.waitpid(pid, 0)
    check(read)
    if how == 0:
        break
for _ in range(random_rounds):  # at any moment
    pid, read = child(0)
    first = os.read(read, 4)  # it is saving
    time.sleep(random.uniform(0, 0.02))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(read, first)
print(line, generation)
"""


def test_killed_at_any_moment_a_sound_checkpoint_remains(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, tmp_path, "60"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines, generations = map(int, done.stdout.split())
    assert lines > 10
    assert generations > 60
    assert {p.name for p in tmp_path.iterdir()} <= {NEWEST, PREVIOUS, INCOMING}


def test_killed_after_a_fallback_the_sound_one_remains(tmp_path):
    """The damaged newest must not push the sound fallback out too early."""
    for generation in range(2):
        checkpoint.save(tmp_path, {"generation": generation})
    flip(tmp_path / NEWEST, 100)
    # As killed between the two renames of the next save:
    (tmp_path / "next").mkdir()
    checkpoint.save(tmp_path / "next", {"generation": 2})
    (tmp_path / "next" / NEWEST).rename(tmp_path / INCOMING)
    (tmp_path / NEWEST).rename(tmp_path / PREVIOUS)
    said: list[str] = []
    assert checkpoint.load(tmp_path, said.append) == {"generation": 2}


def test_loading_and_saving_hold_no_second_copy(tmp_path):
    """Of 95 MiB of state in ten tensors."""
    code = """
import sys, torch
from pathlib import Path
from pearl_bench.records import checkpoint
from pearl_bench.records.provenance import peak_memory_mib
folder = Path(sys.argv[1])
checkpoint.save(folder / "small", {"x": torch.ones(10)})
checkpoint.load(folder / "small", print)
peaks = [peak_memory_mib()]
state = checkpoint.load(folder, print)
peaks += [peak_memory_mib()]
checkpoint.save(folder, state)
peaks += [peak_memory_mib()]
print(peaks[1] - peaks[0], peaks[2] - peaks[1])
"""
    (tmp_path / "small").mkdir()
    checkpoint.save(tmp_path, {f"x{i}": torch.ones(2_500_000) for i in range(10)})
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        check=True,
        capture_output=True,
        text=True,
    )
    loading, saving = map(float, done.stdout.split())
    assert 90 < loading < 135
    assert saving < 40
