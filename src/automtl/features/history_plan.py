"""The reading of a log, and the plan of its histories, from the training rows. N rows, M outcomes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from automtl.features.scaler import sampled_rows
from automtl.histories.plan import LARGEST, SECOND, KeyPlan, Kind, Outcome, Plan
from automtl.histories.rows import log_times
from automtl.tables.durations import LONGEST
from automtl.tables.history import History
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.labels import label_columns
from automtl.tables.schema import FieldKind, Schema, TaskKind
from automtl.tables.values.ids import finite
from automtl.tables.values.numbers import as_labels
from automtl.tables.values.times import LIKELY, NO_TIME

SMOOTHINGS = (1.5, 0.15)  # of the setting: rare outcomes want more than frequent ones
HALF_LIVES = (1 / 4, 1 / 32)  # of the span of the training rows
RANGE = (0.001, 0.999)  # quantiles of a sample of the training rows at which quantities are cut
EVERY: tuple[Kind, ...] = ("rates", "recent")
OF_USER: tuple[Kind, ...] = (*EVERY, "gaps", "last")


@dataclass(frozen=True)
class Events:
    """Rows without their keys. time: (n,) int64; values: (n, M) float64; known: (n, M) bool, where these count."""

    time: np.ndarray
    values: np.ndarray
    known: np.ndarray

    @staticmethod
    def of(table: pl.DataFrame, schema: Schema) -> Events:
        """Read a table: labels of tasks, then outcome columns. Raises an AutomtlError."""
        for task in schema.tasks:
            check_labels(table, task)
        values, mask = label_columns(table, schema)
        return Events.joined(moments_of(table, schema), values, mask, further_outcomes(table, schema))

    @staticmethod
    def joined(time: np.ndarray, labels: np.ndarray, mask: np.ndarray, further: np.ndarray) -> Events:
        """Join labels and mask, (n, T), with further outcomes, (n, M - T), NaN where missing."""
        values = np.concatenate([labels.astype(np.float64, copy=False), further], axis=1)
        return Events(time, values, np.concatenate([mask > 0, ~np.isnan(further)], axis=1))

    def take(self, chosen: np.ndarray) -> Events:
        """Select rows, by a mask."""
        return Events(*(one.compress(chosen, axis=0) for one in (self.time, self.values, self.known)))

    def whole(self, outcomes: Sequence[Outcome]) -> np.ndarray:
        """Return the values as whole numbers, (n, M) int16, 0 where they do not count."""
        columns = (np.ascontiguousarray(column) for column in self.values.T)
        whole = [outcome.whole(column).astype(np.int16) for outcome, column in zip(outcomes, columns, strict=True)]
        return np.asarray(np.stack(whole, axis=1) * self.known)


def moments_of(table: pl.DataFrame, schema: Schema) -> np.ndarray:
    """Return the times of a log, (n,) int64 microseconds."""
    require_columns(table, [str(schema.time)], "column of histories")
    assert isinstance(schema.history, History)
    field = {one.name: one for one in schema.fields if one.kind is FieldKind.TIME}.get(str(schema.time))
    return log_times(table[str(schema.time)], field, schema.history.unit)


def further_outcomes(table: pl.DataFrame, schema: Schema) -> np.ndarray:
    """Return the outcome columns, (n, M - T) float64, NaN where missing."""
    require_columns(table, schema.outcomes, "outcome column")
    labels = (as_labels(table[name], "outcome").cast(pl.Float64) for name in schema.outcomes)
    columns = [finite(one).fill_null(np.nan).to_numpy() for one in labels]
    return np.stack(columns, axis=1) if columns else np.zeros((table.height, 0))


def log_schema(schema: Schema, empty: Collection[str]) -> Schema:
    """Return the part of a schema that a log is read by: key fields, those of conditions, tasks, outcomes, time.

    empty: fields without a value in the training rows, which sequences leave out.
    """
    history = schema.history
    assert isinstance(history, History)
    if history.sequence:
        history = replace(history, sequence=history.sequence.without(set(empty) & {*history.sequence.fields}))
    names = {name for key in history.keys or () for name in key}
    names |= schema.condition_columns
    if history.sequence:
        names |= {history.sequence.key, *history.sequence.fields}
    names |= {one.name for one in schema.fields if one.kind is FieldKind.TIME and one.name == schema.time}
    fields = tuple(one for one in schema.fields if one.name in names)
    return Schema(fields, schema.tasks, time=schema.time, history=history, outcomes=schema.outcomes)


def fit_plan(schema: Schema, chunks: Sequence[Callable[[], Events]], smoothing: float) -> Plan:
    """Make the plan of a declaration from the training rows, which come in chunks. The bits do not depend on these."""
    history = schema.history
    assert isinstance(history, History)
    span = max(_span(chunks), SECOND)
    smoothings = tuple(share * smoothing for share in SMOOTHINGS)
    seconds = history.half_lives or tuple(share * span / SECOND for share in HALF_LIVES)
    half_lives = tuple(max(int(min(one, LONGEST) * SECOND), 1) for one in seconds)
    user = _user(history)
    keys = [KeyPlan(key, _kinds(key, user)) for key in history.keys or ()]
    sequence = None
    if history.sequence:
        keys += [] if user in (history.keys or ()) else [KeyPlan((history.sequence.key,), ())]
        sequence = ([one.key for one in keys].index((history.sequence.key,)), history.sequence.length)
    return Plan(
        tuple(keys), _outcomes(schema, chunks), half_lives, history.last, int(history.session * SECOND), smoothings,
        history.frozen, sequence, span, history.max_keys,
    )  # fmt: skip


def _user(history: History) -> tuple[str | None, ...]:
    """Return the key of users: that of the sequence, or else the first key of one field."""
    if history.sequence:
        return (history.sequence.key,)
    return next((key for key in history.keys or () if len(key) == 1), (None,))


def _span(chunks: Sequence[Callable[[], Events]]) -> int:
    """Return the time from the first to the last row, in microseconds.

    In a log of these years, times before 1971, such as zeros in place of missing times, do not count.
    """
    times = [time[time != NO_TIME] for time in (chunk().time for chunk in chunks)]
    later = [time[time >= LIKELY[0]] for time in times]
    times = later if sum(map(len, later)) * 2 > sum(map(len, times)) else times
    ends = [int(end) for time in times if len(time) for end in (time.min(), time.max())]
    return max(ends) - min(ends) if ends else 0


def _kinds(key: tuple[str, ...], user: tuple[str | None, ...]) -> tuple[Kind, ...]:
    if key == user:
        return (*OF_USER, "session")
    return OF_USER if set(key) & set(user) else EVERY


def _outcomes(schema: Schema, chunks: Sequence[Callable[[], Events]]) -> tuple[Outcome, ...]:
    """Describe outcomes by their known values: ranges by a sample of the rows, priors by the sums of whole numbers."""
    history = schema.history
    assert isinstance(history, History)
    sample = _sample(chunks)
    names = [*schema.task_names, *schema.outcomes]
    binary = [task.kind is TaskKind.BINARY for task in schema.tasks]
    binary += [_holds_zeros_and_ones(chunks, place) for place in range(len(binary), len(names))]
    outcomes = []
    for place, (name, kind) in enumerate(zip(names, binary, strict=True)):
        values = np.clip(sample.values[:, place].compress(sample.known[:, place]), -LARGEST, LARGEST)
        low, high = (0.0, 1.0) if kind or not len(values) else np.quantile(values, RANGE).tolist()
        outcomes.append(Outcome(name, kind, int(history.delay_of(name) * SECOND), low, high))
    sums, counts = np.zeros((2, len(outcomes)), np.int64)
    for chunk in chunks:
        events = chunk()
        sums += events.whole(outcomes).sum(0, np.int64)
        counts += events.known.sum(0)
    shares = [
        float(total / max(count, 1) / one.levels) for total, count, one in zip(sums, counts, outcomes, strict=True)
    ]
    return tuple(
        replace(one, prior=one.low + share * (one.high - one.low))
        if count
        else replace(one, prior=(one.low + one.high) / 2)
        for one, share, count in zip(outcomes, shares, counts, strict=True)
    )


def _holds_zeros_and_ones(chunks: Sequence[Callable[[], Events]], place: int) -> bool:
    """Tell whether an outcome column, by its place, has no other values in the training rows."""
    parts = (one.values[:, place].compress(one.known[:, place]) for one in (chunk() for chunk in chunks))
    return all(bool(np.isin(part, (0.0, 1.0)).all()) for part in parts)


def _sample(chunks: Sequence[Callable[[], Events]]) -> Events:
    """Return a sample of the rows, spread evenly over all of them."""
    wanted = sampled_rows(sum(len(chunk().time) for chunk in chunks))
    found, start = [], 0
    for chunk in chunks:
        events = chunk()
        here = slice(*np.searchsorted(wanted, [start, start + len(events.time)]))
        found.append([one.take(wanted[here] - start, axis=0) for one in (events.time, events.values, events.known)])
        start += len(events.time)
    return Events(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
