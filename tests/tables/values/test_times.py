"""Times: one instant in every form, and an order that does not hang on how times are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automtl.errors import EncodingError
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.times import NO_TIME, as_moments, time_order, zone_of

MOMENT = datetime(2024, 2, 29, 12, 5, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


def time(**options: Any) -> Field:
    return Field("t", FieldKind.TIME, **options)


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([MOMENT], None),
        (["2024-02-29T12:05:00Z"], None),
        (["2024-02-29 13:05:00+01"], None),
        (["2024-02-29 13:05:00.000+0100"], None),
        (["2024-02-29 06:35 -05:30"], None),
        (["2024-02-29 12:05:00 UTC"], None),
        ([SECONDS], "s"),
        ([float(SECONDS)], "s"),
        ([str(SECONDS * 1000)], "ms"),
        ([SECONDS * 10**6], "us"),
        ([SECONDS * 10**9], "ns"),
    ],
)
def test_an_instant_is_local_time_of_the_fields_zone(values: list[Any], unit: str | None) -> None:
    column = pl.Series("t", values)
    assert as_moments(column, time(unit=unit, zone="Europe/Rome")).to_list() == [datetime(2024, 2, 29, 13, 5)]
    assert as_moments(column, time(unit=unit, zone="+08:00")).to_list() == [datetime(2024, 2, 29, 20, 5)]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([MOMENT], {}, "'t' holds times of a zone.*say 'zone'"),
        ([MOMENT.replace(tzinfo=None)], {"zone": "UTC"}, "'t' holds times without a zone"),
        (["2024-02-29 12:05Z", "2024-02-29 12:05"], {"zone": "UTC"}, "'t' holds times with an offset.*and without"),
        (["6/1/2023 14:05"], {}, "'t' is a time but holds '6/1/2023 14:05'.*'format'"),
        ([SECONDS], {"unit": "ms"}, "'t' holds 1709208300.*'ms'.*'unit: s'"),
        ([SECONDS * 1000], {"unit": "s"}, "'t'.*'unit: ms'"),
        ([SECONDS], {}, "'t' is a time.*unit"),
        ([MOMENT], {"zone": "Mars"}, "zone 'Mars' is unknown"),
    ],
)
def test_what_is_no_time_or_of_another_zone_or_unit_is_refused(values: list[Any], options: Any, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        as_moments(pl.Series("t", values), time(**options))


def test_other_texts_have_a_format() -> None:
    column = pl.Series("t", ["12/1/2023 4:05", "", None, "2/28/2024 14:05"])
    found = as_moments(column, time(format="%m/%d/%Y %H:%M")).to_list()
    assert found == [datetime(2023, 12, 1, 4, 5), None, None, datetime(2024, 2, 28, 14, 5)]


@pytest.mark.parametrize(
    ("values", "zone"),
    [
        (["2024-01-31 12:00Z", None], "UTC"),
        (["2024-01-31 12:00+08", "2024-07-31 12:00+08:00"], "+08:00"),
        (["2024-01-31 12:00-05:30"], "-05:30"),
        (["2024-01-31 12:00+01", "2024-07-31 12:00+02"], "UTC"),
        (["2024-01-31", "2024-01-31 12:00"], None),
        ([1, 2], None),
    ],
)
def test_the_zone_of_a_column(values: list[Any], zone: str | None) -> None:
    assert zone_of(pl.Series(values)) == zone


WHOLE = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(2**53 - 9, 2**53 + 9))
NUMBERS = st.one_of(st.integers(-50, 50), st.floats(-(2.0**52), 2.0**52), st.sampled_from([-0.0, 0.5]))


@given(st.one_of(*(st.lists(st.one_of(st.none(), kind), min_size=1, max_size=12) for kind in (WHOLE, NUMBERS))))
def test_pieces_of_a_column_are_ordered_as_the_whole_numbers_are(values: list[Any]) -> None:
    keys = np.concatenate([time_order(pl.Series([value])) for value in values]).tolist()
    for a, one in zip(keys, values, strict=True):
        assert (a == NO_TIME) == (one is None)
        for b, other in zip(keys, values, strict=True):
            if one is not None and other is not None and one < other:
                assert a < b or (a == b and (other - one <= 4 or float(one) == float(other)))


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("t", ["2023-09-30", "2023-10-01", "2023-10-01 04:00", None]),
        pl.Series("t", [9.0, 10.0, 11.5, float("nan")]),
        pl.Series("t", ["9", "10.0", "11.5", "NA"]),
        pl.Series("t", ["2023-10-01 09:00+02", "2023-10-01 08:00Z", "2023-10-01 11:00+02", ""]),
    ],
)
def test_times_are_ordered_by_their_meaning_and_missing_ones_are_missing(column: pl.Series) -> None:
    keys = time_order(column)
    assert (np.diff(keys[:3]) > 0).all()
    assert keys[3] == NO_TIME


def test_times_that_cannot_be_read_are_never_sorted_as_texts() -> None:
    with pytest.raises(EncodingError, match="'t' is a time but holds '10/1/2023'"):
        time_order(pl.Series("t", ["10/1/2023", "9/1/2023"]))
