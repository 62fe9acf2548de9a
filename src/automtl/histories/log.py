"""A log in the order of one key, then of time. n rows, M outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from automtl.histories.rows import NO_KEY, Rows
from automtl.tables.values.times import NO_TIME


@dataclass(frozen=True)
class Log:
    """Rows in the order of a key, then of `Rows.order`.

    order: (n,) the row at each place; rank: (n,) its place in `Rows.order`; key: (n,).
    """

    rows: Rows
    order: np.ndarray
    rank: np.ndarray
    key: np.ndarray

    @staticmethod
    def of(rows: Rows, place: int) -> Log:
        """Sort rows by a key, given by its place."""
        key = rows.keys[place].take(rows.order)
        rank = np.argsort(key, kind="stable")
        return Log(rows, rows.order.take(rank), rank, key.take(rank))

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def time(self) -> np.ndarray:
        """Times, (n,) int64."""
        return self.rows.time.take(self.order)

    @cached_property
    def event(self) -> np.ndarray:
        """Which rows are events of their key, (n,) bool."""
        return np.asarray(self.rows.event.take(self.order) & (self.key != NO_KEY) & (self.time != NO_TIME))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where a key begins, (n,) bool."""
        return changes(self.key)

    @cached_property
    def first(self) -> np.ndarray:
        """The place at which a row's key begins, (n,)."""
        return latest(self.starts)

    def known(self, column: int) -> np.ndarray:
        """Return which rows are events with a known outcome, (n,) bool."""
        return np.asarray(self.event & self.rows.known[:, column].take(self.order))

    def values(self, column: int) -> np.ndarray:
        """Return an outcome's whole numbers, (n,) int64, 0 where it is unknown."""
        return np.where(self.known(column), self.rows.values[:, column].take(self.order), 0)


def changes(values: np.ndarray) -> np.ndarray:
    """Tell where a value differs from the one before it, (n,) bool; the first does."""
    found = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def latest(marked: np.ndarray, none: int = 0) -> np.ndarray:
    """Return, for each place, the last place up to it that is marked, (n,); `none` without one."""
    return np.maximum.accumulate(np.where(marked, np.arange(len(marked)), none))


def running(terms: np.ndarray) -> np.ndarray:
    """Return the sums, (n + 1,) int64, of the terms before each place."""
    sums = np.zeros(len(terms) + 1, np.int64)
    np.cumsum(terms, out=sums[1:])
    return sums


def session_begins(time: np.ndarray, starts: np.ndarray, limit: int) -> np.ndarray:
    """Return the place at which the session of each event, (n,), begins. `starts`: where a key begins."""
    return latest(starts | (np.diff(time, prepend=0) > limit))
