"""Join tables in memory whose columns have different types, without changing what a value means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.errors import TableError
from automtl.tables.values.ids import as_raw_text, finite, unnamed

EXACT = 2**53  # floats hold all smaller whole numbers
DIGITS = 15  # decimals of so many digits are floats that print alike
NUMBERS = {"whole number", "number", "decimal"}
COMMON: tuple[tuple[set[str], pl.DataType], ...] = (  # the type that holds columns of all these kinds
    ({"whole number"}, pl.Int64()),
    (NUMBERS, pl.Float64()),
    ({*NUMBERS, "text"}, pl.String()),
    ({"time"}, pl.Datetime("us")),
    ({"duration"}, pl.Duration("us")),
)
Named = tuple[str, pl.Series]  # a column, and the name of the table that it is from


def common_types(parts: Sequence[tuple[str, dict[str, pl.DataType]]]) -> dict[str, pl.DataType]:
    """Return the types that fit all parts, given with their names. Raises TableError for types that never fit."""
    found = dict(parts[0][1])
    for where, types in parts[1:]:
        for name, dtype in found.items():
            common = _common(dtype, types[name])
            if common is None:
                other, clash = next(one for one in parts if _common(one[1][name], types[name]) is None)
                raise TableError(
                    f"column '{name}' is {types[name]} in {where} and {clash[name]} in {other}; give parts of one type"
                )
            found[name] = common
    return found


def _common(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type of two columns that are joined, if their values allow it; None where they never do."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    kinds = {_kind(one), _kind(other)}
    if kinds == {"list"}:
        inner = _common(one.inner, other.inner)  # type: ignore[attr-defined]
        return None if inner is None else pl.List(inner)
    if kinds == {"time with a zone"}:
        return pl.Datetime("us", one.time_zone)  # type: ignore[attr-defined]
    return next((dtype for fitting, dtype in COMMON if kinds <= fitting), None)


def _kind(dtype: pl.DataType) -> str:
    """Name what a column of a type holds; columns of one kind can be joined."""
    if dtype.is_integer() or dtype == pl.Boolean:
        return "whole number"
    if dtype.is_float() or dtype.is_decimal():
        return "number" if dtype.is_float() else "decimal"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return "time with a zone"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    return {pl.Date: "time", pl.Datetime: "time", pl.Duration: "duration"}.get(dtype.base_type(), str(dtype))


def join_tables(tables: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """Join tables of the same columns, given with their names; the columns are in the order of the first table.

    Raises TableError that names the column and the tables where no type holds the values of both.
    """
    tables = [one for one in tables if one[1].height] or tables[:1]
    if len(tables) == 1:
        return tables[0][1]
    types = common_types([(where, types_of(table)) for where, table in tables])
    return pl.DataFrame(
        {name: join_columns([(where, table[name]) for where, table in tables], dtype) for name, dtype in types.items()}
    )


def types_of(table: pl.DataFrame) -> dict[str, pl.DataType]:
    """Return the types of columns; that of one without values is Null, which fits every type."""
    return {column.name: column.dtype if _filled(column) else pl.Null() for column in table.get_columns()}


def _filled(column: pl.Series) -> bool:
    return column.null_count() < column.len()


def join_columns(columns: Sequence[Named], dtype: pl.DataType) -> pl.Series:
    """Join columns, given with the names of their tables, in `dtype`, or in another type where it does not hold all.

    Columns without values become nulls.
    """
    filled = [one for one in columns if _filled(one[1])]
    made = [column for _, column in filled]
    if any(column.dtype != dtype for column in made):
        made = _alike(filled, dtype)
    dtype, left = made[0].dtype if made else dtype, iter(made)
    return pl.concat(
        next(left).alias("") if _filled(column) else pl.repeat(None, column.len(), dtype=dtype, eager=True).alias("")
        for _, column in columns
    ).alias(columns[0][1].name)


def _alike(columns: Sequence[Named], dtype: pl.DataType) -> list[pl.Series]:
    """Convert columns to one type that changes no value: `dtype`, or another where `dtype` does not hold all."""
    if dtype == pl.Int64:
        return _whole([column for _, column in columns])
    if dtype == pl.Float64:
        return _numbers(columns)
    if dtype == pl.String:
        return [as_raw_text(column) for _, column in columns]
    if isinstance(dtype, pl.List):
        return _lists(columns, dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return [unnamed(column).dt.convert_time_zone(dtype.time_zone).cast(dtype) for _, column in columns]
    return [column.cast(dtype) for _, column in columns]


def _whole(columns: Sequence[pl.Series]) -> list[pl.Series]:
    """Convert whole numbers to Int64 or, if one is larger, to Int128."""
    try:
        return [column.cast(pl.Int64) for column in columns]
    except pl.exceptions.InvalidOperationError:
        return [column.cast(pl.Int128) for column in columns]


def _numbers(columns: Sequence[Named]) -> list[pl.Series]:
    """Convert numbers to Float64, Int64 or text, which holds all of them. Raises TableError for rounded ones."""
    found = [_simple(unnamed(column)) for _, column in columns]
    if any(column.dtype == pl.String for column in found):
        return [as_raw_text(column) for column in found]
    floats = [place for place, column in enumerate(found) if column.dtype.is_float()]
    large = [place for place, column in enumerate(found) if _largest(column) >= EXACT]
    exact = [place for place in large if place not in floats]
    if floats and not exact:
        return [column.cast(pl.Float64) for column in found]
    if rounded := [place for place in large if place in floats]:
        (one, column), (other, integers) = columns[rounded[0]], columns[exact[0]]
        raise TableError(
            f"column '{column.name}' holds numbers of 2^53 and more: as {column.dtype}, which may have rounded them, "
            f"in {one}, and as {integers.dtype} in {other}; write integers or text in both"
        )
    if all((found[place].is_null() | (found[place] == found[place].round())).all() for place in floats):
        return _whole(found)
    return [as_raw_text(column) for column in found]


def _simple(column: pl.Series) -> pl.Series:
    """Take NaN and infinity out of floats, and turn decimals into whole numbers, floats or text, as they allow."""
    if column.dtype.is_float():
        return finite(column)
    if not isinstance(column.dtype, pl.Decimal):
        return column
    whole = column.cast(pl.Int64, strict=False)
    if (whole.cast(column.dtype, strict=False) == column).fill_null(False).sum() == column.len() - column.null_count():
        return whole
    return column.cast(pl.Float64) if (column.dtype.precision or 38) <= DIGITS else column.cast(pl.String)


def _largest(column: pl.Series) -> int | float:
    """Return the largest size of a number; 0 without one."""
    smallest, largest = column.cast(pl.Int8).min() if column.dtype == pl.Boolean else column.min(), column.max()
    return 0 if largest is None else max(largest, -smallest)  # type: ignore[operator, return-value]


def _lists(columns: Sequence[Named], inner: pl.DataType) -> list[pl.Series]:
    """Convert lists, element by element."""
    named = [(one, unnamed(column)) for one, column in columns]
    lists = [(one, column.arr.to_list() if isinstance(column.dtype, pl.Array) else column) for one, column in named]
    elements = join_columns([(one, elements_of(column)) for one, column in lists], inner)
    joined = relisted(pl.concat([column.list.len() for _, column in lists]), elements)
    ends = np.cumsum([column.len() for _, column in lists]).tolist()
    return [joined[end - column.len() : end] for end, (_, column) in zip(ends, lists, strict=True)]


def elements_of(lists: pl.Series) -> pl.Series:
    """Return the elements of all lists, one after another."""
    return lists.filter((lists.list.len() > 0).fill_null(False)).explode()


def relisted(sizes: pl.Series, elements: pl.Series) -> pl.Series:
    """Make lists of elements that stand one after another. `sizes`: of each list, null for none."""
    offsets = np.concatenate([[0], sizes.fill_null(0).to_numpy().cumsum(dtype=np.int64)])
    missing = pa.array(sizes.is_null().to_numpy())
    made = pa.LargeListArray.from_arrays(pa.array(offsets), elements.rechunk().to_arrow(), mask=missing)
    return arrow_column(elements.name, made)


def arrow_column(name: str, values: pa.Array | pa.ChunkedArray) -> pl.Series:
    """Convert an array of Arrow; as a table, since polars before 1.44 reads wrong texts in lists that stand alone."""
    table = pl.from_arrow(pa.table([values], names=["values"]))
    assert isinstance(table, pl.DataFrame)
    return table["values"].alias(name)
