"""Labels and weights of rows, and checks of them. N rows, T tasks."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.errors import EncodingError, RowError
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.schema import Schema
from automtl.tables.values.conditions import holds
from automtl.tables.values.numbers import as_labels, as_numbers


def label_columns(table: pl.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Return values and mask, (N, T) float64 each: both are 0 where there is no label or the task does not hold."""
    values, mask = np.empty((2, table.height, len(schema.tasks)))
    for place, task in enumerate(schema.tasks):
        column = as_labels(table[task.name]).cast(pl.Float64)
        present = column.is_not_null()
        if task.condition is not None:
            present = present & holds(table, task.condition, schema)
        mask[:, place], values[:, place] = present.to_numpy(), column.fill_null(0.0).to_numpy()
        if not present.all():
            values[:, place] *= mask[:, place]
    return values, mask


def check_rows(table: pl.DataFrame, schema: Schema, *, whole: bool = True) -> None:
    """Raise RowError for an impossible label or weight, and EncodingError if all weights of a whole table are 0."""
    for task in schema.tasks:
        check_labels(table, task)
    check_weights(table, schema, whole=whole)


def check_weights(table: pl.DataFrame, schema: Schema, *, whole: bool = True) -> None:
    """Raise RowError for a weight that is missing or below 0, EncodingError if all weights of a whole table are 0."""
    if schema.weight is None:
        return
    require_columns(table, [schema.weight], "weight column")
    column = table[schema.weight]
    weights = as_numbers(column)
    odd = weights.is_null() | (weights < 0)
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise RowError(row, f"weight '{column.name}': expected 0 or more, found {column[row]!r}", "correct it")
    if whole and not weights.sum() > 0:
        raise EncodingError(f"weight column '{schema.weight}' is 0 in all rows; correct it")
