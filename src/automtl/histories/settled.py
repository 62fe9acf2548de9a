"""What is settled of each value of a key: numbers that stand for events which every later row knows in full.

V values of the key, M outcomes, Q half-lives, L last outcomes. All numbers are whole, and two sets of events of which
one is earlier add up exactly, so that the pieces in which a log comes do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from automtl.histories.decay import growth
from automtl.histories.log import Log, session_begins
from automtl.histories.plan import Kind, Plan
from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.sorting import different
from automtl.tables.values.times import NO_TIME

Arrays = dict[str, np.ndarray]
SESSION = ("time", "begin", "length")  # what a session goes on from
LARGEST = 1 << 62  # number that a state may hold
FEW = 8  # events of a key that are kept as they are
NOTHING = {  # what an array holds of no events
    "time": NO_TIME, "count": 0, "sums": 0, "known": 0, "block": NO_TIME, "decayed": 0, "positive": NO_TIME,
    "begin": NO_TIME, "length": 0, "last": -1,
}  # fmt: skip
NEEDED: dict[Kind, tuple[str, ...]] = {
    "rates": ("count", "sums", "known"),
    "recent": ("sums", "known", "block", "decayed"),
    "gaps": ("positive",),
    "last": ("last",),
    "session": ("begin", "length"),
}


def shapes(plan: Plan, place: int) -> dict[str, tuple[int, ...]]:
    """Return the arrays that a key of the plan needs, and their shapes for one value of it."""
    outcomes, half_lives = len(plan.outcomes), len(plan.half_lives)
    every = {
        "time": (), "count": (), "sums": (outcomes,), "known": (outcomes,), "block": (half_lives,),
        "decayed": (half_lives, 2, 1 + 2 * outcomes), "positive": (outcomes,), "begin": (), "length": (),
        "last": (outcomes, plan.last),
    }  # fmt: skip
    needed = {"time", *(name for kind in plan.keys[place].kinds for name in NEEDED[kind])}
    return {name: shape for name, shape in every.items() if name in needed}


def kind_of(name: str) -> type:
    """Return the type of an array."""
    return np.int16 if name == "last" else np.int64


def may_be(name: str, array: np.ndarray, newest: int) -> bool:
    """Tell whether an array holds what it may in a state whose newest event is of this time."""
    if name == "block":
        return True
    if name in ("time", "positive", "begin"):
        return bool((((array >= -LARGEST) & (array <= newest)) | (array == NO_TIME)).all())
    return bool(((array >= (-1 if name == "last" else 0)) & (array <= LARGEST)).all())


@dataclass(frozen=True)
class Settled:
    """What is settled of each value of a key: sums or, of those with few events, the events.

    keys: (V,) int64, rising, of the sums; arrays: (V, ...), by the names of `NOTHING`; few: the events of the other
    values, by key and time, at most FEW of each, which take less memory.

    `time`: of the last event; `count`: of events; `sums` and `known` of each outcome, and their number; `block`: of
    the last event, by half-life; `decayed`: sums of the growths of this block and of the one before, alone, times each
    outcome, and where it is known; `positive`: the time of each outcome's last positive; `begin` and `length` of the
    last session; `last`: the last known outcomes, newest first.
    """

    keys: np.ndarray
    arrays: Arrays
    few: Rows

    @staticmethod
    def empty(plan: Plan, place: int) -> Settled:
        """Return what is settled of no events."""
        arrays: Arrays = {name: np.zeros((0, *shape), kind_of(name)) for name, shape in shapes(plan, place).items()}
        return Settled(np.zeros(0, np.int64), arrays, Rows.empty(1, len(plan.outcomes)))

    @staticmethod
    def nothing() -> Settled:
        """Return what is settled of no events of no outcome."""
        return Settled(np.zeros(0, np.int64), {}, Rows.empty(1, 0))

    @staticmethod
    def summed(plan: Plan, log: Log) -> Settled:
        """Sum up the events of a log, with the one key of a plan."""
        empty = Settled.empty(plan, 0)
        if len(log) == 0:
            return empty
        ends = Ends(plan, log, np.flatnonzero(log.starts))
        arrays: Arrays = {
            name: SUMS[name](ends).astype(kind_of(name)).reshape(len(ends.first), *shape)
            for name, shape in shapes(plan, 0).items()
        }
        return Settled(log.key.take(ends.first), arrays, empty.few)

    @staticmethod
    def joined(parts: Sequence[Settled]) -> Settled:
        """Put what is settled of rising keys one after the other."""
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
        keys = np.concatenate([part.keys for part in parts])
        return Settled(keys, arrays, Rows.joined([part.few for part in parts]))

    @property
    def every_key(self) -> np.ndarray:
        """All values of the key, (V,), those of few events last."""
        return np.append(self.keys, different(self.few.keys[0]))

    def holds(self, keys: np.ndarray) -> np.ndarray:
        """Tell which keys, (c,), have events."""
        few = self.few.keys[0]
        places = np.searchsorted(few, keys)
        in_few = (np.append(few, NO_KEY).take(places) == keys) & (keys != NO_KEY)
        return np.asarray((self.find(keys) >= 0) | in_few)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return where keys stand, (c,); -1 for those that are not there."""
        if len(self.keys) == 0:
            return np.full(len(keys), -1)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys.take(places) == keys, places, -1)

    def take(self, places: np.ndarray) -> Settled:
        """Select sums, by their places; what is at -1 has no events."""
        arrays = {name: self.array(name, places) for name in self.arrays}
        return Settled(np.append(self.keys, NO_KEY).take(places), arrays, self.few)

    def array(self, name: str, places: np.ndarray, *index: int | slice) -> np.ndarray:
        """Return an array's rows, (c, ...), at places; at -1 they are those of no events. `index`: of further axes."""
        given = self.arrays[name][(slice(None), *index)]
        here = (places >= 0).nonzero()[0]
        if len(here) == len(places):
            return np.asarray(given[places])
        found = nothing(name, (len(places), *given.shape[1:]), given.dtype)
        if len(here) == 0:
            return found
        found = found.copy()
        found[here] = given[places.take(here)]  # `take` would copy all of a view
        return found

    def then(self, plan: Plan, rows: Rows) -> Settled:
        """Add later events, with the one key of a plan; those without the key do not count."""
        new = small(replace(rows, items=None).take(np.flatnonzero(rows.keys[0] != NO_KEY)))
        every = Rows.joined([self.few, new])
        log = Log.of(every, 0, plan.together)
        sizes = np.diff(np.flatnonzero(log.starts), append=len(log))
        many = (np.repeat(sizes, sizes) > FEW) | (self.find(log.key) >= 0)
        added = Settled.summed(plan, log.part(many))
        return replace(self._plus(added, plan.session), few=every.take(log.order.compress(~many)))

    def _plus(self, later: Settled, session: int) -> Settled:
        """Add sums of later events. `session`: the longest gap within a session."""
        keys = different(np.sort(np.append(self.keys, later.keys), kind="stable"))
        old, new = (one.take(one.find(keys)) for one in (self, later))
        joined = {name: JOINED[name](old.arrays, new.arrays, name) for name in self.arrays if name in JOINED}
        if "begin" in self.arrays:
            earlier, later_ones = [old.arrays[one] for one in SESSION], [new.arrays[one] for one in SESSION[1:]]
            joined["begin"], joined["length"] = joined_sessions(earlier, later_ones, session)
        return Settled(keys, joined, self.few)

    def newest(self, most: int) -> Settled:
        """Keep the `most` values of the key whose last events are the newest; of equal ones those of larger keys."""
        few = self.few.keys[0]
        last = np.append(few[1:] != few[:-1], True)[: len(few)]  # since they are sorted
        keys = np.append(self.keys, few.compress(last))
        if len(keys) <= most:
            return self
        times = np.append(self.arrays["time"], self.few.time.compress(last))
        kept = keys.take(np.lexsort((keys, times))[len(keys) - most :])
        left = self.take(np.flatnonzero(np.isin(self.keys, kept)))
        return replace(left, few=self.few.take(np.flatnonzero(np.isin(few, kept))))


def nothing(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return what an array of some shape holds of no events, in the memory of one number; it is not written to."""
    return np.ndarray(shape, dtype, np.array(NOTHING[name], dtype), strides=(0,) * len(shape))


def small(rows: Rows) -> Rows:
    """Hold values in a type that takes less memory."""
    return replace(rows, values=rows.values.astype(np.int16, copy=False))


@dataclass(frozen=True)
class Ends:
    """A log of events and, of each value of its key, the place of the `first` event, (V,)."""

    plan: Plan
    log: Log
    first: np.ndarray

    @property
    def end(self) -> np.ndarray:
        """The place of each value's last event, (V,)."""
        return np.asarray(np.append(self.first[1:], len(self.log)) - 1)

    def sum(self, terms: np.ndarray) -> np.ndarray:
        """Sum terms, (n,), by value, (V,) int64."""
        return np.asarray(np.add.reduceat(terms, self.first, dtype=np.int64))

    def by_outcome(self, of: Callable[[int], np.ndarray]) -> np.ndarray:
        """Stack what a function returns for each outcome, (V, ...) each, as (V, M, ...)."""
        found = [of(column) for column in range(len(self.plan.outcomes))]
        return np.stack(found, axis=1) if found else np.zeros((len(self.first), 0), np.int64)

    def time(self) -> np.ndarray:
        return self.log.time.take(self.end)

    def count(self) -> np.ndarray:
        return np.asarray(self.end - self.first + 1)

    def sums(self) -> np.ndarray:
        return self.by_outcome(lambda column: self.sum(self.log.values(column)))

    def known(self) -> np.ndarray:
        return self.by_outcome(lambda column: self.sum(self.log.known(column)))

    def block(self) -> np.ndarray:
        blocks = [growth(self.time(), half_life)[0] for half_life in self.plan.half_lives]
        return np.stack(blocks, axis=1) if blocks else np.zeros((len(self.first), 0), np.int64)

    def decayed(self) -> np.ndarray:
        columns = range(len(self.plan.outcomes))
        terms = [self.log.event, *map(self.log.values, columns), *map(self.log.known, columns)]
        found = np.zeros((len(self.first), len(self.plan.half_lives), 2, len(terms)), np.int64)
        for place, half_life in enumerate(self.plan.half_lives):
            block, growths = growth(self.log.time, half_life)
            newest = np.repeat(block.take(self.end), self.count())
            for back in range(2):
                counted = np.where(block == newest - back, growths, 0)
                found[:, place, back] = np.stack([self.sum(counted * term) for term in terms], axis=1)
        return found

    def positive(self) -> np.ndarray:
        return self.by_outcome(
            lambda column: np.maximum.reduceat(
                np.where(self.log.values(column) > 0, self.log.time, NO_TIME), self.first
            )
        )

    def begin(self) -> np.ndarray:
        return self.log.time.take(self._session)

    def length(self) -> np.ndarray:
        return np.asarray(self.end - self._session + 1)

    @property
    def _session(self) -> np.ndarray:
        return session_begins(self.log.time, self.log.starts, self.plan.session).take(self.end)

    def last(self) -> np.ndarray:
        return self.by_outcome(self._last)

    def _last(self, column: int) -> np.ndarray:
        known, values = np.flatnonzero(self.log.known(column)), self.log.values(column)
        number = np.searchsorted(known, self.end, side="right")[:, None] - 1 - np.arange(self.plan.last)
        place = np.r_[known, -1][np.maximum(number, -1)]
        return np.where(place >= self.first[:, None], values[place], -1)


SUMS: dict[str, Callable[[Ends], np.ndarray]] = {
    "time": Ends.time, "count": Ends.count, "sums": Ends.sums, "known": Ends.known, "block": Ends.block,
    "decayed": Ends.decayed, "positive": Ends.positive, "begin": Ends.begin, "length": Ends.length, "last": Ends.last,
}  # fmt: skip


def _added(old: Arrays, new: Arrays, name: str) -> np.ndarray:
    return np.asarray(old[name] + new[name])


def _later(old: Arrays, new: Arrays, name: str) -> np.ndarray:
    return np.maximum(old[name], new[name])


def _decayed(old: Arrays, new: Arrays, name: str) -> np.ndarray:
    """Shift both sums to the newer block, then add them."""
    block = np.maximum(old["block"], new["block"])[..., None]
    shifted = [shifted_blocks(one["block"][..., None], np.moveaxis(one[name], 2, 0), block) for one in (old, new)]
    return np.stack([old_sums + new_sums for old_sums, new_sums in zip(*shifted, strict=True)], axis=2)


def shifted_blocks(block: np.ndarray, sums: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of wanted blocks, and of the blocks before them, from those of blocks that are not newer.

    block, wanted: (...); sums: (2, ...), of the block and of the one before.
    """
    own, before = sums
    same, one_older = block == wanted, block == wanted - 1
    return own * same, np.where(one_older, own, before * same)


def _last(old: Arrays, new: Arrays, name: str) -> np.ndarray:
    both = np.concatenate([new[name], old[name]], axis=2)
    order = np.argsort(both < 0, axis=2, kind="stable")[:, :, : new[name].shape[2]]
    return np.take_along_axis(both, order, axis=2)


JOINED: dict[str, Callable[[Arrays, Arrays, str], np.ndarray]] = {
    "time": _later, "count": _added, "sums": _added, "known": _added, "block": _later, "decayed": _decayed,
    "positive": _later, "last": _last,
}  # fmt: skip


def joined_sessions(
    earlier: Sequence[np.ndarray], later: Sequence[np.ndarray], limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return begin and length of the last session of earlier and later events.

    earlier: the time of the last event, then begin and length of the last session; later: begin and length. The later
    one goes on with the earlier one if it begins at most `limit` after its last event: it is then the first one.
    """
    (time, begin, length), (later_begin, later_length) = earlier, later
    one = (later_length == 0) | ((time != NO_TIME) & (later_begin - time <= limit))
    return np.where(one, begin, later_begin), np.where(one, length, 0) + later_length
