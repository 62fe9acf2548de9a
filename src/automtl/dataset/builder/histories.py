"""Histories of the rows of a preparation, a bucket of keys at a time. N rows, W inputs of a key, L positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from automtl.dataset.builder.rows import FileRows, RecordFile, array_in
from automtl.dataset.builder.workdir import FileChunk, write_about
from automtl.features.chunk import ChunkColumns
from automtl.features.fitting import Fitted
from automtl.features.histories import (
    Histories,
    fit_spread,
    item_types,
    spread_rows,
    standardize,
)  # fmt: skip
from automtl.features.history_plan import Events, fit_plan, log_schema
from automtl.histories.buckets import (
    BucketedLog,
    Buckets,
    Scratch,
    bits_for,
    bucket_of,
    newest_of,
    settled_of,
    state_of,
)  # fmt: skip
from automtl.histories.plan import Plan
from automtl.histories.rows import NO_KEY, Rows, float_keys, joined_keys
from automtl.histories.sequences import aspects, last_events
from automtl.histories.state import State
from automtl.histories.statistics import inputs
from automtl.system.arrays import mapped_arrays, write_arrays
from automtl.system.threads import in_threads
from automtl.tables.roles import TRAIN, group_ids
from automtl.tables.schema import FieldKind, Schema
from automtl.tables.values.times import NO_TIME

STATE = "state.safetensors"
VALUES, KNOWN = "history.values", "history.known"  # arrays that are added to the chunks


@dataclass(frozen=True)
class KeyReader:
    """Reads keys and items from the codes of chunks. By place of the coded column: numbers or ids of each code."""

    columns: ChunkColumns
    numbers: Mapping[int, np.ndarray]
    ids: Mapping[int, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(rows: FileRows, plan: Plan) -> KeyReader:
        """Number all values of the fields of the plan's keys."""
        columns, names = rows.columns, {name for one in plan.keys for name in one.key}
        places = [columns.place(one) for one in columns.of(FieldKind.CATEGORICAL) if one.name in names]

        def numbered(place: int) -> np.ndarray:
            return np.concatenate([np.full(1, NO_KEY), *map(group_ids, rows.values(place))])

        return KeyReader(columns, dict(zip(places, in_threads(numbered, places), strict=True)))

    def key(self, chunk: FileChunk, key: tuple[str, ...]) -> np.ndarray:
        """Return the numbers, (n,) int64, that `key_numbers` gives."""
        return joined_keys([self._part(chunk, name) for name in key])

    def _part(self, chunk: FileChunk, name: str) -> np.ndarray:
        numeric = [one.name for one in self.columns.numeric]
        if name in numeric:
            return float_keys(chunk.array(f"number.{numeric.index(name)}"))
        place = self.columns.place((name,))
        return self.numbers[place].take(chunk.array(f"ids.{place}"))

    def items(self, chunk: FileChunk) -> np.ndarray | None:
        """Return the ids of the items, (A, n) int32; None where there are none to be read."""
        found = [ids.take(chunk.array(f"ids.{place}")) for place, ids in self.ids.items()]
        return np.stack(found).astype(np.int32, copy=False) if found else None


@dataclass(frozen=True)
class FileLogChunk:
    """A chunk of the working folder as one of a log."""

    chunk: FileChunk
    plan: Plan
    reader: KeyReader

    @property
    def happened(self) -> np.ndarray:
        """Which rows are events, (n,) bool."""
        return self.chunk.part == TRAIN if self.plan.frozen else np.ones(self.chunk.rows, np.bool_)

    def keys(self, place: int) -> np.ndarray:
        """Return the numbers of one key, (n,)."""
        return self.reader.key(self.chunk, self.plan.keys[place].key)

    def moments(self) -> np.ndarray:
        return np.where(self.happened, self.chunk.array("moment"), NO_TIME)

    def rows(self, places: Sequence[int]) -> Rows:
        chunk = self.chunk
        items = self.reader.items(chunk) if self.plan.sequence and self.plan.sequence[0] in places else None
        keys = np.stack([self.keys(place) for place in places])
        return Rows(chunk.array("moment"), keys, chunk.array(VALUES), chunk.array(KNOWN), self.happened, items)


@dataclass(frozen=True)
class KeyWork:
    """The work on one key. plan: of this key alone; types: of the ids of items."""

    rows: FileRows
    log: list[FileLogChunk]
    plan: Plan
    place: int
    newest: int
    types: list[type]

    def results(self, bits: int) -> KeyResults:
        """Find all in a step of the working folder, if that is not there yet; `bits` are those of its buckets then."""
        work, name = self.rows.work, f"histories.{self.place}"
        done = work.done(name)
        buckets = self._buckets(bits if done is None else done["bits"])
        if done is None:
            with work.step(name) as fresh:
                self._find(buckets, fresh)
                for one in fresh.glob("log.*"):
                    one.unlink()
                write_about(fresh, {"bits": bits})
        folder = work.folder / name
        raw, lists = self._files(folder)
        state = State.from_arrays(self.plan, mapped_arrays(folder / STATE))
        return KeyResults(buckets, raw.read(), None if lists is None else lists.read(), state)

    def _files(self, folder: Path) -> tuple[RecordFile, RecordFile | None]:
        """Return the files of raw inputs, (W,) float32 each, and of ids: (L,) of each aspect of the last events."""
        total = _total(self.rows)
        raw = RecordFile(folder / "raw", total, np.dtype((np.float32, (len(self.plan.names(0)),))))
        if self.plan.sequence is None:
            return raw, None
        kinds = enumerate([*self.types, *(np.uint8 for _ in aspects(self.plan))])
        record = np.dtype([(str(place), kind, (self.plan.sequence[1],)) for place, kind in kinds])
        return raw, RecordFile(folder / "lists", total, record)

    def _buckets(self, bits: int) -> Buckets:
        """Deal the rows of all chunks out."""
        name = f"history.bucket.{self.place}"

        def number(one: FileLogChunk) -> np.ndarray:
            one.chunk.add(name, bucket_of(one.keys(self.place), bits))
            return one.chunk.array(name)

        return Buckets(in_threads(number, self.log), bits)

    def _find(self, buckets: Buckets, folder: Path) -> None:
        """Work on one bucket after another: inputs, lists and the state at the end."""
        scratch = partial(_scratch, folder)
        read = [partial(one.rows, [self.place]) for one in self.log]
        log = BucketedLog.empty(buckets, read[0](), scratch)
        in_threads(lambda number: log.add(number, read[number]()), range(len(read)))
        raw, lists = self._files(folder)
        raw.begin()
        if lists is not None:
            lists.begin()

        def find(bucket: int) -> None:
            rows, start = log.rows(bucket), buckets.span(bucket).start
            raw.write(start, inputs(self.plan, 0, rows))
            if lists is not None:
                lists.write(start, _records(last_events(self.plan, rows).ids(self.types), lists.kind))
            write_arrays(_part(folder, bucket), settled_of(self.plan, rows, self.newest).to_arrays())

        self.rows.each("histories", find, range(len(buckets)))
        parts = [mapped_arrays(_part(folder, bucket)) for bucket in range(len(buckets))]
        write_arrays(folder / STATE, _joined(parts, scratch))


def _scratch(folder: Path, name: str, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Make an array in a file that goes at the end of the step."""
    return array_in(folder, f"log.{name}", shape, kind)


def _part(folder: Path, bucket: int) -> Path:
    """Name the file of the state of a bucket."""
    return folder / f"log.state.{bucket}"


def _records(arrays: Sequence[np.ndarray], kind: np.dtype[np.void]) -> np.ndarray:
    """Put arrays, (n, ...) each, side by side as (n,) records."""
    found = np.empty(len(arrays[0]), kind)
    for name, array in zip(kind.names or (), arrays, strict=True):
        found[name] = array
    return found


def _joined(parts: Sequence[dict[str, np.ndarray]], scratch: Scratch) -> dict[str, np.ndarray]:
    """Join the arrays of states of rising keys; all have the same newest event."""
    found = {"newest": parts[0]["newest"]}
    for name in parts[0].keys() - found.keys():
        own = [part[name] for part in parts]
        axis = int(own[0].ndim == 2 and name.endswith((".keys", ".items")))  # of the events
        shape = np.array(own[0].shape)
        shape[axis] = sum(one.shape[axis] for one in own)
        make = scratch if shape.all() else lambda _, *given: np.empty(*given)  # an empty file cannot be mapped
        into = make(name, tuple(shape.tolist()), np.result_type(*own))
        found[name] = np.concatenate(own, axis=axis, out=into)
    return found


@dataclass(frozen=True)
class KeyResults:
    """The inputs and states of one key. raw: (N, W) float32 in the order of buckets; lists: (N,) records, or None."""

    buckets: Buckets
    raw: np.ndarray
    lists: np.ndarray | None
    state: State

    def sampled(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return the raw inputs of some rows of each chunk."""
        places = [self.buckets.places(number).take(chosen) for number, chosen in enumerate(rows)]
        return self.raw.take(np.concatenate(places), axis=0)


@dataclass(frozen=True)
class FileHistories:
    """Histories of all rows, key by key."""

    histories: Histories
    found: list[KeyResults]

    def fill(self, number: int, chosen: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
        """Write the numbers, (n, W), of the chosen rows of a chunk, given by its number; returns their lists."""
        start, lists = 0, list[np.ndarray]()
        for spread, one in zip(self.histories.spreads, self.found, strict=True):
            places, width = one.buckets.places(number).take(chosen), one.raw.shape[1]
            standardize(spread, one.raw, numbers[:, start : start + width], places)
            start += width
            if one.lists is not None:
                records = one.lists.take(places)
                lists += [np.ascontiguousarray(records[name]) for name in records.dtype.names or ()]
        return lists


def fit_histories(rows: FileRows, fitted: Fitted, ids: Mapping[int, np.ndarray]) -> FileHistories:
    """Fit histories on the chunks of a working folder, to the bits of `features.histories.fit_histories`.

    ids: the id of each code, by place of the coded column.
    """
    columns = rows.columns
    kept = {one.name for one in fitted.schema.fields}
    schema = log_schema(columns.schema, {one.name for one in columns.schema.fields} - kept)
    plan = fit_plan(schema, [partial(_trained, chunk) for chunk in rows.chunks], columns.settings.smoothing)
    in_threads(partial(_add_outcomes, plan), rows.chunks)
    reader = KeyReader.of(rows, plan)
    if plan.sequence is not None:
        reader = replace(reader, ids=_item_ids(columns, schema, ids))
    log = [FileLogChunk(chunk, plan, reader) for chunk in rows.chunks]
    width = max(len(plan.names(place)) for place in range(len(plan.keys)))
    bits, newest = bits_for(_total(rows), width, rows.memory_bytes[1]), newest_of(log)
    types = _item_types(schema, fitted)
    work = [KeyWork(rows, log, plan.only(place), place, newest, types) for place in range(len(plan.keys))]
    found = [one.results(bits) for one in work]
    sample = _spread_rows(rows.chunks)
    spreads = tuple(fit_spread(one.sampled(sample)) for one in found)
    histories = Histories(schema, plan, spreads, state_of(plan, log, newest, [one.state for one in found]))
    if not columns.settings.sequences:
        histories = histories.without_sequence()
        found = [replace(one, lists=None) for one, key in zip(found, plan.keys, strict=True) if key.kinds]
    return FileHistories(histories, found)


def _total(rows: FileRows) -> int:
    return sum(chunk.rows for chunk in rows.chunks)


def _events(chunk: FileChunk) -> Events:
    return Events.joined(*(chunk.array(name) for name in ("moment", "labels", "mask", "outcomes")))


def _trained(chunk: FileChunk) -> Events:
    return _events(chunk).take(chunk.part == TRAIN)


def _add_outcomes(plan: Plan, chunk: FileChunk) -> None:
    events = _events(chunk)
    chunk.add(VALUES, events.whole(plan.outcomes))
    chunk.add(KNOWN, events.known)


def _item_types(schema: Schema, fitted: Fitted) -> list[type]:
    """Return the types of the ids of the fields that sequences hold."""
    assert schema.history
    fields = schema.history.sequence.fields if schema.history.sequence else ()
    return item_types(fields, fitted.vocabularies)


def _spread_rows(chunks: Sequence[FileChunk]) -> list[np.ndarray]:
    """Return the rows of each chunk by which inputs are standardized."""
    chosen = spread_rows(np.concatenate([chunk.part for chunk in chunks]))
    edges = np.cumsum([0, *(chunk.rows for chunk in chunks)])
    cuts = np.searchsorted(chosen, edges)
    return [chosen[first:last] - start for first, last, start in zip(cuts, cuts[1:], edges, strict=False)]


def _item_ids(columns: ChunkColumns, schema: Schema, ids: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Return the id of each code of the fields that sequences hold, in their order."""
    assert schema.history and schema.history.sequence
    return {place: ids[place] for place in (columns.place((name,)) for name in schema.history.sequence.fields)}
