"""The first step of a preparation, and the only one that reads the source: it turns pieces into chunks of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.dataset.builder.workdir import FileChunk, Work, chunk_name, merged_values, write_chunk
from automtl.errors import AutomtlError, RowError
from automtl.features.chunk import ChunkColumns, TableChunk
from automtl.features.dictionary import Dictionary, joined_values
from automtl.system.threads import ahead, in_threads
from automtl.tables.labels import check_rows
from automtl.tables.reading.files import Piece, Place, TableFiles

CODES = (np.uint8, np.uint16, np.int32)  # types of codes; the first that holds all codes so far is taken
DICTIONARIES = 2  # half of the memory is for dictionaries


@dataclass(frozen=True)
class Reader:
    """Reads a source into a working folder, `rows` rows at a time, from a part on.

    run: its number, where several readers share the parts; each has dictionaries of its own.
    """

    source: TableFiles
    columns: ChunkColumns
    work: Work
    rows: int
    memory_bytes: int
    begin: int = 0
    run: int = 0

    def read(self) -> Iterator[int]:
        """Write the chunks that are not there yet; yields the number of rows that each one adds."""
        there = self.work.chunks_of(self.run)
        dictionaries, then, index = self._dictionaries(there), Place(self.begin), len(there)
        if there:
            then = Place(**there[-1].about["then"])
            yield sum(chunk.rows for chunk in there)
        for piece in ahead(self.source.pieces(self.columns.needed, self.rows, then)):
            with self.work.step(chunk_name(self.run, index)) as folder, _located(self.source, piece):
                self._write(folder, piece, dictionaries)
            index += 1
            yield piece.table.height

    def _dictionaries(self, there: list[FileChunk]) -> list[Dictionary]:
        """Restore the dictionaries from the chunks that are there."""
        coded = range(len(self.columns.coded))
        limit = self.memory_bytes // DICTIONARIES // max(len(coded), 1)

        def restored(place: int) -> Dictionary:
            if not there:
                return Dictionary(limit)
            first = there[-1].about["first"][place]
            return Dictionary(limit, first, joined_values([read_values(chunk, place) for chunk in there]).slice(first))

        return in_threads(restored, coded)

    def _write(self, folder: Path, piece: Piece, dictionaries: Sequence[Dictionary]) -> None:
        check_rows(piece.table, self.columns.schema, whole=False)
        rows = TableChunk(piece.table, self.columns.derived(piece.table), self.columns)
        parts = in_threads(
            lambda part: part(),
            [partial(self._ids, rows.derived, *one) for one in enumerate(dictionaries)] + [partial(self._arrays, rows)],
        )
        arrays = {name: array for part in parts for name, array in part.items()}
        about = {"rows": rows.rows, "place": asdict(piece.place), "then": asdict(piece.then)}
        sizes = {name: [getattr(one, name) for one in dictionaries] for name in ("first", "size", "whole")}
        write_chunk(folder, arrays, about | sizes)

    def _ids(self, derived: pl.DataFrame, place: int, dictionary: Dictionary) -> dict[str, np.ndarray]:
        values, sizes = self.columns.ids(derived, self.columns.coded[place])
        codes, fresh = dictionary.add(values)
        kind = next(kind for kind in CODES if dictionary.size <= np.iinfo(kind).max)
        lists = {} if sizes is None else {f"sizes.{place}": sizes.astype(np.int32)}
        return {f"ids.{place}": codes.astype(kind), f"values.{place}": as_arrow(fresh)} | lists

    def _arrays(self, rows: TableChunk) -> dict[str, np.ndarray]:
        return {name: rows.array(name) for name in self.columns.arrays}


def as_arrow(values: pl.Series) -> np.ndarray:
    """Write values as the bytes of an Arrow file; pyarrow takes a fifth of the time of polars."""
    table, sink = values.alias("value").to_frame().to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def read_values(chunk: FileChunk, place: int) -> pl.Series:
    """Read the values of a coded column that got their codes in this chunk."""
    if place in chunk.merged:  # those of all chunks of its reader are told by the first of these
        values = _from_arrow(np.fromfile(merged_values(chunk.merged_folder, place, chunk.run), np.uint8))
        return values if chunk.number == 0 else values.clear()
    return _from_arrow(chunk.array(f"values.{place}"))


def _from_arrow(content: np.ndarray) -> pl.Series:
    return pl.Series("value", pa.ipc.open_file(pa.py_buffer(content)).read_all()["value"])


@contextmanager
def _located(source: TableFiles, piece: Piece) -> Iterator[None]:
    """Name the file and the row, or the rows, in errors of the block."""
    file, first = source.parts[piece.place.part].file, piece.place.row + 1
    try:
        yield
    except RowError as error:
        raise error.at(file, first) from None
    except AutomtlError as error:
        raise type(error)(f"'{file}', rows {first} to {first + piece.table.height - 1}: {error}") from None
