"""Numbers and labels, with all separators; what may be read in two ways is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from automtl.errors import EncodingError, RowError
from automtl.tables.infer import infer_field
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.numbers import as_labels, as_numbers, present_texts

READ: list[tuple[list[Any], list[float | None]]] = [
    ([1, None], [1.0, None]),
    ([1.5, float("nan"), float("inf")], [1.5, None, None]),
    ([Decimal("2.50")], [2.5]),
    ([True, False], [1.0, 0.0]),
    ([" 2.50 ", "1e3", "-7", "NA", "", "nan", "inf"], [2.5, 1000.0, -7.0, None, None, None, None]),
    (["true", "False", "2"], [1.0, 0.0, 2.0]),
    (["12,50", "3", "?"], [12.5, 3.0, None]),
    (["1,234,567", "12", "1,000"], [1234567.0, 12.0, 1000.0]),
    (["1.234,5", "12"], [1234.5, 12.0]),
    (["1 234,5", "12\u00a0000"], [1234.5, 12000.0]),
    (["1'234.5", "12"], [1234.5, 12.0]),
    (["0,123"], [0.123]),
]


@pytest.mark.parametrize(("values", "expected"), READ, ids=str)
def test_numbers_are_read_in_every_form(values: list[Any], expected: list[float | None]) -> None:
    assert as_numbers(pl.Series("^x$", values)).to_list() == expected


def test_separators_that_are_given_are_used() -> None:
    column = pl.Series("x", ["1,234", "5"])
    assert as_numbers(column, Field("x", FieldKind.NUMERIC, decimal=",")).to_list() == [1.234, 5.0]
    assert as_numbers(column, Field("x", FieldKind.NUMERIC, thousands=",")).to_list() == [1234.0, 5.0]
    german = Field("x", FieldKind.NUMERIC, decimal=",", thousands=".")
    assert as_numbers(pl.Series(["1.234", "1.234,5", "0,5"]), german).to_list() == [1234.0, 1234.5, 0.5]
    assert as_numbers(pl.Series(["1.5", "1e-7", "inf"]), german).to_list() == [1.5, 1e-7, None]  # no other reading
    with pytest.raises(EncodingError, match="column 'x'.*'1.234'"):
        as_numbers(pl.Series("x", ["1.234"]), Field("x", FieldKind.NUMERIC, decimal=","))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1,234"], "'x' holds '1,234', which may be 1234 or 1.234; say 'decimal' and 'thousands'"),
        (["12", "abc"], "'x' is numeric.*'abc'"),
        (["1,2,3"], "'x' is numeric.*'1,2,3'"),
        ([[1]], "'x' is numeric.*List"),
    ],
)
def test_what_is_no_number_or_may_be_two_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        as_numbers(pl.Series("x", values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([f"{n},{n % 100:02d}" for n in range(99)], (FieldKind.NUMERIC, ",", ".")),
        ([f"{n * 1000:,}" for n in range(1, 99)], (FieldKind.NUMERIC, ".", ",")),
        ([f"{n},{n:03d}" for n in range(1, 99)] + ["1234"], (FieldKind.NUMERIC, ",", ".")),
        ([f"{n}.5" for n in range(9)], (FieldKind.NUMERIC, None, None)),
        ([f"{n:05d}" for n in range(99)], (FieldKind.CATEGORICAL, None, None)),
        ([str(2**60 + n) for n in range(99)], (FieldKind.CATEGORICAL, None, None)),
        ([f"{n % 9},{n % 7}" for n in range(99)], (FieldKind.MULTI, None, None)),
        ([f"{100 * (1 + n % 9)},{n % 3}" for n in range(99)], (FieldKind.NUMERIC, ",", ".")),
    ],
    ids=[
        "decimal comma",
        "thousands",
        "comma of three decimals",
        "fractions",
        "zeros",
        "long",
        "pairs of ids",
        "hundreds and tenths",
    ],
)
def test_texts_of_numbers_are_inferred(values: list[str], expected: tuple[Any, ...]) -> None:
    field = infer_field(pl.Series("price", values))
    assert field is not None
    assert (field.kind, field.decimal, field.thousands) == expected


def test_labels_are_read_in_every_form_and_shown_with_their_row() -> None:
    assert as_labels(pl.Series(["Yes", "n", "1.0", "TRUE", "", None])).to_list() == [1.0, 0.0, 1.0, 1.0, None, None]
    assert as_labels(pl.Series([1.0, float("nan")])).to_list() == [1.0, None]
    assert as_labels(pl.Series([None, None])).dtype == pl.Float64
    assert as_labels(pl.Series(["12,50", "3,1"])).to_list() == [12.5, 3.1]
    with pytest.raises(RowError, match="'click'.*'maybe' in row 2"):
        as_labels(pl.Series("click", ["1", "maybe"]))


def test_blanks_around_texts_do_not_count_as_values() -> None:
    assert present_texts(pl.Series([" a ", " NA", "\\N"])).to_list() == ["a", None, None]
