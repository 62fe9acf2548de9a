"""Durations as texts and numbers."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automtl.errors import SchemaError
from automtl.tables import durations
from automtl.tables.durations import LONGEST, as_seconds, duration_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600.0), ("0s", 0.0), ("30m", 1800.0), ("30 min", 1800.0), ("2d", 172_800.0), ("500ms", 0.5),
        ("1.5h", 5400.0), ("10", 10.0), (".5s", 0.5), (7, 7.0), (0, 0.0), (0.25, 0.25), (" 1H ", 3600.0), ("3us", 3e-6),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_of_seconds_or_a_number_with_a_unit(text: Any, seconds: float) -> None:
    assert as_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1x", "-1h", "1h30m", -1, float("nan"), float("inf"), True, None, "1.2.3s", "."]
)
def test_what_is_no_duration_is_refused_with_examples(text: Any) -> None:
    with pytest.raises(SchemaError, match="is no duration; write 0s, 90s, 30m, 1h or 2d"):
        as_seconds(text)


@pytest.mark.parametrize("value", ["1e300s", "20000d", 1e300, 10**400])
def test_a_duration_of_more_than_50_years_is_refused(value: Any) -> None:
    with pytest.raises(SchemaError, match="longer than 50 years"):
        as_seconds(value)


@given(st.floats(0, LONGEST, allow_nan=False) | st.integers(0, 10**9).map(float))
def test_a_written_duration_reads_back_as_the_same_number(seconds: float) -> None:
    assert as_seconds(duration_text(seconds)) == seconds


def test_examples_run() -> None:
    assert doctest.testmod(durations).failed == 0
