"""Columns that the folders of a table's files name, as Hive writes them: `region=north/day=3/part.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from urllib.parse import unquote

import polars as pl

from automtl.tables.names import check_names, require_same_names
from automtl.tables.reading.narrow import integers
from automtl.tables.reading.paths import is_partition
from automtl.tables.reading.table_file import TableFile

ABSENT_VALUE = "__HIVE_DEFAULT_PARTITION__"


def partitions(files: Sequence[TableFile]) -> list[dict[str, pl.Series]]:
    """Return for each file the columns, of one row, that the folders right above it name.

    A column is Int64 where all files have whole numbers in it, else text. Raises TableError for files of different
    keys.
    """
    found = [_values(file) for file in files]
    for file, values in zip(files, found, strict=True):
        require_same_names(files[0], found[0], file, values)
    columns = [_column(name, [values[name] for values in found]) for name in found[0]]
    return [{column.name: column[place : place + 1] for column in columns} for place in range(len(files))]


def _values(file: TableFile) -> dict[str, str]:
    pairs = [name.partition("=") for name in takewhile(is_partition, file.folders)][::-1]
    check_names([unquote(key) for key, _, _ in pairs], f"the path '{file}'")
    return {unquote(key): unquote(value) for key, _, value in pairs}


def _column(name: str, values: Sequence[str]) -> pl.Series:
    texts = pl.Series([None if value == ABSENT_VALUE else value for value in values], dtype=pl.String)
    numbers = integers(texts)
    return (texts if numbers is None or texts.null_count() == texts.len() else numbers).alias(name)
