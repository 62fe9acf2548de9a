"""Evaluates all decisions of a forest on rows: those that nodes share are made once. B rows, C columns, D decisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from automtl.ensemble.forest import SET_BYTES, ZERO, Forest, Missing

IDS = 8 * SET_BYTES  # ids that a set may hold are below
PACKED = 256  # decisions whose truth is packed at a time, while it is in cache


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
        """Find columns and sets, the largest first; return the decisions of nodes, of which the first by a set is 0."""
        sets, alike = np.unique(forest.sets, axis=0, return_inverse=True)
        both = (forest.column[nodes].astype(np.int64) << 32) | alike.reshape(-1)[forest.node_set[nodes]]
        found, of_node = np.unique(both, return_inverse=True)
        members = np.unpackbits(sets[found & 0xFFFFFFFF], axis=1, bitorder="little").astype(bool)
        order = np.argsort(-members.sum(axis=1), kind="stable")
        self.set_column, self.sets = found[order] >> 32, sets[found[order] & 0xFFFFFFFF]
        self._flags(members[order])
        return np.argsort(order)[of_node]

    def _flags(self, members: np.ndarray) -> None:
        """Find the different columns and ids among all sets (S, 256), and the flags of each set, one after another."""
        owner, ids = np.nonzero(members)
        flags, flag = np.unique(self.set_column[owner] * IDS + ids, return_inverse=True)
        self.flag_column, self.flag_id = flags // IDS, (flags % IDS).astype(np.float32)
        nth = np.arange(len(owner)) - np.searchsorted(owner, owner)  # the place of an id in its set
        self.members = [flag[nth == place] for place in range(int(nth.max(initial=-1)) + 1)]

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

    def of_many(self, columns: np.ndarray) -> np.ndarray:
        """Tell which decisions of columns (C, B) go left, a bit for each row, (D, B / 8); B is a multiple of 8."""
        found = np.empty((len(self), columns.shape[1] // 8), np.uint8)
        with small_buffers():
            _compare(np.less_equal, self.readings(columns), self.reading, self.thresholds, found)
            flags = np.empty((len(self.flag_id), found.shape[1]), np.uint8)
            _compare(np.equal, np.trunc(columns), self.flag_column, self.flag_id, flags)
        by_sets = found[len(self.thresholds) :]
        by_sets[:] = 0
        for flag in self.members:  # sets are the shorter, the later they are
            by_sets[: len(flag)] |= flags.take(flag, axis=0, mode="clip")
        return found


def _compare(relation: Any, rows: np.ndarray, row: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """Compare rows (R, B) with values (D,), of which each is for one row (D,), ascending; pack the truth by bits."""
    flags = np.empty((PACKED, rows.shape[1]), bool)
    for start in range(0, len(values), PACKED):
        end = min(start + PACKED, len(values))
        cuts = [start, *(1 + start + np.flatnonzero(np.diff(row[start:end]))), end]
        for first, last in pairwise(cuts):
            relation(rows[row[first]], values[first:last, None], out=flags[first - start : last - start])
        out[start:end] = np.packbits(flags[: end - start], axis=1, bitorder="little")


@contextmanager
def small_buffers() -> Iterator[None]:
    """Let numpy use small buffers: with its default it copies both sides when it compares short rows with columns."""
    before = np.setbufsize(512)
    try:
        yield
    finally:
        np.setbufsize(before)
