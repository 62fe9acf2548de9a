"""Names and numbers as they are shown."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from automtl.report.words import clean, percent, rounded, seconds, shorten, width


@given(st.text(max_size=60), st.integers(min_value=3, max_value=30))
def test_a_shortened_name_is_one_line_that_fits(text: str, room: int) -> None:
    short = shorten(text, room)
    assert width(short) <= room
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in short)
    if width(clean(text)) <= room:
        assert short == clean(text)


def test_the_middle_of_a_long_name_is_left_out() -> None:
    assert shorten("my_package.layers:MyLayer", 13) == "my_pac…yLayer"
    assert shorten("点击率点击率", 7) == "点…击率"


def test_numbers_are_short() -> None:
    assert [seconds(value) for value in (1.234, 61.4, 600, 9000, None)] == ["1.2 s", "61 s", "10 min", "2.5 h", "–"]
    assert [rounded(value) for value in (0.71234, 1.6e-10, 0.0, 31846.62, None)] == [
        "0.7123", "1.6e-10", "0.0000", "31846.6200", "–",
    ]  # fmt: skip
    assert [percent(value) for value in (0.25, 0.00123, None)] == ["25 %", "0.123 %", "–"]
