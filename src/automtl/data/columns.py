"""Canonical forms of raw columns, so that a value means the same whatever type a file gave it."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.data.schema import Condition, Field, FieldKind
from automtl.errors import EncodingError

JOINT = "\x1f"  # joins the parts of a pair of ids; no text column holds it


def as_numbers(column: pl.Series) -> pl.Series:
    """Float64; NaN and infinity become null. Raises EncodingError that shows a value which is no number."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text.is_in(["", "?", "NA", "NaN", "nan", "null", "NULL"]).fill_null(False), None)
        numbers = text.cast(pl.Float64, strict=False)
        odd = column.filter(numbers.is_null() & text.is_not_null())
        if odd.len():
            raise EncodingError(
                f"column '{column.name}' is numeric in the schema but holds {odd[0]!r}; "
                "make it 'kind: categorical' or correct the value"
            )
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise EncodingError(f"column '{column.name}' is numeric in the schema but has type {column.dtype}")
    return _finite(numbers)


def _finite(numbers: pl.Series) -> pl.Series:
    """NaN and infinity as null; the column itself where there is none."""
    finite = numbers.is_finite()
    return numbers if finite.all() else numbers.set((~finite).fill_null(False), None)


def as_integers(column: pl.Series) -> pl.Series | None:
    """Int64 where `as_text` would write such a number in every row, else None. An Int64 column is not copied."""
    if column.dtype.is_float():
        column = _finite(column)
        if not ((column == column.round()) & (column.abs() < 2.0**53)).all():
            return None
        return column.cast(pl.Int64)
    if column.dtype == pl.Boolean or column.dtype == pl.Null or column.dtype.is_integer():
        integers = column.cast(pl.Int64, strict=False)
        return integers if integers.null_count() == column.null_count() else None
    return None


def whole_texts(texts: pl.Series) -> pl.Series:
    """Int64 where a text is the one way to write that number, else null."""
    if texts.dtype != pl.String:
        return texts
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() == texts.len():
        return numbers
    return numbers.set((numbers.cast(pl.String) != texts).fill_null(False), None)


def as_text(column: pl.Series) -> pl.Series:
    """String; whole numbers look alike from integer and float columns, integers never pass through floats."""
    if isinstance(column.dtype, pl.List | pl.Array | pl.Struct):
        raise EncodingError(f"column '{column.name}' is categorical in the schema but has type {column.dtype}")
    if column.dtype.is_float():
        column = _finite(column)
        whole = column.is_null() | ((column == column.round()) & (column.abs() < 2.0**53))
        if whole.all():
            return column.cast(pl.Int64).cast(pl.String)
        integers = column.cast(pl.Int64, strict=False).cast(pl.String)
        return integers.zip_with(whole, column.cast(pl.String))
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    return column.cast(pl.String)


def as_parts(column: pl.Series, field: Field, max_values: int) -> tuple[pl.Series, np.ndarray]:
    """The values of all rows one after another, at most `max_values` a row, and how many each row has, (N,) int64.

    Null and empty parts are left out.
    """
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        inner = column.dtype.inner
        if isinstance(inner, pl.List | pl.Array | pl.Struct):
            raise EncodingError(f"column '{column.name}' holds {column.dtype}; a multi-valued field is a list of ids")
        lists = column.list.eval(pl.element().filter(pl.element().is_finite())) if inner.is_float() else column
    elif field.delimiter:
        lists = as_text(column).str.split(field.delimiter).list.eval(pl.element().str.strip_chars())
        lists = lists.list.eval(pl.element().filter(pl.element() != ""))
    else:
        texts = as_text(column).str.strip_chars()
        texts = texts.set((texts == "").fill_null(False), None)
        return texts.drop_nulls(), texts.is_not_null().to_numpy().astype(np.int64)
    lists = lists.list.drop_nulls().list.head(max_values)
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    return lists.filter(pl.Series(sizes > 0)).explode().alias(column.name), sizes


def key_column(table: pl.DataFrame, names: tuple[str, ...], fields: dict[str, Field]) -> pl.Series:
    """The values by which rows share a history: a raw column or the joined texts of several, null where one is null."""
    parts = [as_numbers(table[n]) if fields[n].kind is FieldKind.NUMERIC else table[n] for n in names]
    if len(parts) == 1:
        return parts[0]
    return pl.DataFrame([as_text(part) for part in parts]).select(pl.concat_str(pl.all(), separator=JOINT)).to_series()


def holds(table: pl.DataFrame, condition: str) -> pl.Series:
    """Rows on which a task's condition is true; null values never are."""
    parsed = Condition.parse(condition)
    column = table[parsed.column]
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        try:
            value: float | str = float(parsed.literal)
        except ValueError:
            raise EncodingError(f"condition '{condition}': column '{parsed.column}' holds numbers") from None
        column = column.cast(pl.Float64)
    else:
        value, column = parsed.literal, as_text(column)
    compare = {
        "=": column.__eq__, "!=": column.__ne__, ">": column.__gt__,
        ">=": column.__ge__, "<": column.__lt__, "<=": column.__le__,
    }  # fmt: skip
    found: pl.Series = compare[parsed.operator](value)
    return found.fill_null(False)
