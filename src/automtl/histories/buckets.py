"""Histories of logs that do not fit into memory: rows come in chunks, and are worked on some keys at a time.

C chunks, B buckets, N rows in all, M outcomes. What is found has the same bits as for all rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from automtl.histories.plan import Plan
from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.settled import Settled, small
from automtl.histories.state import State
from automtl.histories.statistics import inputs
from automtl.system.threads import in_threads
from automtl.tables.values.times import NO_TIME

ROW_BYTES = 400  # memory for a row that is worked on, about, beside what is found
MOST_BITS = 16
ROWS = 1 << 17  # of a bucket, about
Scratch = Callable[[str, tuple[int, ...], Any], np.ndarray]  # makes an array of a name, a shape and a type


class LogChunk(Protocol):
    """Rows of a log that are read when they are asked for, with some keys of a plan, by their places."""

    def moments(self) -> np.ndarray:
        """Return the times of the rows, (n,), NO_TIME for those that are no events."""

    def rows(self, places: Sequence[int]) -> Rows:
        """Return the rows with these keys, in this order."""


def bits_for(rows: int, width: int, memory_bytes: int | None = None) -> int:
    """Return how many upper bits of a key tell its bucket.

    A bucket of rows of `width` inputs has room then, mostly in the processor's cache, too, which is twice as fast.
    """
    buckets = max(rows // ROWS, 0 if memory_bytes is None else rows * (ROW_BYTES + 8 * width) // memory_bytes)
    return min(buckets.bit_length(), MOST_BITS)


def bucket_of(keys: np.ndarray, bits: int) -> np.ndarray:
    """Return the bucket of each row, (n,) uint16: buckets are of rising keys; rows without a key are dealt out."""
    if bits == 0:
        return np.zeros(len(keys), np.uint16)
    found = ((keys >> (64 - bits)) + (1 << bits - 1)).astype(np.uint16)
    missing = np.flatnonzero(keys == NO_KEY)
    found[missing] = missing & ((1 << bits) - 1)
    return found


def inputs_by_buckets(plan: Plan, place: int, rows: Rows) -> np.ndarray:
    """Return the inputs, (N, W) float32, that `inputs` gives all rows; several buckets are worked on at once."""
    own, alone = plan.only(place), replace(rows.only(place), items=None)
    found = np.empty((len(rows), len(own.names(0))), np.float32)

    def find(bucket: np.ndarray) -> None:
        found[bucket] = inputs(own, 0, alone.take(bucket))

    in_threads(find, _buckets_of(rows, place))
    return found


def _buckets_of(rows: Rows, place: int) -> list[np.ndarray]:
    """Return the rows of each bucket of a key."""
    bits = bits_for(len(rows), 0)
    numbers = bucket_of(rows.keys[place], bits)
    ends = np.cumsum(np.bincount(numbers, minlength=1 << bits))
    return np.split(np.argsort(numbers, kind="stable"), ends[:-1])


@dataclass(frozen=True)
class WholeLog:
    """A log in memory as one chunk."""

    every: Rows

    def moments(self) -> np.ndarray:
        return np.where(self.every.event, self.every.time, NO_TIME)

    def rows(self, places: Sequence[int]) -> Rows:
        return replace(self.every, keys=self.every.keys[list(places)])


def state_by_buckets(plan: Plan, rows: Rows) -> State:
    """Return the state that `State.update` makes of rows and an empty one; several buckets are worked on at once."""
    log: list[LogChunk] = [WholeLog(rows)]
    newest, states = newest_of(log), []
    for place in range(len(plan.keys)):
        own, alone = plan.only(place), rows.only(place)
        alone = alone if own.sequence is not None else replace(alone, items=None)
        settle = partial(_settled_part, own, alone, newest)
        states.append(joined_states(in_threads(settle, _buckets_of(rows, place))))
    return state_of(plan, log, newest, states)


def _settled_part(plan: Plan, rows: Rows, newest: int, chosen: np.ndarray) -> State:
    return settled_of(plan, rows.take(chosen), newest)


@dataclass(frozen=True)
class Buckets:
    """Where the rows of chunks stand bucket by bucket and, in a bucket, chunk by chunk.

    numbers: by chunk, the bucket of each row, (n,).
    """

    numbers: Sequence[np.ndarray]
    bits: int

    def __len__(self) -> int:
        return 1 << self.bits

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the rows of a chunk and of a bucket begin, (C + 1, B)."""
        counts = np.stack([np.bincount(one, minlength=len(self)) for one in self.numbers])  # (C, B)
        before = np.cumsum(counts.sum(0)) - counts.sum(0)
        return np.asarray(np.concatenate([np.zeros((1, len(self)), np.int64), np.cumsum(counts, axis=0)]) + before)

    def span(self, bucket: int) -> slice:
        """Return where all rows of a bucket stand."""
        return slice(int(self.starts[0, bucket]), int(self.starts[-1, bucket]))

    def parts(self, number: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield, for the buckets of a chunk, given by its number, where rows stand and which ones they are."""
        order = np.argsort(self.numbers[number], kind="stable")
        start = 0
        for first, last in self.starts[number : number + 2].T.tolist():
            if first < last:
                yield slice(first, last), order[start : start + last - first]
            start += last - first

    def places(self, number: int) -> np.ndarray:
        """Return where each row of a chunk, given by its number, stands, (n,)."""
        found = np.empty(len(self.numbers[number]), np.int64)
        for span, rows in self.parts(number):
            found[rows] = np.arange(span.start, span.stop)
        return found


@dataclass(frozen=True)
class BucketedLog:
    """A log with one key in the order of buckets. arrays: (N, ...), those of `Rows`."""

    buckets: Buckets
    arrays: dict[str, np.ndarray]

    @staticmethod
    def empty(buckets: Buckets, like: Rows, scratch: Scratch) -> BucketedLog:
        """Make room for the rows of all chunks. like: some of them."""
        total = sum(map(len, buckets.numbers))
        shapes = {name: ((total, *one.shape[1:]), one.dtype) for name, one in _arrays(like).items()}
        return BucketedLog(buckets, {name: scratch(name, *shape) for name, shape in shapes.items()})

    def add(self, number: int, rows: Rows) -> None:
        """Put the rows of a chunk, given by its number, where they belong."""
        own = _arrays(rows)
        for span, chosen in self.buckets.parts(number):
            for name, array in self.arrays.items():
                array[span] = own[name].take(chosen, axis=0)

    def rows(self, bucket: int) -> Rows:
        """Return the rows of a bucket."""
        own = {name: array[self.buckets.span(bucket)] for name, array in self.arrays.items()}
        items = np.ascontiguousarray(own["items"].T) if "items" in own else None
        return Rows(own["time"], own["key"][None], own["values"], own["known"], own["event"], items)


def _arrays(rows: Rows) -> dict[str, np.ndarray]:
    """Return the arrays of rows with one key, (n, ...) each."""
    found = {"time": rows.time, "key": rows.keys[0], "values": rows.values, "known": rows.known, "event": rows.event}
    return found if rows.items is None else found | {"items": rows.items.T}


def newest_of(chunks: Sequence[LogChunk]) -> int:
    """Return the time of the newest event of a log, NO_TIME without one."""
    return max((int(chunk.moments().max(initial=NO_TIME)) for chunk in chunks), default=NO_TIME)


def settled_of(plan: Plan, rows: Rows, newest: int) -> State:
    """Return a state with the settled events, and no others, of a bucket of the plan's one key."""
    events = rows.events()
    state, _ = State.empty(plan).settle(plan, events.take(events.settled(newest, plan.delay)))
    return replace(state, newest=newest)


def joined_states(parts: Sequence[State]) -> State:
    """Join what `settled_of` found of each bucket."""
    settled = Settled.joined([part.settled[0] for part in parts])
    return replace(parts[0], settled=(settled,), recent=Rows.joined([part.recent for part in parts]))


def state_of(plan: Plan, chunks: Sequence[LogChunk], newest: int, states: Sequence[State]) -> State:
    """Return the state at the end of a log in chunks, as `State.update` finds it.

    newest: the time of the newest event; states: by key of the plan, the settled events.
    """
    pending = Rows.joined([State.empty(plan).pending, *(_pending(plan, chunk, newest) for chunk in chunks)])
    settled = tuple(one.settled[0].newest(plan.max_keys) for one in states)
    recent = State.empty(plan).recent
    if plan.sequence is not None:
        place, _ = plan.sequence
        recent = states[place].recent
        if settled[place] is not states[place].settled[0]:
            recent = recent.take(np.flatnonzero(settled[place].holds(recent.keys[0])))
    return State(newest, settled, small(pending.take(pending.sorted(pending.identity))), recent)


def _pending(plan: Plan, chunk: LogChunk, newest: int) -> Rows:
    """Return the pending events of a chunk, whose keys are read only where it has some."""
    moments = chunk.moments()
    here = np.flatnonzero((moments != NO_TIME) & (moments >= newest - plan.delay))
    if not len(here):
        return Rows.empty(len(plan.keys), len(plan.outcomes))
    return chunk.rows(range(len(plan.keys))).take(here).events()
