"""Conditions compare what a column means, and missing values satisfy none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from automtl.errors import EncodingError
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.values.conditions import holds

FIELDS = (Field("x", FieldKind.CATEGORICAL), Field("price", FieldKind.NUMERIC, decimal=","))
SCHEMA = Schema(FIELDS, (Task("click"),))
TRUTHS: list[list[Any]] = [
    [1, 0, None], [1.0, 0.0, float("nan")], ["1.0", "0", "NA"], ["true", "False", ""], [True, False, None],
    [Decimal("1.0"), Decimal(0), None],
]  # fmt: skip
NUMBERS: list[list[Any]] = [
    [5, 200, None], [5.0, 200.0, float("nan")], ["5", "200", "NA"], [Decimal(5), Decimal(200), None]
]  # fmt: skip


def rows(column: str, values: list[Any], condition: str) -> list[bool]:
    found: list[bool] = holds(pl.DataFrame({column: values}, strict=False), condition, SCHEMA).to_list()
    return found


@pytest.mark.parametrize("values", TRUTHS, ids=str)
@pytest.mark.parametrize("column", ["click", "x"])
@pytest.mark.parametrize("literal", ["1", "1.0", "true", "'1'"])
def test_equality_is_that_of_values(values: list[Any], column: str, literal: str) -> None:
    assert rows(column, values, f"{column} = {literal}") == [True, False, False]
    assert rows(column, values, f"{column} != {literal}") == [False, True, False]


@pytest.mark.parametrize("values", NUMBERS, ids=str)
def test_order_is_that_of_numbers(values: list[Any]) -> None:
    assert rows("watch", values, "watch > 100") == [False, True, False]
    assert rows("watch", values, "watch <= 100") == [True, False, False]


def test_labels_and_separators_are_read_as_the_schema_says() -> None:
    assert rows("click", ["yes", "n", None], "click = 1") == [True, False, False]
    assert rows("price", ["12,50", "3,5", ""], "price = 12.5") == [True, False, False]
    assert rows("price", ["12,50", "3,5", ""], "price > 4") == [True, False, False]
    assert rows("x", ["007", "7"], "x = 7") == [False, True]
    assert rows("x", [2**60 + 1, 2**60], f"x = {2**60}") == [False, True]


@pytest.mark.parametrize(
    "values",
    [
        [date(2024, 9, 30), date(2024, 10, 2), None],
        [datetime(2024, 9, 30), datetime(2024, 10, 2), None],
        [datetime(2024, 9, 30, tzinfo=UTC), datetime(2024, 10, 2, tzinfo=UTC), None],
        ["2024-09-30", "2024-10-02T04:00", ""],
    ],
)
def test_times_are_compared_as_times(values: list[Any]) -> None:
    assert rows("when", values, "when > 2024-10-01") == [False, True, False]
    assert rows("when", values, "when <= '2024-10-01 12:00'") == [True, False, False]


@pytest.mark.parametrize(
    ("values", "condition", "message"),
    [
        (["a", "b"], "name > b", "condition 'name > b': 'b' cannot be compared with column 'name'"),
        (["a", "b"], "name > 3", "'name' is numeric.*'a'"),
        ([1, 2], "name = NA", "cannot be compared"),
        ([date(2024, 1, 1)], "name > 5", "cannot be compared"),
    ],
)
def test_what_cannot_be_compared_is_refused(values: list[Any], condition: str, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        rows("name", values, condition)
