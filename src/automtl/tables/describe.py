"""How each column of a table is read: as what, an example in its canonical form, and what stood in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from automtl.errors import AutomtlError
from automtl.tables.infer import ID_VALUES, is_id_name, left_out
from automtl.tables.schema import Field, FieldKind, Schema
from automtl.tables.values.ids import (
    LEADING_ZEROS,
    LISTS,
    TEXTS,
    as_ids,
    float_limit,
    require_ids,
    unnamed,
    written_alike,
)
from automtl.tables.values.lists import as_parts
from automtl.tables.values.numbers import as_labels, as_numbers, present_texts
from automtl.tables.values.times import as_moments

SHOWN = 20  # letters of an example
LISTED = 3  # values of a list that are shown
NUMBERS = 0.9  # share of texts, the others stand in the way of a number


@dataclass(frozen=True)
class ColumnSummary:
    """One line of `automtl describe`.

    `role`: what the column is read as. `example`: its first value in canonical form. `distinct`: different values,
    of lists those in them. `missing`: rows without a value. `notes`: what is not read as it is written, and why.
    """

    name: str
    type: str
    role: str
    example: str
    distinct: int
    missing: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """The canonical `values` of a column (of lists one after another), and the rows without one.

    `size`: number of values of the first list; None where a row has one value.
    """

    values: pl.Series
    missing: int
    size: int | None = None


def summarize(table: pl.DataFrame, schema: Schema) -> list[ColumnSummary]:
    """Describe each column of the table."""
    fields, roles = {field.name: field for field in schema.fields}, _roles(schema)
    return [_summary(table[name], fields.get(name), roles.get(name, "-"), schema) for name in table.columns]


def _roles(schema: Schema) -> dict[str, str]:
    roles = {field.name: _field_role(field) for field in schema.fields}
    roles |= {task.name: f"task ({task.kind})" for task in schema.tasks}
    roles |= dict.fromkeys(schema.outcomes, "outcome")
    for role, name in (("weight", schema.weight), ("time", schema.time), ("split", schema.split)):
        if name is not None:
            roles[name] = role
    if schema.group is not None:
        roles[schema.group] = f"{roles.get(schema.group, '')} group".strip()
    return roles


def _field_role(field: Field) -> str:
    return f"{field.kind} by '{field.delimiter}'" if field.delimiter else str(field.kind)


def _summary(column: pl.Series, field: Field | None, role: str, schema: Schema) -> ColumnSummary:
    try:
        read = _read(column, field, schema)
        notes = [*_notes(column, field, read)]
    except AutomtlError as error:  # as it will be told when it is encoded
        read, notes = Reading(column, column.null_count()), [str(error)]
    if role == "-" and (reason := left_out(column)) is not None:
        notes.append(f"left out: {reason}")
    values = unnamed(read.values).drop_nulls()
    return ColumnSummary(
        column.name, _type(column.dtype), role, _example(read), values.n_unique(), read.missing, tuple(notes)
    )


def _type(dtype: pl.DataType) -> str:
    return str(dtype) if isinstance(dtype, LISTS) else dtype.base_type().__name__


def _read(column: pl.Series, field: Field | None, schema: Schema) -> Reading:
    """Read a column as its field or role says; one without either stays as it is. Raises an AutomtlError."""
    if field is not None and field.kind in (FieldKind.MULTI, FieldKind.SEQUENCE):
        flat, sizes = as_parts(column, field, column.len())
        return Reading(flat, int((sizes == 0).sum()), int(sizes[sizes > 0][:1].sum()))
    if field is not None and field.kind is FieldKind.CATEGORICAL:
        require_ids(column)
        values = as_ids(written_alike(column, field.text or ()))
    elif field is not None and field.kind is FieldKind.TIME:
        values = as_moments(column, field)
    elif field is not None or column.name == schema.weight:
        values = as_numbers(column, field)
    elif column.name in (*schema.task_names, *schema.outcomes):
        values = as_labels(column)
    else:
        values = column
    return Reading(values, values.null_count())


def _example(read: Reading) -> str:
    """Show the first value: of a list some values, of a text the quotes, too."""
    values = unnamed(read.values)
    if read.size is not None:
        shown = values.head(min(read.size, LISTED + 1)).to_list()
        return _short(", ".join(map(repr, shown[:LISTED])) + (", ..." if len(shown) > LISTED else ""))
    first = values.is_not_null().arg_max()
    if first is None or values[first] is None:
        return "-"
    value: Any = values[first]
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < float_limit(pl.Float64()) else f"{value:.10g}"
    return _short(repr(value) if isinstance(value, str | list) else str(value))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _notes(column: pl.Series, field: Field | None, read: Reading) -> Iterator[str]:
    """Say what is read in another way than it is written, and what a column could have been."""
    if field is None or read.size is not None:
        return
    if field.kind is FieldKind.TIME:
        where = f"times of zone {field.zone}" if field.zone is not None else "local times, as they are written"
        yield "instants, in UTC" if field.unit is not None and field.zone is None else where
    if column.dtype in TEXTS:
        texts = unnamed(column).cast(pl.String)
        yield from _absent(texts, read.values)
        if field.kind is FieldKind.CATEGORICAL:
            yield from _ids_as_written(texts, read.values)
            yield from _nearly_numbers(column.name, texts)
        elif field.kind is FieldKind.NUMERIC:
            yield from _separators(texts, field, read.values)
    elif field.kind is FieldKind.CATEGORICAL and column.dtype.is_integer():
        large = unnamed(column).filter(unnamed(column).cast(pl.Float64).abs() >= 2**53)
        if large.len():
            yield f"ids, since a float does not hold {large[0]}"


def _absent(texts: pl.Series, values: pl.Series) -> Iterator[str]:
    absent = (texts.is_not_null() & unnamed(values).is_null()).arg_true()
    if absent.len():
        yield f"{texts[absent[0]]!r} in row {absent[0] + 1} is read as missing"


def _ids_as_written(texts: pl.Series, values: pl.Series) -> Iterator[str]:
    """Show a text that becomes another one, and one that could be taken for a number."""
    changed = (texts.str.strip_chars() != unnamed(values).cast(pl.String)).fill_null(False)
    changed &= (texts != unnamed(values).cast(pl.String)).fill_null(False)
    if changed.any():
        row = int(changed.arg_max() or 0)
        yield f"{texts[row]!r} in row {row + 1} is read as {values[row]!r}"
    zeros = texts.str.contains(LEADING_ZEROS).fill_null(False)
    if zeros.any():
        text = texts[int(zeros.arg_max() or 0)]
        yield f"text, since {text!r} is not what the number {int(text)} prints"


def _nearly_numbers(name: str, texts: pl.Series) -> Iterator[str]:
    """Show what keeps a column of many different numbers from being one of numbers."""
    present = present_texts(texts)
    odd = present.is_not_null() & present.cast(pl.Float64, strict=False).is_null()
    few = 0 < odd.sum() <= (1 - NUMBERS) * (present.len() - present.null_count())
    if few and present.n_unique() > ID_VALUES and not is_id_name(name):
        row = int(odd.arg_max() or 0)
        yield f"ids, since {texts[row]!r} in row {row + 1} is no number"


def _separators(texts: pl.Series, field: Field, values: pl.Series) -> Iterator[str]:
    if field.decimal is None and field.thousands is None:
        return
    marked = texts.str.strip_chars().cast(pl.Float64, strict=False)
    row = int(((marked != values) | (marked.is_null() & values.is_not_null())).fill_null(True).arg_max() or 0)
    if values[row] is None:  # nothing in the column can be read
        return
    signs = {"decimal": field.decimal, "thousands": field.thousands}
    told = ", ".join(f"{what} {sign!r}" for what, sign in signs.items() if sign is not None)
    yield f"{told}: {texts[row]!r} is {values[row]:.10g}"
