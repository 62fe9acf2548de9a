"""The training rows that an encoder is fitted on, from a table in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from automtl.features.chunk import ChunkColumns, TableChunk
from automtl.features.dictionary import Dictionary, joined_values
from automtl.features.fitting import Fit, Fitted
from automtl.features.hash_table import HashTable
from automtl.features.ranking import Counted, Ranking, canonical, count_codes
from automtl.features.settings import EncoderSettings
from automtl.features.target_encoding import TargetEncoding
from automtl.features.vocabulary import Vocabulary
from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.infer import require_columns
from automtl.tables.roles import starts, summarize_labels
from automtl.tables.schema import FieldKind, Schema


class FrameRows:
    """A table as chunks of SLICE rows (temporaries stay in the cache), which are all training rows.

    `categorical`: (N, C) int32, codes of the fields of one id a row; the columns of bins behind them are not written.
    Raises SchemaError where nothing can be learned.
    """

    memory_bytes = (None, None)

    def __init__(self, table: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int) -> None:
        self.columns, self.num_rows, self.seed = ChunkColumns(schema, settings, dict(table.schema)), table.height, seed
        if self.columns.keys and schema.time is not None:
            require_columns(table, [schema.time], "time column")
        derived = self.columns.derived(table)
        self.categorical = np.empty((table.height, self.columns.num_categorical), np.int32)
        self.chunks: Sequence[TableChunk] = [
            TableChunk(table.slice(start, SLICE), derived.slice(start, SLICE), self.columns)
            for start in range(0, table.height, SLICE)
        ]
        summarize_labels(self.chunks, schema.tasks)
        if self.columns.keys and schema.time is not None:
            for chunk in self.chunks:
                chunk.given["time"] = chunk.array("time")
        coded = [place for place, one in enumerate(self.columns.coded) if one.field is not None or one.key]
        self.coded = in_threads(self._code, coded)

    def _code(self, place: int) -> tuple[Dictionary, pl.Series]:
        """Give each chunk its codes of a column; returns all values of the column."""
        one, known, fresh = self.columns.coded[place], Dictionary(), []
        single = one.field is not None and one.field.kind is FieldKind.CATEGORICAL
        for chunk, start in starts(self.chunks):
            values, sizes = self.columns.ids(chunk.derived, one)
            codes, new = known.add(values)
            fresh.append(new)
            if single:
                column = self.categorical[start : start + chunk.rows, place]
                column[:], codes = codes, column
            chunk.given[f"ids.{place}"] = codes
            if sizes is not None:
                chunk.given[f"sizes.{place}"] = sizes
        if isinstance(known.table, HashTable):
            known.table.close()
        return known, canonical(joined_values(fresh))

    def each(self, stage: str, work, items) -> list:  # type: ignore[no-untyped-def, type-arg]
        return in_threads(work, items)

    def values(self, place: int) -> Iterator[pl.Series]:
        yield self.coded[place][1]

    def ranking(self, place: int, min_count: int) -> Ranking:
        size, lists = self.coded[place][0].size, self.columns.coded[place].lists
        counts = count_codes(self.chunks, place, size, lists=lists)
        counted = Counted.of(self.coded[place][1], np.arange(1, size + 1), counts, several=False, min_count=min_count)
        return counted.first(None).ranking(counted.values.len(), counts)

    def target_encoding(self, key: int, vocabulary: Vocabulary, fit: Fit) -> tuple[TargetEncoding, np.ndarray]:
        return fit(self.scratch)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return np.empty(shape, dtype)

    def ids(self, fitted: Fitted) -> dict[int, np.ndarray]:
        """Return the id of each code of the fields, by place; look-up tables of values become those of vocabularies."""
        found = fitted.ids(self)
        for place, ids in found.items():
            (known, values), field = self.coded[place], self.columns.coded[place].field
            table, comparable = known.table, known.texts or values.dtype == pl.Int64
            if field is None or field.target is not None or not isinstance(table, HashTable) or not comparable:
                continue
            if field.name in fitted.kept:  # the table lacks earlier values
                continue
            vocabulary = fitted.vocabularies[field.name]
            if 2 * vocabulary.values.len() >= table.size:  # else a new one will be much smaller
                vocabulary.adopt(table, ids[1:], known.texts)
        return found
