"""Histories that take in events while a model is served."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automtl.errors import AutomtlError, SettingsError
from automtl.features.histories import Histories
from automtl.histories.state import State
from automtl.predictor import Predictor
from automtl.serving.online.drafts import Recorded
from automtl.serving.online.events import Change, EventReader, packed, unpacked
from automtl.serving.online.ledger import Ledger, Prepared
from automtl.serving.online.snapshots import from_bytes, model_of, to_bytes
from automtl.serving.online.store import Store, open_store
from automtl.tables.durations import as_seconds

FLOOR = "floor"
UNSORTED = 1 << 13  # events that are found by a table of keys before all are sorted
BATCHES = 100_000  # after which a snapshot takes their place


@dataclass
class Post:
    """Changes that a thread waits for: what was made of them, or why they cannot be kept."""

    changes: list[Change]
    prepared: Prepared | None = None
    error: Exception | None = None
    done: bool = False

    def prepare(self, ledger: Ledger) -> None:
        """Read and judge the changes."""
        try:
            self.prepared = ledger.prepare(self.changes)
        except AutomtlError as error:
            self.error = error


class OnlineHistories:
    """The histories of a model and the events of a store, which several processes may share.

    `record` keeps events, then counts them; `histories` gives what is known now. Both may be called by many threads.

    >>> log = automtl.synthetic_log(rows=500, seed=0).with_row_index("moment")
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "encoder": {"prune_histories": False}}
    >>> roles = automtl.ColumnRoles(time="moment")
    >>> settings = automtl.read_settings(None, quick)
    >>> run = automtl.fit_table(log[:400], ["click"], roles=roles, settings=settings, out="runs/served")
    >>> from automtl.serving.online import OnlineHistories
    >>> with OnlineHistories.open("runs/served-events", automtl.Predictor.load("runs/served")) as online:
    ...     online.record([{"event_id": "a", "row": log.row(400, named=True)}]).events
    1
    """

    def __init__(self, store: Store, reader: EventReader, wait: int, most: int) -> None:
        self._store, self._reader, self._wait, self._most = store, reader, wait, most
        self._lock = threading.Lock()
        self._seen = self._saved = 0
        self._posts: deque[Post] = deque()
        self._close = weakref.finalize(self, store.close)
        with self._lock:
            self._load()
            self._tidy()

    @staticmethod
    def open(
        where: Path | str, predictor: Predictor, *, wait: str | float = "1h", most: int = 500_000
    ) -> OnlineHistories:
        """Open the events of a model: a folder, which is made where there is none, or a `redis://` address.

        wait: how long labels are waited for beyond the longest label delay, in the time of the log, as text or seconds;
        most: events that may still change, at most, where the label delay allows it. Raises SettingsError for a model
        without histories or with frozen ones, FileError where the store cannot be used.
        """
        histories = predictor.encoder.histories
        if histories is None or not OnlineHistories.suit(predictor):
            raise SettingsError("the model has no histories that events could change; fit it on a table with a time")
        reader = EventReader(histories, predictor.encoder.vocabularies)
        return OnlineHistories(open_store(where), reader, int(as_seconds(wait) * 1e6), most)

    @staticmethod
    def suit(predictor: Predictor) -> bool:
        """Tell whether events can change what a model knows: it has histories that do not end with its own log."""
        histories = predictor.encoder.histories
        return histories is not None and bool(histories.plan.keys) and not histories.plan.frozen

    def record(self, events: Sequence[Mapping[str, Any]]) -> Recorded:
        """Keep events, all of them or none, and count them in what `histories` returns from now on.

        Each is a mapping: `event_id`; `row`, the columns of the event, labels included where they are known; or
        `labels`, those that are known now, of an event whose row came before or will come; `time`, when they were
        known. Raises an AutomtlError that names an event which cannot be read, FileError where nothing can be kept.
        """
        post = Post(self._reader.changes(events))
        self._posts.append(post)
        with self._lock:
            while not post.done:
                self._record(self._next_posts())
        if post.error is not None:
            raise post.error
        assert post.prepared is not None
        return post.prepared.counts

    def _next_posts(self) -> list[Post]:
        """Take posts that wait, in their order, as long as they are of different events: they are kept together."""
        found, names = list[Post](), set[str]()
        while self._posts and names.isdisjoint(own := {one.event_id for one in self._posts[0].changes}):
            found.append(self._posts.popleft())
            names |= own
        return found

    def _record(self, posts: list[Post]) -> None:
        """Keep posts as one batch, and take them in."""
        try:
            self._catch_up()
            for post in posts:
                post.prepare(self._ledger)
            ready = [post.prepared for post in posts if post.prepared is not None]
            kept = [change.to_list() for one in ready for change in one.changes]
            if kept:
                self._keep(packed(kept), ready)
        except Exception as error:
            for post in posts:
                post.error = post.error or error
        finally:
            for post in posts:
                post.done = True

    def _keep(self, batch: bytes, ready: list[Prepared]) -> None:
        number = self._store.append(batch)
        if number == self._seen + 1:
            for one in ready:
                self._ledger.commit(one)
            self._seen, self._now = number, self._ledger.histories()
        else:  # another process was quicker
            self._catch_up()
        self._tidy()

    def histories(self) -> Histories:
        """Return the histories with all that was recorded, by other processes, too."""
        if self._lock.acquire(blocking=False):  # who holds it has just read what others wrote
            try:
                self._catch_up()
            finally:
                self._lock.release()
        return self._now

    def predictor(self, predictor: Predictor) -> Predictor:
        """Return a predictor whose rows have the histories that are known now."""
        return predictor.with_histories(self.histories())

    @property
    def open_events(self) -> int:
        """The number of events that may still change."""
        return len(self._ledger.events)

    @property
    def waiting(self) -> int:
        """The number of events that are not known, but labels of them are."""
        return len(self._ledger.waiting)

    @property
    def newest(self) -> int:
        """The time of the newest event, in microseconds since 1970."""
        return self._ledger.newest

    def state(self) -> State:
        """Return the state of all events, by the labels that are known now, as a model's folder holds it."""
        with self._lock:
            self._catch_up()
            return self._ledger.state()

    def save(self, *models: Histories) -> None:
        """Write a snapshot in place of all batches. models: histories of further folders that may go on from it."""
        with self._lock:
            self._catch_up()
            self._models += [model_of(replace(self._reader, histories=one)) for one in models]
            self._save()

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._close()

    def __enter__(self) -> OnlineHistories:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        """Begin with the snapshot, else with the model, and take in all batches since."""
        snapshot = self._store.snapshot()
        if snapshot is None:
            self._ledger, self._models, self._seen = Ledger.of(self._reader), [model_of(self._reader)], 0
        else:
            self._ledger, self._models = from_bytes(snapshot[1], self._reader)
            self._seen = snapshot[0]
        self._saved, self._now = self._seen, self._ledger.histories()
        self._take_in(self._store.read(self._seen))

    def _catch_up(self) -> None:
        """Take in what the store has got since, by whomever."""
        batches = self._store.read(self._seen)
        if batches and batches[0][0] > self._seen + 1:  # this process slept, and a snapshot stands for what it missed
            self._load()
        else:
            self._take_in(batches)

    def _take_in(self, batches: list[tuple[int, bytes]]) -> None:
        if not batches:
            return
        changes: list[Change] = []
        for _, content in batches:
            batch = unpacked(content)
            if isinstance(batch, dict):
                self._take(changes)
                self._ledger.raise_floor(batch[FLOOR])
                changes = []
            else:
                changes += [Change(*one) for one in batch]
        self._take(changes)
        self._seen, self._now = batches[-1][0], self._ledger.histories()

    def _take(self, changes: list[Change]) -> None:
        """Take in changes that were kept; one that this model cannot read is left out."""
        try:
            self._ledger.take(changes)
        except AutomtlError:
            if len(changes) == 1:
                return
            for one in changes:
                self._take([one])

    def _tidy(self) -> None:
        """Sort and settle events, once there are enough of them."""
        if self._ledger.live.unsorted < UNSORTED:
            return
        floor = self._ledger.wanted_floor(self._wait, self._most)
        if floor > self._ledger.floor:
            self._store.append(packed({FLOOR: floor}))
            self._catch_up()
        self._ledger.settle()
        self._now = self._ledger.histories()
        if self._seen - self._saved >= BATCHES:
            self._save()

    def _save(self) -> None:
        self._ledger.settle()
        self._store.save_snapshot(self._seen, to_bytes(self._ledger, self._models))
        self._saved = self._seen
