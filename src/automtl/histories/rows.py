"""The rows of a log as arrays: N rows, K keys, M outcomes. Times are microseconds, NO_TIME where missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from automtl.histories.plan import Together
from automtl.histories.sorting import changes, refine, sorted_order, tied_places
from automtl.system.hashing import hash_integers
from automtl.tables.roles import group_ids
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import unnamed
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import LIKELY, NO_TIME, is_number, time_order, unit_of

NO_KEY = 0  # of a row that lacks a part of the key
HALF, LOWER = np.uint64(32), np.uint64(2**32 - 1)  # of a hash
ODD = np.uint64(0x9E3779B97F4A7C15)
FACTORS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass(frozen=True)
class Rows:
    """Rows of a log. `known`: the outcome is there, and its condition holds. `event`: the row happened.

    time: (N,) int64; keys: (K, N) int64, NO_KEY where missing; values: (N, M) whole numbers (`Outcome.whole`);
    known: (N, M) bool; event: (N,) bool; items: (A, N) int32, ids of the fields of a sequence, if there is one.
    """

    time: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    known: np.ndarray
    event: np.ndarray
    items: np.ndarray | None = None
    _orders: dict[tuple[Together, bool], np.ndarray] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __len__(self) -> int:
        return len(self.time)

    def take(self, numbers: np.ndarray) -> Rows:
        """Select rows by their numbers."""
        items = None if self.items is None else self.items.take(numbers, axis=1)
        values, known = (one.take(numbers, axis=0) for one in (self.values, self.known))
        return Rows(
            self.time.take(numbers), self.keys.take(numbers, axis=1), values, known, self.event.take(numbers), items
        )

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Put rows one after the other."""
        filled = [part for part in parts if len(part)]
        if len(filled) == 1:
            return filled[0]
        time, values, known, event = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("time", "values", "known", "event")
        )
        keys = np.concatenate([part.keys for part in parts], axis=1)
        items = [part.items for part in parts if part.items is not None]
        whole = items and all(part.items is not None or len(part) == 0 for part in parts)
        return Rows(time, keys, values, known, event, np.concatenate(items, axis=1) if whole else None)

    @staticmethod
    def empty(keys: int, outcomes: int) -> Rows:
        """Return no rows of some keys and outcomes."""
        none = np.zeros((0, outcomes), np.int16)
        return Rows(np.zeros(0, np.int64), np.zeros((keys, 0), np.int64), none, none > 0, np.zeros(0, bool))

    def only(self, place: int) -> Rows:
        """Return the rows as those of one key, given by its place."""
        return replace(self, keys=self.keys[place : place + 1])

    @cached_property
    def fingerprint(self) -> np.ndarray:
        """Hashes, (N,) uint64, of what came of each row."""
        return fingerprint(self.values, self.known)

    @cached_property
    def identity(self) -> np.ndarray:
        """Hashes, (N,) uint64, of the keys and what came of each row, by which a repeated event is known."""
        found = self.fingerprint
        for key in self.keys:
            found = mixed(found, key)
        return found

    @cached_property
    def happened(self) -> np.ndarray:
        """Which rows are events that have a time, (N,) bool."""
        return np.asarray(self.event & (self.time != NO_TIME))

    def events(self) -> Rows:
        """Return the events that have a time; values are 0 where they are unknown."""
        found = self.take(np.flatnonzero(self.happened))
        return replace(found, values=np.where(found.known, found.values, 0))

    def settled(self, newest: int, delay: int) -> np.ndarray:
        """Return the numbers of the events of which all is known to every row from the newest event on."""
        return np.flatnonzero(self.time < newest - delay)

    def pending(self, newest: int, delay: int) -> np.ndarray:
        """Return the numbers of the events that are not settled."""
        return np.flatnonzero(self.time >= newest - delay)

    @cached_property
    def known_events(self) -> np.ndarray:
        """Which rows are events with a known outcome, (M, N) bool."""
        return np.asarray(np.ascontiguousarray(self.known.T) & self.happened)

    @cached_property
    def all_known(self) -> list[bool]:
        """Whether an outcome is known of all events, by outcome."""
        return [bool((known == self.happened).all()) for known in self.known_events]

    @cached_property
    def known_values(self) -> np.ndarray:
        """The outcomes of the events, (M, N) int32, 0 where they are unknown."""
        return np.asarray(np.where(self.known_events, self.values.T, 0).astype(np.int32))

    def order(self, together: Together, items: bool = False) -> np.ndarray:
        """Return the rows, (N,), by time, then by `items` if these matter, then by what came of them.

        Outcomes that are known later count less, so that rows of equal time stand for whoever knows only the others as
        they do for whoever knows all.
        """
        if (together, items) not in self._orders:
            self._orders[together, items] = self._ordered(together, items)
        return self._orders[together, items]

    def _ordered(self, together: Together, items: bool) -> np.ndarray:
        order = sorted_order(self.time)
        new = changes(self.time.take(order))
        for column in () if self.items is None or not items else self.items:
            refine(order, new, column)
        for group in together:
            tied = order.take(tied_places(new))
            if not len(tied):
                break
            content = np.zeros(len(self), np.uint64)
            values, known = (one.take(tied, axis=0)[:, list(group)] for one in (self.values, self.known))
            content[tied] = fingerprint(values, known)
            for column in (content >> HALF, content & LOWER):
                refine(order, new, column)
        return order

    def sorted(self, hashes: np.ndarray) -> np.ndarray:
        """Return the rows, (N,), by time, hashes and items."""
        items = [] if self.items is None else list(self.items[::-1])
        return np.lexsort((*items, hashes, self.time))


def fingerprint(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Hash the outcomes of rows, (N, M), where they are known, to (N,) uint64."""
    found = np.zeros(len(values), np.uint64)
    for column in range(values.shape[1]):
        found = mixed(found, np.where(known[:, column], values[:, column] + 1, 0))
    return found


def mixed(hashes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Mix numbers, (N,), into hashes, (N,) uint64."""
    return hash_integers((hashes * ODD + hash_integers(numbers.astype(np.int64, copy=False))).view(np.int64))


def key_numbers(derived: pl.DataFrame, keys: Sequence[tuple[str, ...]], fields: Mapping[str, Field]) -> np.ndarray:
    """Number the values of keys, (K, N) int64: NO_KEY where a part is missing; equal values have equal numbers.

    A number depends on the values alone, and 2, 2.0 and "2" have the same. `fields`: of the derived table, by name.
    Raises EncodingError for a column that cannot be read as its field says.
    """
    parts = {name: _part_numbers(derived[name], fields[name]) for key in keys for name in key}
    found = [joined_keys([parts[name] for name in key]) for key in keys]
    return np.array(found, np.int64).reshape(-1, derived.height)


def joined_keys(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Number a key, (N,) int64, by the numbers of its parts, (N,) each."""
    if len(parts) == 1:
        return parts[0]
    found = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        found = mixed(found, part)
    present = np.logical_and.reduce([part != NO_KEY for part in parts])
    return np.where(present, found.view(np.int64), NO_KEY)


def _part_numbers(column: pl.Series, field: Field) -> np.ndarray:
    if field.kind is not FieldKind.NUMERIC:
        return group_ids(column)
    return float_keys(as_numbers(column, field).fill_null(np.nan).to_numpy())


def float_keys(values: np.ndarray) -> np.ndarray:
    """Number the values, (N,) float64, of a numeric field: NO_KEY for NaN."""
    bits = (values + 0.0).view(np.int64)
    return np.where(np.isnan(values), NO_KEY, hash_integers(bits ^ LIKELY[0]).view(np.int64))


def log_times(column: pl.Series, field: Field | None, unit: str | None) -> np.ndarray:
    """Return the times of a log, (N,) int64 microseconds since 1970, NO_TIME where missing or after 2200.

    `field`: the time field of the column, if it is one; `unit`: that of a column of plain numbers. Raises EncodingError
    that shows a value that is no time.
    """
    times = _times(column, field, unit)
    return np.where(np.abs(times) > LIKELY[1], NO_TIME, times)


def _times(column: pl.Series, field: Field | None, unit: str | None) -> np.ndarray:
    if column.dtype in (pl.Time, pl.Duration):
        column, unit = unnamed(column).cast(pl.Duration("us")).to_physical(), "us"
    if field is not None or not is_number(column):
        return time_order(column, field)
    return _counted(column, unit or unit_of(column))


def _counted(column: pl.Series, unit: str) -> np.ndarray:
    """Convert numbers of a unit; whole numbers exactly."""
    if column.dtype.is_integer():
        whole = unnamed(column).cast(pl.Int64, strict=False)
        return np.where(whole.is_null().to_numpy(), NO_TIME, counted(whole.fill_null(0).to_numpy(), unit))
    floats = as_numbers(column).fill_null(np.nan).to_numpy() * (1e-3 if unit == "ns" else FACTORS[unit])
    missing = ~(np.abs(floats) <= 2.0**62)
    return np.where(missing, NO_TIME, np.floor(np.where(missing, 0.0, floats)).astype(np.int64))


def counted(numbers: np.ndarray, unit: str) -> np.ndarray:
    """Convert whole numbers of a unit, (N,) int64, to microseconds, NO_TIME where they are too large."""
    if unit == "ns":
        return np.asarray(numbers // 1000)
    return np.where(np.abs(numbers) > 2**62 // FACTORS[unit], NO_TIME, numbers * FACTORS[unit])
