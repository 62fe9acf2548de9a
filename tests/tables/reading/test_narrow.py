"""Texts become numbers only where no value changes."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automtl.errors import EncodingError
from automtl.tables.reading.narrow import narrow
from automtl.tables.values.ids import as_text

CASES: list[tuple[list[str | None], pl.DataType]] = [
    (["1", "-20", "0", None], pl.Int64()),
    (["9223372036854775807", "-9223372036854775808"], pl.Int64()),
    (["1", " NA ", "?"], pl.Int64()),
    (["9223372036854775808"], pl.String()),
    (["1" * 41, "2"], pl.String()),
    (["007"], pl.String()),
    (["00"], pl.String()),
    (["-0"], pl.String()),
    (["-07", "-1"], pl.String()),
    (["+5", "6"], pl.String()),
    ([" 5", "6"], pl.String()),
    (["1.5", "2", None], pl.Float64()),
    (["0.1", "-0.0", "0.30"], pl.Float64()),
    (["1.5", "9007199254740991"], pl.Float64()),
    (["1.5", "9007199254740993"], pl.String()),
    (["0.3333333333333333", "0.1"], pl.Float64()),
    (["0.33333333333333331", "0.1"], pl.String()),
    (["1e-07", "0.5"], pl.Float64()),
    (["1.234", "-56.789", None], pl.String()),
    (["1.234", "-5", "0"], pl.String()),
    (["1.234", "1000"], pl.Float64()),
    (["1.234", "0.5"], pl.Float64()),
    (["1e5", "0.5"], pl.String()),
    (["00.5"], pl.String()),
    ([".5", "1.5"], pl.String()),
    (["5.", "1.5"], pl.String()),
    (["inf", "1.5"], pl.String()),
    (["12,50", "1.5"], pl.String()),
    (["true", "False", "TRUE", None], pl.Boolean()),
    (["true", "1"], pl.String()),
    (["t", "f"], pl.String()),
    ([None, None], pl.String()),
    ([None] * 500 + ["3"], pl.Int64()),
    (["3"] * 500 + ["x"], pl.String()),
]


@pytest.mark.parametrize(("texts", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_types_that_texts_get(texts: list[str | None], expected: pl.DataType) -> None:
    found = narrow(pl.Series("*", texts, pl.String))
    assert found.dtype == expected
    assert found.name == "*"
    absent = [text is None or text.strip() in ("NA", "?") for text in texts]
    assert found.dtype == pl.String or found.is_null().to_list() == absent


NUMBER = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.integers(-50, 50).map(str),
    st.decimals(-1000, 1000, places=2).map(str),
    st.floats(-10, 10).map(repr),
    st.floats(width=64, allow_nan=False).map(repr),
    st.from_regex(r"[-+]?[0-9]{0,3}\.?[0-9]{0,4}(e-0?[0-9])?", fullmatch=True),
)
OTHER = st.sampled_from([None, "NA", " NA ", "-0", "-0.0", "007", "true", "True", "False", "x", " 1", "inf", "1e-7"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(NUMBER, NUMBER, OTHER), max_size=4))
def test_no_id_and_no_number_changes(texts: list[str | None]) -> None:
    column = pl.Series("a", [None if text == "" else text for text in texts], pl.String)
    found = narrow(column)
    try:
        expected = as_text(column).to_list()
    except EncodingError:  # a number that was rounded when it was written
        assert found.dtype == pl.String
        return
    assert as_text(found).to_list() == expected
    if found.dtype == pl.Float64:
        assert found.to_list() == column.str.strip_chars().cast(pl.Float64, strict=False).to_list()
