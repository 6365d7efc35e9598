"""Command lines that nobody means: each is read, or refused in a sentence."""

import random
from importlib import import_module

import pytest

from pearl_bench.__main__ import DOORS
from pearl_bench.config import runs
from pearl_bench.config.command import Command
from pearl_bench.config.errors import UserError
from pearl_bench.config.words import vocabulary
from pearl_bench.execution.plan import plan, side_by_side
from pearl_bench.registry import learner_names, suite_names

USUAL, MANY = 400, 10_000
VALUES = [
    *("", "0", "-1", "1", "2", "1e3", "1.5", "1e300", "1e308", "1e999", "-1e300"),
    *("9" * 30, "9" * 5000, "0x10", "1_000", "٣", "½", "nan", "inf", "-inf", "1e"),
    *("true", "false", "yes", "none", "null", "[]", "[1]", "[1,2", "{}", "{a: 1}"),
    *("a", "a,b", ",", ",,", "0,0", "0,1e99", "${x}", "${oc.env:HOME}", "???", "&a"),
    *("'", '"', "\\", "\n", "\t", "a=b", "=", "../..", "/", ".", "~", "~nobody_here"),
    *("x" * 300, "\udcff", "\u202e", "💥", "smoke", "paper", "cpu", "bf16", "slurm"),
    *("metaworld", "pearl", "point-robot", "ml10", "locomotion", "half-cheetah-vel"),
]
PIECES = ["", "--", "-", "=", "==", ".", "pearl.", "label.", "meta_test.", "help", "-h"]


def commands():
    modules = {import_module(door.module) for door in DOORS.values()}
    found = [
        one for m in modules for one in vars(m).values() if isinstance(one, Command)
    ]
    return sorted(found, key=lambda one: one.name)


def some_words(command, rng):
    """Words of a command, most of them real, their values anything, some damaged."""
    known = [*vocabulary(command.words)]
    words = []
    for _ in range(rng.randrange(6)):
        key = rng.choice(known)
        word = f"{key}={rng.choice(VALUES)}"
        if rng.random() < 0.2:
            at = rng.randrange(len(word) + 1)
            word = word[:at] + rng.choice(PIECES) + word[at + rng.randrange(3) :]
        words.append(word)
    if "suite" in known and rng.random() < 0.8:
        words.append(f"suite={rng.choice(suite_names())}")
    if "learners" in known and rng.random() < 0.5:
        words.append(f"learners={rng.choice(learner_names())}")
    return words


def try_some(count, seed, out):
    """Read command lines, and plan those of ``run``; return how many were accepted."""
    rng = random.Random(seed)
    accepted = 0
    for _ in range(count):
        command = rng.choice(commands())
        words = some_words(command, rng)
        try:
            found = command.read(words)
            if command.name == "run":
                rest = [word for word in words if not word.startswith("out=")]
                bench = runs.load([*rest, f"out={out}"])
                side_by_side(bench, plan(bench))
            accepted += 1
            assert isinstance(found, command.words)
        except UserError:
            continue
        except Exception as error:
            raise AssertionError(f"{command.name} {words}") from error
    assert not any(out.iterdir())
    return accepted


def test_some(tmp_path):
    accepted = try_some(USUAL, 0, tmp_path)
    assert 0 < accepted < USUAL


@pytest.mark.slow
def test_many(tmp_path):
    accepted = try_some(MANY, 1, tmp_path)
    assert 0 < accepted < MANY
