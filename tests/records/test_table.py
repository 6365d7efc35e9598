"""Kinds of values: what a cell may say."""

import re

import pytest

from pearl_bench.records.table import NOT_NEGATIVE, REAL, SHARE

THREE, DOT_FIVE = "\N{ARABIC-INDIC DIGIT THREE}", ".\N{ARABIC-INDIC DIGIT FIVE}"


@pytest.mark.parametrize("kind", [REAL, NOT_NEGATIVE, SHARE])
@pytest.mark.parametrize(
    "text", [THREE, THREE + DOT_FIVE, "0" + DOT_FIVE, f"0e{THREE}", "1_0", " 1", "nan"]
)
def test_numbers_are_written_as_programs_write_them(kind, text):
    """Other programs would read other scripts' digits as text, or not at all."""
    assert kind.parse("0.5") == 0.5
    with pytest.raises(ValueError, match=re.escape(text)):
        kind.parse(text)
