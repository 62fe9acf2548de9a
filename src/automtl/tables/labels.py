"""Labels and weights of rows, and what they must be. N rows, T tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from automtl.errors import EncodingError, RowError, SchemaError
from automtl.tables.columns import as_labels, as_numbers, holds
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.schema import Schema, Task


def label_columns(table: pl.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask, (N, T) float64: both are 0 where there is no label or the task does not hold."""
    values, mask = np.empty((2, table.height, len(schema.tasks)))
    for place, task in enumerate(schema.tasks):
        column = as_labels(table[task.name]).cast(pl.Float64)
        present = column.is_not_null()
        if task.condition is not None:
            present = present & holds(table, task.condition)
        mask[:, place], values[:, place] = present.to_numpy(), column.fill_null(0.0).to_numpy()
        if not present.all():
            values[:, place] *= mask[:, place]
    return values, mask


def check_rows(table: pl.DataFrame, schema: Schema) -> None:
    """Raises RowError for a label or weight that cannot be."""
    for task in schema.tasks:
        check_labels(table, task)
    if schema.weight is not None:
        require_columns(table, [schema.weight], "weight column")
        require_weights(table[schema.weight])


def check_weights(table: pl.DataFrame, schema: Schema) -> None:
    """Raises RowError for a weight that cannot be, EncodingError where all are 0."""
    if schema.weight is None:
        return
    require_columns(table, [schema.weight], "weight column")
    if not require_weights(table[schema.weight]).sum() > 0:
        raise EncodingError(f"weight column '{schema.weight}' is 0 in all rows; correct it")


def require_weights(column: pl.Series) -> pl.Series:
    """The numbers of a weight column. Raises RowError where one is missing or below 0."""
    weights = as_numbers(column)
    odd = weights.is_null() | (weights < 0)
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise RowError(row, f"weight '{column.name}': expected 0 or more, found {column[row]!r}", "correct it")
    return weights


def require_differing(tasks: Sequence[Task], low: np.ndarray, high: np.ndarray) -> None:
    """Raises SchemaError that names a task whose training labels are all alike, or of which no row has a label.

    low, high: (T,) smallest and largest label of the training rows, infinite where there is none.
    """
    for task, least, most in zip(tasks, low, high, strict=True):
        if least > most:
            where = f" where {task.condition}" if task.condition else ""
            raise SchemaError(f"task '{task.name}': no training row has a label{where}; give labelled rows")
        if least == most:
            raise SchemaError(
                f"task '{task.name}': every label in the training rows is {least:g}; "
                "drop the task or split so that both classes occur"
            )
