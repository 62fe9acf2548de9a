"""Histories of the rows of a preparation, a bucket of keys at a time. N rows, W inputs of a key, L positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from automtl.dataset.builder.rows import FileRows, array_in
from automtl.dataset.builder.workdir import FileChunk, write_about
from automtl.features.chunk import ChunkColumns
from automtl.features.fitting import Fitted
from automtl.features.histories import Histories, HistoryInputs, fit_spread
from automtl.features.history_plan import Events, fit_plan, log_schema
from automtl.features.target_encoding import Standardizer
from automtl.histories.buckets import Buckets, bits_for, state_of
from automtl.histories.plan import Plan
from automtl.histories.rows import NO_KEY, Rows, float_keys, joined_keys
from automtl.histories.sequences import last_events
from automtl.histories.statistics import inputs
from automtl.system.threads import in_threads
from automtl.tables.roles import TRAIN, group_ids, training
from automtl.tables.schema import FieldKind, Schema

VALUES, KNOWN = "history.values", "history.known"  # arrays that are added to the chunks
Results = tuple[Buckets, np.ndarray]  # of all rows, and how they are read


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

    def keys(self, place: int) -> np.ndarray:
        return self.reader.key(self.chunk, self.plan.keys[place].key)

    def rows(self, places: Sequence[int]) -> Rows:
        chunk = self.chunk
        keys = np.stack([self.keys(place) for place in places]) if places else np.zeros((0, chunk.rows), np.int64)
        event = chunk.part == TRAIN if self.plan.frozen else np.ones(chunk.rows, np.bool_)
        values, known = chunk.array(VALUES).astype(np.int64), chunk.array(KNOWN)
        return Rows(chunk.array("moment"), keys, values, known, event, self.reader.items(chunk))


@dataclass(frozen=True)
class FileHistories:
    """Histories of all rows. numbers: of each key, the raw inputs, (N, W) float32; lists: (N, A, L) int32, or None."""

    histories: Histories
    numbers: list[Results]
    lists: Results | None

    def inputs(self, number: int, chosen: np.ndarray) -> HistoryInputs:
        """Return the inputs of the chosen rows of a chunk, given by its number."""
        parts = [
            spread.standardized(buckets.read(number, raw).take(chosen, axis=0))
            for spread, (buckets, raw) in zip(self.histories.spreads, self.numbers, strict=True)
        ]
        lists: tuple[np.ndarray, ...] = ()
        if self.lists is not None:
            buckets, ids = self.lists
            read = buckets.read(number, ids).take(chosen, axis=0)
            lists = tuple(np.ascontiguousarray(read[:, place]) for place in range(read.shape[1]))
        return HistoryInputs(np.concatenate(parts, axis=1), lists)


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
    bits = bits_for(_total(rows), width, rows.memory_bytes[1])
    found = [_numbers(rows, plan, Buckets(log, place, bits)) for place in range(len(plan.keys))]
    histories = Histories(schema, plan, tuple(spread for _, spread in found), state_of(plan, log, bits))
    lists = None
    if plan.sequence is not None and columns.settings.sequences:
        lists = _lists(rows, plan, Buckets(log, plan.sequence[0], bits), len(reader.ids))
    else:
        histories = histories.without_sequence()
    return FileHistories(histories, [results for results, _ in found], lists)


def _total(rows: FileRows) -> int:
    return sum(chunk.rows for chunk in rows.chunks)


def _events(chunk: FileChunk) -> Events:
    return Events.joined(*(chunk.array(name) for name in ("moment", "labels", "mask", "outcomes")))


def _trained(chunk: FileChunk) -> Events:
    return _events(chunk).take(chunk.part == TRAIN)


def _add_outcomes(plan: Plan, chunk: FileChunk) -> None:
    events = _events(chunk)
    chunk.add(VALUES, events.whole(plan.outcomes).astype(np.int16))
    chunk.add(KNOWN, events.known)


def _item_ids(columns: ChunkColumns, schema: Schema, ids: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Return the id of each code of the fields that sequences hold, in their order."""
    assert schema.history and schema.history.sequence
    return {place: ids[place] for place in (columns.place((name,)) for name in schema.history.sequence.fields)}


def _numbers(rows: FileRows, plan: Plan, buckets: Buckets) -> tuple[Results, Standardizer]:
    """Write the raw inputs of a key, and fit their standardization."""
    own = plan.only(buckets.place)
    name, width = f"histories.{buckets.place}", (len(own.names(0)),)
    raw = _filled(rows, name, buckets, width, np.float32, lambda log: inputs(own, 0, log))
    trained = (training(chunk, buckets.read(number, raw)) for number, chunk in enumerate(rows.chunks))
    return (buckets, raw), fit_spread(trained)


def _lists(rows: FileRows, plan: Plan, buckets: Buckets, items: int) -> Results:
    """Write the ids of the last events, (A + M + 1, L) of each row."""
    own = plan.only(buckets.place)
    assert own.sequence is not None
    shape = (items + len(plan.outcomes) + 1, own.sequence[1])

    def found(log: Rows) -> np.ndarray:
        return last_events(own, log).ids().swapaxes(0, 1)

    return buckets, _filled(rows, "histories.lists", buckets, shape, np.int32, found)


def _filled(
    rows: FileRows, name: str, buckets: Buckets, shape: tuple[int, ...], kind: type, find: Callable[[Rows], np.ndarray]
) -> np.ndarray:
    """Fill an array, (N, ...) in the order of buckets, in a step of the working folder, if that is not there yet."""
    if 0 in shape:
        return np.zeros((_total(rows), *shape), kind)
    if rows.work.done(name) is None:
        with rows.work.step(name) as fresh:
            results = array_in(fresh, "results", (_total(rows), *shape), kind)
            rows.each("histories", lambda one: buckets.fill(one, find(buckets.rows(one)), results), range(len(buckets)))
            write_about(fresh, {})
    return np.asarray(np.load(rows.work.folder / name / "results.npy", mmap_mode="r"))
