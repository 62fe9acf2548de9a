"""Read data frames and rows of other libraries and of Python; what has no common type becomes text, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.errors import TableError
from automtl.tables.names import check_names
from automtl.tables.reading.faults import first_line
from automtl.tables.reading.joined import EXACT, arrow_column, relisted

WHERE = "the data frame"
ABSENT_TYPES = {"NoneType", "NAType", "NaTType"}
TRUTH, WHOLE, NUMBER = (bool, np.bool_), (int, np.integer), (int, np.integer, float, np.floating)
LIST = (list, tuple, np.ndarray)
TEXTLESS = (*LIST, dict, set, frozenset, bytes)  # types whose text is no value
DECIMAL_DIGITS, LONGEST_DECIMAL = 38, 400  # that a type of polars holds, and that a text is given
ARROW_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
BY_VALUE = ("object", "period", "interval")  # types of pandas that are read value by value


def from_frame(frame: Any) -> pl.DataFrame:
    """Convert a data frame, rows or columns. Raises TableError that names a column which cannot be read."""
    found = _columns(frame)
    check_names([name for name, _ in found], WHERE)
    columns = [_column(name, values).alias(name) for name, values in found]
    other = next((column for column in columns if column.len() != columns[0].len()), None)
    if other is not None:
        raise TableError(
            f"{WHERE} has {columns[0].len()} values of '{columns[0].name}' and {other.len()} of '{other.name}'; "
            "give columns of one length"
        )
    return pl.DataFrame({column.name: column for column in columns})


def _columns(frame: Any) -> list[tuple[str, Any]]:
    """List names and values of the columns of a frame."""
    if isinstance(frame, pl.LazyFrame):
        frame = _collected(frame)
    if isinstance(frame, pl.DataFrame):
        return [(column.name, column) for column in frame.get_columns()]
    if isinstance(frame, pa.Table | pa.RecordBatch):
        return list(zip(frame.schema.names, frame.columns, strict=True))
    if isinstance(frame, Mapping):
        return [(str(name), values) for name, values in frame.items()]
    if isinstance(frame, list | tuple) and all(isinstance(row, Mapping) for row in frame):
        names = dict.fromkeys(name for row in frame for name in row)
        return [(str(name), [row.get(name) for row in frame]) for name in names]
    if _of_pandas(frame) and hasattr(frame, "columns"):
        return [(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
    raise TableError(
        f"cannot read a {type(frame).__name__}; give a path, a polars, pandas or pyarrow table, "
        "rows as a list of dictionaries, or columns as a dictionary"
    )


def _collected(frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect()
    except Exception as error:
        raise TableError(f"the lazy frame cannot be read: {first_line(error)}; correct it, or collect it") from None


def _of_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"


def _column(name: str, values: Any) -> pl.Series:
    """Convert the values of a column, whatever holds them."""
    try:
        if isinstance(values, pl.Series):
            return values if values.dtype != pl.Object else _from_values(name, values.to_list())
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return _from_arrow(name, values)
        if _of_pandas(values):
            return _from_pandas(name, values)
        if isinstance(values, np.ndarray):
            return _from_numpy(name, values)
        if isinstance(values, list | tuple):
            return _from_values(name, values)
    except TableError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        raise TableError(
            f"column '{name}' of {WHERE} cannot be read: {first_line(error)}; convert it to text"
        ) from None
    raise TableError(f"column '{name}' of {WHERE} is a {type(values).__name__}; give a list or an array")


def _from_arrow(name: str, values: Any) -> pl.Series:
    if pa.types.is_dictionary(values.type) and values.type.value_type not in ARROW_TEXTS:
        values = values.cast(values.type.value_type)
    if "decimal256" in str(values.type):  # also within lists and structs; polars has no numbers of so many digits
        return _from_values(name, values.to_pylist())
    return arrow_column(name, values)


def _from_pandas(name: str, values: Any) -> pl.Series:
    if not str(values.dtype).lower().startswith(BY_VALUE):
        try:
            return pl.Series(name, values, nan_to_null=True)
        except Exception:  # types such as those of sparse columns
            return _from_values(name, values.astype(object).tolist())
    return _from_values(name, values.astype(object).tolist())


def _from_numpy(name: str, values: np.ndarray) -> pl.Series:
    if values.dtype.kind in "Mm":
        values = values.astype(f"{values.dtype.kind}8[us]")
    if values.dtype == np.longdouble:
        values = values.astype(np.float64)
    if values.dtype.kind not in "biufUMm" or values.ndim > 1:
        return _from_values(name, list(values))
    return pl.Series(name, values, nan_to_null=True)


def _from_values(name: str, given: Sequence[Any]) -> pl.Series:
    """Convert Python values: to numbers, truths, texts or lists if all are, else to text, value by value."""
    values = [None if _is_absent(value) else value for value in given]
    kinds = set(map(type, values)) - {type(None)}
    if all(issubclass(kind, str) for kind in kinds):
        return pl.Series(name, values, pl.String if kinds else pl.Null)
    if all(issubclass(kind, TRUTH) for kind in kinds):
        return pl.Series(name, values, pl.Boolean)
    if all(issubclass(kind, NUMBER) and not issubclass(kind, TRUTH) for kind in kinds):
        return _numbers(name, values, kinds)
    if all(issubclass(kind, LIST) for kind in kinds):
        elements = _from_values(name, [element for value in values if value is not None for element in value])
        return relisted(
            pl.Series([None if value is None else len(value) for value in values], dtype=pl.Int64), elements
        )
    if Decimal in kinds:
        return _decimals(name, values) if kinds == {Decimal} else _texts(name, values, kinds)
    if any(issubclass(kind, dict) for kind in kinds) and "Decimal(" in repr(values):  # on some of which polars panics
        return _texts(name, values, kinds)
    if len({value.tzinfo is None for value in values if isinstance(value, datetime)}) < 2:
        with suppress(Exception):
            found = pl.Series(name, values)
            return found if found.dtype != pl.Object else _texts(name, values, kinds)
    return _texts(name, values, kinds)


def _is_absent(value: Any) -> bool:
    if isinstance(value, Decimal):  # of which 1E+400 is finite, though no float holds it
        return not value.is_finite()
    if isinstance(value, float | np.floating):
        return not isfinite(value)
    return type(value).__name__ in ABSENT_TYPES


def _numbers(name: str, values: list[Any], kinds: set[type]) -> pl.Series:
    """Convert whole numbers to Int64, and others to Float64, where it holds each of them; else to text."""
    whole = [int(value) for value in values if isinstance(value, WHOLE)]
    size = max(max(whole, default=0), -min(whole, default=0) - 1)
    if all(issubclass(kind, WHOLE) for kind in kinds):
        return pl.Series(name, values, pl.Int64) if size < 2**63 else _texts(name, values, kinds)
    return pl.Series(name, values, pl.Float64) if size < EXACT else _texts(name, values, kinds)


def _decimals(name: str, values: list[Any]) -> pl.Series:
    """Convert decimals to one type if it holds the digits of all, else to text; polars would lose or panic on some."""
    numbers = [value for value in values if value is not None]
    before = max(value.adjusted() + 1 for value in numbers)
    after = max(0, *(-int(value.as_tuple().exponent) for value in numbers))
    if max(before, 1) + after <= DECIMAL_DIGITS:
        return pl.Series(name, values, pl.Decimal(DECIMAL_DIGITS, after))
    return _texts(name, values, {Decimal})


def _text(value: Any) -> str:
    """Write a value; a decimal with all its digits, unless it is too far from 1 for that."""
    plain = isinstance(value, Decimal) and abs(value.adjusted()) < LONGEST_DECIMAL
    return format(value, "f") if plain else str(value)


def _texts(name: str, values: list[Any], kinds: set[type]) -> pl.Series:
    """Write each value as text. Raises TableError for values that have none."""
    for kind in kinds:
        if issubclass(kind, TEXTLESS) or kind.__repr__ is object.__repr__:
            others = ", ".join(sorted(other.__name__ for other in kinds))
            raise TableError(f"column '{name}' of {WHERE} holds values of the types {others}; give values of one type")
    return pl.Series(name, [None if value is None else _text(value) for value in values], pl.String)
