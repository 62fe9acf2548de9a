"""Conditions on rows: a column is compared as its role and kind say, and missing values satisfy nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import polars as pl

from automtl.errors import EncodingError, RowError
from automtl.tables.schema import Condition, Field, FieldKind, Schema
from automtl.tables.values.ids import TEXTS, as_ids, as_integers, as_text, require_ids
from automtl.tables.values.numbers import as_labels, as_numbers
from automtl.tables.values.times import DATE, as_moments, zone_of

EQUALITY = ("=", "!=")
Read = Callable[[pl.Series], pl.Series]


def holds(table: pl.DataFrame, condition: str, schema: Schema) -> pl.Series:
    """Tell on which rows a task's condition is true; it never is where the value is missing.

    `=` and `!=` compare labels, numbers or ids, whatever the column is; `<` and `>` numbers or times. Raises
    EncodingError where the two sides cannot be compared.
    """
    parsed = Condition.parse(condition)
    column, literal = table[parsed.column], pl.Series(parsed.column, [parsed.literal])
    field = next(
        (one for one in schema.fields if one.name == parsed.column), Field(parsed.column, FieldKind.CATEGORICAL)
    )
    read, read_literal = _readers(column, parsed, field, parsed.column in schema.task_names)
    try:
        value = read_literal(literal).item()
    except (EncodingError, RowError):
        value = None
    if value is None:
        raise EncodingError(
            f"condition '{condition}': {parsed.literal!r} cannot be compared with column '{parsed.column}'; "
            "give a number, a time such as 2024-01-31, or (for = and !=) one of the column's values"
        )
    values = read(column)
    compare = {
        "=": values.__eq__, "!=": values.__ne__, ">": values.__gt__,
        ">=": values.__ge__, "<": values.__lt__, "<=": values.__le__,
    }  # fmt: skip
    found: pl.Series = compare[parsed.operator](value)
    return found.fill_null(False)


def _readers(column: pl.Series, parsed: Condition, field: Field, is_task: bool) -> tuple[Read, Read]:
    """Choose how the column and the literal are read."""
    if is_task:
        return _label, _label
    if field.kind is FieldKind.TIME or _are_times(column, parsed):
        time = Field(
            field.name, FieldKind.TIME, unit=field.unit, zone=field.zone or zone_of(column), format=field.format
        )
        return partial(as_moments, field=time), partial(_literal_time, time=time)
    if field.kind is FieldKind.NUMERIC or parsed.operator not in EQUALITY:
        return partial(as_numbers, field=field), as_numbers
    require_ids(column)
    both = (as_integers(column), as_integers(as_ids(pl.Series([parsed.literal]))))
    return (as_text, as_text) if any(one is None for one in both) else (as_ids, as_ids)


def _label(column: pl.Series) -> pl.Series:
    return as_labels(column).cast(pl.Float64)


def _are_times(column: pl.Series, parsed: Condition) -> bool:
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return True
    return column.dtype in TEXTS and parsed.operator not in EQUALITY and bool(re.match(DATE, parsed.literal))


def _literal_time(literal: pl.Series, time: Field) -> pl.Series:
    """Read a time; without an offset it is local time of the column's zone."""
    if zone_of(literal) is None and re.match(DATE, literal[0]):
        return as_moments(literal, Field(time.name, FieldKind.TIME))
    return as_moments(literal, time)
