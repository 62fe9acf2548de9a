"""Numbers of keys and times of logs."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from automtl.histories.plan import SECOND
from automtl.histories.rows import NO_KEY, Rows, key_numbers, log_times
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.times import NO_TIME

FIELDS = {name: Field(name, FieldKind.CATEGORICAL) for name in ("user", "item")} | {
    "price": Field("price", FieldKind.NUMERIC)
}
MOMENT = 1_704_105_000  # 2024-01-01 10:30, in seconds


def numbers(key: tuple[str, ...], **columns: list[object]) -> np.ndarray:
    return key_numbers(pl.DataFrame(columns, strict=False), [key], FIELDS)[0]


def test_every_form_of_a_value_has_the_same_number() -> None:
    whole = numbers(("user",), user=[2, 7])
    np.testing.assert_array_equal(numbers(("user",), user=[2.0, 7.0]), whole)
    np.testing.assert_array_equal(numbers(("user",), user=["2", "7"]), whole)
    np.testing.assert_array_equal(numbers(("price",), price=["2.5", "7"]), numbers(("price",), price=[2.5, 7.0]))


def test_a_pair_has_a_number_of_its_own_in_each_order() -> None:
    both = numbers(("user", "item"), user=[1, 2, 1], item=[2, 1, 1])
    assert len(np.unique(both)) == 3
    assert both[0] != numbers(("item", "user"), user=[1], item=[2])[0]


def test_a_key_without_one_of_its_parts_is_none() -> None:
    assert numbers(("user", "item"), user=[None, 1, None], item=[1, None, None]).tolist() == [NO_KEY] * 3
    assert numbers(("price",), price=[None, 0.0]).tolist()[0] == NO_KEY
    assert numbers(("price",), price=[None, 0.0]).tolist()[1] != NO_KEY


@pytest.mark.parametrize(
    ("unit", "scale"), [("ns", 1e9), ("us", 1e6), ("ms", 1e3), ("s", 1), ("min", 1 / 60), ("h", 1 / 3600)]
)
def test_numbers_of_a_unit_are_times(unit: str, scale: float) -> None:
    floats = pl.Series("when", [MOMENT * scale, None])
    np.testing.assert_array_equal(log_times(floats, None, unit), [MOMENT * SECOND, NO_TIME])
    if scale >= 1:
        np.testing.assert_array_equal(log_times(floats.cast(pl.Int64), None, unit), [MOMENT * SECOND, NO_TIME])


def test_the_unit_of_numbers_is_told_by_their_size() -> None:
    for scale in (1, 1000, 1_000_000):
        assert log_times(pl.Series("when", [MOMENT * scale] * 3), None, None).tolist() == [MOMENT * SECOND] * 3
    assert log_times(pl.Series("when", [3, 4]), None, None).tolist() == [3 * SECOND, 4 * SECOND]


def test_numbers_of_no_unit_are_read_in_one_that_holds_them() -> None:
    assert np.diff(log_times(pl.Series("when", [20240131123000, 20240131123001]), None, None)).tolist() == [1]


def test_times_after_2200_are_missing() -> None:
    assert log_times(pl.Series("when", ["9999-12-31", "0001-01-01", "1970-01-02"]), None, None).tolist() == [
        NO_TIME, NO_TIME, 86_400 * SECOND,
    ]  # fmt: skip


def test_numbers_too_large_for_a_time_are_missing() -> None:
    assert log_times(pl.Series("when", [2**62, -(2**62)]), None, "s").tolist() == [NO_TIME] * 2
    assert log_times(pl.Series("when", [1e300, float("inf")]), None, "s").tolist() == [NO_TIME] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2024, 1, 1, 10, 30), MOMENT),
        ("2024-01-01 10:30:00", MOMENT),
        (date(2024, 1, 1), MOMENT - 37_800),
        (time(10, 30), 37_800),
        (timedelta(hours=10.5), 37_800),
    ],
)
def test_dates_texts_and_clocks_are_times(value: object, expected: int) -> None:
    column = pl.Series("when", [value, None])
    assert log_times(column, None, None).tolist() == [expected * SECOND, NO_TIME]


def test_a_time_field_says_how_its_column_is_read() -> None:
    field = Field("when", FieldKind.TIME, format="%d.%m.%Y")
    assert log_times(pl.Series("when", ["01.01.2024"]), field, None).tolist() == [(MOMENT - 37_800) * SECOND]


def test_rows_of_equal_time_are_ordered_by_what_came_of_them() -> None:
    values = np.array([[0], [1], [5], [1]])
    rows = Rows(np.zeros(4, np.int64), np.ones((1, 4), np.int64), values, values < 5, np.ones(4, bool))
    turned = rows.take(np.array([3, 2, 1, 0]))
    np.testing.assert_array_equal(rows.values[rows.order(((0,),)), 0], turned.values[turned.order(((0,),)), 0])
    assert rows.identity[1] == rows.identity[3] != rows.identity[0]
