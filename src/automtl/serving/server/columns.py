"""The columns that a model reads and the outputs it gives, as a client sees them: types, examples, JSON schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any, Literal

import polars as pl

from automtl.features.encoder import Encoder
from automtl.features.vocabulary import Vocabulary
from automtl.predictor import Predictor
from automtl.tables.schema import Field, FieldKind, Task, TaskKind, stage_names

Datatype = Literal["BYTES", "INT64", "FP64"]
SCALAR: list[str] = ["string", "number", "boolean", "null"]
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6}  # of a unit
LISTED = 3  # values of a list in an example
LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)


@dataclass(frozen=True)
class InputColumn:
    """One column that rows have. `datatype`: of its tensor; other types are taken, too; `example`: a likely value.

    `frequent`: known values, the most frequent first.
    """

    name: str
    kind: FieldKind
    datatype: Datatype
    optional: bool
    example: Any
    frequent: pl.Series | None = None

    @property
    def is_list(self) -> bool:
        """Tell whether a row may have several values."""
        return self.kind in LISTS

    @property
    def usual(self) -> frozenset[type]:
        """The types of values that mean the same whatever other values of the column are beside them."""
        if self.kind is FieldKind.NUMERIC:
            return frozenset((float, int, type(None)))
        if self.kind is FieldKind.TIME:
            return frozenset((int if self.datatype == "INT64" else str, type(None)))
        if self.is_list:
            return frozenset((type(self.example[0]) if self.example else str, type(None)))
        return frozenset((str, int, float, type(None)))

    def json_schema(self) -> dict[str, Any]:
        """Return the schema of its value in a JSON row."""
        if self.is_list:
            return {
                "anyOf": [{"type": "array", "items": {"type": SCALAR[:2]}}, {"type": ["string", "null"]}],
                "description": "a list of ids, or the text of one", "examples": [self.example],
            }  # fmt: skip
        words = {FieldKind.NUMERIC: "a number", FieldKind.TIME: "a time"}
        return {"type": SCALAR, "description": words.get(self.kind, "an id"), "examples": [self.example]}


@dataclass(frozen=True)
class Signature:
    """The columns that a model reads, and the names of what it gives: a number a row for each."""

    inputs: tuple[InputColumn, ...]
    outputs: tuple[str, ...]

    @staticmethod
    def of(predictor: Predictor) -> Signature:
        """Describe the inputs and outputs of a predictor."""
        return Signature(tuple(_inputs(predictor)), output_names(predictor.schema.tasks))

    @property
    def example(self) -> dict[str, Any]:
        """A row of likely values."""
        return {one.name: one.example for one in self.inputs}

    def frequent(self, most: int) -> list[dict[str, Any]]:
        """Return rows that hold the most frequent values of each column, the most frequent first."""
        columns = []
        for one in self.inputs:
            values = [] if one.frequent is None else one.frequent.head(most).to_list()
            columns.append(values or [one.example])
        count = max(map(len, columns))
        repeated = (islice(cycle(values), count) for values in columns)
        return [dict(zip(self.example, values, strict=True)) for values in zip(*repeated, strict=True)]

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that each row must have."""
        return tuple(one.name for one in self.inputs if not one.optional)


def output_names(tasks: tuple[Task, ...]) -> tuple[str, ...]:
    """Name the outputs: the tasks, then the probabilities of a funnel."""
    return (*(task.name for task in tasks), *stage_names(tasks))


def is_probability(name: str, tasks: Iterable[Task]) -> bool:
    """Tell whether an output is between 0 and 1."""
    return all(task.kind is TaskKind.BINARY for task in tasks if task.name == name)


def _inputs(predictor: Predictor) -> Iterable[InputColumn]:
    encoder, found = predictor.encoder, dict[str, InputColumn]()
    for field in predictor.schema.fields:
        for name in field.columns:
            one = _column(encoder, field, name)
            found[name] = one if name not in found or found[name].optional else found[name]
    histories, time = encoder.histories, predictor.schema.time
    if histories is not None:
        for field in histories.schema.fields:
            for name in field.columns:
                found.setdefault(name, _column(encoder, field, name))
        if time is not None and time not in found:
            found[time] = _moment(time, histories.history.unit, histories.state.newest)
    return found.values()


def _column(encoder: Encoder, field: Field, name: str) -> InputColumn:
    if field.kind is FieldKind.TIME:
        newest = encoder.newest.get(field.name, 0.0) * 86400e6
        return replace(_moment(name, field.unit, newest, field), optional=field.optional)
    if field.kind is FieldKind.NUMERIC:
        scaler = encoder.scalers.get(name)
        mean = getattr(scaler, "mean", 0.0) if not getattr(scaler, "log", False) else 1.0
        return InputColumn(name, field.kind, "FP64", field.optional, round(float(mean), 3))
    kind = FieldKind.CATEGORICAL if field.kind is FieldKind.CROSS else field.kind
    known = encoder.vocabularies.get(field.target or name)
    values = [] if known is None else known.values.head(LISTED).to_list()
    if kind in LISTS:
        return InputColumn(name, kind, "BYTES", field.optional, values)
    frequent = None if known is None else known.values
    return InputColumn(name, kind, _type_of(known), field.optional, values[0] if values else "a", frequent)


def _type_of(known: Vocabulary | None) -> Datatype:
    return "INT64" if known is not None and known.values.dtype == pl.Int64 else "BYTES"


def _moment(name: str, unit: str | None, microseconds: float, field: Field | None = None) -> InputColumn:
    """Describe a time column, with the newest known time as example."""
    if unit is not None:
        return InputColumn(name, FieldKind.TIME, "INT64", False, int(microseconds / MICROSECONDS[unit]) + 1)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    if field is not None and field.format is not None:
        text = moment.strftime(field.format)
    elif field is not None and field.zone is not None:
        text += "+00:00"
    return InputColumn(name, FieldKind.TIME, "BYTES", False, text)
