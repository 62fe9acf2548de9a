"""Split a table into training, validation and test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, SettingsError
from automtl.tables.infer import require_columns
from automtl.tables.numbering import group_numbers
from automtl.tables.schema import CONFIG, Schema
from automtl.tables.shuffled import seeded_hash, shuffled_places

NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}


@settings_dataclass(frozen=True, config=CONFIG)
class SplitSettings:
    """`shares` of training, validation and test rows; `method` is overruled by a split column."""

    method: Literal["random", "time", "user"] = "random"
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    valid_share_of_train: float = 0.2

    def __post_init__(self) -> None:
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise SettingsError(f"split.shares {self.shares}: expected three shares above 0 that sum to 1")


@dataclass(frozen=True)
class Split:
    """Three tables of the same columns."""

    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame


def split_table(table: pl.DataFrame, schema: Schema, settings: SplitSettings, seed: int) -> Split:
    """Cut by the split column where the schema has one, else by the settings' method."""
    if schema.split is not None:
        part = with_validation(named_parts(table, schema.split), settings.valid_share_of_train, seed)
    elif settings.method == "time":
        part = _by_time(table, schema, settings.shares)
    elif settings.method == "user":
        part = _by_user(table, schema, settings.shares, seed)
    else:
        part = cut(shuffled_places(np.arange(table.height), table.height, seed), table.height, settings.shares)
    parts = [table.filter(pl.Series(part == code)) for code in range(3)]
    for name, rows in zip(("training", "validation", "test"), parts, strict=True):
        if rows.height == 0:
            raise SchemaError(f"the split leaves no {name} rows; use a larger table or other shares")
    return Split(*parts)


def edges(total: int, shares: tuple[float, float, float]) -> np.ndarray:
    """(2,): the ranks among `total` at which the validation and the test rows begin."""
    return np.round(np.cumsum(shares[:2]) * total)


def cut(rank: np.ndarray, total: int, shares: tuple[float, float, float]) -> np.ndarray:
    """Part (0, 1, 2) of rows by their rank among `total`."""
    return np.searchsorted(edges(total, shares), rank, side="right")


def named_parts(table: pl.DataFrame, name: str) -> np.ndarray:
    """(N,) int64 parts as a split column names them. Raises SchemaError for another name."""
    require_columns(table, [name], "split column")
    values = table[name].cast(pl.String)
    unique = values.unique()  # few, whose names are looked at
    parts = unique.str.strip_chars().str.to_lowercase().replace_strict(NAMES, default=None, return_dtype=pl.Int64)
    if parts.null_count():
        known = values.replace_strict(unique, parts, return_dtype=pl.Int64)
        odd = table[name].filter(known.is_null())[0]
        raise SchemaError(f"split column '{name}': unknown value {odd!r}; expected train, val or test")
    found = np.zeros(table.height, np.int64)
    for value, part in zip(unique, parts, strict=True):
        found += (values == value).to_numpy() * part  # quicker than to set the rows of a mask
    return found


def with_validation(part: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The parts; where no row is for validation, a share of the training rows is."""
    if (part == 1).any():
        return part
    train = np.flatnonzero(part == 0)
    part[train[are_validation(np.arange(len(train)), len(train), share, seed)]] = 1
    return part


def are_validation(rows: np.ndarray, total: int, share: float, seed: int) -> np.ndarray:
    """Which of `rows`, numbers among `total` training rows, are taken for validation."""
    return shuffled_places(rows, total, seed) < round(total * share)


def _by_time(table: pl.DataFrame, schema: Schema, shares: tuple[float, float, float]) -> np.ndarray:
    if schema.time is None:
        raise SchemaError("a split by time needs a time column; name it with --time")
    times = table[schema.time]
    if times.null_count():
        raise SchemaError(f"time column '{schema.time}' has {times.null_count()} null values; drop those rows")
    rank = times.rank(method="min").to_numpy() - 1  # equal times stay on one side
    return cut(rank, table.height, shares)


def _by_user(table: pl.DataFrame, schema: Schema, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    if schema.group is None:
        raise SchemaError("a split by user needs the user column; name it with --group")
    order = seeded_hash(group_numbers(table[schema.group]), seed)
    return cut_groups(order, np.unique(order), shares)


def cut_groups(order: np.ndarray, known: np.ndarray, shares: tuple[float, float, float]) -> np.ndarray:
    """Part of rows by the place of their group, `order` (N,), among all of them, `known` (G,) ascending."""
    return cut(np.searchsorted(known, order), len(known), shares)
