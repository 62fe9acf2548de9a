"""Statistics of the earlier events of a row's key, as numbers. n rows of the log, c chosen rows, M outcomes.

For a row of key v at time q: the events of v with t < q have happened, and outcome m is known of those with
t + delay_m < q. With S the sum and n the number of known outcomes, the prior p and smoothing s, a rate is
(S + s p) / (n + s); quantities are shares of their range. Times enter as seconds, numbers and times as log(1 + x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from automtl.histories.decay import decayed, growth
from automtl.histories.plan import SECOND, Kind, Outcome, Plan
from automtl.histories.rows import NO_KEY, Rows
from automtl.tables.values.times import NO_TIME


def inputs(plan: Plan, place: int, rows: Rows, state: None = None, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return the inputs, (c, W) float64, of a key, by its place in the plan, of all rows or of the chosen ones.

    chosen: (c,) numbers of different rows. Inputs are raw; `plan.names` tells what each is. A row's inputs depend on
    events of an earlier time alone.
    """
    past = Past.of(plan, place, rows, chosen)
    found = np.empty((len(past.at), len(plan.names(place))))
    columns = (column for kind in plan.keys[place].kinds for column in STATISTICS[kind](past))
    for number, column in enumerate(columns):
        found[past.into, number] = column
    return found


@dataclass(frozen=True)
class Past:
    """A log in the order of one key, then of time, and what the chosen rows of it may know.

    order: (n,); at: (c,) the places of the chosen rows in this order; into: (c,) where their inputs belong. All sorted
    arrays have a row of the log at each place; `first` is the place at which a row's key begins.
    """

    plan: Plan
    rows: Rows
    order: np.ndarray
    key: np.ndarray
    rank: np.ndarray
    at: np.ndarray
    into: np.ndarray

    @staticmethod
    def of(plan: Plan, place: int, rows: Rows, chosen: np.ndarray | None) -> Past:
        """Sort a log by a key."""
        key = rows.keys[place][rows.order]
        rank = np.argsort(key, kind="stable")
        order = rows.order[rank]
        if chosen is None:
            return Past(plan, rows, order, key[rank], rank, np.arange(len(order)), order)
        number = np.full(len(order), -1)
        number[chosen] = np.arange(len(chosen))
        into = number[order]
        at = np.flatnonzero(into >= 0)
        return Past(plan, rows, order, key[rank], rank, at, into[at])

    @cached_property
    def time(self) -> np.ndarray:
        return self.rows.time.take(self.order)

    @cached_property
    def now(self) -> np.ndarray:
        """Times of the chosen rows, (c,)."""
        return self.time.take(self.at)

    @cached_property
    def event(self) -> np.ndarray:
        """Which rows are events of the key, (n,)."""
        return self.rows.event.take(self.order) & (self.key != NO_KEY) & (self.time != NO_TIME)

    @cached_property
    def starts(self) -> np.ndarray:
        """Whether a key begins at a place, (n,)."""
        return changes(self.key)

    @cached_property
    def first(self) -> np.ndarray:
        return latest(self.starts)

    @cached_property
    def _visible(self) -> dict[int, np.ndarray]:
        return {}

    def visible(self, delay: int) -> np.ndarray:
        """Return the ends, (c,), of what the chosen rows know after a delay: of the places first ... end - 1."""
        if delay not in self._visible:
            self._visible[delay] = self._before() if delay == 0 else self._known(delay)
        return self._visible[delay]

    def _before(self) -> np.ndarray:
        return latest(self.starts | changes(self.time)).take(self.at)

    def _known(self, delay: int) -> np.ndarray:
        """Search, within a row's key, the first place whose outcome is not known by its time."""
        times = self.rows.time[self.rows.order]
        wanted = np.searchsorted(times, np.maximum(times, NO_TIME + delay) - delay)[self.rank[self.at]]
        first = self.first * (len(times) + 1)
        return np.searchsorted(first + self.rank, first.take(self.at) + wanted)

    def known(self, column: int) -> np.ndarray:
        """Return which rows are events with a known outcome, (n,)."""
        return self.event & self.rows.known[:, column].take(self.order)

    def values(self, column: int) -> np.ndarray:
        """Return the outcome's whole numbers, (n,), 0 where it is unknown."""
        return np.where(self.known(column), self.rows.values[:, column].take(self.order), 0)

    def total(self, terms: np.ndarray, delay: int) -> np.ndarray:
        """Sum the terms, (n,), that each chosen row knows of, (c,) int64."""
        sums = running(terms)
        return sums.take(self.visible(delay)) - sums.take(self.first.take(self.at))

    def all_time(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums as shares of the range, and the numbers, of the known outcomes of all time, (c,) each."""
        outcome = self.plan.outcomes[column]
        total = self.total(self.values(column), outcome.delay)
        return total / outcome.levels, self.total(self.known(column), outcome.delay).astype(np.float64)

    @cached_property
    def means(self) -> list[np.ndarray]:
        """The smoothed means of each outcome over all time, (c,) each."""
        smoothing = self.plan.smoothing
        found = []
        for column, outcome in enumerate(self.plan.outcomes):
            total, number = self.all_time(column)
            found.append((total + smoothing * outcome.share) / (number + smoothing))
        return found


def changes(values: np.ndarray) -> np.ndarray:
    """Tell where a value differs from the one before it, (n,); the first does."""
    found = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def latest(marked: np.ndarray) -> np.ndarray:
    """Return, for each place, the last place up to it that is marked, (n,); 0 if there is none."""
    return np.maximum.accumulate(np.where(marked, np.arange(len(marked)), 0))


def running(terms: np.ndarray) -> np.ndarray:
    """Return the sums, (n + 1,), of the terms before each place."""
    sums = np.zeros(len(terms) + 1, np.int64)
    np.cumsum(terms, out=sums[1:])
    return sums


def rates(past: Past) -> Iterator[np.ndarray]:
    """Yield the number of events, then the smoothed mean of each outcome."""
    yield np.log1p(past.total(past.event, 0))
    for outcome, mean in zip(past.plan.outcomes, past.means, strict=True):
        yield scored(mean, outcome)


def scored(mean: np.ndarray, outcome: Outcome) -> np.ndarray:
    """Turn the mean of a binary outcome into its logit."""
    if not outcome.binary:
        return mean
    safe = np.clip(mean, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def recent(past: Past) -> Iterator[np.ndarray]:
    """Yield, for each half-life, the decayed number of events, then the means, smoothed towards those of all time."""
    smoothing = past.plan.smoothing
    for half_life in past.plan.half_lives:
        blocks = Blocks.of(past, half_life)
        yield np.log1p(blocks.total(past.event, 0))
        for column, outcome in enumerate(past.plan.outcomes):
            total = blocks.total(past.values(column), outcome.delay) / outcome.levels
            number = blocks.total(past.known(column), outcome.delay)
            yield scored((total + smoothing * past.means[column]) / (number + smoothing), outcome)


@dataclass(frozen=True)
class Blocks:
    """The decay of one half-life: the growth of each row, (n,), and where its block and the one before begin, (c,)."""

    past: Past
    growths: np.ndarray
    own: np.ndarray
    before: np.ndarray

    @staticmethod
    def of(past: Past, half_life: int) -> Blocks:
        """Cut a log into the blocks of a half-life."""
        block, growths = growth(past.time, half_life)
        own = latest(past.starts | changes(block))
        last = np.maximum(own - 1, 0)  # place in the block before, if that has events
        adjacent = (own > past.first) & (block[last] == block - 1)
        before = np.where(adjacent, own[last], own)
        return Blocks(past, growths, own[past.at], before[past.at])

    def total(self, terms: np.ndarray, delay: int) -> np.ndarray:
        """Return the decayed sums of the terms, (n,), that each chosen row knows of, (c,) float64."""
        sums, end = running(self.growths * terms), self.past.visible(delay)
        edge = np.minimum(end, self.own)
        here = sums[np.maximum(end, self.own)] - sums[self.own]
        return decayed(here, sums[np.maximum(edge, self.before)] - sums[self.before], self.growths[self.past.at])


def gaps(past: Past) -> Iterator[np.ndarray]:
    """Yield the time since the last event, then since the last known positive of each binary outcome."""
    yield gap(past, past.event, 0)
    for column, outcome in enumerate(past.plan.outcomes):
        if outcome.binary:
            yield gap(past, past.values(column) > 0, outcome.delay)


def gap(past: Past, marked: np.ndarray, delay: int) -> np.ndarray:
    """Return the time since the last marked row, (n,), that each chosen row knows of, (c,)."""
    last = last_marked(past, marked, delay)
    passed = np.where(last >= 0, past.now - past.time[last], past.plan.horizon)
    return seconds(np.minimum(passed, past.plan.horizon))


def last_marked(past: Past, marked: np.ndarray, delay: int) -> np.ndarray:
    """Return the place of the last marked row, (n,), that each chosen row knows of, (c,); -1 without one."""
    places = np.maximum.accumulate(np.where(marked, np.arange(len(marked)), -1))
    last = np.r_[-1, places][past.visible(delay)]
    return np.where(last >= past.first[past.at], last, -1)


def seconds(microseconds: np.ndarray) -> np.ndarray:
    """Return log(1 + seconds)."""
    return np.log1p(microseconds / SECOND)


def last_outcomes(past: Past) -> Iterator[np.ndarray]:
    """Yield the outcomes of the last known event, less the prior, of the one before it, and so on; 0 without one."""
    known = [np.flatnonzero(past.known(column)) for column in range(len(past.plan.outcomes))]
    ends = [
        np.searchsorted(places, past.visible(outcome.delay))
        for places, outcome in zip(known, past.plan.outcomes, strict=True)
    ]
    for back in range(1, past.plan.last + 1):
        for column, outcome in enumerate(past.plan.outcomes):
            places = np.r_[known[column], -1][np.maximum(ends[column] - back, -1)]
            share = past.values(column)[places] / outcome.levels - outcome.share
            yield np.where(places >= past.first[past.at], share, 0.0)


def session(past: Past) -> Iterator[np.ndarray]:
    """Yield the number of events in the session before a row, and the time since it began."""
    limit = past.plan.session
    events = np.flatnonzero(past.event)  # the e-th event's place
    time, number = past.time[events], running(past.event)[past.visible(0)]
    begin = latest(changes(past.first[events]) | (np.diff(time, prepend=0) > limit))
    last = last_marked(past, past.event, 0)
    inside = (last >= 0) & (past.now - past.time[last] <= limit)
    start = np.r_[begin, 0][np.where(inside, number - 1, -1)]
    yield np.log1p(np.where(inside, number - start, 0))
    yield seconds(np.where(inside, past.now - np.r_[time, 0][start], 0))


STATISTICS: dict[Kind, Callable[[Past], Iterator[np.ndarray]]] = {
    "rates": rates,
    "recent": recent,
    "gaps": gaps,
    "last": last_outcomes,
    "session": session,
}
