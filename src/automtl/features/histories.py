"""The inputs that histories give the rows of a log, and new rows. N rows, M outcomes, W inputs, L positions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from automtl.features.chunk import sliced
from automtl.features.layout import AspectLayout, NumericLayout, SequenceLayout
from automtl.features.target_encoding import Standardizer
from automtl.features.vocabulary import Vocabulary
from automtl.histories.plan import SECOND, KeyPlan, Kind, Outcome, Plan
from automtl.histories.rows import Rows, key_numbers, log_times
from automtl.histories.sequences import aspects, last_events
from automtl.histories.state import State, Taken
from automtl.histories.statistics import inputs
from automtl.system.slices import SLICE
from automtl.tables.derive import derive, id_column
from automtl.tables.history import History
from automtl.tables.infer import require_columns
from automtl.tables.labels import label_columns
from automtl.tables.names import derived_name
from automtl.tables.roles import TRAIN
from automtl.tables.schema import Condition, FieldKind, Schema, TaskKind
from automtl.tables.values.ids import as_ids
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import NO_TIME

Vocabularies = Mapping[str, Vocabulary]
HALF_LIVES = (1 / 4, 1 / 32)  # of the span of the training rows
RANGE = (0.001, 0.999)  # quantiles of the training rows at which quantities are cut
Group = tuple[tuple[str, ...], Kind]  # a kind of statistics of a key
EVERY: tuple[Kind, ...] = ("rates", "recent")
OF_USER: tuple[Kind, ...] = (*EVERY, "gaps", "last")


@dataclass(frozen=True)
class HistoryInputs:
    """The inputs of N rows. numbers: (N, W) float32; lists: (N, L) int32 ids of each aspect of the events before."""

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
        return len(self.plan.every_name)

    @property
    def sequences(self) -> tuple[SequenceLayout, ...]:
        """The events that are inputs one by one: their fields, what came of them, their age."""
        if self.plan.sequence is None:
            return ()
        (key,) = self.plan.keys[self.plan.sequence[0]].key
        items = [AspectLayout(derived_name("history", key, name), 0, name) for name in self._items]
        own = [AspectLayout(derived_name("history", key, name), size) for name, size in aspects(self.plan)]
        return (SequenceLayout(derived_name("history", key, "events"), (*items, *own), self.plan.sequence[1]),)

    @property
    def _items(self) -> tuple[str, ...]:
        assert self.history.sequence
        return self.history.sequence.fields

    def rows(self, table: pl.DataFrame, vocabularies: Vocabularies, *, happened: bool) -> Rows:
        """Read the rows of a table, all of them events that happened or none. Raises an AutomtlError."""
        values, known = outcomes_of(table, self.schema) if happened else nothing_of(table, self.plan)
        rows = read_rows(table, self.schema, self.plan, values, known, np.full(table.height, happened))
        return self.with_items(rows, table, vocabularies)

    def with_items(self, rows: Rows, table: pl.DataFrame, vocabularies: Vocabularies) -> Rows:
        """Add the ids of the fields that sequences hold."""
        if self.plan.sequence is None:
            return rows
        derived = texts_alike(table, self.schema, self._items)
        ids = [vocabularies[name].encode(id_column(derived, name)) for name in self._items]
        return replace(rows, items=np.stack(ids).astype(np.int32, copy=False))

    def inputs(self, rows: Rows, state: State | None, chosen: np.ndarray | None = None) -> HistoryInputs:
        """Return the inputs of all rows, or of the chosen ones, by what happened before among them and by a state."""
        numbers = np.empty((len(rows) if chosen is None else len(chosen), self.width), np.float32)
        start = 0
        for place, spread in enumerate(self.spreads):
            end = start + len(spread.mean)
            if end > start:
                standardize(spread, inputs(self.plan, place, rows, state, chosen), numbers[:, start:end])
            start = end
        return HistoryInputs(numbers, self.lists(rows, state, chosen))

    def lists(self, rows: Rows, state: State | None, chosen: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Return the ids of the last events before each row, an array for each aspect."""
        return () if self.plan.sequence is None else tuple(last_events(self.plan, rows, state, chosen).ids())

    def of(self, table: pl.DataFrame, vocabularies: Vocabularies) -> HistoryInputs:
        """Return the inputs of new rows by the state, and by their own earlier rows where the table has labels.

        Raises EncodingError for rows that are older than what the state knows.
        """
        if not self.plan.keys:
            return HistoryInputs.nothing(table.height)
        labelled = not self.plan.frozen and all(name in table.columns for name in self.schema.task_names)
        return self.inputs(self.rows(table, vocabularies, happened=labelled), self.state)

    def replayed(self, table: pl.DataFrame, log: pl.DataFrame, vocabularies: Vocabularies) -> HistoryInputs:
        """Return the inputs of any rows as they were at their time, when all that is known comes from a log."""
        if not self.plan.keys:
            return HistoryInputs.nothing(table.height)
        known, asked = (self.rows(one, vocabularies, happened=one is log) for one in (log, table))
        chosen = np.arange(len(known), len(known) + len(asked))
        return self.inputs(Rows.joined([known, asked]), None, chosen)

    def updated(self, log: pl.DataFrame, vocabularies: Vocabularies) -> tuple[Histories, Taken]:
        """Take in later events; returns the histories with the new state, and what became of the events."""
        state, taken = self.state.update(self.plan, self.rows(log, vocabularies, happened=True))
        return replace(self, state=state), taken

    def without_sequence(self) -> Histories:
        """Leave out the sequence of events."""
        return self._narrowed(replace(self.plan, sequence=None).without(()))[0]

    def _narrowed(self, plan: Plan) -> tuple[Histories, list[int]]:
        """Return the histories of a plan of fewer inputs, and the places of these inputs."""
        every, kept = self.plan.every_name, plan.every_name
        columns = [every.index(name) for name in kept]
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


def standardize(spread: Standardizer, raw: np.ndarray, into: np.ndarray) -> None:
    """Write standardized inputs, slice by slice; raw ones are rounded to float32, as files hold them."""
    for start in range(0, len(raw), SLICE):
        into[start : start + SLICE] = spread.standardized(raw[start : start + SLICE].astype(np.float32))


def fit_spread(raw: Iterable[np.ndarray]) -> Standardizer:
    """Fit the standardization of raw inputs of the training rows, which come in parts."""
    return Standardizer.fit(part.astype(np.float32).astype(np.float64) for part in sliced(raw))


def log_schema(schema: Schema, train: pl.DataFrame) -> Schema:
    """Return the part of a schema that a log is read by: key fields, those of conditions, tasks, outcomes, time.

    Sequences leave out fields without a value in the training rows.
    """
    history = schema.history
    assert isinstance(history, History)
    if history.sequence:
        empty = [name for name in history.sequence.fields if as_ids(train[name]).null_count() == train.height]
        history = replace(history, sequence=history.sequence.without(empty))
    names = {name for key in history.keys or () for name in key}
    names |= {Condition.parse(task.condition).column for task in schema.tasks if task.condition is not None}
    if history.sequence:
        names |= {history.sequence.key, *history.sequence.fields}
    names |= {one.name for one in schema.fields if one.kind is FieldKind.TIME and one.name == schema.time}
    fields = tuple(one for one in schema.fields if one.name in names)
    return Schema(fields, schema.tasks, time=schema.time, history=history, outcomes=schema.outcomes)


def read_rows(
    table: pl.DataFrame, schema: Schema, plan: Plan, values: np.ndarray, known: np.ndarray, event: np.ndarray
) -> Rows:
    """Read times and keys of a table. values, known: (N, M), what came of the rows."""
    fields = {one.name: one for one in schema.fields}
    used = {name for one in plan.keys for name in one.key}
    require_columns(table, [schema.time, *sorted(used)], "column of histories")
    derived = texts_alike(table, schema, used)
    keys = np.array([key_numbers(derived, one.key, fields) for one in plan.keys], np.int64).reshape(-1, table.height)
    time = log_times(table[str(schema.time)], fields.get(str(schema.time)), _unit(schema))
    whole = [
        outcome.whole(np.ascontiguousarray(column)) for outcome, column in zip(plan.outcomes, values.T, strict=True)
    ]
    return Rows(time, keys, np.stack(whole, axis=1) * known, known, event)


def texts_alike(table: pl.DataFrame, schema: Schema, names: Collection[str]) -> pl.DataFrame:
    """Write the texts of some fields alike, as the encoder does."""
    fields = tuple(one for one in schema.fields if one.name in names)
    if not fields:
        return table
    return derive(table, replace(schema, fields=fields, history=False, outcomes=()), {})


def _unit(schema: Schema) -> str | None:
    assert isinstance(schema.history, History)
    return schema.history.unit


def outcomes_of(table: pl.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Return what came of the rows, (N, M) float64, and whether that is known, (N, M) bool: tasks, then outcomes."""
    require_columns(table, schema.task_names, "task")
    conditions = [Condition.parse(task.condition).column for task in schema.tasks if task.condition is not None]
    require_columns(table, conditions, "column of a condition")
    require_columns(table, schema.outcomes, "outcome column")
    values, mask = label_columns(table, schema)
    further = [as_numbers(table[name]).fill_null(np.nan).to_numpy() for name in schema.outcomes]
    if not further:
        return values, mask > 0
    more = np.stack(further, axis=1)
    return np.concatenate([values, more], axis=1), np.concatenate([mask > 0, ~np.isnan(more)], axis=1)


def nothing_of(table: pl.DataFrame, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return that nothing is known of what came of the rows."""
    shape = (table.height, len(plan.outcomes))
    return np.zeros(shape), np.zeros(shape, np.bool_)


def fit_plan(schema: Schema, times: np.ndarray, values: np.ndarray, known: np.ndarray, smoothing: float) -> Plan:
    """Make the plan of a declaration from the training rows: times (n,), and what came of them, (n, M) each."""
    history = schema.history
    assert isinstance(history, History)
    times = times[times != NO_TIME]
    span = max(int(times.max() - times.min()) if len(times) else 0, SECOND)
    names = [*schema.task_names, *schema.outcomes]
    binary = [*(task.kind is TaskKind.BINARY for task in schema.tasks), *(False for _ in schema.outcomes)]
    outcomes = tuple(
        _outcome(name, kind, history.delay_of(name), values[known[:, place], place])
        for place, (name, kind) in enumerate(zip(names, binary, strict=True))
    )
    seconds = history.half_lives or tuple(share * span / SECOND for share in HALF_LIVES)
    half_lives = tuple(max(int(one * SECOND), 1) for one in seconds)
    user = (history.sequence.key,) if history.sequence else (schema.group,)
    keys = [KeyPlan(key, _kinds(key, user)) for key in history.keys or ()]
    sequence = None
    if history.sequence:
        keys += [] if user in (history.keys or ()) else [KeyPlan((history.sequence.key,), ())]
        sequence = ([one.key for one in keys].index((history.sequence.key,)), history.sequence.length)
    return Plan(
        tuple(keys), outcomes, half_lives, history.last, int(history.session * SECOND), smoothing, history.frozen,
        sequence, span, history.max_keys,
    )  # fmt: skip


def _kinds(key: tuple[str, ...], user: tuple[str | None, ...]) -> tuple[Kind, ...]:
    if key == user:
        return (*OF_USER, "session")
    return OF_USER if set(key) & set(user) else EVERY


def _outcome(name: str, binary: bool, delay: float, values: np.ndarray) -> Outcome:
    """Describe an outcome by its known values in the training rows."""
    low, high = (0.0, 1.0) if binary or not len(values) else np.quantile(values, RANGE).tolist()
    prior = float(np.clip(values, low, high).mean()) if len(values) else (low + high) / 2
    return Outcome(name, binary, int(delay * SECOND), low, high, prior)


@dataclass(frozen=True)
class FittedHistories:
    """Histories whose state is still empty, with the `log` that they were fitted on and the numbers of its rows."""

    histories: Histories
    log: pl.DataFrame
    rows: Rows
    numbers: np.ndarray

    def completed(self, vocabularies: Vocabularies) -> Histories:
        """Return the histories with the state at the end of the log."""
        found = self.histories
        state, _ = found.state.update(found.plan, found.with_items(self.rows, self.log, vocabularies))
        return replace(found, state=state)

    def inputs(self, vocabularies: Vocabularies, part: slice) -> HistoryInputs:
        """Return the inputs of some of the rows."""
        rows = self.histories.with_items(self.rows, self.log, vocabularies)
        chosen = np.arange(len(rows))[part]
        return HistoryInputs(self.numbers[part], self.histories.lists(rows, None, chosen))


def fit_histories(log: pl.DataFrame, part: np.ndarray, schema: Schema, smoothing: float) -> FittedHistories:
    """Fit histories on a log. part: (N,), TRAIN for training rows.

    Priors, ranges, half-lives and standardization are of the training rows alone.
    """
    train, read = part == TRAIN, log_schema(schema, log.filter(pl.Series(part == TRAIN)))
    values, known = outcomes_of(log, read)
    time = log_times(log[str(read.time)], {one.name: one for one in read.fields}.get(str(read.time)), _unit(read))
    plan = fit_plan(read, time[train], values[train], known[train], smoothing)
    rows = read_rows(log, read, plan, values, known, train if plan.frozen else np.ones(log.height, np.bool_))
    numbers, spreads, start = np.empty((log.height, len(plan.every_name)), np.float32), [], 0
    for place in range(len(plan.keys)):
        raw = inputs(plan, place, rows, None)
        spreads.append(fit_spread([raw[train]]))
        standardize(spreads[-1], raw, numbers[:, start : start + raw.shape[1]])
        start += raw.shape[1]
    return FittedHistories(Histories(read, plan, tuple(spreads), State.empty(plan)), log, rows, numbers)
