"""Encode a few rows of Python values without a table, to the bits that `Encoder.encode` gives a table of them.

B rows, C columns of one id a row, K keys of histories, M outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, repeat
from typing import Any

import numpy as np
import polars as pl
import torch

from automtl.features.batch import Batch, Features
from automtl.features.chunk import HUGE, LISTS, plain_numbers
from automtl.features.coverage import Counts, Coverage
from automtl.features.encoder import Encoder, Parts, padded, with_histories
from automtl.features.histories import Histories, Vocabularies, texts_alike
from automtl.features.raw_rows import NUMBERS, PLAIN, REMEMBERED, Memo, OddRows, RawRows, plain_floats
from automtl.features.scaler import Scaler
from automtl.features.vocabulary import FIRST, MISSING
from automtl.histories.rows import Rows, joined_keys, key_numbers
from automtl.tables.derive import derive, id_column, key_column, simple_fields, simple_fields_of
from automtl.tables.roles import group_ids
from automtl.tables.schema import Field, FieldKind
from automtl.tables.table import read_table
from automtl.tables.values.lists import as_parts
from automtl.tables.values.numbers import as_numbers

READ_ALONE = (FieldKind.CATEGORICAL, FieldKind.NUMERIC, FieldKind.CROSS)
LEAST_REMEMBERED = 1 << 10  # values of a column
Reader = Callable[[pl.DataFrame, pl.DataFrame], np.ndarray]  # codes, (n,), of rows of a derived and of a raw table


@dataclass(frozen=True)
class Use:
    """A code that some columns are read as; `name` tells it from others. `numeric`: one of them is a numeric field."""

    name: tuple[str, ...]
    columns: tuple[str, ...]
    read: Reader
    numeric: bool = False


class RowEncoder:
    """Encodes rows of Python values with an encoder; remembers what single values mean. Threads may share it."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.histories, schema = encoder, encoder.histories, encoder.schema
        self.fields = {one.name: one for one in schema.fields}
        self.times = tuple(one for one in schema.fields if one.kind is FieldKind.TIME)
        self.lists = tuple(one for one in simple_fields(schema) if one.kind in LISTS)
        needed = list(schema.fields) + (list(self.histories.schema.fields) if self.histories else [])
        self.required = {name for one in needed if not one.optional for name in one.columns}
        if self.histories is not None:
            self.required.add(str(self.histories.schema.time))
        self.used = self.required | {name for one in needed for name in one.columns}
        uses = {one.name: one for one in self._uses()}
        groups: dict[tuple[str, ...], list[Use]] = {}
        for one in uses.values():
            groups.setdefault(one.columns, []).append(one)
        self.memos = tuple(self._memo(names, own, len(groups)) for names, own in groups.items())
        self.places = {one.name: place for place, one in enumerate(one for own in groups.values() for one in own)}
        self._arrange()

    def of(self, encoder: Encoder) -> RowEncoder:
        """Return the row encoder of an encoder with other events in its histories; it remembers what this one does."""
        found = copy(self)
        found.encoder, found.histories = encoder, encoder.histories
        return found

    # What columns are read as

    def _uses(self) -> Iterator[Use]:
        """Yield all codes that columns are read as, times and lists left out."""
        encoder, schema = self.encoder, self.encoder.schema
        for field in schema.fields:
            if field.kind in (FieldKind.CATEGORICAL, FieldKind.CROSS):
                yield Use(("id", field.name), field.columns, partial(_ids, encoder, field.name))
        for key in encoder.target_encodings:
            numeric = any(self.fields[name].kind is FieldKind.NUMERIC for name in key)
            yield Use(("key", *key), key, partial(_key_ids, encoder, key), numeric)
        if schema.group is not None:
            group = schema.group
            yield Use(("group",), (group,), lambda _, raw: group_ids(raw[group]))
        if self.histories is not None:
            yield from self._history_uses(self.histories)

    def _history_uses(self, histories: Histories) -> Iterator[Use]:
        known, vocabularies = {one.name: one for one in histories.schema.fields}, self.encoder.vocabularies
        for name in dict.fromkeys(name for one in histories.plan.keys for name in one.key):
            numeric = known[name].kind is FieldKind.NUMERIC
            yield Use(("history", name), (name,), partial(_key_numbers, histories, name), numeric)
        for name in () if histories.plan.sequence is None else histories.items:
            yield Use(("item", name), known[name].columns, partial(_item_ids, histories, vocabularies, name))

    def _memo(self, names: tuple[str, ...], uses: Sequence[Use], groups: int) -> Memo:
        """Make what reads some columns, with all fields that they alone make."""
        schema, newest = self.encoder.schema, self.encoder.newest
        fields = [one for one in schema.fields if one.kind in READ_ALONE and set(one.columns) <= set(names)]

        def read(raw: pl.DataFrame) -> np.ndarray:
            derived = derive(raw, schema, newest, fields)
            return np.stack([use.read(derived, raw) for use in uses], axis=1).astype(np.int64, copy=False)

        kinds = NUMBERS if any(use.numeric for use in uses) else PLAIN
        return Memo(names, read, kinds, max(REMEMBERED // groups, LEAST_REMEMBERED))

    def _arrange(self) -> None:
        """Find where codes, numbers and inputs stand."""
        encoder, places = self.encoder, self.places
        ids = [one for one in simple_fields(encoder.schema) if one.kind is FieldKind.CATEGORICAL]
        self.id_names = [one.name for one in ids]
        coded = [(column, places["id", one.name]) for column, one in enumerate(ids) if ("id", one.name) in places]
        self.id_columns, self.id_places = np.array(coded, np.int64).reshape(-1, 2).T
        self.time_columns = {one.name: column for column, one in enumerate(ids) if ("id", one.name) not in places}
        hashed = {column: encoder.vocabularies[one.name] for column, one in enumerate(ids)}
        self.hashed = {column: FIRST + one.values.len() for column, one in hashed.items() if one.hashed}
        self.number_names = list(encoder.scalers)
        self.plain_names = [name for name in self.number_names if name in self.fields]
        self.first_parts = {one.name: simple_fields_of(one)[0].name for one in encoder.schema.fields}
        self.key_places = [places["key", *key] for key in encoder.target_encodings]
        if self.histories is not None:
            self.history_places = [[places["history", name] for name in one.key] for one in self.histories.plan.keys]
            items = () if self.histories.plan.sequence is None else self.histories.items
            self.item_places = [places["item", name] for name in items]

    # Encoding

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Encode rows as `Encoder.encode` does a table of them, without labels. Raises the errors of tables."""
        try:
            return self.encoded(rows)
        except Exception:  # whatever is odd about the rows, a table of them says it, or can be read after all
            return self.encoder.encode(read_table(rows), labels=False)

    def encoded(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Encode rows without a table of all columns. Raises an exception where anything is odd about them."""
        raw = RawRows(rows)
        self._check(raw)
        codes = self._codes(raw)
        derived = {one.name: self._derived(raw, one) for one in self.times}
        numbers = self._numbers(raw, derived)
        missing = np.isnan(numbers)
        categorical, counts = self._categorical(codes, derived)
        parts = [self._parts(raw, one) for one in self.lists]
        features = Features(
            torch.from_numpy(self._with_bins(categorical, numbers, missing)),
            tuple(torch.from_numpy(padded([one])) for one in parts),
            torch.from_numpy(self._numeric(codes, numbers, missing)),
        )
        counts |= self._counts_of_numbers(missing) | {
            one.name: Counts.of_lists(*own, self.encoder.vocabulary(one))
            for one, own in zip(self.lists, parts, strict=True)
        }
        group = self.encoder.schema.group
        grouped = group is not None and group in raw.names
        size, tasks = len(raw), len(self.encoder.schema.tasks)
        batch = Batch(
            features, torch.zeros(size, tasks), torch.zeros(size, tasks), torch.ones(size),
            torch.from_numpy(codes[:, self.places["group",]].copy()) if grouped else None,
            coverage=self._coverage(counts),
        )  # fmt: skip
        return batch if self.histories is None else self._with_history(batch, raw, codes, self.histories)

    def _check(self, raw: RawRows) -> None:
        """Raise OddRows where a column is missing, or where the rows have labels and are events themselves."""
        names = raw.names.keys()
        if not self.required <= names:
            raise OddRows
        if self.histories is not None and self.histories.takes(names):
            raise OddRows
        raw.check_unused(self.used)

    def _codes(self, raw: RawRows) -> np.ndarray:
        """Return the codes of all columns and rows, (B, U) int64."""
        by_row = zip(*(memo.codes(raw) for memo in self.memos), strict=True) if self.memos else repeat((), len(raw))
        return np.array([list(chain.from_iterable(one)) for one in by_row], np.int64).reshape(len(raw), -1)

    def _derived(self, raw: RawRows, time: Field) -> pl.DataFrame:
        return derive(raw.frame([time.name]), self.encoder.schema, self.encoder.newest, [time])

    def _numbers(self, raw: RawRows, derived: Mapping[str, pl.DataFrame]) -> np.ndarray:
        """Return the numbers of all scalers, (B, S), NaN where missing."""
        ages = {name: table for table in derived.values() for name in table.columns}

        def odd(name: str) -> np.ndarray:
            if name in self.fields:
                return plain_numbers(as_numbers(raw.frame([name])[name], self.fields[name]))
            return plain_numbers(as_numbers(ages[name][name]))

        found = plain_floats(raw, self.number_names, odd, set(self.plain_names))
        return np.clip(found, -HUGE, HUGE, out=found)

    def _categorical(
        self, codes: np.ndarray, derived: Mapping[str, pl.DataFrame]
    ) -> tuple[np.ndarray, dict[str, Counts]]:
        """Return the ids of all fields of one id, (B, C) int32, and their counts."""
        found = np.empty((len(codes), len(self.id_names)), np.int32)
        found[:, self.id_columns] = codes[:, self.id_places]
        for table in derived.values():
            for name in table.columns:
                if name in self.time_columns:
                    found[:, self.time_columns[name]] = _ids(self.encoder, name, table, table)
        missing, low = (found == MISSING).sum(0), (found < FIRST).sum(0)
        unknown = low - missing
        for column, first in self.hashed.items():
            unknown[column] += np.count_nonzero(found[:, column] >= first)
        rows = len(found)
        counts = map(_counts, repeat(rows), missing.tolist(), (rows - missing).tolist(), unknown.tolist())
        return found, dict(zip(self.id_names, counts, strict=True))

    def _with_bins(self, ids: np.ndarray, numbers: np.ndarray, missing: np.ndarray) -> np.ndarray:
        binned = [
            scaler.bin(numbers[:, place], missing[:, place])
            for place, scaler in enumerate(self.encoder.scalers.values())
            if isinstance(scaler, Scaler) and scaler.binned
        ]
        return np.concatenate([ids, np.stack(binned, axis=1)], axis=1) if binned else ids

    def _numeric(self, codes: np.ndarray, numbers: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Return scaled numbers, target encodings and room for histories, (B, N) float32."""
        scaled = [
            scaler.scale(np.ascontiguousarray(numbers[:, place]), missing[:, place])
            for place, scaler in enumerate(self.encoder.scalers.values())
        ]
        encodings = zip(self.encoder.target_encodings.values(), self.key_places, strict=True)
        rates = [encoding.encode(codes[:, place]) for encoding, place in encodings]
        width = 0 if self.histories is None else self.histories.width
        return np.concatenate([*scaled, *rates, np.empty((len(codes), width), np.float32)], axis=1)

    def _parts(self, raw: RawRows, field: Field) -> Parts:
        """Return the ids of all rows of a list field, and how many each row has."""
        derived = derive(raw.frame([field.name]), self.encoder.schema, self.encoder.newest, [field])
        flat, sizes = as_parts(derived[field.name], field, self.encoder.settings.max_values)
        return self.encoder.vocabulary(field).encode(flat), sizes

    def _counts_of_numbers(self, missing: np.ndarray) -> dict[str, Counts]:
        absent, rows = missing.sum(0), len(missing)
        counts = map(_counts, repeat(rows), absent.tolist(), (rows - absent).tolist(), repeat(0))
        return dict(zip(self.number_names, counts, strict=False))

    def _coverage(self, counts: Mapping[str, Counts]) -> Coverage:
        """Give counts to the fields of the schema, as `Encoder` does."""
        found = {name: counts[first] for name, first in self.first_parts.items()}
        for one in self.times:
            found[one.name] = _counts(found[one.name].rows, found[one.name].missing, found[one.name].values, 0)
        return Coverage(found)

    def _with_history(self, batch: Batch, raw: RawRows, codes: np.ndarray, histories: Histories) -> Batch:
        size, outcomes = len(raw), len(histories.plan.outcomes)
        if not histories.plan.keys:
            return batch
        nothing = np.zeros((size, outcomes), np.int16)
        keys = np.stack([joined_keys([codes[:, place] for place in own]) for own in self.history_places])
        items = np.ascontiguousarray(codes[:, self.item_places].T.astype(np.int32)) if self.item_places else None
        rows = Rows(self._times(raw, histories), keys, nothing, nothing > 0, np.zeros(size, np.bool_), items)
        return with_histories(batch, histories.inputs(rows, self.encoder.vocabularies, histories.state))

    def _times(self, raw: RawRows, histories: Histories) -> np.ndarray:
        """Return the times of rows as histories read them, (B,) int64."""
        name = str(histories.schema.time)
        values, kind = raw.column(name)
        found = histories.plain_times(values) if kind is int and None not in values else None
        return histories.times(raw.frame([name])) if found is None else found


def _ids(encoder: Encoder, name: str, derived: pl.DataFrame, _: pl.DataFrame) -> np.ndarray:
    return encoder.vocabularies[name].encode(id_column(derived, name))


def _key_ids(encoder: Encoder, key: tuple[str, ...], derived: pl.DataFrame, _: pl.DataFrame) -> np.ndarray:
    fields = {one.name: one for one in encoder.schema.fields}
    return encoder.target_encodings[key].vocabulary.encode(key_column(derived, key, fields))


def _key_numbers(histories: Histories, name: str, _: pl.DataFrame, raw: pl.DataFrame) -> np.ndarray:
    fields = {one.name: one for one in histories.schema.fields}
    numbers: np.ndarray = key_numbers(texts_alike(raw, histories.schema, [name]), [(name,)], fields)[0]
    return numbers


def _item_ids(
    histories: Histories, vocabularies: Vocabularies, name: str, _: pl.DataFrame, raw: pl.DataFrame
) -> np.ndarray:
    return vocabularies[name].encode(id_column(texts_alike(raw, histories.schema, [name]), name))


@lru_cache(maxsize=1024)
def _counts(rows: int, missing: int, values: int, unknown: int) -> Counts:
    """Return counts, which are mostly the same ones."""
    return Counts(rows, missing, values, unknown)
