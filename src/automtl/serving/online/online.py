"""Histories that take in events while a model is served."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from automtl.errors import SettingsError
from automtl.features.histories import Histories
from automtl.predictor import Predictor
from automtl.serving.online.drafts import Recorded
from automtl.serving.online.events import Change, EventReader, packed, unpacked
from automtl.serving.online.ledger import Ledger
from automtl.serving.online.store import Store, open_store
from automtl.tables.durations import as_seconds

FLOOR = "floor"
UNSORTED = 1 << 13  # events that are found by a table of keys before all are sorted


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
        self._ledger, self._seen = Ledger.of(reader), 0
        self._now = self._ledger.histories()
        with self._lock:
            self._catch_up()
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
        if histories is None or histories.plan.frozen or not histories.plan.keys:
            raise SettingsError("the model has no histories that events could change; fit it on a table with a time")
        reader = EventReader(histories, predictor.encoder.vocabularies)
        return OnlineHistories(open_store(where), reader, int(as_seconds(wait) * 1e6), most)

    def record(self, events: Sequence[Mapping[str, Any]]) -> Recorded:
        """Keep events, all of them or none, and count them in what `histories` returns from now on.

        Each is a mapping: `event_id`; `row`, the columns of the event, labels included where they are known; or
        `labels`, those that are known now, of an event whose row came before or will come; `time`, when they were
        known. Raises an AutomtlError that names an event which cannot be read, FileError where nothing can be kept.
        """
        changes = self._reader.changes(events)
        with self._lock:
            self._catch_up()
            prepared = self._ledger.prepare(changes)
            if prepared.changes:
                number = self._store.append(packed([change.to_list() for change in prepared.changes]))
                if number == self._seen + 1:
                    self._ledger.commit(prepared)
                    self._seen, self._now = number, self._ledger.histories()
                else:  # another process was quicker
                    self._catch_up()
                self._tidy()
        return prepared.counts

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
        return replace(predictor, encoder=replace(predictor.encoder, histories=self.histories()))

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._store.close()

    def __enter__(self) -> OnlineHistories:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _catch_up(self) -> None:
        """Take in what the store has got since, by whomever."""
        batches = self._store.read(self._seen)
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
        if changes:
            self._ledger.commit(self._ledger.prepare(changes))

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
