"""Steps that several recipes share."""

from __future__ import annotations

import polars as pl

from automtl.tables.schema import Field, FieldKind


def categorical(*names: str) -> tuple[Field, ...]:
    """Inputs that are ids or codes."""
    return tuple(Field(name, FieldKind.CATEGORICAL) for name in names)


def numeric(*names: str) -> tuple[Field, ...]:
    """Inputs that are quantities."""
    return tuple(Field(name, FieldKind.NUMERIC) for name in names)


def at_least(rows: pl.DataFrame, key: str, count: int) -> pl.DataFrame:
    """The values of `key` that occur in at least so many rows, one column."""
    return rows.group_by(key).len().filter(pl.col("len") >= count).select(key)


def occurred(condition: pl.Expr) -> pl.Expr:
    """1 where the condition holds in any row of a group, else 0."""
    return condition.any().cast(pl.Int8)


def splits(parts: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Tables of the same columns one after another, with a column `split` of their names."""
    return pl.concat([rows.with_columns(split=pl.lit(name)) for name, rows in parts.items()])
