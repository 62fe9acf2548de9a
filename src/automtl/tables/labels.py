"""Labels, masks and weights of rows, and what they must be. N rows, T tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from automtl.errors import EncodingError, RowError, SchemaError
from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.columns import as_labels, as_numbers, holds
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.schema import Schema, Task, TaskKind


@dataclass(frozen=True)
class Labels:
    """values, mask: (N, T) float64; binary: (T,) bool. A mask may be a row's weight, 1 on average."""

    values: np.ndarray
    mask: np.ndarray
    binary: np.ndarray

    @property
    def terms(self) -> np.ndarray:
        """(N, 2 T): what is added up."""
        return np.concatenate([self.values * self.mask, self.mask], axis=1)


def read_labels(table: pl.DataFrame, schema: Schema) -> Labels:
    """Label values (0 where absent) and the mask of rows on which each task holds. Raises SchemaError."""
    for task in schema.tasks:
        check_labels(table, task)
    return label_columns(table, schema)


def label_columns(table: pl.DataFrame, schema: Schema) -> Labels:
    values, mask = np.empty((2, table.height, len(schema.tasks)))
    for place, task in enumerate(schema.tasks):
        column = as_labels(table[task.name]).cast(pl.Float64)
        present = column.is_not_null()
        if task.condition is not None:
            present = present & holds(table, task.condition)
        mask[:, place], values[:, place] = present.to_numpy(), column.fill_null(0.0).to_numpy()
        if not present.all():
            values[:, place] *= mask[:, place]
    return Labels(values, mask, np.array([task.kind is TaskKind.BINARY for task in schema.tasks]))


def require_both_classes(train: pl.DataFrame, schema: Schema) -> None:
    """Raises SchemaError that names a task whose training labels are all alike, or of which no row has a label."""

    def extremes(part: pl.DataFrame) -> np.ndarray:
        found = label_columns(part, schema)
        low, high = np.where(found.mask > 0, found.values, np.inf), np.where(found.mask > 0, found.values, -np.inf)
        return np.stack([low.min(0, initial=np.inf), -high.max(0, initial=-np.inf)])

    low, high = np.min(in_threads(extremes, train.iter_slices(SLICE)), axis=0) * [[1], [-1]]  # (T,) each
    require_differing(schema.tasks, low, high)


def require_differing(tasks: Sequence[Task], low: np.ndarray, high: np.ndarray) -> None:
    """low, high: (T,) smallest and largest label of the training rows, infinite where there is none."""
    for task, least, most in zip(tasks, low, high, strict=True):
        if least > most:
            where = f" where {task.condition}" if task.condition else ""
            raise SchemaError(f"task '{task.name}': no training row has a label{where}; give labelled rows")
        if least == most:
            raise SchemaError(
                f"task '{task.name}': every label in the training rows is {least:g}; "
                "drop the task or split so that both classes occur"
            )


def check_weights(table: pl.DataFrame, schema: Schema) -> None:
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


def weighted(labels: Labels, table: pl.DataFrame, schema: Schema) -> Labels:
    """Labels that count by their row's weight, which is one on average, so that smoothing keeps its meaning."""
    if schema.weight is None:
        return labels
    weight = as_numbers(table[schema.weight]).to_numpy()
    mean = mean_weight((weight[start : start + SLICE] for start in range(0, len(weight), SLICE)), len(weight))
    return replace(labels, mask=labels.mask * (weight / mean)[:, None])


def mean_weight(parts: Iterable[np.ndarray], rows: int) -> float:
    """Of so many rows, given as slices of SLICE."""
    return sum(float(np.ascontiguousarray(part).sum()) for part in parts) / rows
