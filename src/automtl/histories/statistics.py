"""Statistics of the earlier events of a row's key, as numbers. n rows of the log, c chosen rows, M outcomes.

For a row of key v at time q: the events of v with t < q have happened, and outcome m is known of those with
t + delay_m < q. With S the sum and n the number of known outcomes, the prior p and smoothing s, a rate is
(S + s p) / (n + s); quantities are shares of their range. Times enter as seconds, numbers and times as log(1 + x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from automtl.histories.decay import decayed, growth
from automtl.histories.log import Log, session_begins
from automtl.histories.plan import SECOND, Kind, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.settled import SESSION, Settled, joined_sessions, shifted_blocks
from automtl.histories.sorting import changes, latest, running
from automtl.histories.state import State
from automtl.tables.values.times import NO_TIME


def inputs(
    plan: Plan, place: int, rows: Rows, state: State | None = None, chosen: np.ndarray | None = None
) -> np.ndarray:
    """Return the inputs, (c, W) float32, of a key, by its place in the plan, of all rows or of the chosen ones.

    state: what is known of events before the rows. chosen: (c,) numbers of different rows. Inputs are raw; `plan.names`
    tells what each is. A row's inputs depend on events of an earlier time alone. Raises EncodingError for a row that is
    older than the state's newest event.
    """
    every = rows if state is None else state.before(plan, place, rows)
    settled = Settled.empty(plan, place) if state is None else state.settled[place]
    past = Past.of(plan, every, place, len(rows), chosen, settled)
    found = np.empty((len(plan.names(place)), len(past.into)), np.float32)
    columns = (column for kind in plan.keys[place].kinds for column in STATISTICS[kind](past))
    for into, column in zip(found, columns, strict=True):
        into[past.into] = column
    return found.T


@dataclass(frozen=True)
class Past:
    """A log in the order of one key, and what the chosen rows of it may know.

    at: (c,) the places of the chosen rows in the log, None for all; into: (c,) where their inputs belong; settled: what
    a state holds.
    """

    plan: Plan
    log: Log
    at: np.ndarray | None
    into: np.ndarray
    settled: Settled
    _found: dict[tuple[object, ...], tuple[np.ndarray, ...]] = field(default_factory=dict)

    @staticmethod
    def of(
        plan: Plan, rows: Rows, place: int, last: int, chosen: np.ndarray | None, settled: Settled, items: bool = False
    ) -> Past:
        """Sort rows by a key. `chosen`: numbers, (c,), among the `last` rows; None: all of these."""
        log = Log.of(rows, place, plan.together, items)
        if chosen is None and last == len(rows):
            return Past(plan, log, None, log.order, settled)
        chosen = np.arange(last) if chosen is None else chosen
        number = np.full(len(rows), -1)
        number[len(rows) - last + chosen] = np.arange(len(chosen))
        into = number.take(log.order)
        at = np.flatnonzero(into >= 0)
        return Past(plan, log, at, into.take(at), settled)

    def chosen(self, sorted_values: np.ndarray) -> np.ndarray:
        """Select what the chosen rows, (c,), have of sorted values, (n,)."""
        return sorted_values if self.at is None else sorted_values.take(self.at)

    @cached_property
    def now(self) -> np.ndarray:
        """Times of the chosen rows, (c,)."""
        return self.chosen(self.log.time)

    @cached_property
    def first(self) -> np.ndarray:
        """Places at which the keys of the chosen rows begin, (c,)."""
        return self.chosen(self.log.first)

    @cached_property
    def _slots(self) -> np.ndarray:
        found = self.settled.find(self.chosen(self.log.key))
        return np.where(self.now == NO_TIME, -1, found)  # a row without a time knows of no event

    def held(self, name: str, *index: int | slice) -> np.ndarray:
        """Return what a state holds of the keys of the chosen rows, (c, ...). `index`: of an array's further axes."""
        return self.settled.array(name, self._slots, *index)

    def once(self, find: Callable[..., tuple[np.ndarray, ...]], *given: int) -> tuple[np.ndarray, ...]:
        """Return what a function finds for these numbers, which it is asked only once."""
        name = (find.__qualname__, *given)
        if name not in self._found:
            self._found[name] = find(*given)
        return self._found[name]

    def visible(self, delay: int) -> np.ndarray:
        """Return the ends, (c,), of what the chosen rows know after a delay: of the places first ... end - 1."""
        return self.once(self._known if delay else self._before, delay)[0]

    def _before(self, _: int) -> tuple[np.ndarray]:
        return (self.chosen(latest(self.log.starts | changes(self.log.time))),)

    def _known(self, delay: int) -> tuple[np.ndarray]:
        """Search, within a row's key, the first place whose outcome is not known by its time."""
        log = self.log
        times = log.rows.time.take(log.by_time)
        wanted = np.searchsorted(times, np.maximum(times, NO_TIME + delay) - delay).take(self.chosen(log.rank))
        size = len(log) + 1
        return (np.searchsorted(log.first * size + log.rank, self.first * size + wanted),)

    def total(self, terms: np.ndarray, delay: int) -> np.ndarray:
        """Sum the terms, (n,), that each chosen row knows of, (c,) int64; those of events are summed only once."""
        return self.once(self._events, delay)[0] if terms is self.log.event else self._sum(terms, delay)

    def _events(self, delay: int) -> tuple[np.ndarray]:
        return (self._sum(self.log.event, delay),)

    def _sum(self, terms: np.ndarray, delay: int) -> np.ndarray:
        sums = running(terms)
        return np.asarray(sums.take(self.visible(delay)) - sums.take(self.first))

    def last(self, marked: np.ndarray, delay: int) -> np.ndarray:
        """Return the place of the last marked row, (n,), that each chosen row knows of, (c,); -1 without one."""
        places = np.r_[-1, latest(marked, none=-1)].take(self.visible(delay))
        return np.where(places >= self.first, places, -1)

    @cached_property
    def sums(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The sum of each outcome over all time, and of how many events it is known, (c,) each."""
        return [self._sums_of(column, outcome) for column, outcome in enumerate(self.plan.outcomes)]

    def _sums_of(self, column: int, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
        total = self.total(self.log.values(column), outcome.delay) + self.held("sums", column)
        number = self.total(self.log.known(column), outcome.delay) + self.held("known", column)
        return total / outcome.levels, number

    def mean(self, column: int, smoothing: float) -> np.ndarray:
        """Return an outcome's smoothed mean over all time, (c,)."""
        (total, number), share = self.sums[column], self.plan.outcomes[column].share
        return np.asarray((total + smoothing * share) / (number + smoothing))


def rates(past: Past) -> Iterator[np.ndarray]:
    """Yield the number of events, then the mean of each outcome, for each smoothing."""
    yield np.log1p(past.total(past.log.event, 0) + past.held("count"))
    for smoothing in past.plan.smoothings:
        for column, outcome in enumerate(past.plan.outcomes):
            yield scored(past.mean(column, smoothing), outcome)


def scored(mean: np.ndarray, outcome: Outcome) -> np.ndarray:
    """Turn the mean of a binary outcome into its logit."""
    if not outcome.binary:
        return mean
    safe = np.clip(mean, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def recent(past: Past) -> Iterator[np.ndarray]:
    """Yield, for each half-life, the decayed number of events, then the means, smoothed towards those of all time."""
    smoothing, size = past.plan.smoothings[0], len(past.plan.outcomes)
    for place in range(len(past.plan.half_lives)):
        blocks = Blocks.of(past, place)
        yield np.log1p(blocks.total(past.log.event, 0, 0))
        for column, outcome in enumerate(past.plan.outcomes):
            total = blocks.total(past.log.values(column), outcome.delay, 1 + column) / outcome.levels
            number = blocks.total(past.log.known(column), outcome.delay, 1 + size + column)
            yield scored((total + smoothing * past.mean(column, smoothing)) / (number + smoothing), outcome)


@dataclass(frozen=True)
class Blocks:
    """The decay of one half-life, by its place: blocks and growths, (n,), and where the blocks of rows begin, (c,)."""

    past: Past
    place: int
    block: np.ndarray
    growths: np.ndarray
    own: np.ndarray
    before: np.ndarray

    @staticmethod
    def of(past: Past, place: int) -> Blocks:
        """Cut a log into the blocks of a half-life, given by its place."""
        block, growths = growth(past.log.time, past.plan.half_lives[place])
        own = latest(past.log.starts | changes(block))
        last = np.maximum(own - 1, 0)  # in the block before, if that has rows
        before = np.where((own > past.log.first) & (block.take(last) == block - 1), own.take(last), own)
        return Blocks(past, place, block, growths, past.chosen(own), past.chosen(before))

    def total(self, terms: np.ndarray, delay: int, column: int) -> np.ndarray:
        """Return the decayed sums of the terms, (n,), that each chosen row knows of, (c,) float64.

        column: where the state's sums of the same terms stand.
        """
        past = self.past
        own, before = (
            past.once(self._events, self.place, delay) if terms is past.log.event else self._sums(terms, delay)
        )
        if len(past.settled.keys):
            block, held = past.held("block", self.place), past.held("decayed", self.place, slice(None), column).T
            more = shifted_blocks(block, held, past.chosen(self.block))
            own, before = own + more[0], before + more[1]
        return decayed(own, before, past.chosen(self.growths))

    def _events(self, _: int, delay: int) -> tuple[np.ndarray, ...]:
        return self._sums(self.past.log.event, delay)

    def _sums(self, terms: np.ndarray, delay: int) -> tuple[np.ndarray, ...]:
        sums = running(self.growths * terms)
        ends, edges = self.past.once(self._spans, self.place, delay)
        return sums.take(ends) - sums.take(self.own), sums.take(edges) - sums.take(self.before)

    def _spans(self, _: int, delay: int) -> tuple[np.ndarray, ...]:
        """Return the ends of what is known of a row's own block and of the one before, (c,) each."""
        end = self.past.visible(delay)
        return np.maximum(end, self.own), np.maximum(np.minimum(end, self.own), self.before)


def gaps(past: Past) -> Iterator[np.ndarray]:
    """Yield the time since the last event, then since the last known positive of each binary outcome."""
    yield gap(past, past.log.event, 0, past.held("time"))
    for column, outcome in enumerate(past.plan.outcomes):
        if outcome.binary:
            yield gap(past, past.log.values(column) > 0, outcome.delay, past.held("positive", column))


def gap(past: Past, marked: np.ndarray, delay: int, settled: np.ndarray) -> np.ndarray:
    """Return the time since the last marked row, (n,), that each chosen row knows of, else since the settled one."""
    last, horizon = past.last(marked, delay), past.plan.horizon
    time = np.where(last >= 0, past.log.time.take(last), settled)
    return seconds(np.where(time == NO_TIME, horizon, np.minimum(past.now - time, horizon)))


def seconds(microseconds: np.ndarray) -> np.ndarray:
    """Return log(1 + seconds)."""
    return np.log1p(microseconds / SECOND)


def last_outcomes(past: Past) -> Iterator[np.ndarray]:
    """Yield the outcomes of the last known event, less the prior, of the one before it, and so on; 0 without one."""
    shares = [last_shares(past, column) for column in range(len(past.plan.outcomes))]
    for back in range(past.plan.last):
        for by_back in shares:
            yield by_back[back]


def last_shares(past: Past, column: int) -> list[np.ndarray]:
    """Return the last known shares of an outcome, less the prior, newest first, (c,) each."""
    outcome, known = past.plan.outcomes[column], past.log.known(column)
    before = running(known)
    end = before.take(past.visible(outcome.delay))  # among the known ones of the log
    given = end - before.take(past.first)
    shares = np.append(past.log.values(column).compress(known) / outcome.levels - outcome.share, 0.0)
    found = [shares.take(np.where(back < given, end - 1 - back, -1)) for back in range(past.plan.last)]
    if len(past.settled.keys):
        held = past.held("last", column)
        older = np.where(held >= 0, held / outcome.levels - outcome.share, 0.0)
        for back, share in enumerate(found):
            place = np.maximum(back - given, 0)[:, None]
            share += np.where(back < given, 0.0, np.take_along_axis(older, place, axis=1)[:, 0])
    return found


def session(past: Past) -> Iterator[np.ndarray]:
    """Yield the number of events in the session before a row, and the time since it began."""
    limit = past.plan.session
    events = np.flatnonzero(past.log.event)
    time = np.r_[past.log.time.take(events), NO_TIME]
    starts = np.r_[changes(past.log.first.take(events)), True]
    number = running(past.log.event).take(past.visible(0))  # of the next event; the last one is before it
    given = past.last(past.log.event, 0) >= 0
    place = session_begins(time, starts, limit).take(np.where(given, number - 1, -1))
    later = time.take(place), np.where(given, number - place, 0)
    begin, length = joined_sessions([past.held(name) for name in SESSION], later, limit)
    last = np.where(given, time.take(number - 1), past.held("time"))
    inside = (last != NO_TIME) & (past.now - last <= limit)
    yield np.log1p(np.where(inside, length, 0))
    yield seconds(np.where(inside, past.now - begin, 0))


STATISTICS: dict[Kind, Callable[[Past], Iterator[np.ndarray]]] = {
    "rates": rates,
    "recent": recent,
    "gaps": gaps,
    "last": last_outcomes,
    "session": session,
}
