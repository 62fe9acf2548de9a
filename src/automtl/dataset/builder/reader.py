"""The parts of a table, read a piece at a time: the columns and types are those that `read_table` would give."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pyarrow import parquet

from automtl.errors import RowError, TableError
from automtl.tables import table as tables

SAMPLE_BYTES = 1 << 20  # of a CSV file, by which the length of a row is judged
STRETCHES = 16  # of rows that follow one another, in a sample
INFER_ROWS = 100_000  # of a CSV file, by which its types are found


@dataclass(frozen=True)
class Part:
    """One file. `rows`: None where only reading tells. `start`: bytes of a CSV file's header; `row_bytes` of a row;
    `separator` of its fields."""

    path: Path
    columns: dict[str, pl.DataType]
    rows: int | None
    start: int = 0
    row_bytes: float = 0.0
    separator: str = ","

    @property
    def identity(self) -> list[Any]:
        """What tells it from a changed file."""
        found = self.path.stat()
        return [str(self.path.resolve()), found.st_size, found.st_mtime_ns]


@dataclass(frozen=True)
class Place:
    """Where a piece begins: the part, its rows and, of CSV files, bytes before."""

    part: int = 0
    row: int = 0
    byte: int = 0


@dataclass(frozen=True)
class Piece:
    """Rows of one part, from `place` on; the next piece begins at `then`."""

    table: pl.DataFrame
    place: Place
    then: Place


@dataclass(frozen=True)
class TableFiles:
    """All parts of a table; `columns`: the types that fit every part."""

    parts: tuple[Part, ...]
    columns: dict[str, pl.DataType]

    @staticmethod
    def open(given: str) -> TableFiles:
        """Raises TableError that names the file which is missing, empty, unreadable, or differs from the first."""
        parts = [_opened(path) for path in tables.table_paths(given)]
        for part in parts[1:]:
            tables.require_same_columns(parts[0].path, parts[0].columns, part.path, part.columns)
        filled = [part for part in parts if part.rows != 0]
        if not filled:
            raise TableError(f"'{given}' has no rows; give a table with at least one row")
        return TableFiles(tuple(parts), _common(filled))

    @property
    def rows(self) -> int | None:
        """None where only reading tells."""
        counts = [part.rows for part in self.parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    def pieces(self, columns: Sequence[str], rows: int, place: Place) -> Iterator[Piece]:
        """Those columns, about so many rows at a time, from a place on."""
        types = {name: self.columns[name] for name in columns}
        for index in range(place.part, len(self.parts)):
            part, start = self.parts[index], place if index == place.part else Place(index)
            if part.rows == 0:
                continue
            read = _csv_pieces if part.rows is None else _slices
            try:
                yield from read(part, types, rows, start)
            except pl.exceptions.PolarsError as error:
                raise TableError(f"'{part.path}' cannot be read: {tables.first_line(error)}") from None
            except (OSError, EOFError) as error:
                raise TableError(f"'{part.path}' cannot be read: {error}") from None

    def sample(self, rows: int) -> list[Piece]:
        """About so many rows of all columns, or all rows where they are fewer: stretches that are spread over the parts
        and, but for CSV files, over the rows of each."""
        filled = [index for index, part in enumerate(self.parts) if part.rows != 0]
        chosen = sorted({filled[place] for place in np.linspace(0, len(filled) - 1, STRETCHES).astype(int)})
        each, names = max(rows // len(chosen), 1), list(self.columns)
        found = (
            (next(self.pieces(names, count, Place(index, start))), count)
            for index in chosen
            for start, count in _stretches(self.parts[index].rows, each, max(STRETCHES // len(chosen), 1))
        )
        return [replace(piece, table=piece.table.head(count)) for piece, count in found]

    @contextmanager
    def located(self, pieces: Sequence[Piece]) -> Iterator[None]:
        """What the block finds wrong in a row of the pieces, one after another, is told by its file and row there."""
        try:
            yield
        except RowError as error:
            starts = np.cumsum([0, *(piece.table.height for piece in pieces)])
            found = int(np.searchsorted(starts, error.row, side="right")) - 1
            place = pieces[found].place
            raise error.at(self.parts[place.part].path, place.row + 1 - int(starts[found])) from None


def _stretches(rows: int | None, wanted: int, number: int) -> list[tuple[int, int]]:
    """Starts and lengths of evenly spread stretches, the first and the last rows included; one where all are wanted."""
    count = max(wanted // number, 1)
    if rows is None or rows <= wanted or number == 1:
        return [(0, wanted)]
    return [(int(start), count) for start in np.linspace(0, rows - count, number)]


def _opened(path: Path) -> Part:
    name = path.name.lower()
    try:
        if name.endswith(tables.CSV_SUFFIXES):
            return _opened_csv(path)
        scan = _scan(path)
        return Part(path, dict(scan.collect_schema()), int(scan.select(pl.len()).collect().item()))
    except TableError:
        raise
    except Exception as error:
        raise TableError(f"'{path}' cannot be read: {tables.first_line(error)}") from None


def _scan(path: Path) -> pl.LazyFrame:
    name = path.name.lower()
    if name.endswith(tables.PARQUET_SUFFIXES):
        return pl.scan_parquet(path, glob=False)
    if name.endswith(tables.ARROW_SUFFIXES):
        return pl.scan_ipc(path, glob=False)
    raise TableError(f"'{path}': unknown ending; expected one of {', '.join(tables.SUFFIXES)}")


def _common(parts: Sequence[Part]) -> dict[str, pl.DataType]:
    found = dict(parts[0].columns)
    for part in parts[1:]:
        for name, dtype in found.items():
            try:
                pair = [pl.DataFrame(schema={name: one}) for one in (dtype, part.columns[name])]
                found[name] = pl.concat(pair, how="vertical_relaxed").schema[name]
            except pl.exceptions.PolarsError:
                raise TableError(
                    f"column '{name}' is {part.columns[name]} in '{part.path}' and {dtype} in '{parts[0].path}'; "
                    "give parts of the same types"
                ) from None
    return found


def _slices(part: Part, types: dict[str, pl.DataType], rows: int, start: Place) -> Iterator[Piece]:
    scan = _scan(part.path).select(list(types))
    assert part.rows is not None
    row, ends = start.row, _group_ends(part.path)
    while row < part.rows:
        whole = ends[np.searchsorted(ends, row + rows, side="right") - 1]
        table = scan.slice(row, whole - row if whole > row else rows).collect().cast(dict(types))  # type: ignore[arg-type]
        yield Piece(table, Place(start.part, row), Place(start.part, row + table.height))
        row += table.height


def _group_ends(path: Path) -> np.ndarray:
    """Rows before and behind each row group of a Parquet file; one that is cut is read twice. (1,), 0, of others."""
    if not path.name.lower().endswith(tables.PARQUET_SUFFIXES):
        return np.zeros(1, np.int64)
    about = parquet.read_metadata(path)
    return np.cumsum([0, *(about.row_group(group).num_rows for group in range(about.num_row_groups))])


def _opened_csv(path: Path) -> Part:
    """Types as `read_table` finds them, by the first rows."""
    head = b""
    with _content(path) as file:
        for content in _records(file, SAMPLE_BYTES):
            head += content
            if head.count(b"\n") > INFER_ROWS:
                break
    header = head[: _record_end(head, first=True) or len(head)]
    separator = tables.read_header(path, header)
    table = tables.parse_csv(io.BytesIO(head), path, separator)
    row_bytes = (len(head) - len(header)) / max(table.height, 1)
    return Part(path, dict(table.schema), None if table.height else 0, len(header), row_bytes, separator)


def _csv_pieces(part: Part, types: dict[str, pl.DataType], rows: int, start: Place) -> Iterator[Piece]:
    columns = {name: types.get(name, dtype) for name, dtype in part.columns.items()}
    byte, row = start.byte or part.start, start.row
    with _content(part.path) as file:
        file.seek(byte)
        for content in _records(file, max(int(rows * part.row_bytes), 1)):
            table = tables.parse_csv(io.BytesIO(content), part.path, part.separator, columns).select(list(types))
            then = Place(start.part, row + table.height, byte + len(content))
            yield Piece(table, Place(start.part, row, byte), then)
            row, byte = then.row, then.byte


def _content(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _records(file: Any, size: int) -> Iterator[bytes]:
    """The content from here on, about `size` bytes at a time, cut between records."""
    rest = b""
    while more := file.read(size):
        content = rest + more
        end = _record_end(content)
        rest = content[end:]
        if end:
            yield content[:end]
    if rest:
        yield rest


def _record_end(content: bytes, *, first: bool = False) -> int:
    """Behind the last (or first) line end that no quotes enclose; 0 without one."""
    if b'"' not in content:
        return (content.find(b"\n") if first else content.rfind(b"\n")) + 1
    array = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(array == ord("\n"))
    quotes = np.flatnonzero(array == ord('"'))
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return 0 if len(outside) == 0 else int(outside[0 if first else -1]) + 1
