"""Evaluates all decisions of a forest on rows: those that nodes share are made once. B rows, C columns, D decisions."""

from __future__ import annotations

import numpy as np

from automtl.ensemble.forest import SET_BYTES, ZERO, Forest, Missing

IDS = 8 * SET_BYTES  # ids that a set may hold are below


class Decisions:
    """All different decisions of a forest's nodes. `of_node`: (M,), the decision of each node.

    A missing value gets a number that goes its default way, so that comparing numbers is all there is to do: a reading
    is a column with such a number in place of missing values.
    """

    def __init__(self, forest: Forest) -> None:
        by_set = forest.node_set >= 0
        self.of_node = np.empty(len(by_set), np.int64)
        self.of_node[~by_set] = self._thresholds(forest, ~by_set)
        self.of_node[by_set] = len(self.thresholds) + self._sets(forest, by_set)

    def __len__(self) -> int:
        return len(self.thresholds) + len(self.set_column)

    def _thresholds(self, forest: Forest, nodes: np.ndarray) -> np.ndarray:
        """Find readings and thresholds; return the decisions of nodes."""
        way = np.where(forest.missing[nodes] == Missing.NONE, 0, 1 + forest.default_left[nodes])
        key = (forest.column[nodes].astype(np.int64) * 3 + forest.missing[nodes]) * 3 + way
        readings, reading = np.unique(key, return_inverse=True)
        self.reading_column = readings // 9
        self.reads_zero = readings // 3 % 3 == Missing.ZERO
        self.in_place = np.array([0, np.nan, -np.inf], np.float32)[readings % 3]
        both = (reading.astype(np.int64) << 32) | forest.threshold[nodes].view(np.uint32)
        found, of_node = np.unique(both, return_inverse=True)
        self.reading = found >> 32
        self.thresholds = (found & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
        self.starts = np.searchsorted(self.reading, np.arange(len(readings) + 1))
        return of_node

    def _sets(self, forest: Forest, nodes: np.ndarray) -> np.ndarray:
        """Find columns and sets; return the decisions of nodes, of which the first by a set is 0."""
        sets, alike = np.unique(forest.sets, axis=0, return_inverse=True)
        both = (forest.column[nodes].astype(np.int64) << 32) | alike.reshape(-1)[forest.node_set[nodes]]
        found, of_node = np.unique(both, return_inverse=True)
        self.set_column, self.sets = found >> 32, sets[found & 0xFFFFFFFF]
        return of_node

    def readings(self, columns: np.ndarray) -> np.ndarray:
        """Return readings of columns (C, B) float32: (number of readings, B)."""
        found: np.ndarray = columns[self.reading_column]
        missing = np.isnan(found)
        if self.reads_zero.any():
            missing |= self.reads_zero[:, None] & (np.abs(found) <= ZERO)
        if missing.any():
            np.copyto(found, self.in_place[:, None], where=missing)
        return found

    def of_few(self, columns: np.ndarray) -> np.ndarray:
        """Tell which decisions of columns (C, B) go left, (D, B) bool."""
        by_threshold = self.readings(columns)[self.reading] <= self.thresholds[:, None]
        ids = np.trunc(columns[self.set_column])
        known = (ids >= 0) & (ids < IDS)
        places = np.where(known, ids, 0).astype(np.int64)
        bits = np.take_along_axis(self.sets, places >> 3, axis=1) >> (places & 7).astype(np.uint8)
        return np.concatenate([by_threshold, known & (bits & 1).astype(bool)])
