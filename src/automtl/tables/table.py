"""Read and write tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from automtl.errors import TableError
from automtl.system.files import written_whole
from automtl.tables.reading.files import TableFiles
from automtl.tables.reading.frames import from_frame
from automtl.tables.reading.paths import ARROW_SUFFIXES, PARQUET_SUFFIXES, has_suffix


def read_table(source: Any) -> pl.DataFrame:
    """Read a file, folder or glob, a data frame (polars, pandas, pyarrow), rows or columns as one polars frame.

    Raises TableError for a source that is missing, empty, unreadable, or has duplicate or clashing columns.

    >>> automtl.read_table([{"user": 1, "click": 0}, {"user": "guest", "click": 1}])["user"].to_list()
    ['1', 'guest']
    >>> import pandas as pd
    >>> automtl.read_table(pd.DataFrame({"user": [1, 2], "click": [0, 1]})).columns
    ['user', 'click']
    """
    if isinstance(source, str | Path):
        table, name = TableFiles.open(str(source)).read(), f"'{source}'"
    else:
        table, name = from_frame(source), "the data frame"
    if table.width == 0 or table.height == 0:
        raise TableError(f"{name} has no rows; give a table with at least one row")
    return table


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a Parquet, CSV or Arrow file, as the name's ending says; it appears whole or not at all."""
    if not has_suffix(path, (*PARQUET_SUFFIXES, *ARROW_SUFFIXES, ".csv")):
        raise TableError(f"'{path}': cannot write this ending; use .parquet, .csv or .arrow")
    with written_whole(path) as part:
        if has_suffix(path, PARQUET_SUFFIXES):
            table.write_parquet(part)
        elif has_suffix(path, (".csv",)):
            table.write_csv(part)
        else:
            table.write_ipc(part)


def table_digest(table: pl.DataFrame) -> str:
    """Return a digest of a table's content, independent of its source and its chunks in memory."""
    found = hashlib.sha256()
    for column in table.rechunk():
        found.update(f"{column.name} {column.dtype} {len(column)}".encode())
        found.update(column.alias("").hash(seed=0).to_numpy().tobytes())
    return found.hexdigest()[:12]
