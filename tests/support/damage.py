"""Damage to files, as hypothesis draws it: what people, disks and programs do."""

from collections.abc import Callable

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

    def at(place: int, data: bytes | list[bytes]) -> int:
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

    ways: dict[str, Damage] = {
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
