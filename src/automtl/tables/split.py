"""Split a table into training, validation and test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, SettingsError
from automtl.tables.entries import CONFIG
from automtl.tables.permutation import permuted, seeded_hash
from automtl.tables.roles import NO_GROUP, TRAIN, VALID, Chunk, TableRoles, starts
from automtl.tables.schema import Schema
from automtl.tables.values.times import NO_TIME

DIGIT = 16  # bits of a time that are counted together

Shares = tuple[float, float, float]
Rule = Callable[[Chunk, int], np.ndarray]  # tells the parts, (N,), of a chunk that begins at a row


@settings_dataclass(frozen=True, config=CONFIG)
class SplitSettings:
    """How rows become training, validation and test rows."""

    method: Literal["random", "time", "user"] = Limit(
        default="random", description="How rows are split where no column says it: at random, by time or by user."
    )
    shares: Shares = Limit(default=(0.7, 0.1, 0.2), description="Shares of training, validation and test rows.")
    valid_share_of_train: float = Limit(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of training rows for validation where a split column names no such rows.",
    )

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
    """Split a table by the schema's split column or, without one, by the settings' method."""
    rows = TableRoles(table, schema)
    part = split_rule([rows], schema, settings, seed)(rows, 0)
    require_rows(np.bincount(part, minlength=3))
    return Split(*(table.filter(pl.Series(part == code)) for code in range(3)))


def require_rows(counts: Sequence[int] | np.ndarray) -> None:
    """Raise SchemaError where a part has no rows. counts: the numbers of training, validation and test rows."""
    for name, count in zip(("training", "validation", "test"), counts, strict=True):
        if count == 0:
            raise SchemaError(f"the split leaves no {name} rows; use a larger table or other shares")


def check_method(schema: Schema, settings: SplitSettings) -> None:
    """Raise SchemaError where the schema lacks the column that the settings' method splits by."""
    method = None if schema.split is not None else settings.method
    if method == "time" and schema.time is None:
        raise SchemaError("a split by time needs a time column; name it with --time")
    if method == "user" and schema.group is None:
        raise SchemaError("a split by user needs the user column; name it with --group")


def split_rule(chunks: Sequence[Chunk], schema: Schema, settings: SplitSettings, seed: int) -> Rule:
    """Return the rule that splits the chunks. Raises SchemaError where they cannot be split so."""
    check_method(schema, settings)
    shares, total = settings.shares, sum(chunk.rows for chunk in chunks)
    if schema.split is not None:
        return _by_column(chunks, settings.valid_share_of_train, seed)
    if settings.method == "time":
        return _by_time(chunks, str(schema.time), shares)
    if settings.method == "user":
        return _by_user(chunks, shares, seed)
    return lambda chunk, start: _cut(permuted(np.arange(start, start + chunk.rows), total, seed), total, shares)


def _by_user(chunks: Sequence[Chunk], shares: Shares, seed: int) -> Rule:
    """Split users by the order of their hashes; each row without a user is a user of its own."""

    def hashes(chunk: Chunk, start: int) -> np.ndarray:
        groups = chunk.array("group")
        alone = np.flatnonzero(groups == NO_GROUP)
        found = seeded_hash(groups, seed)
        found[alone] = seeded_hash(start + alone, seed)
        return found

    known = np.unique(np.concatenate([np.unique(hashes(*given)) for given in starts(chunks)]))
    return lambda chunk, start: _cut(np.searchsorted(known, hashes(chunk, start)), len(known), shares)


def _edges(total: int, shares: Shares) -> np.ndarray:
    """Return the ranks, (2,), at which the validation and the test rows of `total` begin."""
    return np.round(np.cumsum(shares[:2]) * total)


def _cut(rank: np.ndarray, total: int, shares: Shares) -> np.ndarray:
    return np.searchsorted(_edges(total, shares), rank, side="right")


def _by_column(chunks: Sequence[Chunk], valid_share: float, seed: int) -> Rule:
    """Split as the column says; if it names no validation rows, a share of the training rows becomes these."""
    counts = np.array([np.bincount(chunk.array("split"), minlength=3) for chunk in chunks])
    total = counts.sum(0)
    if total[VALID]:
        return lambda chunk, _: chunk.array("split")
    before = np.cumsum(counts[:, TRAIN]) - counts[:, TRAIN]
    first = {start: int(rows) for (_, start), rows in zip(starts(chunks), before, strict=True)}

    def with_validation(chunk: Chunk, start: int) -> np.ndarray:
        part = chunk.array("split").copy()
        rows = np.flatnonzero(part == TRAIN)
        places = permuted(np.arange(first[start], first[start] + len(rows)), int(total[TRAIN]), seed)
        part[rows[places < round(int(total[TRAIN]) * valid_share)]] = VALID
        return part

    return with_validation


def _by_time(chunks: Sequence[Chunk], name: str, shares: Shares) -> Rule:
    """Split by time: rows of one time stay together, in the part that the first of them falls in."""
    if nulls := sum(int((chunk.array("time") == NO_TIME).sum()) for chunk in chunks):
        raise SchemaError(f"time column '{name}' has {nulls} null values; drop those rows")
    total = sum(chunk.rows for chunk in chunks)
    last = [time_in_order(chunks, int(edge) - 1) for edge in _edges(total, shares) if edge > 0]
    return lambda chunk, _: (2 - len(last)) + sum(
        (chunk.array("time") > one for one in last), np.zeros(chunk.rows, np.int64)
    )  # fmt: skip


def time_in_order(chunks: Sequence[Chunk], place: int) -> int:
    """Find the time at a place, from 0, of the sorted times of all rows, digit by digit."""
    found = np.uint64(0)
    for shift in range(64 - DIGIT, -1, -DIGIT):
        counts = np.zeros(1 << DIGIT, np.int64)
        for chunk in chunks:
            keys = (chunk.array("time") ^ NO_TIME).view(np.uint64)
            if shift < 64 - DIGIT:
                keys = keys[keys >> np.uint64(shift + DIGIT) == found]
            counts += np.bincount((keys >> np.uint64(shift)) & np.uint64((1 << DIGIT) - 1), minlength=1 << DIGIT)
        before = np.cumsum(counts)
        digit = int(np.searchsorted(before, place, side="right"))
        place -= int(before[digit] - counts[digit])
        found = (found << np.uint64(DIGIT)) | np.uint64(digit)
    return int(found.astype(np.int64) ^ NO_TIME)
