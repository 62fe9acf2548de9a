"""The files of a table, read whole or piece by piece; each piece keeps the types that its rows have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from polars import selectors
from pyarrow import ipc, parquet

from automtl.errors import RowError, TableError
from automtl.tables.names import check_names, require_same_names
from automtl.tables.reading.csv import CsvFile, open_csv
from automtl.tables.reading.faults import reading
from automtl.tables.reading.frames import ARROW_TEXTS, from_frame
from automtl.tables.reading.joined import common_types, join_tables
from automtl.tables.reading.narrow import narrow_columns
from automtl.tables.reading.partitions import partitions
from automtl.tables.reading.paths import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    SUFFIXES,
    has_suffix,
    table_files,
)
from automtl.tables.reading.table_file import TableFile

STRETCHES = 16  # a sample is so many runs of adjacent rows


@dataclass(frozen=True)
class Part:
    """One file. `rows`: None for CSV files (`csv`); `partition`: columns, of one row, that its folders name."""

    file: TableFile
    columns: dict[str, pl.DataType]
    rows: int | None
    partition: dict[str, pl.Series] = field(default_factory=dict)
    csv: CsvFile | None = None

    @property
    def identity(self) -> list[Any]:
        """Plain values that tell the file from a changed one."""
        return self.file.identity

    def absolute(self) -> Part:
        """Return the same file by a path that does not depend on the working folder."""
        file = self.file.absolute()
        return replace(self, file=file, csv=None if self.csv is None else replace(self.csv, file=file))

    def read(self) -> pl.DataFrame:
        """Read all rows."""
        with self.file.held() as path, reading(self.file):
            table = scan(path).collect() if self.csv is None else self.csv.read()
            return self.completed(table, self.columns)

    def completed(self, table: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
        """Select columns of a table of the file, and of its partition."""
        own = {column.name: column for column in table.get_columns()}
        further = {name: one for name, one in self.partition.items() if name not in own}
        own |= {name: one.new_from_index(0, table.height) for name, one in further.items()}
        return pl.DataFrame({name: own[name] for name in columns})


@dataclass(frozen=True)
class Place:
    """The place where a piece begins: its part, and the rows and (of CSV files) bytes before it."""

    part: int = 0
    row: int = 0
    byte: int = 0


@dataclass(frozen=True)
class Piece:
    """Rows of one part, from `place` on; the next piece begins at `then`.

    texts: of a CSV file, the columns that were asked for as they are written.
    """

    table: pl.DataFrame
    place: Place
    then: Place
    texts: pl.DataFrame = field(default_factory=pl.DataFrame)


@dataclass(frozen=True)
class TableFiles:
    """All parts of a table; `columns`: types that fit the first rows of every part."""

    parts: tuple[Part, ...]
    columns: dict[str, pl.DataType]

    @staticmethod
    def open(given: str) -> TableFiles:
        """Open all parts. Raises TableError that names a file that is missing, unreadable or unlike the first."""
        files = table_files(given)
        parts = [_opened(file, own) for file, own in zip(files, partitions(files), strict=True)]
        for part in parts[1:]:
            require_same_names(parts[0].file, parts[0].columns, part.file, part.columns)
        filled = [(f"'{part.file}'", part.columns) for part in parts if part.rows != 0]
        if not filled or not parts[0].columns:
            raise TableError(f"'{given}' has no rows; give a table with at least one row")
        types = common_types(filled)
        return TableFiles(
            tuple(parts), {name: pl.String() if dtype == pl.Null else dtype for name, dtype in types.items()}
        )

    @property
    def rows(self) -> int | None:
        """The number of rows; None where it is known only after reading (CSV files)."""
        counts = [part.rows for part in self.parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    def absolute(self) -> TableFiles:
        """Return the same files by paths that do not depend on the working folder."""
        return replace(self, parts=tuple(part.absolute() for part in self.parts))

    def read(self) -> pl.DataFrame:
        """Read all rows of all parts as one table. Raises TableError for parts whose values have no common type."""
        return join_tables([(f"'{part.file}'", part.read()) for part in self.parts if part.rows != 0])

    def pieces(self, columns: Sequence[str], rows: int, place: Place, texts: Sequence[str] = ()) -> Iterator[Piece]:
        """Read columns from a place on, about `rows` rows at a time; a column may have another type in each piece.

        texts: columns that pieces of CSV files also hold as they are written.
        """
        for index in range(place.part, len(self.parts)):
            part, start = self.parts[index], place if index == place.part else Place(index)
            if part.rows == 0:
                continue
            with reading(part.file):
                if part.csv is None:
                    with part.file.held() as path:
                        yield from _slices(part, path, columns, rows, start)
                else:
                    yield from _csv_pieces(part, columns, rows, start, texts)

    def sample(self, rows: int) -> list[Piece]:
        """Read about `rows` rows of all columns: stretches spread over the parts and (but for CSV files) their rows."""
        filled = [index for index, part in enumerate(self.parts) if part.rows != 0]
        chosen = sorted({filled[place] for place in np.linspace(0, len(filled) - 1, STRETCHES).astype(int)})
        each, names = max(rows // len(chosen), 1), list(self.columns)
        return [
            replace(piece, table=piece.table.head(count))
            for index in chosen
            for start, count in _stretches(self.parts[index].rows, each, max(STRETCHES // len(chosen), 1))
            for piece in islice(self.pieces(names, count, Place(index, start)), 1)
        ]

    def joined(self, pieces: Sequence[Piece]) -> pl.DataFrame:
        """Join the rows of pieces. Raises TableError for parts whose values have no common type."""
        return join_tables([(f"'{self.parts[piece.place.part].file}'", piece.table) for piece in pieces])

    @contextmanager
    def located(self, pieces: Sequence[Piece]) -> Iterator[None]:
        """Name the file and its row in a RowError of the block, which counts rows over all pieces."""
        try:
            yield
        except RowError as error:
            starts = np.cumsum([0, *(piece.table.height for piece in pieces)])
            found = int(np.searchsorted(starts, error.row, side="right")) - 1
            place = pieces[found].place
            raise error.at(self.parts[place.part].file, place.row + 1 - int(starts[found])) from None


def _stretches(rows: int | None, wanted: int, number: int) -> list[tuple[int, int]]:
    """Return starts and lengths of evenly spread stretches, the first and last rows included."""
    count = max(wanted // number, 1)
    if rows is None or rows <= wanted or number == 1:
        return [(0, wanted)]
    return [(int(start), count) for start in np.linspace(0, rows - count, number)]


def _opened(file: TableFile, partition: dict[str, pl.Series]) -> Part:
    if not has_suffix(file, SUFFIXES):
        raise TableError(f"'{file}': unknown ending; expected one of {', '.join(SUFFIXES)}")
    with file.held() as path, reading(file):
        if has_suffix(file, CSV_SUFFIXES):
            csv = open_csv(file)
            columns, rows = csv.types, None if csv.filled else 0
        else:
            found, csv = scan(path), None
            columns, rows = dict(found.collect_schema()), int(found.select(pl.len()).collect().item())
            check_names(list(columns), f"'{file}'")
    further = {name: values.dtype for name, values in partition.items() if name not in columns}
    return Part(file, columns | further, rows, partition, csv)


def scan(path: Path) -> pl.LazyFrame:
    """Open a Parquet or Arrow file without reading its rows."""
    if has_suffix(path, PARQUET_SUFFIXES):
        return pl.scan_parquet(path, glob=False, hive_partitioning=False)
    with pa.memory_map(str(path)) as file, suppress(pa.ArrowNotImplementedError):  # such as 128-bit integers of polars
        opened = ipc.open_file(file)
        if any(pa.types.is_dictionary(one) and one.value_type not in ARROW_TEXTS for one in opened.schema.types):
            return from_frame(opened.read_all()).lazy()  # polars reads dictionaries of texts alone
    return pl.scan_ipc(path, glob=False, hive_partitioning=False)


def _slices(part: Part, path: Path, columns: Sequence[str], rows: int, start: Place) -> Iterator[Piece]:
    found = scan(path)
    own = [name for name in found.collect_schema() if name in set(columns)] or found.collect_schema().names()[:1]
    found = found.select(selectors.by_name(*own))
    assert part.rows is not None
    row, ends = start.row, _group_ends(path)
    while row < part.rows:
        whole = ends[np.searchsorted(ends, row + rows, side="right") - 1]
        table = found.slice(row, whole - row if whole > row else rows).collect()
        yield Piece(part.completed(table, columns), Place(start.part, row), Place(start.part, row + table.height))
        row += table.height


def _group_ends(path: Path) -> np.ndarray:
    """Return the rows at which row groups of a Parquet file end, 0 first; a group that is cut is read twice."""
    if not has_suffix(path, PARQUET_SUFFIXES):
        return np.zeros(1, np.int64)
    try:
        about = parquet.read_metadata(path)
    except pa.ArrowNotImplementedError:  # such as 128-bit integers of polars
        return np.zeros(1, np.int64)
    return np.cumsum([0, *(about.row_group(group).num_rows for group in range(about.num_row_groups))])


def _csv_pieces(part: Part, columns: Sequence[str], rows: int, start: Place, kept: Sequence[str]) -> Iterator[Piece]:
    assert part.csv is not None
    place = start
    for texts, byte in part.csv.texts(max(int(rows * part.csv.row_bytes), 1), start.row, start.byte):
        then = Place(start.part, place.row + texts.height, byte)
        own = [name for name in texts.columns if name in set(columns)] or texts.columns[:1]
        as_written = texts[[name for name in kept if name in texts.columns]]
        yield Piece(part.completed(narrow_columns(texts[own]), columns), place, then, as_written)
        place = then
