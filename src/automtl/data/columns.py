"""Canonical forms of raw columns, so that a value means the same whatever type a file gave it."""

from __future__ import annotations

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
    return numbers.set((~numbers.is_finite()).fill_null(False), None)


def as_text(column: pl.Series) -> pl.Series:
    """String; whole numbers look alike from integer and float columns, integers never pass through floats."""
    if isinstance(column.dtype, pl.List | pl.Array | pl.Struct):
        raise EncodingError(f"column '{column.name}' is categorical in the schema but has type {column.dtype}")
    if column.dtype.is_float():
        column = column.set((~column.is_finite()).fill_null(False), None)
        whole = column.is_null() | ((column == column.round()) & (column.abs() < 2.0**53))
        if whole.all():
            return column.cast(pl.Int64).cast(pl.String)
        integers = column.cast(pl.Int64, strict=False).cast(pl.String)
        return integers.zip_with(whole, column.cast(pl.String))
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    return column.cast(pl.String)


def as_lists(column: pl.Series, field: Field, max_values: int) -> pl.Series:
    """List of String, at most `max_values` a row; null parts are left out."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if not isinstance(column.dtype, pl.List):
        text = as_text(column)
        split = text.str.split(field.delimiter) if field.delimiter else text.reshape((-1, 1)).arr.to_list()
        lists = split.list.eval(pl.element().str.strip_chars())
        lists = lists.list.eval(pl.element().filter(pl.element() != ""))
    else:
        sizes = column.list.len().fill_null(0)
        lists = _regroup(as_text(column.filter(sizes > 0).explode()), sizes)
    return lists.list.drop_nulls().list.head(max_values).alias(column.name)


def _regroup(texts: pl.Series, sizes: pl.Series) -> pl.Series:
    row = pl.Series(range(sizes.len()), dtype=pl.UInt32)
    owner = row.repeat_by(sizes).explode()
    grouped = pl.DataFrame({"row": owner, "text": texts}).group_by("row", maintain_order=True).agg("text")
    return pl.DataFrame({"row": row}).join(grouped, on="row", how="left", maintain_order="left")["text"]


def key_column(table: pl.DataFrame, names: tuple[str, ...], fields: dict[str, Field]) -> pl.Series:
    """The text by which rows share a history: one column or several joined. Null where a part is null."""
    parts = []
    for name in names:
        numeric = fields[name].kind is FieldKind.NUMERIC
        parts.append(as_text(as_numbers(table[name]) if numeric else table[name]).alias(name))
    if len(parts) == 1:
        return parts[0]
    return pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=JOINT)).to_series()


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
