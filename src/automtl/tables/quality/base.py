"""The input and the findings of checks. G groups of rows that share a value of one column, T tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from automtl.system.progress import Event
from automtl.tables.schema import SINGLE, Field, FieldKind, Schema, Task, TaskKind
from automtl.tables.split import Split
from automtl.tables.values.conditions import holds
from automtl.tables.values.ids import TEXTS, as_integers, as_text, written_alike
from automtl.tables.values.numbers import as_labels, as_numbers

SAMPLE = 100_000  # rows of each part that columns are compared on
QUANTILES = 50  # of a numeric column


@dataclass(frozen=True)
class Finding:
    """Something to look at. `level`: a warning can make metrics wrong or training fail, a note does not.

    column: an input, a label, or several joined by ', '. value: the number that exceeded the check's threshold.
    """

    check: str
    level: Literal["warning", "note"]
    column: str
    evidence: str
    value: float
    remedy: str
    task: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Findings(Event):
    """The findings of the checks, warnings first, as an event; they stop nothing."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Audit:
    """The input of a check: `split` has all rows of each part; `train`, `valid` and `test` are samples of them."""

    schema: Schema
    split: Split
    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame

    @staticmethod
    def of(split: Split, schema: Schema, seed: int) -> Audit:
        """Draw the samples; parts that are small enough are taken as they are."""
        rng = np.random.default_rng(seed)
        return Audit(schema, split, *(_sample(part, rng) for part in (split.train, split.valid, split.test)))

    @property
    def single_fields(self) -> tuple[Field, ...]:
        """The inputs that are one column with one value a row."""
        return tuple(field for field in self.schema.fields if field.kind in SINGLE)

    @cached_property
    def text_counts(self) -> dict[str, pl.DataFrame]:
        """Values of each text column of ids: `value` as written, its canonical `form`, its `rows` in `train`."""
        fields = [field for field in self.schema.fields if field.kind is FieldKind.CATEGORICAL]
        return {one.name: _counted(self.train[one.name], one) for one in fields if self.train[one.name].dtype in TEXTS}

    def labels(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return labels (N, T): 0, 1 or null (missing or the condition does not hold); quantities: above the median.

        Columns are named by the places of the tasks.
        """
        return pl.DataFrame({str(place): self._label(task, table) for place, task in enumerate(self.schema.tasks)})

    def _label(self, task: Task, table: pl.DataFrame) -> pl.Series:
        label = as_labels(table[task.name]).cast(pl.Float64)
        if task.kind is TaskKind.REGRESSION:
            label = (label > as_labels(self.train[task.name]).cast(pl.Float64).median()).cast(pl.Float64)
        if task.condition is not None:
            label = label.set(~holds(table, task.condition, self.schema), None)
        return label


def _counted(column: pl.Series, field: Field) -> pl.DataFrame:
    counts = column.cast(pl.String).alias("value").drop_nulls().value_counts(name="rows")
    return counts.with_columns(as_text(written_alike(counts["value"], field.text or ())).alias("form"))


Check = Callable[[Audit], Iterable[Finding]]


def _sample(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    if table.height <= SAMPLE:
        return table
    return table[np.sort(rng.choice(table.height, SAMPLE, replace=False))]  # in order, which is read faster


def grouping(field: Field, train: pl.Series) -> Callable[[pl.Series], pl.Series]:
    """Make a function from a column to groups: its values, or places of numbers among the quantiles of `train`.

    A number that equals a quantile is a group of its own: a frequent value (such as 0) is not mixed with others.
    """
    if field.kind is not FieldKind.NUMERIC:
        return _canonical if as_integers(train) is not None else as_text
    numbers = as_numbers(train, field).drop_nulls().to_numpy()
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, QUANTILES + 1))) if len(numbers) else np.zeros(1)

    def place(column: pl.Series) -> pl.Series:
        values = as_numbers(column, field)
        filled = values.fill_null(0.0).to_numpy()
        found = np.searchsorted(edges, filled, "left") + np.searchsorted(edges, filled, "right")
        return pl.Series(found).set(values.is_null(), None)

    return place


def _canonical(column: pl.Series) -> pl.Series:
    """Convert to integers; other values, in a later part of the table, become null."""
    integers = as_integers(column)
    return as_text(column).cast(pl.Int64, strict=False) if integers is None else integers


def share_of(rows: int, share: float) -> str:
    """Write a share as '12.3 % of 4,567 rows'."""
    return f"{100 * share:.3g} % of {rows:,} rows"
