"""The ledger of a model's histories: what is settled, and the events that may still change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from automtl.features.histories import Histories
from automtl.histories.live import LiveEvents
from automtl.histories.rows import Rows
from automtl.histories.state import State
from automtl.serving.online.drafts import Draft, Drafts, Recorded
from automtl.serving.online.events import Change, EventReader, Row, packed, unpacked
from automtl.tables.values.times import NO_TIME

WAITING = 100_000  # events whose labels came before them, at most
NEWEST = 0.99  # quantile of the times of events that counts as the newest time, so that one wrong clock moves nothing


@dataclass(frozen=True)
class Prepared:
    """Changes that were read and judged. slots: of the events that the rows replace, or -1."""

    counts: Recorded
    changes: list[Change]
    rows: Rows
    names: list[str]
    bodies: list[bytes]
    slots: list[int]
    drafts: Drafts


class Ledger:
    """Events that may still change, in front of a state in which all others are settled.

    begin: the time of the newest event of the model's own log; accept: the time from which on events are taken; floor:
    the time from which on rows are scored. Settled are the events that are older than the floor by more than the
    longest label delay.
    """

    def __init__(self, reader: EventReader, base: State, begin: int, accept: int, floor: int) -> None:
        plan = reader.histories.plan
        self.reader, self.plan, self.scoring = reader, plan, replace(plan, frozen=True)
        self.base = replace(base, pending=Rows.empty(len(plan.keys), len(plan.outcomes)))
        self.begin, self.accept, self.floor, self.newest = begin, accept, floor, base.newest
        self.last = base.pending.take(np.flatnonzero(base.pending.time == begin))
        self.live = LiveEvents(base.pending if len(base.pending) else reader.rows([]))
        self.names: list[str] = [""] * len(self.live)  # of each live event; those of the model's own log have none
        self.events: dict[str, tuple[int, bytes]] = {}
        self.waiting: OrderedDict[str, Row] = OrderedDict()

    @staticmethod
    def of(reader: EventReader) -> Ledger:
        """Begin with the state of a model."""
        state = reader.histories.state
        return Ledger(reader, state, state.newest, state.newest, state.newest)

    @property
    def own(self) -> Rows:
        """The events of the model's own log that may still change."""
        alive = self.live.alive()
        return self.live.take(alive[[not self.names[slot] for slot in alive.tolist()]])

    def state(self) -> State:
        """Return the state that `State.update` makes of all events, by the labels that are known now."""
        rows, delay = self.live.take(self.live.alive()), self.plan.delay
        rows = rows.take(rows.order(self.plan.together))
        state, _ = self.base.settle(self.plan, rows.take(rows.settled(self.newest, delay)))
        pending = rows.take(rows.pending(self.newest, delay))
        return replace(state, newest=self.newest, pending=pending.take(pending.sorted(pending.identity)))

    def histories(self) -> Histories:
        """Return the histories as they are now. Rows that they are asked for are no events, labelled or not."""
        state = replace(self.base, newest=self.floor, live=self.live.view())
        return replace(self.reader.histories, plan=self.scoring, state=state)

    def find(self, name: str) -> Draft | None:
        """Return an event that may still change."""
        if name not in self.events:
            return None
        slot, body = self.events[name]
        known = unpacked(body)
        return Draft(known, known, slot)

    def prepare(self, changes: Sequence[Change], judged: bool = False) -> Prepared:
        """Read and judge changes; nothing is taken in yet. Raises an AutomtlError for a value that cannot be read.

        judged: new events were taken in once before.
        """
        drafts = Drafts.gather(changes, self.find, self.waiting)
        if drafts.early:
            self.reader.check([change.labels for change in drafts.early])
        touched = drafts.touched
        rows = self.reader.rows([draft.body for draft in touched.values()])
        new = np.array([draft.slot < 0 for draft in touched.values()], np.bool_)
        untimed = new & (rows.time == NO_TIME)
        late = new & ~untimed & (rows.time < self.accept) & (not judged)
        repeated = self._in_own_log(list(touched.values()), new & (rows.time == self.begin) & (not judged))
        here = np.flatnonzero(~(untimed | late | repeated))
        names, rows = [list(touched)[place] for place in here], rows.take(here)
        taken = [touched[name] for name in names]
        counts = Recorded(
            int(new.take(here).sum()), sum(len(one.changes) - (one.slot < 0) for one in taken),
            int(repeated.sum()) + drafts.repeated, int(late.sum()), int(untimed.sum()), len(drafts.early),
            self._late_labels(taken, rows.time),
        )  # fmt: skip
        kept = [*drafts.early, *(change for one in taken for change in one.changes)]
        slots, bodies = [one.slot for one in taken], [packed(one.body) for one in taken]
        return Prepared(counts, kept, rows, names, bodies, slots, drafts)

    def _in_own_log(self, drafts: Sequence[Draft], asked: np.ndarray) -> np.ndarray:
        """Tell which of the asked drafts, (n,) bool, are events that the model's own log ends with."""
        found = asked & (len(self.last) > 0)
        if found.any():
            first = self.reader.rows([drafts[place].first for place in np.flatnonzero(found).tolist()])
            found[found] = np.isin(first.identity, self.last.identity)
        return found

    def _late_labels(self, drafts: Iterable[Draft], times: np.ndarray) -> int:
        """Count the changes with a label that was known later than its delay after the event says."""
        delays = {one.name: one.delay for one in self.plan.outcomes}
        labels = [
            (id(change), change.time, time + delays.get(name, 0))
            for draft, time in zip(drafts, times.tolist(), strict=True)
            for name, change in draft.labels
        ]
        if not labels:
            return 0
        said = self.reader.moments([time for _, time, _ in labels])
        known = np.where(said == NO_TIME, self.newest, said)
        late = known > np.array([latest for _, _, latest in labels])
        return len({name for (name, _, _), one in zip(labels, late, strict=True) if one})

    def commit(self, prepared: Prepared) -> None:
        """Take in what was prepared since the last commit."""
        first = self.live.add(prepared.rows, [slot for slot in prepared.slots if slot >= 0])
        for slot, (name, body) in enumerate(zip(prepared.names, prepared.bodies, strict=True), first):
            self.events[name] = slot, body
        self.names += prepared.names
        self.newest = max(self.newest, int(prepared.rows.time.max(initial=NO_TIME)))
        for name in prepared.drafts.arrived:
            self.waiting.pop(name, None)
        self.waiting.update(prepared.drafts.waiting)
        while len(self.waiting) > WAITING:
            self.waiting.popitem(last=False)

    def take(self, changes: Sequence[Change], judged: bool = False) -> Recorded:
        """Read, judge and take in changes, as `prepare` does."""
        prepared = self.prepare(changes, judged)
        self.commit(prepared)
        return prepared.counts

    def wanted_floor(self, wait: int, most: int) -> int:
        """Return the time from which on rows should be scored, so that labels are waited for and memory is bounded.

        wait: microseconds beyond the longest label delay; most: how many events may still change.
        """
        times = np.sort(self.live.take(self.live.alive()).time)
        if not len(times):
            return self.floor
        newest = int(times[int(NEWEST * (len(times) - 1))])
        floor = newest - wait
        if len(times) > most:
            floor = max(floor, min(newest, int(times[len(times) - most]) + self.plan.delay))
        return max(self.floor, floor)

    def raise_floor(self, floor: int) -> None:
        """Let rows be scored from a time on; events that no such row could know less of may be settled."""
        self.floor = max(self.floor, floor)
        self.accept = max(self.accept, self.floor - self.plan.delay)

    def settle(self) -> int:
        """Sum up the events that cannot change any more, and sort the others; returns how many ids were dropped."""
        alive = self.live.alive()
        rows = self.live.take(alive)
        over = rows.time < self.floor - self.plan.delay
        old, left = rows.take(np.flatnonzero(over)), np.flatnonzero(~over)
        self.base, dropped = self.base.settle(self.plan, old.take(old.order(self.plan.together)))
        for slot in alive[over].tolist():
            self.events.pop(self.names[slot], None)
        self.names = [self.names[slot] for slot in alive[left].tolist()]
        self.live = LiveEvents(rows.take(left))
        for slot, name in enumerate(self.names):
            if name:
                self.events[name] = slot, self.events[name][1]
        return dropped
