"""The first step: each piece of the source as a chunk of plain arrays; the only one that reads the source.

Arrays of a chunk of N rows: `ids.I` codes of 1, 2 or 4 bytes (of lists: one after another, and `sizes.I` int32 (N,)),
`values.I` the values of the codes that are new; `number.J` float64, NaN where missing; `days.K` float64; `labels`, 0
where a task does not hold, (N, T); `mask` uint8 (N, T); and, where there is such a column, `weight` float64, `group`
int64, `split` uint8, `time` int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.dictionary import Dictionary
from automtl.dataset.builder.reader import Piece, Place, Source
from automtl.dataset.builder.workdir import Chunk, ChunkWriter, Work, write_about
from automtl.errors import AutomtlError, RowError
from automtl.features.encoder import plain_numbers
from automtl.system.threads import ahead, in_threads
from automtl.tables.columns import as_moments, as_numbers
from automtl.tables.derive import days_of
from automtl.tables.infer import check_labels
from automtl.tables.labels import label_columns, require_weights
from automtl.tables.numbering import group_numbers
from automtl.tables.schema import Schema
from automtl.tables.split import named_parts

NO_TIME = np.iinfo(np.int64).min
CODES = (np.uint8, np.uint16, np.int32)  # the first one that all codes so far fit in is taken
DICTIONARIES = 2  # a half of the memory is for them


@dataclass(frozen=True)
class Reader:
    """Reads a source into a working folder, `rows` rows at a time."""

    source: Source
    columns: Columns
    work: Work
    rows: int
    memory_bytes: int

    def read(self) -> Iterator[int]:
        """Write the chunks that are not there yet; yields the rows that each one adds."""
        there = Work(self.work.folder).chunks
        dictionaries, then, index = self._dictionaries(there), Place(), len(there)
        if there:
            then = Place(**there[-1].about["then"])
            yield sum(chunk.rows for chunk in there)
        pieces = self.source.pieces(self.columns.needed, self.rows, then)
        for piece in ahead(pieces):
            with self.work.step(f"chunks/{index:08d}") as folder, _located(self.source, piece):
                self._write(folder, piece, dictionaries)
            index += 1
            yield piece.table.height

    def _dictionaries(self, there: list[Chunk]) -> list[Dictionary]:
        """As the chunks that are there left them."""
        coded = range(len(self.columns.coded))
        limit = self.memory_bytes // DICTIONARIES // max(len(coded), 1)

        def restored(place: int) -> Dictionary:
            if not there:
                return Dictionary(limit)
            first = there[-1].about["first"][place]
            return Dictionary(limit, first, pl.concat([read_values(chunk, place) for chunk in there]).slice(first))

        return in_threads(restored, coded)

    def _write(self, folder: Path, piece: Piece, dictionaries: Sequence[Dictionary]) -> None:
        table = self.columns.derived(piece.table)
        with closing(ChunkWriter(folder)) as chunk:
            tasks: list[Callable[[], None]] = [
                partial(self._write_ids, chunk, table, place, dictionary)
                for place, dictionary in enumerate(dictionaries)
            ]
            tasks += [partial(self._write_numbers, chunk, table), partial(self._write_roles, chunk, piece)]
            in_threads(lambda task: task(), tasks)
        about = {"rows": table.height, "place": asdict(piece.place), "then": asdict(piece.then), "arrays": chunk.arrays}
        sizes = {"first": [one.first for one in dictionaries], "size": [one.size for one in dictionaries]}
        write_about(folder, about | sizes)

    def _write_ids(self, chunk: ChunkWriter, table: pl.DataFrame, place: int, dictionary: Dictionary) -> None:
        values, sizes = self.columns.ids(table, self.columns.coded[place])
        codes, fresh = dictionary.add(values)
        chunk.add(f"ids.{place}", codes.astype(next(kind for kind in CODES if dictionary.size <= np.iinfo(kind).max)))
        chunk.add(f"values.{place}", as_arrow(fresh))
        if sizes is not None:
            chunk.add(f"sizes.{place}", sizes.astype(np.int32))

    def _write_numbers(self, chunk: ChunkWriter, table: pl.DataFrame) -> None:
        for place, field in enumerate(self.columns.numeric):
            chunk.add(f"number.{place}", plain_numbers(as_numbers(table[field.name])))
        for place, time in enumerate(self.columns.times_of_fields):
            days = days_of(as_moments(table[time.name], time))
            chunk.add(f"days.{place}", days.fill_null(float("nan")).to_numpy())

    def _write_roles(self, chunk: ChunkWriter, piece: Piece) -> None:
        schema, table = self.columns.schema, piece.table
        check_rows(table, schema)
        labels = label_columns(table, schema)
        chunk.add("labels", labels.values.astype(self.columns.label_type))
        chunk.add("mask", labels.mask.astype(np.uint8))
        if schema.weight is not None:
            chunk.add("weight", as_numbers(table[schema.weight]).to_numpy())
        if schema.group is not None:
            chunk.add("group", group_numbers(table[schema.group]))
        if schema.split is not None:
            chunk.add("split", named_parts(table, schema.split).astype(np.uint8))
        if self.columns.times and self.columns.times_are_numbers:
            chunk.add("time", ordered(table[str(schema.time)]))


def as_arrow(values: pl.Series) -> np.ndarray:
    """The bytes of an Arrow file; pyarrow takes a fifth of the time that polars takes for it."""
    table, sink = values.alias("value").to_frame().to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def read_values(chunk: Chunk, place: int) -> pl.Series:
    """The values whose codes this chunk was the first to give."""
    content = pa.py_buffer(chunk.array(f"values.{place}"))
    return pl.Series("value", pa.ipc.open_file(content).read_all()["value"])


def ordered(times: pl.Series) -> np.ndarray:
    """(N,) int64 in the order of the times; NO_TIME where missing."""
    if times.dtype.is_float():
        bits = (times.fill_null(0.0).cast(pl.Float64).to_numpy() + 0.0).view(np.int64)
        keys = np.where(bits < 0, bits ^ np.iinfo(np.int64).max, bits)
    elif times.dtype == pl.UInt64:
        keys = times.fill_null(0).to_numpy().view(np.int64) ^ NO_TIME
    else:
        keys = times.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
    return np.where(times.is_null().to_numpy(), NO_TIME, keys)


def check_rows(table: pl.DataFrame, schema: Schema) -> None:
    """Raises RowError for a label or weight that cannot be."""
    for task in schema.tasks:
        check_labels(table, task)
    if schema.weight is not None:
        require_weights(table[schema.weight])


@contextmanager
def _located(source: Source, piece: Piece) -> Iterator[None]:
    """Errors of the block name the file, and the row or the rows."""
    path, first = source.parts[piece.place.part].path, piece.place.row + 1
    try:
        yield
    except RowError as error:
        raise error.at(path, first) from None
    except AutomtlError as error:
        raise type(error)(f"'{path}', rows {first} to {first + piece.table.height - 1}: {error}") from None
