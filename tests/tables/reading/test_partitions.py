"""Folders named key=value are columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.errors import TableError
from automtl.tables.reading.files import Place, TableFiles
from automtl.tables.table import read_table

TABLE = pl.DataFrame({"a": [1, 2]})


def write(folder: Path, *names: str, table: pl.DataFrame = TABLE) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.write_csv(folder / name) if name.endswith(".csv") else table.write_parquet(folder / name)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_folders_globs_and_files_have_the_columns_of_their_folders(tmp_path: Path, ending: str) -> None:
    write(tmp_path, f"day=1/city=S%C3%A3o%20Paulo/x.{ending}", f"day=12/city=__HIVE_DEFAULT_PARTITION__/x.{ending}")
    expected = TABLE.with_columns(day=pl.lit(1, pl.Int64), city=pl.lit("São Paulo"))
    both = pl.concat([expected, TABLE.with_columns(day=pl.lit(12, pl.Int64), city=pl.lit(None, pl.String))])
    assert read_table(tmp_path).equals(both)
    assert read_table(f"{tmp_path}/*/*/x.{ending}").equals(both)
    assert read_table(f"{tmp_path}/**/*.{ending}").equals(both)
    assert read_table(tmp_path / "day=1").equals(expected)
    assert read_table(next((tmp_path / "day=1").glob("*/*"))).equals(expected)
    pieces = list(TableFiles.open(str(tmp_path)).pieces(["day", "a"], 1, Place()))
    assert pl.concat(piece.table for piece in pieces).equals(both.select("day", "a"))
    assert TableFiles.open(str(tmp_path)).columns == dict(both.schema)
    alone = TableFiles.open(str(tmp_path)).pieces(["city"], 5, Place())
    assert pl.concat(piece.table for piece in alone).equals(both.select("city"))


@pytest.mark.parametrize("values", [("1", "02"), ("1", "x"), ("1.5", "2.5"), ("true", "false")])
def test_values_are_whole_numbers_in_all_folders_or_text(tmp_path: Path, values: tuple[str, str]) -> None:
    write(tmp_path, *(f"key={value}/x.parquet" for value in values))
    assert sorted(set(read_table(tmp_path)["key"])) == sorted(values)


def test_a_column_of_the_file_wins(tmp_path: Path) -> None:
    write(tmp_path, "a=7/x.parquet")
    assert read_table(tmp_path).equals(TABLE)


def test_hidden_folders_are_no_partitions_and_hidden_files_no_parts(tmp_path: Path) -> None:
    write(tmp_path, "k=1/x.parquet", "_k=1/x.parquet", ".k=1/x.parquet", "k=1/_x.parquet", "_tmp/x.parquet")
    (tmp_path / "_SUCCESS").touch()
    assert read_table(tmp_path).height == read_table(f"{tmp_path}/*/*.parquet").height == 2
    assert read_table(f"{tmp_path}/_tmp/*.parquet").height == 2


def test_parts_of_different_keys_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "day=1/x.parquet", "month=1/x.parquet")
    with pytest.raises(TableError, match="differ in column 'day'"):
        read_table(tmp_path)


def test_folders_that_are_no_partitions_get_a_hint(tmp_path: Path) -> None:
    write(tmp_path, "day1/x.parquet", "_tmp/deep/x.parquet")
    with pytest.raises(TableError, match=r"for those in its folders give '.*/\*/\*\.parquet'"):
        read_table(tmp_path)
