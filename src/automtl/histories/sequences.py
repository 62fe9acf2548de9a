"""The last events of a row's key, one by one, as ids. c chosen rows, L positions, A items, M outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from automtl.histories.plan import SECOND, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.settled import Settled
from automtl.histories.sorting import running
from automtl.histories.state import State
from automtl.histories.statistics import Past

UNKNOWN = 1  # id of an outcome that is not known
QUARTERS = 4
AGES = 31  # the largest id of an age
ROWS = 4096  # that are looked up at a time, so that temporaries stay in the cache


def aspects(plan: Plan) -> list[tuple[str, int]]:
    """Return the name and the number of ids, padding included, of each aspect of an event but its items."""
    outcomes = [(one.name, UNKNOWN + 1 + (2 if one.binary else QUARTERS)) for one in plan.outcomes]
    return [*outcomes, ("age", AGES + 1)]


def last_events(plan: Plan, rows: Rows, state: State | None = None, chosen: np.ndarray | None = None) -> LastEvents:
    """Find the last events, before each row or each chosen one, of the key of the plan's sequence.

    state: what is known of events before the rows. chosen: (c,) numbers of different rows. Raises EncodingError for a
    row that is older than the state's newest event.
    """
    assert plan.sequence is not None
    place, length = plan.sequence
    every = rows.only(place) if state is None else state.recently(plan, rows)
    past = Past.of(plan, every, 0, len(rows), chosen, Settled.nothing(), items=True)
    number, found = running(past.log.event), np.empty((3, len(past.into)), np.int64)
    found[:, past.into] = number.take(past.first), number.take(past.visible(0)), past.now
    events = every.take(past.log.order.compress(past.log.event))
    return LastEvents(plan, length, events, found[0], found[1], found[2])


@dataclass(frozen=True)
class LastEvents:
    """Events in the order of a key and of time and, of each chosen row, the `first` and the `end` of its own, (c,).

    now: (c,) times of the rows.
    """

    plan: Plan
    length: int
    events: Rows
    first: np.ndarray
    end: np.ndarray
    now: np.ndarray

    def ids(self, kinds: Sequence[type] = (), part: slice = slice(None)) -> list[np.ndarray]:
        """Return the ids of the rows, (c, L) of each aspect, oldest first, the newest event in the last position.

        kinds: the types of the items' ids; int32 where nothing is said. Ids are the items' own, then, as uint8, those
        of each outcome (UNKNOWN, else 2 and 3 for 0 and 1, or 2 to 5 for the quarters of a quantity's range), then 1 +
        floor(log2(1 + seconds)) of the time since the event, at most AGES. Where there is no event all are 0.
        """
        items = [] if self.events.items is None else list(self.events.items)
        codes = map(self._codes, range(len(self.plan.outcomes)), self.plan.outcomes)
        columns = [*(one.astype(kind) for one, kind in zip(items, kinds or repeat(np.int32), strict=False)), *codes]
        # What is looked up where there is no event follows the events.
        ends, times = [np.append(one, one.dtype.type(0)) for one in columns], np.append(self.events.time, 0)
        first, end, now = (one[part] for one in (self.first, self.end, self.now))
        found = [np.empty((len(now), self.length), kind) for kind in (*(one.dtype for one in ends), np.uint8)]
        for start in range(0, len(now), ROWS):
            some = slice(start, start + ROWS)
            places = end[some, None] - np.arange(self.length, 0, -1)
            places = np.where(places >= first[some, None], places, len(self.events))
            self._fill(places, now[some, None] - times.take(places), ends, [one[some] for one in found])
        return found

    def _fill(self, places: np.ndarray, age: np.ndarray, columns: Sequence[np.ndarray], into: list[np.ndarray]) -> None:
        """Write the ids of all aspects of events at some places and of some ages, (b, L)."""
        for one, column in zip(into, columns, strict=False):
            column.take(places, out=one, mode="clip")
        into[-1][:] = np.where(places < len(self.events), _age_ids(age), 0)
        outcomes = into[len(columns) - len(self.plan.outcomes) :]
        for one, outcome in zip(outcomes, self.plan.outcomes, strict=False):
            if outcome.delay:
                np.copyto(one, UNKNOWN, where=(age <= outcome.delay) & (one > 0))

    def _codes(self, column: int, outcome: Outcome) -> np.ndarray:
        """Return an outcome's id of each event, (n,), once it is known."""
        values, levels = self.events.values[:, column].astype(np.int64), 2 if outcome.binary else QUARTERS
        code = np.minimum(values * levels // (outcome.levels + outcome.binary), levels - 1)
        return np.where(self.events.known[:, column], UNKNOWN + 1 + code, UNKNOWN).astype(np.uint8)


def _age_ids(age: np.ndarray) -> np.ndarray:
    """Return the ids of ages in microseconds; the exponent of a number of 64 bits is the floor of its logarithm."""
    exponent: np.ndarray = (age / SECOND + 1.0).view(np.int64) >> 52
    return np.asarray(np.minimum(exponent - 1022, AGES))
