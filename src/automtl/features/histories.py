"""The inputs that histories give the rows of a log, and new rows. N rows, M outcomes, W inputs, L positions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_not
from typing import Any

import numpy as np
import polars as pl

from automtl.features.history_plan import Events, fit_plan, log_schema, moments_of
from automtl.features.layout import AspectLayout, NumericLayout, SequenceLayout, id_type
from automtl.features.scaler import sampled_rows
from automtl.features.target_encoding import Standardizer
from automtl.features.vocabulary import Vocabulary
from automtl.histories.buckets import inputs_by_buckets, state_by_buckets
from automtl.histories.plan import Kind, Plan
from automtl.histories.rows import Rows, counted, key_numbers
from automtl.histories.sequences import LastEvents, aspects, last_events
from automtl.histories.state import State, Taken
from automtl.histories.statistics import inputs
from automtl.system.slices import SLICE
from automtl.tables.derive import completed, derive, id_column
from automtl.tables.history import History
from automtl.tables.names import derived_name
from automtl.tables.roles import TRAIN
from automtl.tables.schema import Schema
from automtl.tables.values.ids import as_ids
from automtl.tables.values.times import LIKELY, SCALES, is_likely, require_unit

SPREAD = 1 << 17  # training rows by which inputs are standardized, at most
ROWS = 1 << 13  # that are standardized at a time, so that temporaries stay in the cache
Vocabularies = Mapping[str, Vocabulary]
Group = tuple[tuple[str, ...], Kind]  # a kind of statistics of a key


@dataclass(frozen=True)
class HistoryInputs:
    """The inputs of N rows. numbers: (N, W) float32; lists: (N, L) ids of each aspect of the events before."""

    numbers: np.ndarray
    lists: tuple[np.ndarray, ...] = ()

    @staticmethod
    def nothing(rows: int) -> HistoryInputs:
        """Return no inputs of so many rows."""
        return HistoryInputs(np.empty((rows, 0), np.float32))

    def take(self, chosen: np.ndarray | slice) -> HistoryInputs:
        """Return the inputs of some rows."""
        return HistoryInputs(self.numbers[chosen], tuple(one[chosen] for one in self.lists))


@dataclass(frozen=True)
class Histories:
    """The part of an encoder that makes inputs of earlier rows.

    `schema`: how a log is read; `spreads`: of the inputs of each key; `state`: what is known at the end of the log that
    it was fitted on, or was updated with.
    """

    schema: Schema
    plan: Plan
    spreads: tuple[Standardizer, ...]
    state: State

    @property
    def history(self) -> History:
        """The declaration, with all that was chosen."""
        assert isinstance(self.schema.history, History)
        return self.schema.history

    @property
    def groups(self) -> list[NumericLayout]:
        """The inputs of each key, which are one field."""
        return [
            NumericLayout(
                derived_name("history", *one.key), tuple(derived_name(*parts) for parts in self.plan.names(place))
            )
            for place, one in enumerate(self.plan.keys) if one.kinds
        ]  # fmt: skip

    @property
    def width(self) -> int:
        """W, the number of inputs."""
        return sum(self.plan.widths)

    @property
    def sequences(self) -> tuple[SequenceLayout, ...]:
        """The events that are inputs one by one: their fields, what came of them, their age."""
        if self.plan.sequence is None:
            return ()
        (key,) = self.plan.keys[self.plan.sequence[0]].key
        items = [AspectLayout(derived_name("history", key, name), 0, name) for name in self.items]
        own = [AspectLayout(derived_name("history", key, name), size) for name, size in aspects(self.plan)]
        return (SequenceLayout(derived_name("history", key, "events"), (*items, *own), self.plan.sequence[1]),)

    @property
    def items(self) -> tuple[str, ...]:
        """The fields that sequences hold."""
        assert self.history.sequence
        return self.history.sequence.fields

    def rows(self, table: pl.DataFrame, vocabularies: Vocabularies, *, happened: bool) -> Rows:
        """Read the rows of a table, all of them events that happened or none. Raises an AutomtlError.

        Numbers of another unit than the log's are refused where that counts from 1970.
        """
        table = completed(table, self.schema)
        events = Events.of(table, self.schema) if happened else nothing_of(table, self.schema, self.plan)
        self._require_unit(table)
        rows = read_rows(table, self.schema, self.plan, events, np.full(table.height, happened))
        return self.with_items(rows, table, vocabularies)

    def times(self, table: pl.DataFrame) -> np.ndarray:
        """Read the times of a table, (n,) int64 microseconds, as `rows` does. Raises an AutomtlError."""
        found = moments_of(table, self.schema)
        self._require_unit(table)
        return found

    def plain_times(self, numbers: Sequence[int]) -> np.ndarray | None:
        """Return what `times` does of whole numbers; None where it has to look at all of them together."""
        unit = self.history.unit
        if unit not in SCALES or any(one.name == self.schema.time for one in self.schema.fields):
            return None
        if not all(is_likely(number, unit) for number in numbers):
            return None
        return counted(np.array(numbers, np.int64), unit)

    def _require_unit(self, table: pl.DataFrame) -> None:
        if self.state.newest >= LIKELY[0]:
            require_unit(table[str(self.schema.time)], self.history.unit)

    def with_items(self, rows: Rows, table: pl.DataFrame, vocabularies: Vocabularies) -> Rows:
        """Add the ids of the fields that sequences hold."""
        if self.plan.sequence is None:
            return rows
        derived = texts_alike(table, self.schema, self.items)
        ids = [vocabularies[name].encode(id_column(derived, name)) for name in self.items]
        return replace(rows, items=np.stack(ids).astype(np.int32, copy=False))

    def inputs(
        self, rows: Rows, vocabularies: Vocabularies, state: State | None, chosen: np.ndarray | None = None
    ) -> HistoryInputs:
        """Return the inputs of all rows, or of the chosen ones, by what happened before among them and by a state."""
        numbers = np.empty((len(rows) if chosen is None else len(chosen), self.width), np.float32)
        start = 0
        for place, spread in enumerate(self.spreads):
            end = start + len(spread.mean)
            if end > start:
                standardize(spread, inputs(self.plan, place, rows, state, chosen), numbers[:, start:end])
            start = end
        return HistoryInputs(numbers, self.lists(rows, vocabularies, state, chosen))

    def lists(
        self, rows: Rows, vocabularies: Vocabularies, state: State | None, chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """Return the ids of the last events before each row, an array for each aspect."""
        if self.plan.sequence is None:
            return ()
        return tuple(last_events(self.plan, rows, state, chosen).ids(item_types(self.items, vocabularies)))

    def of(self, table: pl.DataFrame, vocabularies: Vocabularies) -> HistoryInputs:
        """Return the inputs of new rows by the state, and by their own earlier rows where the table has labels.

        Outcome columns that the table lacks are not known of its rows. Raises EncodingError for rows that are older
        than what the state knows.
        """
        if not self.plan.keys:
            return HistoryInputs.nothing(table.height)
        return self.inputs(self.new_rows(table, vocabularies), vocabularies, self.state)

    def new_rows(self, table: pl.DataFrame, vocabularies: Vocabularies) -> Rows:
        """Read the rows of a new table, which are events if it has labels; see `of`."""
        absent = [pl.lit(None).alias(name) for name in self.schema.outcomes if name not in table.columns]
        return self.rows(table.with_columns(absent), vocabularies, happened=self.takes(table.columns))

    def takes(self, columns: Iterable[str]) -> bool:
        """Tell whether rows with these columns are events themselves, since they have labels."""
        needed = {*self.schema.task_names, *self.schema.condition_columns}
        return not self.plan.frozen and needed <= set(columns)

    def replayed(self, table: pl.DataFrame, log: pl.DataFrame, vocabularies: Vocabularies) -> HistoryInputs:
        """Return the inputs of any rows as they were at their time, when all that is known comes from a log."""
        if not self.plan.keys:
            return HistoryInputs.nothing(table.height)
        known, asked = (self.rows(one, vocabularies, happened=one is log) for one in (log, table))
        chosen = np.arange(len(known), len(known) + len(asked))
        return self.inputs(Rows.joined([known, asked]), vocabularies, None, chosen)

    def updated(self, log: pl.DataFrame, vocabularies: Vocabularies) -> tuple[Histories, Taken]:
        """Take in later events; returns the histories with the new state, and what became of the events."""
        state, taken = self.state.update(self.plan, self.rows(log, vocabularies, happened=True))
        return replace(self, state=state), taken

    def without_sequence(self) -> Histories:
        """Leave out the sequence of events."""
        return self._narrowed(replace(self.plan, sequence=None).without(()))[0]

    def _narrowed(self, plan: Plan) -> tuple[Histories, list[int]]:
        """Return the histories of a plan of fewer inputs, and the places of these inputs."""
        kept = {(one.key, kind) for one in plan.keys for kind in one.kinds}
        columns = [place for group, places in self.columns_of_groups().items() if group in kept for place in places]
        flat = np.concatenate([[one.mean, one.std] for one in self.spreads], axis=1)[:, columns]
        edges = np.cumsum([len(plan.names(place)) for place in range(len(plan.keys))])[:-1]
        parts = zip(*(np.split(one, edges) for one in flat), strict=True)
        spreads = tuple(Standardizer(mean, std) for mean, std in parts)
        return replace(self, plan=plan, spreads=spreads, state=self.state.narrowed(self.plan, plan)), columns

    def columns_of_groups(self) -> dict[Group, list[int]]:
        """Return the places of each group's inputs."""
        found, start = dict[Group, list[int]](), 0
        for one in self.plan.keys:
            for kind in one.kinds:
                found[one.key, kind] = list(range(start, start := start + len(self.plan.inputs_of(kind))))
        return found

    def without(self, groups: Sequence[Group]) -> tuple[Histories, list[int]]:
        """Leave out groups; returns the places of the inputs that are left, too."""
        return self._narrowed(self.plan.without(groups))

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return plain values for JSON, and arrays."""
        arrays = {f"state.{name}": array for name, array in self.state.to_arrays().items()}
        for place, spread in enumerate(self.spreads):
            arrays |= {f"spread.{place}.mean": spread.mean, f"spread.{place}.std": spread.std}
        solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # others are saved wrongly
        return {"schema": self.schema.to_dict(), "plan": self.plan.to_dict()}, solid

    @staticmethod
    def from_state(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Histories:
        """Build the histories that `to_state` described."""
        plan = Plan.from_dict(values["plan"])
        spreads = tuple(
            Standardizer(arrays[f"spread.{place}.mean"], arrays[f"spread.{place}.std"])
            for place in range(len(plan.keys))
        )
        own = {name.removeprefix("state."): array for name, array in arrays.items() if name.startswith("state.")}
        return Histories(Schema.from_dict(values["schema"]), plan, spreads, State.from_arrays(plan, own))


def item_types(names: Sequence[str], vocabularies: Vocabularies) -> list[type]:
    """Return the types of the ids of fields."""
    return [np.dtype(id_type(len(vocabularies[name]))).type for name in names]


def standardize(spread: Standardizer, raw: np.ndarray, into: np.ndarray, chosen: np.ndarray | None = None) -> None:
    """Write the standardized inputs of all rows, or of the chosen ones, some rows at a time."""
    for start in range(0, len(into), ROWS):
        rows = slice(start, start + ROWS)
        part = np.ascontiguousarray(raw[rows]) if chosen is None else raw.take(chosen[rows], axis=0)
        into[rows] = spread.standardized(part)


def spread_rows(part: np.ndarray) -> np.ndarray:
    """Return the rows by which inputs are standardized: a sample of the training rows. part: (N,), TRAIN for these."""
    train = np.flatnonzero(part == TRAIN)
    return train.take(sampled_rows(len(train), SPREAD))


def fit_spread(raw: np.ndarray) -> Standardizer:
    """Fit the standardization of raw inputs of some training rows, (n, W)."""
    return Standardizer.fit(raw[start : start + SLICE].astype(np.float64) for start in range(0, len(raw), SLICE))


def read_rows(table: pl.DataFrame, schema: Schema, plan: Plan, events: Events, event: np.ndarray) -> Rows:
    """Read the keys of a table. events: its times, and what came of its rows; event: (N,), which ones happened."""
    fields = {one.name: one for one in schema.fields}
    derived = texts_alike(table, schema, {name for one in plan.keys for name in one.key})
    keys = key_numbers(derived, [one.key for one in plan.keys], fields)
    return Rows(events.time, keys, events.whole(plan.outcomes), events.known, event)


def texts_alike(table: pl.DataFrame, schema: Schema, names: Collection[str]) -> pl.DataFrame:
    """Write the texts of some fields alike, as the encoder does."""
    fields = tuple(one for one in schema.fields if one.name in names)
    if not fields:
        return table
    return derive(table, schema, {}, fields)


def nothing_of(table: pl.DataFrame, schema: Schema, plan: Plan) -> Events:
    """Read the times of a table; nothing is known of what came of its rows."""
    shape = (table.height, len(plan.outcomes))
    return Events(moments_of(table, schema), np.zeros(shape), np.zeros(shape, np.bool_))


@dataclass(frozen=True)
class FittedHistories:
    """Histories whose state is still empty, with the `log` that they were fitted on and the numbers of its rows."""

    histories: Histories
    log: pl.DataFrame
    rows: Rows
    numbers: np.ndarray
    _kept: list[tuple[list[Vocabulary], LastEvents]] = field(default_factory=list, compare=False)

    def completed(self, vocabularies: Vocabularies) -> Histories:
        """Return the histories with the state at the end of the log."""
        found, rows = self.histories, self._with_items(vocabularies)
        return replace(found, state=state_by_buckets(found.plan, rows))

    def _with_items(self, vocabularies: Vocabularies) -> Rows:
        """Return the rows with the ids of items, and keep the last events by these vocabularies."""
        found = self.histories
        rows = found.with_items(self.rows, self.log, vocabularies)
        if found.plan.sequence is not None:
            self._kept[:] = [([vocabularies[name] for name in found.items], last_events(found.plan, rows))]
        return rows

    def inputs(self, vocabularies: Vocabularies, part: slice) -> HistoryInputs:
        """Return the inputs of some of the rows."""
        if self.histories.plan.sequence is None:
            return HistoryInputs(self.numbers[part])
        items = self.histories.items
        if not self._kept or any(map(is_not, self._kept[0][0], (vocabularies[name] for name in items))):
            self._with_items(vocabularies)
        return HistoryInputs(self.numbers[part], tuple(self._kept[0][1].ids(item_types(items, vocabularies), part)))


def fit_histories(log: pl.DataFrame, part: np.ndarray, schema: Schema, smoothing: float) -> FittedHistories:
    """Fit histories on a log. part: (N,), TRAIN for training rows.

    Priors, ranges, half-lives and standardization are of the training rows alone.
    """
    train = part == TRAIN
    read = log_schema(schema, _empty(schema, log.filter(pl.Series(train))))
    events = Events.of(log, read)
    trained = events.take(train)
    plan = fit_plan(read, [lambda: trained], smoothing)
    rows = read_rows(log, read, plan, events, train if plan.frozen else np.ones(log.height, np.bool_))
    sample = spread_rows(part)
    numbers, spreads, start = np.empty((log.height, len(plan.every_name)), np.float32), [], 0
    for place in range(len(plan.keys)):
        raw = inputs_by_buckets(plan, place, rows)
        spreads.append(fit_spread(raw.take(sample, axis=0)))
        standardize(spreads[-1], raw, numbers[:, start : start + raw.shape[1]])
        start += raw.shape[1]
    return FittedHistories(Histories(read, plan, tuple(spreads), State.empty(plan)), log, rows, numbers)


def _empty(schema: Schema, train: pl.DataFrame) -> list[str]:
    """Return the fields of a sequence that have no value in the training rows."""
    assert isinstance(schema.history, History)
    fields = schema.history.sequence.fields if schema.history.sequence else ()
    return [name for name in fields if as_ids(train[name]).null_count() == train.height]
