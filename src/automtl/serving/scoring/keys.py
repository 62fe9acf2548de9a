"""Refuse a table none of whose ids of a key column is known, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from automtl.features.coverage import Counts, Coverage
from automtl.features.gaps import DISTINCT, find_gaps, key_columns, require_known_keys
from automtl.predictor import Predictor
from automtl.tables.derive import completed, derive, id_column
from automtl.tables.reading.files import Place, TableFiles
from automtl.tables.schema import Schema
from automtl.tables.values.ids import as_ids, unnamed

ROWS = 1 << 18  # of one or a few columns that are read at a time


def require_known(predictor: Predictor, source: TableFiles, first: Coverage) -> None:
    """Raise EncodingError as `Predictor.predict` of the whole table would, judged by its `first` rows.

    Where no id of a key column is known among these, the column is read ahead until one is.
    """
    known = predictor.encoder.vocabularies
    suspects = [name for name in key_columns(predictor.schema) if name in known and _nothing_known(first.of(name))]
    counts, samples = dict.fromkeys(suspects, Counts()), {name: list[pl.Series]() for name in suspects}
    if not suspects:
        return
    for piece in source.pieces([name for name in suspects if name in source.columns], ROWS, Place()):
        for name in list(counts):
            counts[name] += _counts(predictor, name, piece.table)
            samples[name] = _distinct([*samples[name], piece.table[name]])
            if not _nothing_known(counts[name]):
                del counts[name]
        if not counts:
            return
    gaps = find_gaps(_schema(predictor, list(counts)), Coverage(counts), predictor.at_fit)
    for gap in gaps:
        table = pl.DataFrame({gap.column: pl.concat(samples[gap.column])})
        require_known_keys([gap], predictor.encoder, Coverage(counts), table)


def _nothing_known(counts: Counts) -> bool:
    return counts.unknown == counts.values


def _schema(predictor: Predictor, names: Sequence[str]) -> Schema:
    fields = tuple(one for one in predictor.schema.fields if one.name in names)
    return Schema(fields=fields, tasks=predictor.schema.tasks)


def _counts(predictor: Predictor, name: str, table: pl.DataFrame) -> Counts:
    schema, vocabulary = _schema(predictor, [name]), predictor.encoder.vocabularies[name]
    derived = derive(completed(table, schema), schema, {})
    return Counts.of_ids(vocabulary.encode(id_column(derived, name)), vocabulary)


def _distinct(columns: Sequence[pl.Series]) -> list[pl.Series]:
    """Keep the first DISTINCT different values of a column's pieces, as one column."""
    kept = columns[0] if len(columns) > 1 else columns[0].head(0)
    if kept.len() >= DISTINCT:
        return [kept]
    fresh = unnamed(columns[-1]).drop_nulls().unique(maintain_order=True).head(DISTINCT)
    if kept.dtype != fresh.dtype and kept.len():
        kept, fresh = as_ids(kept).cast(pl.String), as_ids(fresh).cast(pl.String)
    kept = kept.cast(fresh.dtype) if not kept.len() else kept
    return [pl.concat([kept.alias(""), fresh.alias("")]).unique(maintain_order=True).head(DISTINCT)]
