"""What is known at the end of a log: settled numbers of each key, and the events that are still pending.

An event is settled once every outcome of it is known to all rows from the newest event on: t + delay < newest, with the
longest delay. Until then it is pending and kept as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from automtl.errors import EncodingError, FileError
from automtl.histories.live import LiveView
from automtl.histories.log import Log
from automtl.histories.plan import Plan
from automtl.histories.rows import NO_KEY, Rows
from automtl.histories.settled import Settled, kind_of, may_be, shapes, small
from automtl.histories.sorting import places_of
from automtl.tables.values.times import NO_TIME

Arrays = dict[str, np.ndarray]
MISSING = -1  # an outcome that is not known, in files


@dataclass(frozen=True)
class Taken:
    """How many events an update took in, and how many it left out: late ones and repeated ones.

    `dropped`: values of keys that had to go, since there may be `max_keys` of each key. `keys`: of target
    encodings that took the events; these cannot know late or repeated ones.
    """

    events: int
    late: int
    repeated: int
    dropped: int
    keys: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class State:
    """The end of a log: what all rows after it may know of it.

    newest: time of the newest event, NO_TIME without one; settled: one a key; pending: events by time and identity;
    recent: the last settled events of each value of the sequence's key, as many as a sequence is long; live: further
    pending events of a log that still grows, which are in no file.
    """

    newest: int
    settled: tuple[Settled, ...]
    pending: Rows
    recent: Rows
    live: LiveView | None = None
    _orders: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, init=False, compare=False)

    @staticmethod
    def empty(plan: Plan) -> State:
        """Return what is known before any event."""
        pending, recent = (Rows.empty(keys, len(plan.outcomes)) for keys in (len(plan.keys), 1))
        return State(NO_TIME, tuple(Settled.empty(plan, place) for place in range(len(plan.keys))), pending, recent)

    def update(self, plan: Plan, rows: Rows) -> tuple[State, Taken]:
        """Take in later events; returns the new state, which does not depend on their order.

        Events older than the newest one are late, and those that are equal to a taken event of the newest time are
        repeated; both are left out.
        """
        late, repeated = self._late(rows), self._repeated(rows)
        new = rows.take(np.flatnonzero(~late & ~repeated)).events()
        newest = max(self.newest, int(new.time.max(initial=NO_TIME)))
        every = Rows.joined([self.pending, new])
        every = every.take(every.order(plan.together))  # once for all keys
        state, dropped = self.settle(plan, every.take(every.settled(newest, plan.delay)))
        pending = every.take(every.pending(newest, plan.delay))
        pending = small(pending.take(pending.sorted(pending.identity)))
        left = [int(np.count_nonzero(rows.event & one)) for one in (late, repeated)]
        state = State(newest, state.settled, pending, state.recent)
        return state, Taken(len(new), left[0], left[1], dropped)

    def narrowed(self, plan: Plan, narrow: Plan) -> State:
        """Return what the state of a plan says for a plan of fewer keys, kinds or no sequence."""
        places = [[one.key for one in plan.keys].index(one.key) for one in narrow.keys]
        settled = tuple(
            replace(self.settled[old], arrays={name: self.settled[old].arrays[name] for name in shapes(narrow, new)})
            for new, old in enumerate(places)
        )
        recent, pending = self.recent, replace(self.pending, keys=self.pending.keys[places])
        if narrow.sequence is None:
            recent, pending = Rows.empty(1, len(plan.outcomes)), replace(pending, items=None)
        return State(self.newest, settled, pending, recent)

    def to_arrays(self) -> Arrays:
        """Return all that the state holds as arrays by name, for a file."""
        found = {"newest": np.array([self.newest])}
        for place, one in enumerate(self.settled):
            found |= {f"{place}.{name}": array for name, array in {"keys": one.keys, **one.arrays}.items()}
            found |= _events(f"{place}.few", one.few)
        return found | _events("pending", self.pending) | _events("recent", self.recent)

    @staticmethod
    def from_arrays(plan: Plan, arrays: Arrays) -> State:
        """Return the state of which `to_arrays` gave these. Raises FileError that names an array that cannot be so."""
        left = dict(arrays)
        newest = _checked(left, "newest", np.int64, (1,))
        settled = []
        for place in range(len(plan.keys)):
            keys = _checked(left, f"{place}.keys", np.int64, (None,))
            _require((keys[1:] > keys[:-1]).all() and (keys != NO_KEY).all(), f"{place}.keys", "does not rise")
            names = {name: (len(keys), *shape) for name, shape in shapes(plan, place).items()}
            found = {name: _checked(left, f"{place}.{name}", kind_of(name), shape) for name, shape in names.items()}
            for name, array in found.items():
                _require(may_be(name, array, int(newest[0])), f"{place}.{name}", "is out of range")
            few = _rows(plan, left, f"{place}.few", 1)
            _require((few.keys[0][1:] >= few.keys[0][:-1]).all(), f"{place}.few.keys", "does not rise")
            settled.append(Settled(keys, found, few))
        pending, recent = _rows(plan, left, "pending", len(plan.keys)), _rows(plan, left, "recent", 1)
        every = {"pending": pending, "recent": recent, **{f"{at}.few": one.few for at, one in enumerate(settled)}}
        for name, rows in every.items():
            _require(may_be("time", rows.time, int(newest[0])), f"{name}.time", "is out of range")
        for name in left:
            _require(False, name, "is unknown")
        return State(int(newest[0]), tuple(settled), pending, recent)

    def before(self, plan: Plan, place: int, rows: Rows) -> Rows:
        """Return the events of the keys of the rows that are not summed up, then the rows.

        Rows that are repeated are no events. Raises EncodingError for a row that is older than the newest event.
        """
        few, later = self.settled[place].few, self._with_pending(plan, place, rows)
        places = places_of(rows.keys[place], few.keys[0])
        if len(places) == 0:
            return later
        few = few.take(places)
        return Rows.joined([replace(few, keys=np.broadcast_to(few.keys, (len(rows.keys), len(few)))), later])

    def _with_pending(self, plan: Plan, place: int, rows: Rows) -> Rows:
        self._require_later(rows)
        if rows.event.any():
            event = np.zeros(len(rows), bool) if plan.frozen else rows.event & ~self._repeated(rows)
            rows = replace(rows, event=event)
        order, keys = self._pending_by_key(place)
        places = places_of(rows.keys[place], keys)
        pending = [self.pending.take(order.take(places))] if len(places) else []
        pending += [] if self.live is None else [self.live.of(place, rows.keys[place])]
        return Rows.joined([*pending, rows])

    def _pending_by_key(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of the pending events by a key, and this key; it is kept."""
        if place not in self._orders:
            order = np.argsort(self.pending.keys[place], kind="stable")
            self._orders[place] = order, self.pending.keys[place].take(order)
        return self._orders[place]

    def recently(self, plan: Plan, rows: Rows) -> Rows:
        """Return the events that the sequences of the rows may hold, then the rows, with the sequence's key alone.

        Raises EncodingError for a row that is older than the newest event.
        """
        assert plan.sequence is not None
        place, _ = plan.sequence
        recent = self.recent.take(places_of(rows.keys[place], self.recent.keys[0]))
        return Rows.joined([recent, self._with_pending(plan, place, rows).only(place)])

    def _require_later(self, rows: Rows) -> None:
        early = np.flatnonzero(self._late(rows))
        if len(early):
            raise EncodingError(
                f"row {early[0] + 1} is of {moment(int(rows.time[early[0]]))}, before the newest event that the "
                f"model's histories know, of {moment(self.newest)}; give later rows, or replay a log with --history"
            )

    def _late(self, rows: Rows) -> np.ndarray:
        return np.asarray(rows.time != NO_TIME) & (rows.time < self.newest)

    def _repeated(self, rows: Rows) -> np.ndarray:
        found = np.asarray((rows.time == self.newest) & (rows.time != NO_TIME))
        if found.any():
            taken, here = (one.take(np.flatnonzero(one.time == self.newest)) for one in (self.pending, rows))
            found[found] = np.isin(here.identity, taken.identity)
        return found

    def settle(self, plan: Plan, rows: Rows) -> tuple[State, int]:
        """Add events, all of which are later than those that are settled; also returns how many keys were dropped."""
        every = [one.then(plan.only(place), rows.only(place)) for place, one in enumerate(self.settled)]
        kept = tuple(one.newest(plan.max_keys) for one in every)
        dropped = sum(len(one.every_key) - len(left.every_key) for one, left in zip(every, kept, strict=True))
        if plan.sequence is None:
            return replace(self, settled=kept), dropped
        place, length = plan.sequence
        recent = Rows.joined([self.recent, rows.only(place)])
        recent = recent.take(np.flatnonzero(kept[place].holds(recent.keys[0])))
        return replace(self, settled=kept, recent=small(_last_of_each(plan, recent, length))), dropped


def _require(holds: bool | np.bool_, name: str, what: str) -> None:
    if not holds:
        raise FileError(f"array '{name}' of the model's histories {what}; restore the model's folder, or fit again")


def _checked(arrays: Arrays, name: str, kind: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """Take an array from others. shape: None where any size will do."""
    _require(name in arrays, name, "is missing")
    array = arrays.pop(name)
    same = array.ndim == len(shape) and all(
        size in (None, given) for size, given in zip(shape, array.shape, strict=True)
    )
    _require(array.dtype == kind and same, name, f"has type {array.dtype} and shape {array.shape}")
    return array


def _events(name: str, rows: Rows) -> Arrays:
    """Return the arrays of events; their outcomes have the narrower type that holds them."""
    outcomes = np.where(rows.known, rows.values, MISSING)
    outcomes = outcomes.astype(np.int8 if outcomes.max(initial=0) <= 1 else np.int16)
    found = {"time": rows.time, "keys": rows.keys, "outcomes": outcomes}
    found |= {} if rows.items is None else {"items": rows.items}
    return {f"{name}.{part}": array for part, array in found.items()}


def _rows(plan: Plan, arrays: Arrays, name: str, keys: int) -> Rows:
    """Take events from arrays."""
    time = _checked(arrays, f"{name}.time", np.int64, (None,))
    size, outcomes = len(time), len(plan.outcomes)
    narrow = arrays.get(f"{name}.outcomes", time).dtype == np.int8
    values = _checked(arrays, f"{name}.outcomes", np.int8 if narrow else np.int16, (size, outcomes))
    levels = np.array([outcome.levels for outcome in plan.outcomes], np.int64)
    _require(((values >= MISSING) & (values <= levels)).all(), f"{name}.outcomes", "is out of range")
    known = values != MISSING
    items = f"{name}.items"
    return Rows(
        time,
        _checked(arrays, f"{name}.keys", np.int64, (keys, size)),
        np.where(known, values, 0).astype(np.int16),
        known,
        np.ones(size, np.bool_),
        _checked(arrays, items, np.int32, (None, size)) if items in arrays else None,
    )


def _last_of_each(plan: Plan, events: Rows, length: int) -> Rows:
    """Keep the last events of each value of their one key, in the order of key and time."""
    log = Log.of(events, 0, plan.together, items=True)
    ends = np.append(np.flatnonzero(log.starts)[1:], len(log))
    after = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(log))
    return events.take(log.order.compress(after <= length))


def moment(time: int) -> str:
    """Write a time, in microseconds since 1970, for people."""
    return str(np.datetime64(time, "us")).replace("T", " ")
