"""Which columns a chunk has, by the schema: ids and lists of ids as codes, numbers, times, labels and roles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from automtl.features.encoder import LISTS, EncoderSettings
from automtl.tables.columns import as_parts, key_column
from automtl.tables.derive import derive, simple_fields
from automtl.tables.schema import Condition, Field, FieldKind, Schema, TaskKind
from automtl.tables.split import SplitSettings

ORDERED = (pl.Date, pl.Datetime, pl.Time, pl.Duration)  # whose physical form is a whole number


@dataclass(frozen=True)
class Coded:
    """A column of ids: that of a field, of a rates key, or the time as text (neither)."""

    field: Field | None = None
    key: tuple[str, ...] = ()

    @property
    def lists(self) -> bool:
        """Whether a row has several ids."""
        return self.field is not None and self.field.kind in LISTS


@dataclass(frozen=True)
class Columns:
    """What is kept of the rows of a source whose columns have these types."""

    schema: Schema
    settings: EncoderSettings
    split: SplitSettings
    types: dict[str, pl.DataType]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields that are encoded."""
        return simple_fields(self.schema)

    @property
    def needed(self) -> list[str]:
        """The columns that are read, in the order of the table."""
        schema = self.schema
        conditions = {Condition.parse(task.condition).column for task in schema.tasks if task.condition is not None}
        wanted: set[str | None] = {*schema.columns, *schema.task_names, *conditions}
        wanted |= {schema.weight, schema.group, schema.split, schema.time if self.times else None}
        return [name for name in self.types if name in wanted]

    @cached_property
    def coded(self) -> tuple[Coded, ...]:
        """Columns of codes: fields, then keys of rates that are no such field, then the time if it is text."""
        fields = [Coded(field) for field in self.fields if field.kind in (FieldKind.CATEGORICAL, *LISTS)]
        names = {one.field.name for one in fields if one.field is not None and not one.lists}
        keys = [Coded(key=key) for key in self.rate_keys if len(key) > 1 or key[0] not in names]
        return (*fields, *keys, *([Coded()] if self.times and not self.times_are_numbers else []))

    @property
    def rate_keys(self) -> tuple[tuple[str, ...], ...]:
        """Keys whose rates are inputs."""
        return self.schema.target_encoding if self.settings.target_encoding else ()

    def place(self, wanted: Field | tuple[str, ...] | None) -> int:
        """Of a field's, a key's or the time's codes among `coded`."""
        for place, one in enumerate(self.coded):
            name = None if one.field is None else one.field.name
            if isinstance(wanted, Field) and name == wanted.name:
                return place
            if isinstance(wanted, tuple) and (one.key == wanted or (not one.lists and (name,) == wanted)):
                return place
        assert wanted is None
        return len(self.coded) - 1

    @property
    def numeric(self) -> tuple[Field, ...]:
        """Fields that are numbers of the table; the age of a time is not."""
        return tuple(field for field in self.fields if field.kind is FieldKind.NUMERIC and field not in self.ages)

    @cached_property
    def ages(self) -> dict[Field, Field]:
        """The fields that are ages, each with the time that it is of."""
        times = {f"{time.name}:age": time for time in self.times_of_fields}
        return {field: times[field.name] for field in self.fields if field.name in times}

    @property
    def times_of_fields(self) -> tuple[Field, ...]:
        """Fields that are times."""
        return tuple(field for field in self.schema.fields if field.kind is FieldKind.TIME)

    @property
    def times(self) -> bool:
        """Whether rows are ordered by the time column."""
        by_time = self.schema.split is None and self.split.method == "time"
        return self.schema.time is not None and (by_time or bool(self.rate_keys))

    @property
    def times_are_numbers(self) -> bool:
        """Whether the time column has an order of its own, not that of texts."""
        dtype = self.types[str(self.schema.time)]
        return dtype.is_numeric() or dtype.base_type() in ORDERED or dtype == pl.Boolean

    @property
    def label_type(self) -> str:
        """Of the labels' file."""
        return "uint8" if all(task.kind is TaskKind.BINARY for task in self.schema.tasks) else "float64"

    def derived(self, table: pl.DataFrame) -> pl.DataFrame:
        """With the columns of the fields that are encoded, ages excepted."""
        return derive(table, self.schema, dict.fromkeys((time.name for time in self.times_of_fields), 0.0))

    def ids(self, table: pl.DataFrame, one: Coded) -> tuple[pl.Series, np.ndarray | None]:
        """The values of a coded column of the derived table and, of lists, how many each row has."""
        if one.field is None:
            fields = {field.name: field for field in self.schema.fields}
            return (key_column(table, one.key, fields) if one.key else table[str(self.schema.time)]), None
        if one.lists:
            return as_parts(table[one.field.name], one.field, self.settings.max_values)
        return table[one.field.name], None
