"""Tables whose columns differ in type are joined without a change of any value, or refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from automtl.errors import TableError
from automtl.tables.reading.joined import join_tables
from automtl.tables.values.ids import as_text

BIG = 2**60 + 1
NOON = datetime(2024, 1, 2, 12)
TOKYO = pl.Datetime("us", "Asia/Tokyo")


def joined(*columns: pl.Series) -> pl.Series:
    return join_tables([(f"'{place}.csv'", column.alias("*").to_frame()) for place, column in enumerate(columns)])["*"]


def column(values: list[Any], dtype: Any = None) -> pl.Series:
    return pl.Series("c", values, dtype)


CASES: list[tuple[list[pl.Series], pl.Series]] = [
    ([column([1], pl.Int8), column([300], pl.UInt16)], column([1, 300], pl.Int64)),
    ([column([2**64 - 1], pl.UInt64), column([-1])], column([2**64 - 1, -1], pl.Int128)),
    ([column([True, None]), column([2])], column([1, None, 2])),
    ([column([1, 2]), column([0.5, None])], column([1.0, 2.0, 0.5, None])),
    ([column([BIG]), column([2.0, float("nan")])], column([BIG, 2, None])),
    ([column([BIG]), column([0.5])], column([str(BIG), "0.5"])),
    ([column([0.5], pl.Float32), column([0.25])], column([0.5, 0.25])),
    ([column([BIG]), column([None], pl.Null)], column([BIG, None])),
    ([column([None], pl.Float64), column([BIG])], column([None, BIG])),
    ([column([None], pl.String), column([BIG])], column([None, BIG])),
    ([column([1]), column(["guest"])], column(["1", "guest"])),
    ([column([1.0, 2.5]), column(["guest", "2.50"])], column(["1", "2.5", "guest", "2.50"])),
    ([column([1]), column([2.5]), column(["x"])], column(["1", "2.5", "x"])),
    ([column(["a"], pl.Categorical), column(["b"])], column(["a", "b"])),
    ([column(["a"], pl.Enum(["a"])), column(["b"], pl.Enum(["b"]))], column(["a", "b"])),
    ([column([Decimal("2.00")]), column([3])], column([2, 3])),
    ([column([Decimal("2.50")], pl.Decimal(9, 2)), column([3])], column([2.5, 3.0])),
    ([column([Decimal(2**70)]), column([3])], column([str(2**70), "3"])),
    ([column([[1], []]), column([["a"], None])], column([["1"], [], ["a"], None])),
    ([column([[1]]), column([[0.5], [None]])], column([[1.0], [0.5], [None]])),
    ([column([[1, 2]], pl.Array(pl.Int8, 2)), column([[3]])], column([[1, 2], [3]])),
    ([column([None], pl.Null), column([["a"]])], column([None, ["a"]])),
    ([column([date(2024, 1, 1)]), column([NOON])], column([datetime(2024, 1, 1), NOON])),
    ([column([timedelta(1)], pl.Duration("ms")), column([timedelta(2)])], column([timedelta(1), timedelta(2)])),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "expected"), CASES, ids=lambda value: str(value)[:50].replace("\n", " "))
def test_values_stay_what_they_are(columns: list[pl.Series], expected: pl.Series) -> None:
    found = joined(*columns)
    assert found.dtype == expected.dtype
    assert found.to_list() == expected.to_list()


def test_times_of_several_zones_are_the_same_instants_in_the_first_zone() -> None:
    first = column([datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=9)))]).dt.convert_time_zone("Asia/Tokyo")
    other = column([datetime(2024, 1, 1, tzinfo=UTC)]).cast(pl.Datetime("ms", "UTC"))
    found = joined(first, other)
    assert found.dtype == TOKYO
    assert [value.astimezone(UTC) for value in found] == [first[0].astimezone(UTC), other[0]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([column([date(2024, 1, 1)]), column(["x"])], r"column '\*' is String in '1.csv' and Date in '0.csv'; give"),
        ([column([NOON]), column([NOON], TOKYO)], "'1.csv' and Datetime.*'0.csv'; give"),
        ([column([1]), column([[1]])], "is List.*in '1.csv' and Int64 in '0.csv'; give parts of one type"),
        ([column([1]), column([{"a": 1}])], "is Struct.*in '1.csv' and Int64 in '0.csv'"),
        ([column([1]), column([2.5]), column([date(2024, 1, 1)])], "Date in '2.csv' and Int64 in '0.csv'"),
        ([column([BIG]), column([2.0**60])], r"'\*' holds .* as Float64, .* in '1.csv', .* Int64 in '0.csv'"),
    ],
)  # fmt: skip
def test_what_has_no_common_form_is_refused_by_name(columns: list[pl.Series], message: str) -> None:
    with pytest.raises(TableError, match=message):
        joined(*columns)


def test_ids_of_joined_columns_are_those_of_the_parts() -> None:
    parts = [column([1, 2]), column([True]), column([2.5]), column(["2.50", "x", "NA"]), column([Decimal("2.50")])]
    expected = [text for part in parts for text in as_text(part).to_list()]
    assert as_text(joined(*parts)).to_list() == expected
