"""Turn fields of every kind into columns of three kinds: one id, one number, or several ids a row.

A time becomes ids (hour, weekday, day of the month) and a number (its age); a cross becomes the joined text of two
columns; text is written alike. All other fields are encoded as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from automtl.errors import EncodingError, suggestion
from automtl.tables.names import derived_name
from automtl.tables.schema import Field, FieldKind, Schema, TimePart
from automtl.tables.values.ids import as_text, joined_texts, require_ids, written_alike
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import as_moments, days_of

TIME_PARTS: tuple[TimePart, ...] = ("hour", "weekday", "day", "age")
CROSS_IDS, CROSS_HASHED = 1 << 18, 1 << 16  # known values of a cross, and ids of the others, if its field says nothing


def simple_fields(schema: Schema) -> tuple[Field, ...]:
    """Return the fields of the derived table: categorical, numeric, multi-valued and sequences."""
    return tuple(simple for field in schema.fields for simple in simple_fields_of(field))


def simple_fields_of(field: Field) -> tuple[Field, ...]:
    """Return the fields of the derived table that one field becomes."""
    if field.kind is FieldKind.TIME:
        return tuple(
            Field(part_name(field, part), FieldKind.NUMERIC if part == "age" else FieldKind.CATEGORICAL)
            for part in field.parts or TIME_PARTS
        )
    if field.kind is FieldKind.CROSS:
        hashed = CROSS_HASHED if field.hashed_ids is None else field.hashed_ids
        kept = replace(field, kind=FieldKind.CATEGORICAL, of=None, hashed_ids=hashed)
        return (replace(kept, max_ids=field.max_ids or CROSS_IDS),)
    return (field,)


def part_name(field: Field, part: TimePart) -> str:
    """Name the derived column that holds one part of a time field."""
    return derived_name(field.name, part)


def derive(
    table: pl.DataFrame, schema: Schema, newest: Mapping[str, float], fields: Sequence[Field] | None = None
) -> pl.DataFrame:
    """Add the columns that `simple_fields` needs. `newest`: by time field, the time that ages count from, in days.

    `fields`: some of the schema's, for a table that has their columns alone. Raises EncodingError for a column that
    cannot be read as its kind says.
    """
    fields = schema.fields if fields is None else fields
    alike = [written_alike(table[field.name], field.text) for field in fields if field.text]
    table = table.with_columns(alike) if alike else table
    for field in fields:
        if field.kind is FieldKind.TIME:
            moments = as_moments(table[field.name], field)
            parts = field.parts or TIME_PARTS
            table = table.with_columns(
                _part(moments, part, newest[field.name]).alias(part_name(field, part)) for part in parts
            )
        elif field.kind is FieldKind.CROSS:
            table = table.with_columns(
                joined_texts([as_text(id_column(table, name)) for name in field.columns]).alias(field.name)
            )
        elif field.kind is FieldKind.SEQUENCE:
            target = next(other for other in schema.fields if other.name == field.target)
            if target.text:
                table = table.with_columns(written_alike(table[field.name], target.text))
    return table


def _part(moments: pl.Series, part: TimePart, newest: float) -> pl.Series:
    if part == "age":
        return newest - days_of(moments)
    return {"hour": moments.dt.hour, "weekday": moments.dt.weekday, "day": moments.dt.day}[part]()


def id_column(table: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of one id a row. Raises EncodingError where it holds no ids, or such as may be rounded."""
    require_ids(table[name])
    return table[name]


def key_column(table: pl.DataFrame, names: tuple[str, ...], fields: Mapping[str, Field]) -> pl.Series:
    """Return the values by which rows share a history: one raw column, or the joined texts of several columns."""
    parts = [as_numbers(table[n], fields[n]) if fields[n].kind is FieldKind.NUMERIC else table[n] for n in names]
    return parts[0] if len(parts) == 1 else joined_texts([as_text(part) for part in parts])


def completed(table: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Add absent columns of optional fields as nulls. Raises EncodingError if a column of another field is absent."""
    absent = {}
    for field in schema.fields:
        for name in field.columns:
            if name in table.columns:
                continue
            if not field.optional:
                raise EncodingError(
                    f"column '{name}' is missing, but the model was trained with it"
                    f"{suggestion(name, table.columns)}; add it (nulls are allowed), "
                    "or train with 'optional: true' in the schema"
                )
            absent[name] = pl.lit(None, dtype=pl.String).alias(name)
    return table.with_columns(absent.values())
