"""The time column that is found where none is named."""

from __future__ import annotations

import doctest
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.tables import event_time as module
from automtl.tables.event_time import event_time
from automtl.tables.infer import infer_field

ROWS = 400
RNG = np.random.default_rng(0)
USER = RNG.integers(0, 40, ROWS)
SECONDS = np.sort(RNG.integers(0, 10_000, ROWS)) + 1_650_000_000
MOMENTS = [datetime(2024, 1, 1) + timedelta(minutes=int(minute)) for minute in range(ROWS)]


def found(columns: dict[str, Any]) -> str | None:
    table = pl.DataFrame({"user_id": USER, **columns})
    return event_time(table, columns, [field for column in table if (field := infer_field(column)) is not None])


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"timestamp": SECONDS}, "timestamp"),
        ({"time_ms": SECONDS * 1000}, "time_ms"),
        ({"ts": SECONDS.astype(str)}, "ts"),
        ({"eventTime": MOMENTS}, "eventTime"),
        ({"time": pl.Series(MOMENTS).cast(pl.String)}, "time"),
        ({"time": pl.Series(SECONDS).cast(pl.Float64)}, "time"),
        ({"ts": SECONDS, "event_time": MOMENTS}, "event_time"),
        ({"ts": SECONDS, "beijing_time": MOMENTS}, "ts"),
    ],
)
def test_a_name_and_instants_of_these_years_make_a_time_column(columns: dict[str, Any], name: str) -> None:
    assert found(columns) == name


@pytest.mark.parametrize(
    "columns",
    [
        {"due": MOMENTS},  # which time it is, the name does not say
        {"registered_time": MOMENTS},
        {"time": np.arange(ROWS)},  # no instant of these years
        {"time": np.arange(ROWS) * 100_000},  # some durations would be instants of the seventies
        {"time": [timedelta(seconds=place) for place in range(ROWS)]},
        {"time": ["noon", "night"] * (ROWS // 2)},
        {"time": [True, False] * (ROWS // 2)},
        {"time": [[1_650_000_000]] * ROWS},
        {"timestamp": (USER + 1_650_000_000)},  # the birth of a user
        {"timestamp": [None, *SECONDS[1 : ROWS - 40].tolist(), *[None] * 40]},
    ],
)
def test_other_columns_are_none(columns: dict[str, Any]) -> None:
    assert found(columns) is None


def test_a_time_of_a_request_is_one_of_its_rows() -> None:
    request = np.arange(ROWS) // 4
    when = 1_650_000_000 + request * 10
    assert found({"request_id": request, "timestamp": when}) == "timestamp"
    assert found({"upload_id": request, "timestamp": when}) is None


def test_examples_run() -> None:
    assert doctest.testmod(module).failed == 0
