"""The last events of a row's key, one by one, as ids. c chosen rows, L positions, A items, M outcomes."""

from __future__ import annotations

from dataclasses import dataclass

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
_AGE_EDGES = ((1 << np.arange(1, AGES)) - 1) * SECOND


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
    past = Past.of(plan, every, 0, len(rows), chosen, Settled.nothing())
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

    def ids(self, chosen: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Return the ids of some rows, (A + M + 1, b, L) int32, oldest first, the newest event in the last position.

        Ids are the items' own, then those of each outcome (UNKNOWN, else 2 and 3 for 0 and 1, or 2 to 5 for the
        quarters of a quantity's range), then 1 + floor(log2(1 + seconds)) of the time since the event, at most AGES.
        Where there is no event all are 0.
        """
        places = self.end[chosen][:, None] - np.arange(self.length, 0, -1)
        given = places >= self.first[chosen][:, None]
        places = np.where(given, places, 0)
        items = np.zeros((0, len(self.events)), np.int32) if self.events.items is None else self.events.items
        found = np.zeros((len(items) + len(self.plan.outcomes) + 1, *places.shape), np.int32)
        if len(self.events):
            age = self.now[chosen][:, None] - self.events.time.take(places)
            parts = [*(item.take(places) for item in items), *self._outcomes(places, age)]
            for into, part in zip(found, parts, strict=True):
                np.copyto(into, part, where=given, casting="same_kind")
        return found

    def _outcomes(self, places: np.ndarray, age: np.ndarray) -> list[np.ndarray]:
        codes = [self._codes(column, outcome, places, age) for column, outcome in enumerate(self.plan.outcomes)]
        return [*codes, 1 + np.searchsorted(_AGE_EDGES, age, side="right")]

    def _codes(self, column: int, outcome: Outcome, places: np.ndarray, age: np.ndarray) -> np.ndarray:
        levels = 2 if outcome.binary else QUARTERS
        value = np.minimum(self.events.values[:, column] * levels // (outcome.levels + outcome.binary), levels - 1)
        known = self.events.known[:, column].take(places) & (age > outcome.delay)
        return np.where(known, UNKNOWN + 1 + value.take(places), UNKNOWN)
