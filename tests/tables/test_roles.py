"""Columns that have a role."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from automtl.errors import AutomtlError
from automtl.tables.roles import named_parts


def test_a_split_column_names_the_parts() -> None:
    assert named_parts(pl.Series("part", ["train", " Valid", "dev", "TEST"])).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    "values", [["later"], [None], [1], [0.5], [True], [[1]], [dt.date(1, 1, 1)], [dt.time(1)], [b"x"]]
)
def test_a_split_column_of_other_values_is_refused_by_name(values: list[Any]) -> None:
    with pytest.raises(AutomtlError, match="column 'part'"):
        named_parts(pl.Series("part", values))
