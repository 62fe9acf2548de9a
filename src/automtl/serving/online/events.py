"""Clients say of events that one happened (its row), or what came of it (its labels), by the event's id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from automtl.errors import EncodingError, suggestion
from automtl.features.histories import Histories, Vocabularies
from automtl.features.history_plan import moments_of
from automtl.histories.rows import Rows
from automtl.tables.infer import check_labels
from automtl.tables.reading.frames import from_frame
from automtl.tables.values.numbers import as_labels

PARTS = ("event_id", "row", "labels", "time")
LONGEST = 200  # characters of an id
Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A part of what is known of an event. `row`: None for labels alone; `time`: when these were known."""

    event_id: str
    row: Row | None
    labels: Row = field(default_factory=dict)
    time: Any = None

    def to_list(self) -> list[Any]:
        """Return plain values for a file."""
        return [self.event_id, self.row, self.labels, self.time]


@dataclass(frozen=True)
class EventReader:
    """Reads events as the histories of a model read a log."""

    histories: Histories
    vocabularies: Vocabularies

    @cached_property
    def columns(self) -> dict[str, bool]:
        """The columns that a row of an event has, and whether it must have them."""
        schema = self.histories.schema
        found = {name: not one.optional for one in schema.fields for name in one.columns}
        return found | {str(schema.time): True}

    @cached_property
    def labels(self) -> list[str]:
        """The columns that may be known later: tasks, outcomes, and what conditions of tasks read."""
        schema = self.histories.schema
        names = [*schema.task_names, *schema.outcomes, *sorted(schema.condition_columns)]
        return [name for name in dict.fromkeys(names) if name not in self.columns]

    def changes(self, events: Sequence[Mapping[str, Any]]) -> list[Change]:
        """Read what a client sent. Raises EncodingError that names the event."""
        return [self._change(number, event) for number, event in enumerate(events, 1)]

    def _change(self, number: int, event: Any) -> Change:
        if not isinstance(event, Mapping) or set(event) - set(PARTS):
            raise EncodingError(f"event {number} is no mapping of {', '.join(PARTS)}; correct it")
        name, row, labels = event.get("event_id"), event.get("row"), event.get("labels")
        if not isinstance(name, str | int) or isinstance(name, bool) or not 0 < len(str(name)) <= LONGEST:
            raise EncodingError(f"event {number}: 'event_id' is {name!r}; give a text of 1 to {LONGEST} characters")
        for part, value in (("row", row), ("labels", labels)):
            if value is not None and not isinstance(value, Mapping):
                raise EncodingError(f"event {number} ('{name}'): '{part}' is no mapping of columns to values")
        if row is None and not labels:
            raise EncodingError(f"event {number} ('{name}') has neither 'row' nor 'labels'; give one of them")
        where = f"event {number} ('{name}')"
        return Change(str(name), self._row(where, row), self._labels(where, row, labels), plain(event.get("time")))

    def _row(self, where: str, row: Mapping[str, Any] | None) -> Row | None:
        if row is None:
            return None
        for name, needed in self.columns.items():
            if needed and name not in row:
                raise EncodingError(f"{where}: its row has no '{name}'{suggestion(name, row)}; add it, null if unknown")
        return {name: plain(row[name]) for name in self.columns if name in row}

    def _labels(self, where: str, row: Mapping[str, Any] | None, labels: Mapping[str, Any] | None) -> Row:
        for name in labels or {}:
            if name not in self.labels:
                raise EncodingError(f"{where}: '{name}' is no label{suggestion(name, self.labels)}; correct it")
        every = {**(row or {}), **(labels or {})}
        return {name: plain(every[name]) for name in self.labels if every.get(name) is not None}

    def rows(self, bodies: Sequence[Row]) -> Rows:
        """Read events, as rows with labels where these are known. Raises an AutomtlError."""
        if not bodies:
            return self._none
        rows = self.histories.rows(self._table(bodies), self.vocabularies, happened=True)
        values = np.where(rows.known, rows.values, 0).astype(np.int16)
        return Rows(rows.time, rows.keys, values, rows.known, rows.event, rows.items)

    def check(self, labels: Sequence[Row]) -> None:
        """Raise an AutomtlError for labels that cannot be read, whatever the rows of their events are."""
        schema = self.histories.schema
        names = [*schema.task_names, *schema.outcomes]
        table = from_frame({name: [one.get(name) for one in labels] for name in names})
        for task in schema.tasks:
            check_labels(table, task)
        for name in names:
            as_labels(table[name]).cast(pl.Float64)

    @cached_property
    def _none(self) -> Rows:
        plan = self.histories.plan
        items = None if plan.sequence is None else np.zeros((len(self.histories.items), 0), np.int32)
        return replace(Rows.empty(len(plan.keys), len(plan.outcomes)), items=items)

    def _table(self, bodies: Sequence[Row]) -> pl.DataFrame:
        return from_frame({name: [body.get(name) for body in bodies] for name in (*self.columns, *self.labels)})

    def moments(self, times: Sequence[Any]) -> np.ndarray:
        """Read times, (n,) int64 microseconds, NO_TIME where missing. Raises EncodingError."""
        schema = self.histories.schema
        return moments_of(from_frame({str(schema.time): list(times)}), schema)


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | list):
        return value
    raise EncodingError(f"{value!r} of type {type(value).__name__} cannot be kept; give a number or a text")


def packed(value: Any) -> bytes:
    """Write plain values as bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def unpacked(content: bytes) -> Any:
    """Read what `packed` wrote."""
    return json.loads(content.decode("utf-8", "surrogatepass"))
