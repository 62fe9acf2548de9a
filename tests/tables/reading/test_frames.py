"""Data frames of other libraries, rows and columns of Python: nothing is rounded, what is mixed becomes text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather

from automtl.errors import TableError
from automtl.tables.table import read_table

BIG = 2**60 + 1
NOON = datetime(2024, 1, 2, 12)


def pandas(values: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(values, dtype=dtype)


COLUMNS: list[tuple[Any, Any, list[Any]]] = [
    (pandas([1, "a", True, Decimal("2.50"), None], object), pl.String, ["1", "a", "True", "2.50", None]),
    (pandas([float("nan"), pd.NA, pd.NaT, "x", float("inf")], object), pl.String, [None, None, None, "x", None]),
    (pandas([1, 2.5], object), pl.Float64, [1.0, 2.5]),
    (pandas([BIG, 2.5], object), pl.String, [str(BIG), "2.5"]),
    (pandas([2**70, 1], object), pl.String, [str(2**70), "1"]),
    (pandas([None, None], object), pl.Null, [None, None]),
    (pandas([BIG, None], "Int64"), pl.Int64, [BIG, None]),
    (pandas([True, None], "boolean"), pl.Boolean, [True, None]),
    (pandas(["a", None], "string"), pl.String, ["a", None]),
    (pandas([1.5, None], "Float64"), pl.Float64, [1.5, None]),
    (pandas([10, 20, None], "category"), pl.Int64, [10, 20, None]),
    (pandas(["a", 1, None], "category"), pl.String, ["a", "1", None]),
    (pandas([0, 1], "Sparse[int]"), pl.Int64, [0, 1]),
    (pd.period_range("2024-01", periods=2, freq="M"), pl.String, ["2024-01", "2024-02"]),
    (pa.array([10, None, 10]).dictionary_encode(), pl.Int64, [10, None, 10]),
    (pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)), pl.Decimal(38, 2), [Decimal("1.50"), None]),
    (pa.array([Decimal("1.50")], pa.decimal128(38, 2)), pl.Decimal(38, 2), [Decimal("1.50")]),
    (pl.Series([1, "a", None], dtype=pl.Object), pl.String, ["1", "a", None]),
    (np.array([1, "a", None], object), pl.String, ["1", "a", None]),
    (np.array(["2024-01-02T12"], "datetime64[h]"), pl.Datetime("us"), [NOON]),
    (np.array([1.5, np.nan]), pl.Float64, [1.5, None]),
    ([True, np.bool_(False), None], pl.Boolean, [True, False, None]),
    ([np.int32(3), 4], pl.Int64, [3, 4]),
    ([[1, "a"], [2.5], [], None], pl.List(pl.String), [["1", "a"], ["2.5"], [], None]),
    ([np.array([1, 2]), (3,)], pl.List(pl.Int64), [[1, 2], [3]]),
    ([Decimal("2.50"), 3, Decimal("1E+3")], pl.String, ["2.50", "3", "1000"]),
    ([Decimal(10**50)], pl.String, [str(10**50)]),
    ([Decimal("2.50"), None, Decimal("1E+3")], pl.Decimal(38, 2), [Decimal("2.50"), None, Decimal(1000)]),
    ([Decimal(1), Decimal("1E-38")], pl.String, ["1", f"0.{'0' * 37}1"]),  # of which polars would lose the first
    ([Decimal(1), Decimal("1E-60")], pl.String, ["1", f"0.{'0' * 59}1"]),  # on which it would panic
    ([1.5, Decimal("0.10"), Decimal("sNaN")], pl.String, ["1.5", "0.10", None]),
    ([Decimal("1E+400"), Decimal("-Infinity")], pl.String, ["1E+400", None]),
    ([date(2024, 1, 2), NOON], pl.String, ["2024-01-02", "2024-01-02 12:00:00"]),
    ([NOON, NOON.replace(tzinfo=UTC)], pl.String, ["2024-01-02 12:00:00", "2024-01-02 12:00:00+00:00"]),
    ([UUID(int=1)], pl.String, [str(UUID(int=1))]),
]


@pytest.mark.parametrize(("values", "dtype", "expected"), COLUMNS, ids=lambda value: str(value)[:40].replace("\n", " "))
def test_columns_keep_their_values(values: Any, dtype: Any, expected: list[Any]) -> None:
    frames = [{"*": values}]
    if isinstance(values, pd.Series):
        frames.append(pd.DataFrame({"*": values}).set_index([["i"] * len(values)]))
    if isinstance(values, pa.Array):
        frames.append(pa.table({"*": values}))
    if isinstance(values, pl.Series):
        frames.append(pl.DataFrame({"*": values}))
    for frame in frames:
        found = read_table(frame)["*"]
        assert found.dtype == dtype
        assert found.to_list() == expected


def test_rows_are_dictionaries_in_which_values_may_lack() -> None:
    rows = [{"user": 1, "click": 0}, {"user": "guest", "click": 1, "tags": ["a"]}]
    assert read_table(rows).to_dict(as_series=False) == {
        "user": ["1", "guest"], "click": [0, 1], "tags": [None, ["a"]]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([], "has no rows"),
        ([1, 2], "cannot read a list; give a path"),
        (np.zeros((2, 2)), "cannot read a ndarray; give a path"),
        ({"a": [1], "b": [1, 2]}, "has 1 values of 'a' and 2 of 'b'; give columns of one length"),
        ({"a": 3}, "column 'a' of the data frame is a int; give a list or an array"),
        ({"a": [{"b": 1}, 2]}, "column 'a' of the data frame holds values of the types dict, int; give"),
        ({"a": [{"b": Decimal("nan")}]}, "column 'a' of the data frame holds values of the types dict; give"),
        (
            pa.table({"a": [{"b": Decimal(10**50)}]}),
            "column 'a' of the data frame holds values of the types dict; give",
        ),
        ({"a": [object()]}, "column 'a' of the data frame holds values of the types object; give"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "column '1' twice"),
        ({"a\x1fb": [1]}, r"column 'a\\x1fb', whose name holds a control character; rename it"),
        ({"a\ud800": [1]}, r"column 'a\\ud800', whose name holds a control character; rename it"),
        (pl.LazyFrame({"a": [1]}).select(pl.col("b")), "the lazy frame cannot be read: .*; correct it"),
    ],
)
def test_what_cannot_be_read_is_named(frame: Any, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TableError, match=message):
        read_table(frame)
    assert not capfd.readouterr().err  # a panic of polars prints its own text


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow", "frame"])
def test_no_name_is_a_pattern(tmp_path: Path, ending: str) -> None:
    from automtl.tables.reading.files import Place, TableFiles
    from automtl.tables.table import write_table

    table = pl.DataFrame({"^gspc$": [1, 2], "*": ["a", None], "^.*$": [0.5, 1.0], "": [True, False]})
    if ending == "frame":
        assert read_table(table.to_pandas()).equals(table)
        return
    (tmp_path / "parts").mkdir()
    for part in ("1", "2"):
        write_table(table, tmp_path / "parts" / f"{part}{ending}")
    both = pl.concat([table, table])
    assert read_table(tmp_path / "parts").equals(both)
    source = TableFiles.open(str(tmp_path / "parts"))
    assert source.joined(list(source.pieces(["*", ""], 1, Place()))).equals(both[["*", ""]])
    assert source.joined(source.sample(4)).equals(both)


def test_dictionaries_of_numbers_in_arrow_files_are_numbers(tmp_path: Path) -> None:
    feather.write_feather(pd.DataFrame({"c": pandas([10, None, 10], "category")}), tmp_path / "c.feather")
    assert read_table(tmp_path / "c.feather")["c"].to_list() == [10, None, 10]
