"""Read CSV files as texts, block by block, whatever types their columns will have."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from automtl.errors import TableError
from automtl.tables.names import check_names
from automtl.tables.reading.joined import join_columns, types_of
from automtl.tables.reading.narrow import LARGE, narrow_columns
from automtl.tables.reading.records import Block, RecordError, blocks, cut, first_record
from automtl.tables.reading.table_file import TableFile
from automtl.tables.values.ids import ABSENT, unnamed

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 20  # bytes by which the length of a row, and the types, are judged
BLOCK_BYTES = 1 << 24  # bytes that are read at a time where all of a file is
TEXT = pl.String()
SLOW_ROWS = 10_000  # rows that are read at a time where polars cannot
BEFORE = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*\r?\n)*")  # the header: a mark of the encoding and blank lines
NO_UTF8 = "is no UTF-8 text; save it as UTF-8"


@dataclass(frozen=True)
class CsvFile:
    """One file. `types`: those of its first rows; `start`: bytes before the first row; `row_bytes`: of a row, about.

    `filled`: whether it has rows.
    """

    file: TableFile
    separator: str
    types: dict[str, pl.DataType]
    start: int
    row_bytes: float
    filled: bool

    def texts(self, size: int, row: int = 0, byte: int = 0) -> Iterator[tuple[pl.DataFrame, int]]:
        """Read all columns as text, about `size` bytes at a time, and say at which byte the next rows begin.

        Begins at `byte`, before which there are `row` rows. Raises TableError that names a row that cannot be read.
        """
        byte = byte or self.start
        with self.file.held() as path, open_bytes(path) as content:
            content.seek(byte)
            found = blocks(content, size, self.separator)
            while (block := self._next(found, row)) is not None:
                byte += block.size
                with _named(self.file, row):
                    table = parse(block.content, list(self.types), self.separator)
                if table.height:
                    yield table, byte
                row += table.height

    def _next(self, found: Iterator[Block], row: int) -> Block | None:
        with _named(self.file, row):
            return next(found, None)

    def read(self) -> pl.DataFrame:
        """Read the whole file, and narrow the columns all of whose texts allow it."""
        tables = [narrow_columns(table) for table, _ in self.texts(BLOCK_BYTES)]
        types = {name: _one_type([table[name] for table in tables]) for name in self.types}
        mixed = [name for name, dtype in types.items() if dtype is None]
        again = [table[mixed] for table, _ in self.texts(BLOCK_BYTES)] if mixed else []
        return pl.DataFrame(
            {
                name: join_columns([("", table[name]) for table in (again if dtype is None else tables)], dtype or TEXT)
                for name, dtype in types.items()
            }
        )


def _one_type(columns: Sequence[pl.Series]) -> pl.DataType | None:
    """Return the type of the texts of all blocks, which were narrowed one by one; None where they must stay texts."""
    filled = [unnamed(column) for column in columns if column.null_count() < column.len()]
    return type_of_narrowed({column.dtype for column in filled}, all(map(is_exact, filled)))


def is_exact(column: pl.Series) -> bool:
    """Tell whether floats hold each number of a narrowed column; any other column is exact."""
    return not column.dtype.is_numeric() or bool(column.is_between(-LARGE, LARGE, closed="none").all())


def type_of_narrowed(types: Collection[pl.DataType], exact: bool) -> pl.DataType | None:
    """Return the type of a column whose filled parts were narrowed to `types`; None where it must stay texts.

    exact: whether floats hold each of its numbers.
    """
    if set(types) == {pl.Int64, pl.Float64}:
        return pl.Float64() if exact else None
    return None if len(types) > 1 else next(iter(types), TEXT)


def open_csv(file: TableFile) -> CsvFile:
    """Read the header and the first rows. Raises TableError where these are not well formed."""
    with file.held() as path, open_bytes(path) as opened:
        head = opened.read(HEAD_BYTES)
    content, last = head[BEFORE.match(head).end() :], len(head) < HEAD_BYTES  # type: ignore[union-attr]
    separator = _separator(file, content.partition(b"\n")[0])
    length = first_record(content, separator) or len(content)
    names = _names(file, content[:length], separator)
    with _named(file, 0):
        block = cut(content[length:], separator, last=last) or Block(b"", 0)
        table = parse(block.content, names, separator)
    types = types_of(narrow_columns(table))
    row_bytes = (block.size or HEAD_BYTES) / max(table.height, 1)
    start = len(head) - len(content) + length
    return CsvFile(file, separator, types, start, row_bytes, filled=table.height > 0 or not last)


def open_bytes(path: Path) -> Any:
    """Open a file that may be compressed."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _separator(file: TableFile, line: bytes) -> str:
    bare = re.sub(rb'"[^"]*"', b"", line).decode("latin-1")
    return "\t" if ".tsv" in file.name.lower() else max(SEPARATORS, key=bare.count)


def _names(file: TableFile, record: bytes, separator: str) -> list[str]:
    try:
        text = record.decode()
    except UnicodeDecodeError:
        raise TableError(f"'{file}' {NO_UTF8}") from None
    names = next(_rows(text, separator), [[]])[0]
    check_names(names, f"'{file}'")
    return names


@contextmanager
def _named(file: TableFile, before: int) -> Iterator[None]:
    """Name the file, and the row in it, that cannot be read. `before`: rows before those of the block."""
    try:
        yield
    except RecordError as error:
        raise TableError(f"'{file}', row {before + error.row + 1}: {error.what}") from None


def parse(content: bytes, names: Sequence[str], separator: str) -> pl.DataFrame:
    """Parse records, whose texts that say there is no value become null. Raises RecordError."""
    places = [str(place) for place in range(len(names))]
    header, end = separator.join(places).encode() + b"\n", b"" if content[-1:] in b"\n" else b"\n"
    try:
        table = pl.read_csv(
            b"".join([header, content, end]), separator=separator, null_values=list(ABSENT),
            schema=dict.fromkeys(places, pl.String), quote_char='"' if b'"' in content else None,
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        table = _parsed_by_python(content, len(names), separator)
    table.columns = list(names)
    return table


def _parsed_by_python(content: bytes, width: int, separator: str) -> pl.DataFrame:
    """Parse any records. Raises RecordError for a row of too many fields, or one that is no UTF-8."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        row = sum(map(len, _rows(content[: error.start].decode() + "?", separator))) - 1
        raise RecordError(row, NO_UTF8) from None
    tables, done = [pl.DataFrame(schema={str(place): pl.String for place in range(width)})], 0
    for rows in _rows(text, separator):
        tables.append(_table(rows, width, done))
        done += len(rows)
    return pl.concat(tables)


def _rows(text: str, separator: str) -> Iterator[list[list[str]]]:
    """Yield the fields of records, SLOW_ROWS records at a time."""
    rows = filter(None, csv.reader(StringIO(text, newline=""), delimiter=separator))
    while some := _some_rows(rows, max(len(text), csv.field_size_limit())):
        yield some


def _some_rows(rows: Iterator[list[str]], longest: int) -> list[list[str]]:
    limit = csv.field_size_limit(longest)
    try:
        return list(islice(rows, SLOW_ROWS))
    finally:
        csv.field_size_limit(limit)


def _table(rows: list[list[str]], width: int, before: int) -> pl.DataFrame:
    """Make a table of fields, where short rows end in nulls. `before`: records before these."""
    for place, row in enumerate(rows):
        if len(row) > width:
            what = f"has {len(row)} fields, the header has {width}; put text that holds the separator in quotes"
            raise RecordError(before + place, what)
    columns = zip(*(row + [""] * (width - len(row)) for row in rows), strict=True)
    texts = (pl.Series(str(place), values, pl.String) for place, values in enumerate(columns))
    return pl.DataFrame([one.set(one.is_in(ABSENT), None) for one in texts])
