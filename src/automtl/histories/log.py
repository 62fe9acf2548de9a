"""A log in the order of one key, then of time. n rows, M outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from automtl.histories.plan import Together
from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.sorting import changes, hashes_order, latest, sorted_order


@dataclass(frozen=True)
class Log:
    """Rows in the order of a key, then of `Rows.order`. A row without the key stands for a key of its own.

    order: (n,) the row at each place; key: (n,); by_time: (n,) the rows in `Rows.order`.
    """

    rows: Rows
    order: np.ndarray
    key: np.ndarray
    by_time: np.ndarray
    _known: dict[int, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(rows: Rows, place: int, together: Together, items: bool = False) -> Log:
        """Sort rows by a key, given by its place. together, items: see `Rows.order`."""
        by_time = rows.order(together, items)
        key = rows.keys[place].take(by_time)
        rank = hashes_order(key)
        return Log(rows, by_time.take(rank), key.take(rank), by_time)

    def part(self, chosen: np.ndarray) -> Log:
        """Return a log of all rows of some keys. chosen: (n,), at which places these are."""
        rows = self.rows.take(self.order.compress(chosen))
        return Log(rows, np.arange(len(rows)), self.key.compress(chosen), sorted_order(rows.time))

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def rank(self) -> np.ndarray:
        """The place of each row in `Rows.order`, (n,)."""
        found = np.empty(len(self), np.int64)
        found[self.by_time] = np.arange(len(self))
        return found.take(self.order)

    @cached_property
    def time(self) -> np.ndarray:
        """Times, (n,) int64."""
        return self.rows.time.take(self.order)

    @cached_property
    def event(self) -> np.ndarray:
        """Which rows happened, (n,) bool."""
        return self.rows.happened.take(self.order)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where a key begins, (n,) bool."""
        return np.asarray(changes(self.key) | (self.key == NO_KEY))

    @cached_property
    def first(self) -> np.ndarray:
        """The place at which a row's key begins, (n,)."""
        return latest(self.starts)

    def known(self, column: int) -> np.ndarray:
        """Return which rows are events with a known outcome, (n,) bool; `event` itself where all of these are."""
        if self.rows.all_known[column]:
            return self.event
        if column not in self._known:
            self._known[column] = self.rows.known_events[column].take(self.order)
        return self._known[column]

    def known_of(self, columns: slice) -> np.ndarray:
        """Return what `known` does of adjacent outcomes, (m, n); `event` itself, (n,), where all of them are known."""
        if all(self.rows.all_known[columns]):
            return self.event
        return np.stack([self.known(column) for column in range(columns.start, columns.stop)])

    def values(self, column: int) -> np.ndarray:
        """Return an outcome's whole numbers, (n,), 0 where it is unknown."""
        values: np.ndarray = self.rows.known_values[column]
        return values.take(self.order)

    def values_of(self, columns: slice) -> np.ndarray:
        """Return the whole numbers of adjacent outcomes, (m, n), 0 where one is unknown."""
        values: np.ndarray = self.rows.known_values[columns].take(self.order, axis=1)
        return values


def session_begins(time: np.ndarray, starts: np.ndarray, limit: int) -> np.ndarray:
    """Return the place at which the session of each event, (n,), begins. `starts`: where a key begins."""
    return latest(starts | (np.diff(time, prepend=0) > limit))
