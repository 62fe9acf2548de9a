"""Histories of logs that do not fit into memory: rows come in chunks, and are worked on some keys at a time.

C chunks, B buckets, N rows in all. What is found has the same bits as for all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from automtl.histories.plan import Plan
from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.settled import Settled
from automtl.histories.state import State
from automtl.tables.values.times import NO_TIME

ROW_BYTES = 250  # memory for a row that is worked on, about, beside what is found


class LogChunk(Protocol):
    """Rows of a log that are read when they are asked for, with some keys of a plan, by their places."""

    def keys(self, place: int) -> np.ndarray:
        """Return the numbers of one key, (n,)."""

    def rows(self, places: Sequence[int]) -> Rows:
        """Return the rows with these keys, in this order."""


def bits_for(rows: int, width: int, memory_bytes: int) -> int:
    """Return how many upper bits of a key tell its bucket, so that a bucket of rows of `width` inputs has room."""
    return max(int(rows * (ROW_BYTES + 12 * width) // memory_bytes).bit_length(), 0)


@dataclass(frozen=True)
class Buckets:
    """The rows of chunks by buckets of one key, given by its place; buckets are of rising keys.

    Results are written bucket by bucket and, in a bucket, chunk by chunk.
    """

    chunks: Sequence[LogChunk]
    place: int
    bits: int

    def __len__(self) -> int:
        return 1 << self.bits

    def of(self, keys: np.ndarray) -> np.ndarray:
        """Return the bucket of each row of a chunk, (n,); rows without a key are dealt out."""
        if self.bits == 0:
            return np.zeros(len(keys), np.int64)
        upper = (keys >> (64 - self.bits)) + (len(self) >> 1)
        return np.where(keys == NO_KEY, np.arange(len(keys)) % len(self), upper)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the results of a chunk's rows of a bucket begin, (C + 1, B)."""
        keys = (chunk.keys(self.place) for chunk in self.chunks)
        counts = np.stack([np.bincount(self.of(one), minlength=len(self)) for one in keys])  # (C, B)
        before = np.cumsum(counts.sum(0)) - counts.sum(0)
        return np.asarray(np.concatenate([np.zeros((1, len(self)), np.int64), np.cumsum(counts, axis=0)]) + before)

    def rows(self, bucket: int) -> Rows:
        """Gather the rows of a bucket, with this key alone."""
        parts = []
        for chunk in self.chunks:
            rows = chunk.rows([self.place])
            parts.append(rows.take(np.flatnonzero(self.of(rows.keys[0]) == bucket)))
        return Rows.joined(parts)

    def fill(self, bucket: int, found: np.ndarray, results: np.ndarray) -> None:
        """Write what was found, (n, ...), for the rows of a bucket to the results, (N, ...)."""
        results[self.starts[0, bucket] : self.starts[-1, bucket]] = found

    def read(self, number: int, results: np.ndarray) -> np.ndarray:
        """Return the results, (n, ...), of the rows of a chunk, given by its number."""
        order = np.argsort(self.of(self.chunks[number].keys(self.place)), kind="stable")
        ends = self.starts[number : number + 2].T
        found = np.empty((len(order), *results.shape[1:]), results.dtype)
        found[order] = np.concatenate([results[start:end] for start, end in ends])
        return found


def state_of(plan: Plan, chunks: Sequence[LogChunk], bits: int) -> State:
    """Return the state at the end of a log in chunks, as `State.update` finds it; keys go through memory by buckets."""
    places = range(len(plan.keys))
    newest = max((int(chunk.rows([]).events().time.max(initial=NO_TIME)) for chunk in chunks), default=NO_TIME)
    events = (chunk.rows(places).events() for chunk in chunks)
    pending = Rows.joined([State.empty(plan).pending, *(one.take(one.pending(newest, plan.delay)) for one in events)])
    found = [list(_settled(plan.only(place), Buckets(chunks, place, bits), newest)) for place in places]
    settled = tuple(Settled.joined([state.settled[0] for state in states]).newest(plan.max_keys) for states in found)
    recent = State.empty(plan).recent
    if plan.sequence is not None:
        place, _ = plan.sequence
        recent = Rows.joined([state.recent for state in found[place]])
        recent = recent.take(np.flatnonzero(np.isin(recent.keys[0], settled[place].every_key)))
    return State(newest, settled, pending.take(pending.sorted(pending.identity)), recent)


def _settled(plan: Plan, buckets: Buckets, newest: int) -> Iterator[State]:
    """Yield a state with the settled events, and no others, of each bucket of the plan's one key."""
    for bucket in range(len(buckets)):
        rows = buckets.rows(bucket).events()
        yield State.empty(plan).settle(plan, rows.take(rows.settled(newest, plan.delay)))[0]
