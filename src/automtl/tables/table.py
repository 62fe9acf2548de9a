"""Read tables from files of several formats and from data frames."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import glob, has_magic
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from automtl.errors import TableError
from automtl.system.files import written_whole
from automtl.system.manifest import PREPARED
from automtl.tables.values.ids import ABSENT

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
PARQUET_SUFFIXES = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t", "|")
CSV_MISTAKES = {  # by what the message of polars says
    "more fields than defined": "has a row of more fields than its header; put text that holds the separator in quotes",
    "invalid utf-8": "is no UTF-8 text; save it as UTF-8",
}
SUFFIXES = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *ARROW_SUFFIXES)


def read_table(source: Any) -> pl.DataFrame:
    """Read a file, folder, glob or data frame (polars, pandas, pyarrow) as one polars frame.

    Raises TableError for a source that is missing, empty, unreadable, or has duplicate or clashing columns.

    >>> import pandas as pd
    >>> automtl.read_table(pd.DataFrame({"user": [1, 2], "click": [0, 1]})).columns
    ['user', 'click']
    """
    if isinstance(source, str | Path):
        table = _read_files(str(source))
        name = f"'{source}'"
    else:
        table, name = _from_frame(source), "the data frame"
    if table.width == 0 or table.height == 0:
        raise TableError(f"{name} has no rows; give a table with at least one row")
    return table


def _from_frame(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    columns = [str(name) for name in getattr(frame, "column_names", getattr(frame, "columns", ()))]
    _refuse_duplicates(columns, "the data frame")
    kind = type(frame).__module__.split(".")[0]
    try:
        if kind == "pandas":
            return pl.from_pandas(frame)
        if kind == "pyarrow":
            converted = pl.from_arrow(frame)
            if isinstance(converted, pl.DataFrame):
                return converted
    except Exception as error:
        raise TableError(f"the {kind} table cannot be converted: {first_line(error)}") from None
    raise TableError(f"cannot read a {type(frame).__name__}; give a path or a polars, pandas or pyarrow table")


def _refuse_duplicates(columns: list[str], where: str) -> None:
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise TableError(f"{where} has column '{twice[0]}' twice; rename one of them")


def _read_files(source: str) -> pl.DataFrame:
    paths = table_paths(source)
    frames = [_read_file(path) for path in paths]
    first = frames[0]
    for path, frame in zip(paths[1:], frames[1:], strict=True):
        require_same_columns(paths[0], first.columns, path, frame.columns)
    if len(frames) == 1:
        return first
    try:
        return pl.concat([frame.select(first.columns) for frame in frames], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise TableError(f"the parts of '{source}' clash: {first_line(error)}") from None


def require_same_columns(first: Path, columns: Iterable[str], path: Path, found: Iterable[str]) -> None:
    """Raise TableError that names a column which only one of two parts has."""
    if other := sorted(set(columns) ^ set(found)):
        raise TableError(f"'{path}' and '{first}' differ in column '{other[0]}'; give parts of the same columns")


def table_paths(source: str) -> list[Path]:
    """List the files of a path, folder or glob. Raises TableError where one is missing or empty."""
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if _is_table(p))
    elif has_magic(source) and not path.exists():
        found = sorted(Path(p) for p in glob(source))
    else:
        found = [path]
    if not found:
        if PREPARED.matches(path):
            raise TableError(
                f"'{source}' is a prepared table, whose rows are encoded; fit, compare and evaluate read it, "
                "here, give the table that it was made from"
            )
        raise TableError(f"'{source}' holds no table; expected files ending in {', '.join(SUFFIXES)}{_deeper(path)}")
    for path in found:
        if not path.exists():
            raise TableError(f"'{path}' does not exist; check the path")
        if path.stat().st_size == 0:
            raise TableError(f"'{path}' is empty; give a table with a header and rows")
    return found


def _is_table(path: Path) -> bool:
    """Tell by its name whether a file is a table; hidden files (unfinished or private ones of programs) are not."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def _deeper(folder: Path) -> str:
    """End a message with the glob of the tables in folders below `folder`, if there are some."""
    inner = next((path.relative_to(folder) for path in sorted(folder.rglob("*")) if _is_table(path)), None)
    if inner is None:
        return ""
    return f"; for those in its folders give '{folder.joinpath(*['*' for _ in inner.parts[1:]], '*' + inner.suffix)}'"


def _read_file(path: Path) -> pl.DataFrame:
    with reading(path):
        return _read_csv(path) if path.name.lower().endswith(CSV_SUFFIXES) else scan(path).collect()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn any error of the block into a TableError that names the file."""
    try:
        yield
    except TableError:
        raise
    except Exception as error:
        raise TableError(f"'{path}' cannot be read: {first_line(error)}") from None


def scan(path: Path) -> pl.LazyFrame:
    """Open a Parquet or Arrow file without reading its rows. Raises TableError for another ending."""
    name = path.name.lower()
    if name.endswith(PARQUET_SUFFIXES):
        return pl.scan_parquet(path, glob=False)
    if name.endswith(ARROW_SUFFIXES):
        return pl.scan_ipc(path, glob=False)
    raise TableError(f"'{path}': unknown ending; expected one of {', '.join(SUFFIXES)}")


def _read_csv(path: Path) -> pl.DataFrame:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        separator = read_header(path, file.readline())
    return parse_csv(path, path, separator)


def read_header(path: Path, line: bytes) -> str:
    """Find the separator of a CSV file in its first line. Raises TableError if that names a column twice."""
    try:
        header = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise TableError(f"'{path}' is no UTF-8 text; save it as UTF-8") from None
    bare = re.sub('"[^"]*"', "", header)
    separator = "\t" if ".tsv" in path.name.lower() else max(SEPARATORS, key=bare.count)
    _refuse_duplicates([name.strip('"') for name in header.split(separator)], f"'{path}'")
    return separator


def parse_csv(
    content: Path | BytesIO, path: Path, separator: str, columns: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """Parse content of the CSV file `path`: header and records or, where `columns` gives the types, records alone.

    Raises TableError that says what to do about a row of too many fields, or an encoding other than UTF-8.
    """
    try:
        return pl.read_csv(
            content, separator=separator, infer_schema_length=100_000, has_header=columns is None, schema=columns,
            null_values=list(ABSENT),
        )  # fmt: skip
    except pl.exceptions.ComputeError as error:
        for sign, what in CSV_MISTAKES.items():
            if sign in str(error):
                raise TableError(f"'{path}' {what}") from None
        raise


def first_line(error: BaseException) -> str:
    """Return the first line of the message of another library's error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a Parquet, CSV or Arrow file, as the name's ending says; it appears whole or not at all."""
    name = path.name.lower()
    if not name.endswith((*PARQUET_SUFFIXES, *ARROW_SUFFIXES, ".csv")):
        raise TableError(f"'{path}': cannot write this ending; use .parquet, .csv or .arrow")
    with written_whole(path) as part:
        if name.endswith(PARQUET_SUFFIXES):
            table.write_parquet(part)
        elif name.endswith(".csv"):
            table.write_csv(part)
        else:
            table.write_ipc(part)


def table_digest(table: pl.DataFrame) -> str:
    """Return a digest of a table's content, independent of its source and its chunks in memory."""
    found = hashlib.sha256()
    for column in table.rechunk():
        found.update(f"{column.name} {column.dtype} {len(column)}".encode())
        found.update(column.hash(seed=0).to_numpy().tobytes())
    return found.hexdigest()[:12]
