"""The arrays that chunks of rows have by the schema, and chunks of a table in memory.

A chunk of N rows has, beside the arrays of `tables.roles`: `ids.I`, codes of values, (N,), or of lists one after
another, with `sizes.I` (N,); `number.J` float64, NaN where missing; `days.K` float64, since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from automtl.features.history_plan import further_outcomes, moments_of
from automtl.features.scaler import has_bins
from automtl.features.settings import EncoderSettings
from automtl.system.slices import SLICE
from automtl.tables.derive import derive, id_column, key_column, part_name, simple_fields
from automtl.tables.history import AnyHistory
from automtl.tables.labels import label_columns
from automtl.tables.roles import Chunk, TableRoles, training
from automtl.tables.schema import Field, FieldKind, Schema, TaskKind
from automtl.tables.values.lists import as_parts
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import as_moments, days_of

LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)
HUGE = 1e60  # numbers are cut there, so that their cube is still a number


@dataclass(frozen=True)
class Coded:
    """A column of ids: a field, or the key of a target encoding."""

    field: Field | None = None
    key: tuple[str, ...] = ()

    @property
    def lists(self) -> bool:
        """Tell whether a row may have several ids."""
        return self.field is not None and self.field.kind in LISTS


@dataclass(frozen=True)
class ChunkColumns:
    """The columns that are read from a table. `types`: those of its columns. `by_time`: rows are split by time."""

    schema: Schema
    settings: EncoderSettings
    types: dict[str, pl.DataType]
    by_time: bool = False

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields that are encoded."""
        return simple_fields(self.schema)

    def of(self, *kinds: FieldKind) -> tuple[Field, ...]:
        """Return the encoded fields of some kinds."""
        return tuple(one for one in self.fields if one.kind in kinds)

    @property
    def needed(self) -> list[str]:
        """The columns that are read, in the order of the table."""
        schema = self.schema
        wanted: set[str | None] = {*schema.columns, *schema.task_names, *schema.condition_columns}
        if self.history:
            wanted |= {schema.time, *schema.outcomes}
        wanted |= {schema.weight, schema.group, schema.split, schema.time if self.times else None}
        return [name for name in self.types if name in wanted]

    @cached_property
    def coded(self) -> tuple[Coded, ...]:
        """Columns of codes: fields (lists last), then further keys."""
        fields = [Coded(one) for one in (*self.of(FieldKind.CATEGORICAL), *self.of(*LISTS))]
        names = {(one.name,) for one in self.of(FieldKind.CATEGORICAL)}
        keys = [Coded(key=key) for key in self.keys if key not in names]
        return (*fields, *keys)

    def coded_fields(self, schema: Schema) -> dict[int, Field]:
        """Return the fields of ids that a schema of some of the fields has, by place."""
        kept = {one.name for one in simple_fields(schema)}
        named = ((place, one.field) for place, one in enumerate(self.coded) if one.field is not None)
        return {place: field for place, field in named if field.name in kept}

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Keys that are target-encoded: none where there are histories, which say more of them."""
        histories = self.schema.history and self.settings.history
        return self.schema.target_encoding if self.settings.target_encoding and not histories else ()

    def place(self, wanted: Field | tuple[str, ...]) -> int:
        """Find the place of a field or a key among `coded`."""
        key = (wanted.name,) if isinstance(wanted, Field) else wanted
        single = isinstance(wanted, tuple)
        return next(
            place for place, one in enumerate(self.coded)
            if one.key == key or (one.field is not None and (one.field.name,) == key and not (single and one.lists))
        )  # fmt: skip

    @property
    def numeric(self) -> tuple[Field, ...]:
        """Numeric fields that are columns of the table, which the age of a time is not."""
        return tuple(one for one in self.of(FieldKind.NUMERIC) if one not in self.ages)

    @cached_property
    def ages(self) -> dict[Field, Field]:
        """Fields that are ages, each with its time field."""
        times = {part_name(time, "age"): time for time in self.moments}
        return {one: times[one.name] for one in self.fields if one.name in times}

    @property
    def moments(self) -> tuple[Field, ...]:
        """Fields that are times."""
        return tuple(one for one in self.schema.fields if one.kind is FieldKind.TIME)

    @property
    def num_categorical(self) -> int:
        """The number of columns of one id a row, bins included."""
        forms = [self.settings.of(one).form for one in self.of(FieldKind.NUMERIC)]
        return len(self.of(FieldKind.CATEGORICAL)) + sum(has_bins(form, self.settings.bins) for form in forms)

    @property
    def times(self) -> bool:
        """Tell whether rows are ordered by the time column."""
        return self.schema.time is not None and (self.by_time or bool(self.keys))

    @property
    def history(self) -> AnyHistory:
        """Which histories the rows get; False or None for none."""
        return self.schema.history if self.settings.history else False

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays of a chunk, without those of codes."""
        schema = self.schema
        found = [f"number.{place}" for place in range(len(self.numeric))]
        found += [f"days.{place}" for place in range(len(self.moments))]
        found += [name for name in ("weight", "group", "split") if getattr(schema, name) is not None]
        found += ["moment", "outcomes"] if self.history else []
        return [*found, "labels", "mask", *(["time"] if self.times else [])]

    def derived(self, table: pl.DataFrame) -> pl.DataFrame:
        """Add the columns of the encoded fields to a table; ages do not count from the newest time yet."""
        return derive(table, self.schema, dict.fromkeys((time.name for time in self.moments), 0.0))

    def ids(self, derived: pl.DataFrame, one: Coded) -> tuple[pl.Series, np.ndarray | None]:
        """Return the values of a coded column of the derived table and, for lists, how many each row has."""
        if one.field is None:
            return key_column(derived, one.key, {given.name: given for given in self.schema.fields}), None
        if one.lists:
            return as_parts(derived[one.field.name], one.field, self.settings.max_values)
        return id_column(derived, one.field.name), None


@dataclass(frozen=True)
class TableChunk:
    """Rows of a table in memory, all of them training rows. Arrays that are not `given` are made when asked for.

    `derived`: the table as `ChunkColumns.derived` makes it.
    """

    table: pl.DataFrame
    derived: pl.DataFrame
    columns: ChunkColumns
    given: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.table.height

    @cached_property
    def part(self) -> np.ndarray:
        return self._roles.part

    def array(self, name: str) -> np.ndarray:
        if name in self.given:
            return self.given[name]
        kind, _, place = name.partition(".")
        if kind == "number":
            numeric = self.columns.numeric[int(place)]
            return plain_numbers(as_numbers(self.derived[numeric.name], numeric))
        if kind == "days":
            time = self.columns.moments[int(place)]
            days = days_of(as_moments(self.table[time.name], time))
            return days.fill_null(float("nan")).to_numpy()
        if name in ("moment", "outcomes"):
            return (moments_of if name == "moment" else further_outcomes)(self.table, self.columns.schema)
        return self._labels[name] if name in ("labels", "mask") else self._roles.array(name)

    @cached_property
    def _labels(self) -> dict[str, np.ndarray]:
        """Labels and mask in the smallest types that hold them, kept since they are read several times."""
        values, mask = label_columns(self.table, self.columns.schema)
        binary = all(task.kind is TaskKind.BINARY for task in self.columns.schema.tasks)
        return {"labels": values.astype(np.uint8) if binary else values, "mask": mask.astype(np.uint8)}

    @cached_property
    def _roles(self) -> TableRoles:
        return TableRoles(self.table, self.columns.schema)


@dataclass(frozen=True)
class Numbers:
    """A numeric column, or the age of a time, as the encoder reads it. `newest`: see `newest_of`."""

    columns: ChunkColumns
    field: Field
    newest: dict[str, float]

    def of(self, chunk: Chunk) -> np.ndarray:
        """Read the numbers of a chunk, (N,) float64, NaN where missing."""
        time = self.columns.ages.get(self.field)
        if time is None:
            return chunk.array(f"number.{self.columns.numeric.index(self.field)}")
        return self.newest.get(time.name, np.nan) - chunk.array(f"days.{self.columns.moments.index(time)}")

    def training(self, chunks: Sequence[Chunk]) -> Iterator[np.ndarray]:
        """Yield the numbers of the training rows, SLICE at a time."""
        return sliced(training(chunk, self.of(chunk)) for chunk in chunks)


def newest_of(chunks: Sequence[Chunk], columns: ChunkColumns) -> dict[str, float]:
    """Find the newest training time of each time field that has one, in days since 1970."""
    found = {}
    for place, time in enumerate(columns.moments):
        newest = max(largest(training(chunk, chunk.array(f"days.{place}"))) for chunk in chunks)
        if newest > -np.inf:
            found[time.name] = newest
    return found


def largest(values: np.ndarray) -> float:
    """Return the largest number that is not NaN; minus infinity without one."""
    return float(np.fmax.reduce(values, initial=-np.inf))


def sliced(parts: Iterable[np.ndarray], rows: int = SLICE) -> Iterator[np.ndarray]:
    """Cut rows into parts of `rows` rows each, as a table in memory is cut."""
    waiting: list[np.ndarray] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= rows:
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            yield joined[:rows]
            waiting = [joined[rows:]]
    rest = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
    if len(rest):
        yield rest


def plain_numbers(numbers: pl.Series) -> np.ndarray:
    """Return (n,) float64, NaN where null, cut at HUGE."""
    return numbers.clip(-HUGE, HUGE).fill_null(float("nan")).to_numpy()
