"""Parts that several recipes share."""

from __future__ import annotations

import polars as pl

from automtl.tables.schema import Field, FieldKind


def categorical(*names: str) -> tuple[Field, ...]:
    """Make inputs that are ids or codes."""
    return tuple(Field(name, FieldKind.CATEGORICAL) for name in names)


def numeric(*names: str) -> tuple[Field, ...]:
    """Make inputs that are quantities."""
    return tuple(Field(name, FieldKind.NUMERIC) for name in names)


def at_least(rows: pl.DataFrame, key: str, count: int) -> pl.DataFrame:
    """Find the values of `key` that occur in at least `count` rows, as one column."""
    return rows.group_by(key).len().filter(pl.col("len") >= count).select(key)


def occurred(condition: pl.Expr) -> pl.Expr:
    """Return 1 where the condition holds in any row of a group, else 0."""
    return condition.any().cast(pl.Int8)


def splits(parts: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Join tables of the same columns by rows, with a column `split` of their names."""
    return pl.concat([rows.with_columns(split=pl.lit(name)) for name, rows in parts.items()])
