"""Events of a log that still grows, found by their keys. n events, K keys, M outcomes, A items."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.sorting import places_of

FOREVER = np.iinfo(np.int64).max


class LiveEvents:
    """Events that are added one after the other, and replaced when more is known of what came of them.

    Nothing that was added changes, so that a `view` stays as it is. The first events are found by sorted keys, those
    that were added later by a table of keys; to sort them all, make a new object of `alive`. Threads may add events and
    look them up at once.
    """

    def __init__(self, first: Rows) -> None:
        self._lock = threading.Lock()
        self._rows, self._size = first, len(first)
        self._ended = np.full(len(first), FOREVER)  # the size from which on another event stands for this one
        self._sorted = len(first)
        self._orders = [np.argsort(key, kind="stable") for key in first.keys]
        self._keys = [key.take(order) for key, order in zip(first.keys, self._orders, strict=True)]
        self._places: list[dict[int, list[int]]] = [{} for _ in first.keys]

    def __len__(self) -> int:
        """Count what was added, replaced events included."""
        return self._size

    @property
    def unsorted(self) -> int:
        """How many events were added since the keys were sorted."""
        return self._size - self._sorted

    def add(self, rows: Rows, replaced: Sequence[int] = ()) -> int:
        """Add events; `replaced`: numbers of those that they stand for from now on. Returns the first one's number."""
        with self._lock:
            first, end = self._size, self._size + len(rows)
            if end > len(self._ended):
                self._grow(rows, max(end, 2 * len(self._ended), 1024))
            _write(self._rows, slice(first, end), rows)
            self._ended[list(replaced)] = end
            for places, key in zip(self._places, rows.keys.tolist(), strict=True):
                for number, value in enumerate(key, first):
                    if value != NO_KEY:
                        places.setdefault(value, []).append(number)
            self._size = end
            return first

    def _grow(self, like: Rows, room: int) -> None:
        old, self._rows = self._rows, _room_for(like, room)
        _write(self._rows, slice(0, self._size), old.take(np.arange(self._size)))
        self._ended = np.append(self._ended, np.full(room - len(self._ended), FOREVER))

    def view(self) -> LiveView:
        """Return the events as they are now."""
        return LiveView(self, self._size)

    def alive(self) -> np.ndarray:
        """Return the numbers of the events that no other one stands for."""
        with self._lock:
            return np.flatnonzero(self._ended[: self._size] == FOREVER)

    def take(self, numbers: np.ndarray) -> Rows:
        """Select events by their numbers."""
        with self._lock:
            return self._rows.take(numbers)

    def find(self, place: int, keys: np.ndarray, size: int) -> Rows:
        """Return the events, of the first `size` ones, that have one of some values of a key, given by its place."""
        with self._lock:
            found = [self._orders[place].take(places_of(keys, self._keys[place]))] if self._sorted else []
            table = self._places[place]
            for key in set(keys.tolist()) if table else ():
                if key in table:
                    found.append(np.array(table[key], np.int64))
            numbers = np.concatenate(found) if found else np.zeros(0, np.int64)
            here = (numbers < size) & (self._ended.take(numbers) > size)
            return self._rows.take(numbers.compress(here))


@dataclass(frozen=True)
class LiveView:
    """The first `size` events, as they were when there were no more."""

    events: LiveEvents
    size: int

    def of(self, place: int, keys: np.ndarray) -> Rows:
        """Return the events that have one of some values, (n,), of a key, given by its place."""
        return self.events.find(place, keys[keys != NO_KEY], self.size)


def _room_for(like: Rows, room: int) -> Rows:
    """Make room for so many rows. like: some of their kind."""
    keys, outcomes = len(like.keys), like.values.shape[1]
    items = None if like.items is None else np.zeros((len(like.items), room), np.int32)
    values, known = np.zeros((room, outcomes), np.int16), np.zeros((room, outcomes), np.bool_)
    return Rows(np.zeros(room, np.int64), np.zeros((keys, room), np.int64), values, known, np.ones(room, bool), items)


def _write(into: Rows, place: slice, rows: Rows) -> None:
    into.time[place], into.keys[:, place] = rows.time, rows.keys
    into.values[place], into.known[place] = rows.values, rows.known
    if into.items is not None and rows.items is not None:
        into.items[:, place] = rows.items
