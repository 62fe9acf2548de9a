"""Canonical forms of raw columns: a value means the same whatever type a file gave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from automtl.errors import EncodingError, RowError, SchemaError
from automtl.tables.schema import Condition, Field, FieldKind

JOINT = "\x1f"  # joins the parts of a pair of ids; no text column holds it
TEXTS = (pl.String, pl.Categorical, pl.Enum)
ABSENT = ("", "?", "NA", "N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "\\N")  # texts for 'no value'
TRUTHS = {"true": "1", "t": "1", "yes": "1", "y": "1", "false": "0", "f": "0", "no": "0", "n": "0"}


def as_numbers(column: pl.Series) -> pl.Series:
    """Convert to Float64; NaN and infinity become null. Raises EncodingError that shows a value that is no number."""
    if column.dtype in TEXTS:
        text = present_texts(column)
        numbers = text.cast(pl.Float64, strict=False)
        odd = text.filter(numbers.is_null() & text.is_not_null())
        if odd.len():
            raise EncodingError(
                f"column '{column.name}' is numeric in the schema but holds {odd[0]!r}; "
                "make it 'kind: categorical' or correct the value"
            )
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise EncodingError(
            f"column '{column.name}' is numeric in the schema but has type {column.dtype}; convert it to numbers"
        )
    return finite(numbers)


def present_texts(column: pl.Series) -> pl.Series:
    """Strip texts of outer blanks, and turn those that say there is no value into null."""
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text.is_in(ABSENT).fill_null(False), None)


def as_labels(column: pl.Series) -> pl.Series:
    """Convert labels to numbers or booleans; NaN becomes null. Texts may be numbers or say true, yes, false, no.

    Raises RowError that shows any other text.
    """
    if column.dtype.is_float():
        return column.fill_nan(None)
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column
    if column.dtype not in TEXTS:
        raise SchemaError(f"task '{column.name}': labels must be numbers, the column holds {column.dtype}; convert it")
    text = present_texts(column)
    numbers = text.str.to_lowercase().replace(TRUTHS).cast(pl.Float64, strict=False)
    odd = numbers.is_null() & text.is_not_null()
    if odd.any():
        row = int(odd.arg_max() or 0)
        expected = f"task '{column.name}': labels must be numbers, or true and false, or yes and no"
        raise RowError(row, f"{expected}, found {column[row]!r}", "convert the column")
    return numbers


def finite(numbers: pl.Series) -> pl.Series:
    """Turn NaN and infinity into null; returns the column itself where there is none."""
    finite = numbers.is_finite()
    return numbers if finite.all() else numbers.set((~finite).fill_null(False), None)


def as_integers(column: pl.Series) -> pl.Series | None:
    """Convert to Int64 if `as_text` would write a whole number in every row, else None. Int64 is not copied."""
    if column.dtype.is_float():
        column = finite(column)
        if not ((column == column.round()) & (column.abs() < 2.0**53)).all():
            return None
        return column.cast(pl.Int64)
    if column.dtype == pl.Boolean or column.dtype == pl.Null or column.dtype.is_integer():
        integers = column.cast(pl.Int64, strict=False)
        return integers if integers.null_count() == column.null_count() else None
    return None


def whole_texts(texts: pl.Series) -> pl.Series:
    """Convert to Int64 each text that is the one way to write its number; null elsewhere."""
    if texts.dtype != pl.String:
        return texts
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() == texts.len():
        return numbers
    return numbers.set((numbers.cast(pl.String) != texts).fill_null(False), None)


def as_text(column: pl.Series) -> pl.Series:
    """Convert to String: a whole number looks alike from integer and float columns; integers never pass floats."""
    if isinstance(column.dtype, pl.List | pl.Array | pl.Struct):
        raise EncodingError(
            f"column '{column.name}' is categorical in the schema but has type {column.dtype}; "
            "give one value a row, or make a list 'kind: multi'"
        )
    if column.dtype.is_float():
        column = finite(column)
        whole = column.is_null() | ((column == column.round()) & (column.abs() < 2.0**53))
        if whole.all():
            return column.cast(pl.Int64).cast(pl.String)
        integers = column.cast(pl.Int64, strict=False).cast(pl.String)
        return integers.zip_with(whole, column.cast(pl.String))
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    return column.cast(pl.String)


def alike(column: pl.Series, rules: Sequence[str]) -> pl.Series:
    """Strip blanks and lower the case of texts, or of lists of texts, as the rules say; other columns stay."""
    rewrite = pl.col(column.name) if column.dtype == pl.String else pl.element()
    for rule in rules:
        rewrite = rewrite.str.strip_chars() if rule == "strip" else rewrite.str.to_lowercase()
    if column.dtype in (pl.Categorical, pl.Enum):
        return alike(column.cast(pl.String), rules)
    if column.dtype == pl.String:
        return column.to_frame().select(rewrite).to_series()
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List) and column.dtype.inner == pl.String:
        return column.list.eval(rewrite)
    return column


def as_moments(column: pl.Series, field: Field) -> pl.Series:
    """Convert to Datetime in microseconds without a zone: local time where there was a zone, else as it is written.

    The column holds dates, times, ISO texts, or numbers of the field's unit since 1970 (UTC). Times outside the years
    1 to 9999 become null. Raises EncodingError for any other column.
    """
    dtype = column.dtype
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            column = column.dt.replace_time_zone(None)
        return _plausible(column.cast(pl.Datetime("us")))
    if field.unit is not None:
        scale = 1_000_000 if field.unit == "s" else 1_000
        stamps = as_numbers(column) * scale
        stamps = stamps.set((stamps.abs() > 2.0**62).fill_null(False), None)
        return _plausible(stamps.cast(pl.Int64).cast(pl.Datetime("us")))
    if dtype == pl.Null:
        return column.cast(pl.Datetime("us"))
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return _plausible(_parsed(column.cast(pl.String)))
    raise EncodingError(
        f"column '{column.name}' is a time in the schema but has type {dtype}; "
        "numbers need 'unit: s' or 'unit: ms' (since 1970)"
    )


def _plausible(moments: pl.Series) -> pl.Series:
    years = moments.dt.year()
    return moments.set(((years < 1) | (years > 9999)).fill_null(False), None)


def _parsed(texts: pl.Series) -> pl.Series:
    """Parse texts to times. Raises EncodingError that shows a text that is no time."""
    stripped = present_texts(texts)
    plain = stripped.str.replace("T", " ", literal=True).str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "")
    found = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False, exact=True)
    for shape in ("%Y-%m-%d %H:%M", "%Y-%m-%d"):
        if found.null_count() > plain.null_count():
            found = found.zip_with(found.is_not_null(), plain.str.to_datetime(shape, time_unit="us", strict=False))
    odd = texts.filter(found.is_null() & plain.is_not_null())
    if odd.len():
        raise EncodingError(
            f"column '{texts.name}' is a time in the schema but holds {odd[0]!r}; "
            "expected 2024-01-31 or 2024-01-31 12:30:00, or numbers with 'unit: s' or 'unit: ms'"
        )
    return found


def as_parts(column: pl.Series, field: Field, max_values: int) -> tuple[pl.Series, np.ndarray]:
    """Return the values of all rows one after another, at most `max_values` a row, and each row's number of them, (N,).

    Null and empty parts are left out. Of a sequence the last ones are kept, of other lists the first ones.
    """
    max_values = field.max_values or max_values
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
    lists = lists.list.drop_nulls()
    lists = lists.list.tail(max_values) if field.kind is FieldKind.SEQUENCE else lists.list.head(max_values)
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    return lists.filter(pl.Series(sizes > 0)).explode().alias(column.name), sizes


def key_column(table: pl.DataFrame, names: tuple[str, ...], fields: dict[str, Field]) -> pl.Series:
    """Return the values by which rows share a history: one raw column, or the joined texts of several columns."""
    parts = [as_numbers(table[n]) if fields[n].kind is FieldKind.NUMERIC else table[n] for n in names]
    if len(parts) == 1:
        return parts[0]
    return joined_texts([as_text(part) for part in parts])


def joined_texts(parts: Sequence[pl.Series]) -> pl.Series:
    """Join text columns row by row; null where one of them is null."""
    named = [part.alias(str(place)) for place, part in enumerate(parts)]
    return pl.DataFrame(named).select(pl.concat_str(pl.all(), separator=JOINT)).to_series()


def holds(table: pl.DataFrame, condition: str) -> pl.Series:
    """Tell on which rows a task's condition is true; it never is on a null."""
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
