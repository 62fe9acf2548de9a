"""Statistics of the earlier events of a row's key, as numbers. n rows of the log, c chosen rows, m of M outcomes.

For a row of key v at time q: the events of v with t < q have happened, and outcome m is known of those with
t + delay_m < q. With S the sum and n the number of known outcomes, the prior p and smoothing s, a rate is
(S + s p) / (n + s); quantities are shares of their range. Times enter as seconds, numbers and times as log(1 + x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from automtl.histories.decay import decayed, growth
from automtl.histories.log import Log, session_begins
from automtl.histories.plan import SECOND, Kind, Outcomes, Plan
from automtl.histories.rows import Rows
from automtl.histories.settled import SESSION, Settled, joined_sessions, shifted_blocks
from automtl.histories.sorting import changes, latest, running
from automtl.histories.state import State
from automtl.tables.values.times import NO_TIME

FEW_ROWS = 1 << 10  # of a log whose outcomes are worked on together, since the number of calls takes the time then


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
    blocks = (block for kind in plan.keys[place].kinds for block in STATISTICS[kind](past))
    found = np.empty((plan.widths[place], len(past.into)), np.float32)
    columns = (column for block in blocks for column in (block if block.ndim == 2 else block[None]))
    if len(past.log) <= FEW_ROWS and len(found):
        found[:, past.into] = np.stack(list(columns))
    else:
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
    def happened(self) -> bool:
        """Tell whether there is any event in the log itself."""
        return bool(self.log.event.any())

    @cached_property
    def settled_before(self) -> bool:
        """Tell whether a state holds anything of the keys of the chosen rows."""
        return len(self.settled.keys) > 0 and bool((self._slots >= 0).any())

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

    @cached_property
    def outcomes(self) -> tuple[Outcomes, ...]:
        """All outcomes, in parts that are worked on together."""
        return self.plan.alike if len(self.log) <= FEW_ROWS else self.plan.alone

    def total(self, terms: np.ndarray, delay: int) -> np.ndarray:
        """Sum the terms, (..., n), that each chosen row knows of, (..., c) int64; those of events only once."""
        return self.once(self._events, delay)[0] if terms is self.log.event else self._sum(terms, delay)

    def _events(self, delay: int) -> tuple[np.ndarray]:
        return (self._sum(self.log.event, delay),)

    def _sum(self, terms: np.ndarray, delay: int) -> np.ndarray:
        sums = running(terms)
        return np.asarray(sums.take(self.visible(delay), axis=-1) - sums.take(self.first, axis=-1))

    def last(self, marked: np.ndarray, delay: int) -> np.ndarray:
        """Return the place of the last marked row, (..., n), that each chosen row knows of, (..., c); -1 without."""
        places = latest(marked, none=-1).take(self.visible(delay) - 1, axis=-1, mode="clip")
        return np.where((places >= self.first) & (self.visible(delay) > 0), places, -1)

    def sums(self, outcomes: Outcomes) -> tuple[np.ndarray, ...]:
        """Return the sums of outcomes over all time, and of how many events each is known, (m, c)."""
        name = ("sums", outcomes.columns.start)
        if name not in self._found:
            columns, delay = outcomes.columns, outcomes.delay
            total = number = np.zeros((len(outcomes.levels), len(self.now)), np.int64)
            if self.happened:
                total = total + self.total(self.log.values_of(columns), delay)
                number = number + self.total(self.log.known_of(columns), delay)
            if self.settled_before:
                total, number = total + self.held("sums", columns).T, number + self.held("known", columns).T
            self._found[name] = total / outcomes.levels, number
        return self._found[name]

    def mean(self, outcomes: Outcomes, smoothing: float) -> np.ndarray:
        """Return the smoothed means of outcomes over all time, (m, c)."""
        total, number = self.sums(outcomes)
        return np.asarray((total + smoothing * outcomes.shares) / (number + smoothing))


def rates(past: Past) -> Iterator[np.ndarray]:
    """Yield the number of events, then the mean of each outcome, for each smoothing."""
    count = past.total(past.log.event, 0) if past.happened else np.zeros(len(past.now), np.int64)
    yield np.log1p(count + past.held("count") if past.settled_before else count)
    for smoothing in past.plan.smoothings:
        for outcomes in past.outcomes:
            yield scored(past.mean(outcomes, smoothing), outcomes)


def scored(mean: np.ndarray, outcomes: Outcomes) -> np.ndarray:
    """Turn the means of binary outcomes into their logits."""
    if not outcomes.binary:
        return mean
    safe = np.clip(mean, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def recent(past: Past) -> Iterator[np.ndarray]:
    """Yield, for each half-life, the decayed number of events, then the means, smoothed towards those of all time."""
    smoothing, size = past.plan.smoothings[0], len(past.plan.outcomes)
    for place in range(len(past.plan.half_lives)):
        blocks = Blocks.of(past, place)
        yield np.log1p(blocks.total(lambda: past.log.event, 0, slice(1))[0])
        for outcomes in past.outcomes:
            columns, delay = outcomes.columns, outcomes.delay
            values, known = (slice(first + columns.start, first + columns.stop) for first in (1, 1 + size))
            total = blocks.total(partial(past.log.values_of, columns), delay, values) / outcomes.levels
            number = blocks.total(partial(past.log.known_of, columns), delay, known)
            yield scored((total + smoothing * past.mean(outcomes, smoothing)) / (number + smoothing), outcomes)


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

    def total(self, terms: Callable[[], np.ndarray], delay: int, columns: slice) -> np.ndarray:
        """Return the decayed sums of the terms, (m, n) or (n,), that each chosen row knows of, (m, c) float64.

        columns: where the state's sums of the same terms stand.
        """
        past, size = self.past, columns.stop - (columns.start or 0)
        own = before = np.zeros((size, len(past.now)), np.int64)
        if past.happened:
            given = terms()
            same = given is past.log.event
            more = past.once(self._events, self.place, delay) if same else self._sums(given, delay)
            own, before = own + more[0], before + more[1]
        if past.settled_before:
            block = past.held("block", self.place)
            held = past.held("decayed", self.place, slice(None), columns).transpose(1, 2, 0)  # (2, m, c)
            more = shifted_blocks(block, held, past.chosen(self.block))
            own, before = own + more[0], before + more[1]
        return decayed(own, before, past.chosen(self.growths))

    def _events(self, _: int, delay: int) -> tuple[np.ndarray, ...]:
        return self._sums(self.past.log.event, delay)

    def _sums(self, terms: np.ndarray, delay: int) -> tuple[np.ndarray, ...]:
        sums = running(self.growths * terms)
        ends, edges = self.past.once(self._spans, self.place, delay)
        own, before = self.own, self.before
        return sums.take(ends, -1) - sums.take(own, -1), sums.take(edges, -1) - sums.take(before, -1)

    def _spans(self, _: int, delay: int) -> tuple[np.ndarray, ...]:
        """Return the ends of what is known of a row's own block and of the one before, (c,) each."""
        end = self.past.visible(delay)
        return np.maximum(end, self.own), np.maximum(np.minimum(end, self.own), self.before)


def gaps(past: Past) -> Iterator[np.ndarray]:
    """Yield the time since the last event, then since the last known positive of each binary outcome."""
    yield gap(past, lambda: past.log.event, 0, past.held("time"))
    for outcomes in past.outcomes:
        if outcomes.binary:
            positive = partial(_positive, past.log, outcomes.columns)
            yield gap(past, positive, outcomes.delay, past.held("positive", outcomes.columns).T)


def _positive(log: Log, columns: slice) -> np.ndarray:
    return np.asarray(log.values_of(columns) > 0)


def gap(past: Past, marked: Callable[[], np.ndarray], delay: int, settled: np.ndarray) -> np.ndarray:
    """Return the time since the last marked row, (..., n), that each chosen row knows of, else since the settled one.

    settled: (..., c), as is what is returned.
    """
    time, horizon = settled, past.plan.horizon
    if past.happened:
        last = past.last(marked(), delay)
        time = np.where(last >= 0, past.log.time.take(last), settled)
    return seconds(np.where(time == NO_TIME, horizon, np.minimum(past.now - time, horizon)))


def seconds(microseconds: np.ndarray) -> np.ndarray:
    """Return log(1 + seconds)."""
    return np.log1p(microseconds / SECOND)


def last_outcomes(past: Past) -> Iterator[np.ndarray]:
    """Yield the outcomes of the last known event, less the prior, of the one before it, and so on; 0 without one."""
    shares = [share for outcomes in past.outcomes for share in last_shares(past, outcomes)]
    if shares:
        yield from np.concatenate(shares, axis=1)


def last_shares(past: Past, outcomes: Outcomes) -> Iterator[np.ndarray]:
    """Yield the last known shares of outcomes, less the prior, newest first, (L, m, c), of those that are known alike.

    L: how many the plan asks for.
    """
    known = past.log.known_of(outcomes.columns)
    if known.ndim == 2 and len(known) > 1:
        for alone in outcomes.alone():
            yield from last_shares(past, alone)
        return
    known = known[0] if known.ndim == 2 else known
    before = running(known)
    end = before.take(past.visible(outcomes.delay))  # among the known ones of the log
    given = end - before.take(past.first)
    back = np.arange(past.plan.last)[:, None]
    values = past.log.values_of(outcomes.columns).compress(known, axis=1) / outcomes.levels - outcomes.shares
    shares = np.append(values, np.zeros((len(values), 1)), axis=1)
    found = shares.take(np.where(back < given, end - 1 - back, -1), axis=1)  # (m, L, c)
    if past.settled_before:
        held = past.held("last", outcomes.columns).transpose(1, 2, 0)
        older = np.where(held >= 0, held / outcomes.levels[..., None] - outcomes.shares[..., None], 0.0)
        place = np.maximum(back - given, 0)
        found += np.where(back < given, 0.0, older[:, place, np.arange(len(given))])
    yield found.transpose(1, 0, 2)


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
