"""The forms in which scores are written, piece by piece: every form that is read, and lines of JSON."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import polars as pl
import pyarrow as pa
from pyarrow import ipc, parquet

from automtl.errors import TableError
from automtl.tables.reading.paths import ARROW_SUFFIXES, CSV_SUFFIXES, PARQUET_SUFFIXES, has_suffix

JSON_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
WRITTEN = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *ARROW_SUFFIXES, *JSON_SUFFIXES)
Format = Literal["csv", "tsv", "jsonl", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Writer(ABC):
    """Writes tables of the same columns to one open file, one after another; closed by `with`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.opened = file, ExitStack()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.opened.close()

    @abstractmethod
    def write(self, table: pl.DataFrame) -> None:
        """Write the next rows."""


class CsvWriter(Writer):
    """Commas or another separator; quotes where a text needs them; missing values are empty."""

    separator = ","

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.begun = False

    def write(self, table: pl.DataFrame) -> None:
        text = BytesIO()  # a pipe that is closed is then an error of Python, which ends a command quietly
        table.write_csv(text, separator=self.separator, include_header=not self.begun)
        self.file.write(text.getbuffer())
        self.begun = True


class TsvWriter(CsvWriter):
    """Tabs between the values."""

    separator = "\t"


class JsonWriter(Writer):
    """A line of JSON for each row."""

    def write(self, table: pl.DataFrame) -> None:
        text = BytesIO()
        table.write_ndjson(text)
        self.file.write(text.getbuffer())


class ArrowWriter(Writer):
    """A file of Arrow (IPC), a batch of rows for each table."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.writer: Any = None

    def write(self, table: pl.DataFrame) -> None:
        rows = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.writer is None:
            self.writer = self.opened.enter_context(self.open(rows.schema))
        self.writer.write_table(rows)

    def open(self, schema: pa.Schema) -> Any:
        """Begin the file."""
        return ipc.new_file(self.file, schema)


class ParquetWriter(ArrowWriter):
    """A Parquet file, a row group for each table."""

    def open(self, schema: pa.Schema) -> Any:
        return parquet.ParquetWriter(self.file, schema, compression="zstd")


WRITERS: dict[Format, Callable[[IO[bytes]], Writer]] = {
    "csv": CsvWriter, "tsv": TsvWriter, "jsonl": JsonWriter, "parquet": ParquetWriter, "arrow": ArrowWriter,
}  # fmt: skip


def format_of(path: Path, given: Format | None = None) -> Format:
    """Return the form that is given or, without one, that a file's name says. Raises TableError."""
    if given is not None:
        if given not in FORMATS:
            raise TableError(f"--format {given}: there are {', '.join(FORMATS)}")
        return given
    if not has_suffix(path, WRITTEN):
        raise TableError(f"'{path}': cannot write this ending; use one of {', '.join(WRITTEN)}, or give --format")
    if has_suffix(path, CSV_SUFFIXES):
        return "tsv" if ".tsv" in path.name.lower() else "csv"
    kinds: tuple[tuple[tuple[str, ...], Format], ...] = (
        (PARQUET_SUFFIXES, "parquet"), (ARROW_SUFFIXES, "arrow"), (JSON_SUFFIXES, "jsonl"),
    )  # fmt: skip
    return next(kind for suffixes, kind in kinds if has_suffix(path, suffixes))


def check_writable(kind: Format, types: dict[str, Any]) -> None:
    """Raise TableError for a column that a form cannot hold."""
    for name, dtype in types.items():
        if kind in ("csv", "tsv") and dtype.is_nested():
            raise TableError(f"--keep {name}: a CSV file holds no lists; write .parquet, .arrow or .jsonl, or leave it")


def opened(file: IO[bytes], kind: Format, compressed: bool, stack: ExitStack) -> Writer:
    """Begin a table in an open file; the same rows give the same bytes, compressed ones, too."""
    if compressed:
        file = cast(IO[bytes], stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0)))
    return stack.enter_context(WRITERS[kind](file))
