"""Later labelled rows enter the target encodings of an encoder. N rows, V ids, T tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from automtl.features.encoder import Encoder
from automtl.features.ranking import canonical
from automtl.features.target_encoding import TargetEncoding, known_ids
from automtl.features.vocabulary import UNKNOWN, Vocabulary
from automtl.tables.columns import check_columns
from automtl.tables.derive import completed, derive, key_column
from automtl.tables.labels import check_rows
from automtl.tables.roles import TableRoles
from automtl.tables.values.ids import unnamed


def with_later_rows(encoder: Encoder, table: pl.DataFrame) -> Encoder:
    """Return the encoder whose target encodings have taken the rows of a table: label sums, label counts, and rows.

    Priors are the mean labels of all rows then; smoothing and the standardization of the inputs stay. Values that a key
    did not have get sums of their own. Weights of rows count relative to their mean in the table. Raises SchemaError or
    EncodingError that names a column.
    """
    schema = encoder.schema
    check_columns(table, replace(schema, split=None, group=None))
    check_rows(table, schema)
    table = completed(table, schema)
    roles, derived = TableRoles(table, schema), derive(table, schema, encoder.newest)
    labels, mask = (roles.array(name).astype(np.float64) for name in ("labels", "mask"))
    if schema.weight is not None:
        weight = roles.array("weight").astype(np.float64)
        mask = mask * (weight / weight.mean())[:, None]
    fields = {one.name: one for one in schema.fields}
    encodings = {
        key: _taken(one, key_column(derived, key, fields), labels * mask, mask)
        for key, one in encoder.target_encodings.items()
    }
    return replace(encoder, target_encodings=encodings)


def _taken(encoding: TargetEncoding, values: pl.Series, labels: np.ndarray, counts: np.ndarray) -> TargetEncoding:
    """Add rows to an encoding. values: (N,) of its key; labels, counts: (N, T), weighted."""
    vocabulary = _with_values(encoding.vocabulary, values)
    ids, size = known_ids(vocabulary.encode(values)), len(vocabulary)
    sums, seen = (
        _longer(before, size) + np.stack([np.bincount(ids, column, size) for column in added.T], axis=1)
        for before, added in ((encoding.sums, labels), (encoding.counts, counts))
    )
    rows = _longer(encoding.rows, size) + np.bincount(ids, minlength=size)
    prior = sums.sum(0) / np.maximum(seen.sum(0), 1e-12)
    return replace(encoding, vocabulary=vocabulary, sums=sums, counts=seen, rows=rows, prior=prior)


def _with_values(vocabulary: Vocabulary, values: pl.Series) -> Vocabulary:
    """Return the vocabulary with the values that it does not know, in the order in which they come."""
    values = unnamed(values)
    unknown = canonical(values.filter(pl.Series(vocabulary.encode(values) == UNKNOWN)))
    new = unknown.drop_nulls().unique(maintain_order=True)
    return vocabulary if new.is_empty() else vocabulary.joined(Vocabulary(new), vocabulary.values.len() + new.len())


def _longer(array: np.ndarray, size: int) -> np.ndarray:
    """Add zeros at the end of the first axis, up to a size."""
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]))])
