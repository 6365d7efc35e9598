"""Damage to files, as hypothesis draws it: what people, disks and programs do."""

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Damage = Callable[[bytes], bytes]

NASTY = (
    *("", " ", "nan", "inf", "-inf", "1e300", "-1e300", "1e-320", "-1", "0", "00"),
    *("1.0", "77", "9" * 30, "9" * 5000, "1_000", "None", "True", "abc", "\x00"),
    *("\N{ARABIC-INDIC DIGIT THREE}", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\ufeff"),
    *('"', "'", ",", "\n", "\r\n", "<script>", "$\\frac{", "|", "../../x", "=1+1"),
    *("{}", "[" * 3000, '{"a":' * 3000, "null", "[]", "&a *a", "!!python/object:x"),
)


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Damage:
    return lambda data: b"".join(change(data.splitlines(keepends=True)))


@st.composite
def damage(draw: st.DrawFn) -> Damage:
    """Return a way to damage a file's content."""
    a = draw(st.integers(0, 2**16))
    b = draw(st.integers(0, 2**16))
    some = draw(st.sampled_from(NASTY)).encode(errors="surrogatepass")

    def at(place: int, data: Sequence[object]) -> int:
        return place % max(1, len(data))

    def cell(lines: list[bytes]) -> list[bytes]:
        if not lines:
            return [some]
        cells = lines[at(a, lines)].split(b",")
        cells[at(b, cells)] = some + (b"\n" if at(b, cells) == len(cells) - 1 else b"")
        return [*lines[: at(a, lines)], b",".join(cells), *lines[at(a, lines) + 1 :]]

    def swap(lines: list[bytes]) -> list[bytes]:
        if lines:
            i, j = at(a, lines), at(b, lines)
            lines[i], lines[j] = lines[j], lines[i]
        return lines

    def numbers(data: bytes) -> bytes:
        found = list(re.finditer(rb"\d+(\.\d+)?", data))
        if not found:
            return data
        number = found[at(a, found)]
        text = number[0]
        other = [
            *(b"-" + text, text + b"0", text[:-1], text + b"e9", b"0." + text),
            str(int(text.partition(b".")[0][:300]) + 1).encode(),
            text.translate(bytes.maketrans(b"0123456789", b"1234567890")),
        ]
        return data[: number.start()] + other[at(b, other)] + data[number.end() :]

    def columns(change: Callable[[list[bytes]], list[bytes]]) -> Damage:
        def changed(line: bytes) -> bytes:
            cells = line.rstrip(b"\n").split(b",")
            return b",".join(change(cells)) + b"\n" * line.endswith(b"\n")

        return _lines(lambda lines: [*map(changed, lines)])

    def without(cells: list[bytes]) -> list[bytes]:
        return cells[: at(a, cells)] + cells[at(a, cells) + 1 :]

    def in_one(lines: list[bytes]) -> list[bytes]:
        return [
            b",".join(swap(line.rstrip(b"\n").split(b","))) + b"\n"
            if i == at(a, lines)
            else line
            for i, line in enumerate(lines)
        ]

    def thinned(lines: list[bytes]) -> list[bytes]:
        return [line for i, line in enumerate(lines) if not i or i % 7 != a % 7]

    def encoded(encoding: str) -> Damage:
        return lambda data: data.decode(errors="replace").encode(encoding, "replace")

    ways: dict[str, Damage] = {
        "number": numbers,
        "no column": columns(without),
        "columns swapped": columns(swap),
        "a column twice": columns(lambda cells: [*cells, *cells[at(a, cells) :][:1]]),
        "cells of a row swapped": _lines(in_one),
        "rows missing": _lines(thinned),
        "body twice": _lines(lambda lines: lines + lines[1:]),
        "file twice": lambda data: data + data,
        "reversed": _lines(lambda lines: lines[:1] + lines[:0:-1]),
        "header alone": _lines(lambda lines: lines[:1]),
        "no header": _lines(lambda lines: lines[1:]),
        "UTF-16": encoded("utf-16"),
        "UTF-8 with a mark": encoded("utf-8-sig"),
        "EBCDIC": encoded("cp500"),
        "other line ends": lambda data: data.replace(b"\n", b"\r\n"),
        "semicolons": lambda data: data.replace(b",", b";"),
        "decimal commas": lambda data: data.replace(b".", b","),
        "zeros": lambda data: data[: at(a, data)] + bytes(len(data) - at(a, data)),
        "cut": lambda data: data[: at(a, data)],
        "put": lambda data: data[: at(a, data)] + some + data[at(a, data) :],
        "flip": lambda data: (
            data[: at(a, data)] + bytes([b % 256]) + data[at(a, data) + 1 :]
        ),
        "drop": _lines(lambda lines: lines[: at(a, lines)] + lines[at(a, lines) + 1 :]),
        "twice": _lines(lambda lines: lines + lines[at(a, lines) :][:1]),
        "swap": _lines(swap),
        "cell": _lines(cell),
    }
    return ways[draw(st.sampled_from(sorted(ways)))]
