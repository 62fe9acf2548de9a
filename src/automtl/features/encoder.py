"""From raw columns to tensors. Everything is fitted on training rows only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch

from automtl.features.batch import Batch, Features
from automtl.features.chunk import LISTS, ChunkColumns, Numbers, TableChunk, plain_numbers
from automtl.features.fitting import Fitted, fit_rows
from automtl.features.frame import FrameRows
from automtl.features.hash_table import gathered
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.features.settings import EncoderSettings
from automtl.features.target_encoding import ENCODING_ARRAYS, TargetEncoding
from automtl.features.vocabulary import Vocabulary
from automtl.system.memory import keep_freed_memory
from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.columns import as_numbers, as_parts, key_column
from automtl.tables.derive import completed, derive, simple_fields
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.labels import check_weights
from automtl.tables.roles import Chunk, TableRoles, group_ids, starts
from automtl.tables.schema import Field, FieldKind, Schema

Parts = tuple[np.ndarray, np.ndarray]  # ids of all rows one after another (int32), and how many each row has (int64)


@dataclass(frozen=True)
class Encoder:
    """Vocabularies, scalers and target encoding of one training table.

    They are of the columns of `derive`. `newest`: by time field, the newest training time in days since 1970.

    >>> from automtl.features.settings import EncoderSettings
    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> schema = automtl.infer_schema(log, ["click", "buy"])
    >>> encoder, rows = automtl.Encoder.fit(log, schema, EncoderSettings(), seed=0)
    >>> len(rows), rows.labels.shape
    (500, torch.Size([500, 2]))
    """

    schema: Schema
    settings: EncoderSettings
    vocabularies: dict[str, Vocabulary]
    scalers: dict[str, Scaler | Piecewise]
    target_encodings: dict[tuple[str, ...], TargetEncoding]
    newest: dict[str, float] = field(default_factory=dict)

    @staticmethod
    @keep_freed_memory()
    def fit(train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int) -> tuple[Encoder, Batch]:
        """The encoder and the encoded training rows, whose target encodings are out of fold.

        Raises SchemaError or EncodingError that names the column.
        """
        require_columns(train, schema.columns, "field")
        for task in schema.tasks:
            check_labels(train, task)
        check_weights(train, schema)
        rows = FrameRows(train, schema, settings, seed)
        fitted = fit_rows(rows)
        encoder = Encoder.of(schema, settings, fitted)
        ids = rows.ids(fitted)
        arrays = replace(encoder.arrays(train.height), categorical=rows.categorical)

        def fill(given: tuple[TableChunk, int]) -> list[Parts]:
            chunk, start = given
            own = CodedRows(encoder, rows.columns, chunk, ids, fitted, start)
            return encoder.fill(own, arrays.slice(start, start + chunk.rows), labels=True)

        multi = in_threads(fill, starts(rows.chunks))
        group = None if schema.group is None or schema.group not in train.columns else group_ids(train[schema.group])
        return encoder, encoder.batch(arrays, multi, group)

    @staticmethod
    def of(schema: Schema, settings: EncoderSettings, fitted: Fitted) -> Encoder:
        """The encoder of what was learned."""
        return Encoder(schema, settings, fitted.vocabularies, fitted.scalers, fitted.encodings, fitted.newest)

    def encode(self, table: pl.DataFrame, *, labels: bool = True) -> Batch:
        """New rows. Unseen ids never fail. Without `labels`, label columns need not exist and the mask is 0."""
        table = self._checked(table, labels)
        with keep_freed_memory(table.height > SLICE):
            return self._encode(table, labels)

    def encode_parts(self, table: pl.DataFrame, rows: int = 1 << 18, *, labels: bool = True) -> Iterator[Batch]:
        """`encode`, `rows` rows at a time, so that memory does not grow with the table.

        Multi-valued fields are as wide as the part needs.
        """
        table = self._checked(table, labels)
        return (self._encode(part, labels) for part in table.iter_slices(rows))

    @property
    def layout(self) -> Layout:
        """Sizes of the encoded inputs, in the order in which they are embedded."""
        categorical = [
            CategoricalLayout(one.name, len(self.vocabularies[one.name])) for one in self._of(FieldKind.CATEGORICAL)
        ]
        categorical += [CategoricalLayout(f"{name}:bin", scaler.num_bins) for name, scaler in self._binned.items()]
        return Layout(
            tuple(categorical),
            tuple(self._list_layout(one) for one in self._of(*LISTS)),
            (*self._numeric_groups(), *self._rate_groups()),
            self.schema.tasks,
        )

    def _list_layout(self, simple: Field) -> MultiLayout:
        if simple.target is None:
            return MultiLayout(simple.name, len(self.vocabularies[simple.name]), simple.pooling)
        return MultiLayout(simple.name, 0, "target", simple.target, self.settings.of(simple).max_values)

    def _numeric_groups(self) -> list[NumericLayout]:
        """Scaled numbers, one by one or together, then those of several columns each."""
        groups = {kind: [] for kind in (Scaler, Piecewise)}  # type: dict[type, list[NumericLayout]]
        for name, scaler in self.scalers.items():
            if scaler.width:
                groups[type(scaler)].append(NumericLayout(name, scaler.columns(name)))
        plain = groups[Scaler]
        if len(plain) > self.settings.joint_numeric_above:
            plain = [NumericLayout("numeric", tuple(column for group in plain for column in group.columns))]
        return plain + groups[Piecewise]

    def _rate_groups(self) -> list[NumericLayout]:
        names = (*self.schema.task_names, "rows")
        labels = ["+".join(key) for key in self.target_encodings]
        return [
            NumericLayout(f"target encoding of {label}", tuple(f"{label}:{name}" for name in names)) for label in labels
        ]

    def _of(self, *kinds: FieldKind) -> list[Field]:
        return [simple for simple in simple_fields(self.schema) if simple.kind in kinds]

    @property
    def _binned(self) -> dict[str, Scaler]:
        return {name: one for name, one in self.scalers.items() if isinstance(one, Scaler) and one.binned}

    def vocabulary(self, field: Field) -> Vocabulary:
        """A sequence has that of its target."""
        return self.vocabularies[field.target or field.name]

    def _checked(self, table: pl.DataFrame, labels: bool) -> pl.DataFrame:
        """The complete table. Raises what can only be told from all rows."""
        if labels:
            for task in self.schema.tasks:
                check_labels(table, task)
            check_weights(table, self.schema)
        return completed(table, self.schema)

    def arrays(self, rows: int) -> Arrays:
        """Room for the result; what is not written yet are inputs."""
        columns, tasks = len(self._of(FieldKind.CATEGORICAL)) + len(self._binned), len(self.schema.tasks)
        return Arrays(
            np.empty((rows, columns), np.int32),
            np.empty((rows, self._key_columns(len(self.target_encodings)).start), np.float32),
            np.zeros((rows, tasks), np.float32),
            np.zeros((rows, tasks), np.float32),
            np.ones(rows, np.float32),
        )

    def _key_columns(self, place: int) -> slice:
        """The numeric columns of the key at `place`."""
        width = len(self.schema.tasks) + 1
        start = sum(scaler.width for scaler in self.scalers.values()) + place * width
        return slice(start, start + width)

    def _encode(self, table: pl.DataFrame, labels: bool) -> Batch:
        """Encode slice by slice, in parallel, right into the arrays of the result."""
        arrays, slices = self.arrays(table.height), range(0, table.height, SLICE)
        if len(slices) > 1:  # make look-up tables once, before the threads meet there
            in_threads(lambda one: self.vocabulary(one).encode(table[one.name].head(1)), self._in_table(table))

        def fill(start: int) -> list[Parts]:
            own = NewRows(self, table.slice(start, SLICE))
            return self.fill(own, arrays.slice(start, start + SLICE), labels)

        multi = in_threads(fill, slices)
        group = self.schema.group if self.schema.group in table.columns else None
        return self.batch(arrays, multi, None if group is None else group_ids(table[group]))

    def _in_table(self, table: pl.DataFrame) -> list[Field]:
        return [one for one in self._of(FieldKind.CATEGORICAL) if one.name in table.columns]

    def fill(self, rows: EncodableRows, arrays: Arrays, labels: bool) -> list[Parts]:
        """Encode rows into arrays of as many rows; the ids of their lists."""
        for place in range(len(self.target_encodings)):
            arrays.numeric[:, self._key_columns(place)] = rows.target_encoding(place)
        column = 0
        for one in self._of(FieldKind.CATEGORICAL):  # after the keys, whose codes may lie where these ids go
            arrays.categorical[:, column] = rows.ids(one)
            column += 1
        start = 0
        for name, scaler in self.scalers.items():
            values = rows.numbers(name)
            arrays.numeric[:, start : start + scaler.width] = scaler.scale(values)
            start += scaler.width
            if isinstance(scaler, Scaler) and scaler.binned:
                arrays.categorical[:, column] = scaler.bin(values)
                column += 1
        if labels:
            arrays.labels[:], arrays.mask[:] = rows.role("labels"), rows.role("mask")
            if self.schema.weight is not None:
                arrays.weight[:] = rows.role("weight")
        return [rows.lists(one) for one in self._of(*LISTS)]

    def batch(self, arrays: Arrays, multi: list[list[Parts]], group: np.ndarray | None) -> Batch:
        """Filled arrays as tensors; `multi`: what `fill` gave for each slice of them."""
        lists = tuple(torch.from_numpy(padded([part[i] for part in multi])) for i in range(len(self._of(*LISTS))))
        features = Features(torch.from_numpy(arrays.categorical), lists, torch.from_numpy(arrays.numeric))
        labels, mask, weight = (torch.from_numpy(part) for part in (arrays.labels, arrays.mask, arrays.weight))
        return Batch(features, labels, mask, weight, None if group is None else torch.from_numpy(group))

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values for JSON, and arrays."""
        values: dict[str, Any] = {
            "settings": asdict(self.settings),
            "vocabularies": list(self.vocabularies),
            "hashed": {name: v.hashed for name, v in self.vocabularies.items() if v.hashed},
            "newest": self.newest,
            "scalers": {name: asdict(scaler) for name, scaler in self.scalers.items()},
            "target_encoding": [
                {"key": list(key), "smoothing": r.smoothing} for key, r in self.target_encodings.items()
            ],
        }
        arrays = {
            f"target_encoding.{i}.{name}": np.ascontiguousarray(getattr(rates, name))
            for i, rates in enumerate(self.target_encodings.values())
            for name in ENCODING_ARRAYS
        }
        for place, vocabulary in enumerate(self.vocabularies.values()):
            arrays |= _prefixed(f"vocabularies.{place}", vocabulary)
        for place, rates in enumerate(self.target_encodings.values()):
            arrays |= _prefixed(f"target_encoding.{place}.values", rates.vocabulary)
        return values, arrays

    @staticmethod
    def from_state(schema: Schema, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Encoder:
        """The inverse of `to_state`."""
        scalers = {name: _scaler(entry) for name, entry in values["scalers"].items()}
        encodings = {}
        for i, entry in enumerate(values["target_encoding"]):
            known = _vocabulary(arrays, f"target_encoding.{i}.values", 0)
            parts = {name: arrays[f"target_encoding.{i}.{name}"] for name in ENCODING_ARRAYS}
            encodings[tuple(entry["key"])] = TargetEncoding(known, smoothing=entry["smoothing"], **parts)
        vocabularies = {
            name: _vocabulary(arrays, f"vocabularies.{place}", values["hashed"].get(name, 0))
            for place, name in enumerate(values["vocabularies"])
        }
        settings = EncoderSettings(**values["settings"])
        return Encoder(schema, settings, vocabularies, scalers, encodings, values["newest"])


def _scaler(entry: dict[str, Any]) -> Scaler | Piecewise:
    entry = entry | {"edges": tuple(entry["edges"])}
    return Scaler(**entry) if "mean" in entry else Piecewise(**entry)


def _prefixed(prefix: str, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": array for name, array in vocabulary.to_arrays().items()}


def _vocabulary(arrays: dict[str, np.ndarray], prefix: str, hashed: int) -> Vocabulary:
    own = {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
    return Vocabulary.from_arrays(own, hashed)


@dataclass(frozen=True)
class Arrays:
    """categorical: (N, C) int32; numeric: (N, n), labels, mask: (N, T), weight: (N,), float32."""

    categorical: np.ndarray
    numeric: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    weight: np.ndarray

    def slice(self, start: int, stop: int) -> Arrays:
        """Views of some rows."""
        parts = (self.categorical, self.numeric, self.labels, self.mask, self.weight)
        return Arrays(*(part[start:stop] for part in parts))


class EncodableRows(Protocol):
    """n rows, as `Encoder.fill` asks for them."""

    def ids(self, field: Field) -> np.ndarray:
        """(n,) int32."""

    def lists(self, field: Field) -> Parts:
        """The ids of all rows, and how many each row has."""

    def numbers(self, name: str) -> np.ndarray:
        """(n,) float64, NaN where missing."""

    def target_encoding(self, place: int) -> np.ndarray:
        """(n, T + 1) float32 of a key."""

    def role(self, name: str) -> np.ndarray:
        """Labels, mask or weight."""


class NewRows:
    """Rows of a table, whose values are looked up."""

    def __init__(self, encoder: Encoder, table: pl.DataFrame) -> None:
        self.encoder, self.roles = encoder, TableRoles(table, encoder.schema)
        self.derived = derive(table, encoder.schema, encoder.newest)

    def ids(self, field: Field) -> np.ndarray:
        return self.encoder.vocabulary(field).encode(self.derived[field.name])

    def lists(self, field: Field) -> Parts:
        flat, sizes = as_parts(self.derived[field.name], field, self.encoder.settings.max_values)
        return self.encoder.vocabulary(field).encode(flat), sizes

    def numbers(self, name: str) -> np.ndarray:
        return plain_numbers(as_numbers(self.derived[name]))

    def target_encoding(self, place: int) -> np.ndarray:
        key, encoding = list(self.encoder.target_encodings.items())[place]
        column = key_column(self.derived, key, {one.name: one for one in self.encoder.schema.fields})
        return encoding.encode(encoding.vocabulary.encode(column))

    def role(self, name: str) -> np.ndarray:
        return self.roles.array(name)


@dataclass(frozen=True)
class CodedRows:
    """Rows of a chunk whose values have codes: all of them, or those with the numbers `chosen`, (n,).

    `known`: by place of the coded column, the id of each code. `start`: the number of the first one among the training
    rows, whose target encodings are their own; None where these are no training rows.
    """

    encoder: Encoder
    columns: ChunkColumns
    chunk: Chunk
    known: dict[int, np.ndarray]
    fitted: Fitted
    start: int | None
    chosen: np.ndarray | None = None

    def _array(self, name: str) -> np.ndarray:
        found = self.chunk.array(name)
        return found if self.chosen is None else found.take(self.chosen, axis=0)

    def ids(self, field: Field) -> np.ndarray:
        place = self.columns.place(field)
        return gathered(self.known[place], self._array(f"ids.{place}").astype(np.int32, copy=False))

    def lists(self, field: Field) -> Parts:
        place = self.columns.place(field)
        flat, sizes = self.chunk.array(f"ids.{place}"), self.chunk.array(f"sizes.{place}").astype(np.int64, copy=False)
        if self.chosen is not None:
            here = np.zeros(len(sizes), np.bool_)
            here[self.chosen] = True
            flat, sizes = flat.compress(np.repeat(here, sizes)), sizes.take(self.chosen)
        return self.known[place].take(flat), sizes

    def numbers(self, name: str) -> np.ndarray:
        field = next(one for one in self.columns.of(FieldKind.NUMERIC) if one.name == name)
        values = Numbers(self.columns, field, self.encoder.newest).of(self.chunk)
        return values if self.chosen is None else values.take(self.chosen)

    def target_encoding(self, place: int) -> np.ndarray:
        key = self.columns.keys[place]
        ids = self.fitted.key_ids[place].take(self._array(f"ids.{self.columns.place(key)}"))
        if self.start is None:
            return self.fitted.encodings[key].encode(ids)
        return self.fitted.history.inputs(self.fitted.own_inputs[place], ids, self.start)

    def role(self, name: str) -> np.ndarray:
        return self._array(name)


def padded(parts: list[Parts]) -> np.ndarray:
    """(N, L) int32 from the parts of all slices, padded with 0; L is at least 1."""
    width = max([1, *(int(sizes.max(initial=1)) for _, sizes in parts)])
    out, start = np.zeros((sum(len(sizes) for _, sizes in parts), width), np.int32), 0
    for ids, sizes in parts:
        out[start : start + len(sizes)][np.arange(width) < sizes[:, None]] = ids
        start += len(sizes)
    return out
