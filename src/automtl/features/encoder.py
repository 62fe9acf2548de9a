"""The encoder turns raw columns into tensors. Everything is fitted on training rows only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np
import polars as pl
import torch

from automtl.features.batch import Batch, Features
from automtl.features.chunk import LISTS, ChunkColumns, Numbers, TableChunk, plain_numbers
from automtl.features.coverage import Counts, Coverage
from automtl.features.encoder_check import SavedParts, check_encoder
from automtl.features.fitting import Fitted, fit_rows
from automtl.features.frame import FrameRows
from automtl.features.hash_table import gathered
from automtl.features.histories import Histories, HistoryInputs
from automtl.features.history_check import check_histories
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout, label_type
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.features.settings import EncoderSettings
from automtl.features.target_encoding import ENCODING_ARRAYS, TargetEncoding
from automtl.features.vocabulary import Vocabulary
from automtl.system.memory import keep_freed_memory
from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.derive import completed, derive, id_column, key_column, simple_fields, simple_fields_of
from automtl.tables.infer import require_columns
from automtl.tables.labels import check_rows
from automtl.tables.names import derived_name
from automtl.tables.roles import Chunk, TableRoles, group_ids, starts
from automtl.tables.schema import Field, FieldKind, Schema
from automtl.tables.values.lists import as_parts
from automtl.tables.values.numbers import as_numbers

Parts = tuple[np.ndarray, np.ndarray]  # ids of all rows one after another (int32), and how many each row has (int64)


@dataclass(frozen=True)
class Filled:
    """The part of encoded rows that is not written into the batch: ids of each list field, and what was counted."""

    lists: list[Parts]
    coverage: Coverage


@dataclass(frozen=True)
class Encoder:
    """Vocabularies, scalers and target encodings of one training table, after `derive`.

    `newest`: by time field, the newest training time in days since 1970. `histories`: those of the log, if it has some.

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
    histories: Histories | None = None

    @staticmethod
    @keep_freed_memory()
    def fit(
        train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int, *,
        histories: Histories | None = None, kept: Mapping[str, Vocabulary] | None = None,
    ) -> tuple[Encoder, Batch]:  # fmt: skip
        """Return an encoder and the encoded training rows, whose target encodings are out of fold.

        `histories`: those of a log with the training rows, which take the place of target encodings; the batch has room
        for their inputs (`with_histories`). `kept`: earlier vocabularies by field, whose values stay known.
        Fields without a value are left out, with one warning. Raises SchemaError or EncodingError; it names the column.
        """
        require_columns(train, schema.columns, "field")
        check_rows(train, schema)
        if schema.history and histories is None:
            settings = replace(settings, history=False)
        rows = FrameRows(train, schema, settings, seed)
        fitted = fit_rows(rows, kept)
        encoder = replace(Encoder.of(settings, fitted), histories=histories)
        ids = rows.ids(fitted)
        columns = len(encoder.layout.categorical)
        out = encoder.empty(train.height, rows.categorical[:, :columns])

        def fill(given: tuple[TableChunk, int]) -> Filled:
            chunk, start = given
            own = CodedRows(encoder, rows.columns, chunk, ids, fitted, start)
            return encoder.fill(own, out.take(slice(start, start + chunk.rows)), labels=True)

        filled = in_threads(fill, starts(rows.chunks))
        return encoder, completed_batch(out, filled, encoder.group_of(train))

    @staticmethod
    def of(settings: EncoderSettings, fitted: Fitted) -> Encoder:
        """Return the encoder of what was learned."""
        return Encoder(fitted.schema, settings, fitted.vocabularies, fitted.scalers, fitted.encodings, fitted.newest)

    def encode(self, table: pl.DataFrame, *, labels: bool = True, history: HistoryInputs | None = None) -> Batch:
        """Encode new rows. Unseen ids never fail. Without `labels`, label columns need not exist and the mask is 0.

        `history`: the inputs of histories; by default those of `Histories.of`, which continue the state.
        """
        table = self._checked(table, labels)
        with keep_freed_memory(table.height > SLICE):
            return self._encode(table, labels, self._history(table, history))

    def encode_parts(
        self, table: pl.DataFrame, rows: int = 1 << 18, *, labels: bool = True, history: HistoryInputs | None = None
    ) -> Iterator[Batch]:
        """Encode new rows, `rows` at a time, so that memory does not grow with the table; see `encode`.

        Multi-valued fields are as wide as the part needs.
        """
        table = self._checked(table, labels)
        known, places = self._history(table, history), range(0, table.height, rows)
        parts = [None if known is None else known.take(slice(start, start + rows)) for start in places]
        return (self._encode(*one) for one in zip(table.iter_slices(rows), repeat(labels), parts, strict=False))

    def _history(self, table: pl.DataFrame, given: HistoryInputs | None) -> HistoryInputs | None:
        return given if given is not None or self.histories is None else self.histories.of(table, self.vocabularies)

    @property
    def layout(self) -> Layout:
        """Sizes of the encoded inputs, in the order in which they are embedded."""
        categorical = [
            CategoricalLayout(one.name, len(self.vocabularies[one.name])) for one in self._of(FieldKind.CATEGORICAL)
        ]
        categorical += [
            CategoricalLayout(derived_name(name, "bin"), scaler.num_bins, bins=True)
            for name, scaler in self._binned.items()
        ]
        return Layout(
            tuple(categorical),
            tuple(self._list_layout(one) for one in self._of(*LISTS)),
            (*self._numeric_groups(), *self._rate_groups(), *(self.histories.groups if self.histories else ())),
            self.schema.tasks,
            self.histories.sequences if self.histories else (),
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
            plain = [
                NumericLayout(
                    derived_name("numeric", "together"), tuple(column for group in plain for column in group.columns)
                )
            ]
        return plain + groups[Piecewise]

    def _rate_groups(self) -> list[NumericLayout]:
        """Return the inputs of each key: one a task, and one of the number of rows."""
        title, tasks = "target encoding", self.schema.task_names
        return [
            NumericLayout(
                derived_name(title, *key),
                (*(derived_name(title, task, *key) for task in tasks), derived_name("rows", "of", *key)),
            )
            for key in self.target_encodings
        ]

    def _of(self, *kinds: FieldKind) -> list[Field]:
        return [simple for simple in simple_fields(self.schema) if simple.kind in kinds]

    @property
    def _binned(self) -> dict[str, Scaler]:
        return {name: one for name, one in self.scalers.items() if isinstance(one, Scaler) and one.binned}

    def vocabulary(self, field: Field) -> Vocabulary:
        """Return the vocabulary of a field; a sequence has that of its target."""
        return self.vocabularies[field.target or field.name]

    def _checked(self, table: pl.DataFrame, labels: bool) -> pl.DataFrame:
        """Check the whole table and add absent columns of optional fields."""
        if labels:
            check_rows(table, self.schema)
        return completed(table, self.schema)

    def empty(self, rows: int, categorical: np.ndarray | None = None) -> Batch:
        """Make a batch for `fill`, without lists and groups; its inputs are not initialised."""
        if categorical is None:
            columns = len(self._of(FieldKind.CATEGORICAL)) + len(self._binned)
            categorical = np.empty((rows, columns), np.int32)
        width = self._key_columns(len(self.target_encodings)).start + (self.histories.width if self.histories else 0)
        numeric = np.empty((rows, width), np.float32)
        kinds = (label_type(self.schema.tasks), "float32")
        labels, mask = (torch.from_numpy(np.zeros((rows, len(self.schema.tasks)), kind)) for kind in kinds)
        features = Features(torch.from_numpy(categorical), (), torch.from_numpy(numeric))
        return Batch(features, labels, mask, torch.ones(rows))

    def group_of(self, table: pl.DataFrame) -> np.ndarray | None:
        """Number the groups of a table; None if the schema or the table has no group column."""
        group = self.schema.group
        return None if group is None or group not in table.columns else group_ids(table[group])

    def _key_columns(self, place: int) -> slice:
        """The numeric columns of the key at `place`."""
        width = len(self.schema.tasks) + 1
        start = sum(scaler.width for scaler in self.scalers.values()) + place * width
        return slice(start, start + width)

    def _encode(self, table: pl.DataFrame, labels: bool, history: HistoryInputs | None) -> Batch:
        """Encode slice by slice, in parallel, right into the arrays of the result."""
        out, starts_of = self.empty(table.height), range(0, table.height, SLICE)
        if len(starts_of) > 1:  # make look-up tables once, before the threads meet there
            known = [one for one in self._of(FieldKind.CATEGORICAL) if one.name in table.columns]
            in_threads(lambda one: self.vocabulary(one).encode(table[one.name].head(1)), known)

        def fill(start: int) -> Filled:
            own = NewRows(self, table.slice(start, SLICE))
            return self.fill(own, out.take(slice(start, start + SLICE)), labels)

        filled = in_threads(fill, starts_of) or [self.fill(NewRows(self, table), out, labels)]
        batch = completed_batch(out, filled, self.group_of(table))
        return batch if history is None else with_histories(batch, history)

    def fill(self, rows: NewRows | CodedRows, out: Batch, labels: bool) -> Filled:
        """Encode rows into a batch of as many rows; returns the rest of them."""
        categorical, numeric = out.features.categorical.numpy(), out.features.numeric.numpy()
        for place in range(len(self.target_encodings)):
            numeric[:, self._key_columns(place)] = rows.target_encoding(place)
        fields, counts = self._of(FieldKind.CATEGORICAL), dict[str, Counts]()
        for column, one in enumerate(fields):  # after the keys, whose codes may lie where these ids go
            counts[one.name] = self._fill_ids(rows, one, categorical[:, column])
        start, column = 0, len(fields)
        for name, scaler in self.scalers.items():
            values = rows.numbers(name)
            missing = np.isnan(values)
            counts[name] = Counts.of_numbers(missing)
            numeric[:, start : start + scaler.width] = scaler.scale(values, missing)
            start += scaler.width
            if isinstance(scaler, Scaler) and scaler.binned:
                categorical[:, column] = scaler.bin(values, missing)
                column += 1
        roles = {"labels": out.labels, "mask": out.mask} if labels else {}
        if labels and self.schema.weight is not None:
            roles["weight"] = out.weight
        for name, tensor in roles.items():
            tensor.numpy()[:] = rows.role(name)
        lists = {one.name: rows.lists(one) for one in self._of(*LISTS)}
        counts |= {one.name: Counts.of_lists(*lists[one.name], self.vocabulary(one)) for one in self._of(*LISTS)}
        return Filled(list(lists.values()), self._coverage(counts))

    def _fill_ids(self, rows: NewRows | CodedRows, field: Field, out: np.ndarray) -> Counts:
        """Write the ids of a field; its array is freed before that of the next field is made, which is quicker."""
        ids = rows.ids(field)
        out[:] = ids
        return Counts.of_ids(ids, self.vocabulary(field))

    def _coverage(self, counts: dict[str, Counts]) -> Coverage:
        """Give the counts of encoded fields to the fields of the schema; a time is missing with its parts."""
        found = {field.name: counts[simple_fields_of(field)[0].name] for field in self.schema.fields}
        times = {one.name for one in self.schema.fields if one.kind is FieldKind.TIME}
        return Coverage({name: replace(one, unknown=0) if name in times else one for name, one in found.items()})

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return plain values for JSON, and arrays."""
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
        arrays: dict[str, np.ndarray] = {}
        for place, encoding in enumerate(self.target_encodings.values()):
            own = {name: np.ascontiguousarray(getattr(encoding, name)) for name in ENCODING_ARRAYS}
            own |= {f"values.{name}": array for name, array in encoding.vocabulary.to_arrays().items()}
            arrays |= {f"target_encoding.{place}.{name}": array for name, array in own.items()}
        for place, vocabulary in enumerate(self.vocabularies.values()):
            arrays |= {f"vocabularies.{place}.{name}": array for name, array in vocabulary.to_arrays().items()}
        if self.histories is not None:
            values["histories"], own = self.histories.to_state()
            arrays |= {f"histories.{name}": array for name, array in own.items()}
        return values, arrays

    @staticmethod
    def from_state(schema: Schema, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Encoder:
        """Build the encoder that `to_state` described. Raises FileError that names a part that does not fit."""
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
        histories = None
        if "histories" in values:
            own = {
                name.removeprefix("histories."): one for name, one in arrays.items() if name.startswith("histories.")
            }
            histories = Histories.from_state(values["histories"], own)
            check_histories(histories, vocabularies)
        check_encoder(SavedParts(schema, vocabularies, scalers, encodings, values["newest"]))
        return Encoder(schema, settings, vocabularies, scalers, encodings, values["newest"], histories)


def _scaler(entry: dict[str, Any]) -> Scaler | Piecewise:
    entry = entry | {"edges": tuple(entry["edges"])}
    return Scaler(**entry) if "mean" in entry else Piecewise(**entry)


def _vocabulary(arrays: dict[str, np.ndarray], prefix: str, hashed: int) -> Vocabulary:
    own = {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
    return Vocabulary.from_arrays(own, hashed)


class NewRows:
    """Rows of a table, whose values are looked up."""

    def __init__(self, encoder: Encoder, table: pl.DataFrame) -> None:
        self.encoder, self.role = encoder, TableRoles(table, encoder.schema).array
        self.derived = derive(table, encoder.schema, encoder.newest)

    def ids(self, field: Field) -> np.ndarray:
        """Return the ids of a field, (n,) int32."""
        return self.encoder.vocabulary(field).encode(id_column(self.derived, field.name))

    def lists(self, field: Field) -> Parts:
        """Return the ids of all rows of a list field, and how many each row has."""
        flat, sizes = as_parts(self.derived[field.name], field, self.encoder.settings.max_values)
        return self.encoder.vocabulary(field).encode(flat), sizes

    def numbers(self, name: str) -> np.ndarray:
        """Return the numbers of a field, (n,) float64, NaN where missing."""
        field = next((one for one in self.encoder.schema.fields if one.name == name), None)  # none of an age
        return plain_numbers(as_numbers(self.derived[name], field))

    def target_encoding(self, place: int) -> np.ndarray:
        """Return the inputs of a key, (n, T + 1) float32."""
        key, encoding = list(self.encoder.target_encodings.items())[place]
        column = key_column(self.derived, key, {one.name: one for one in self.encoder.schema.fields})
        return encoding.encode(encoding.vocabulary.encode(column))


@dataclass(frozen=True)
class CodedRows:
    """Rows of a chunk whose values have codes, with the methods of `NewRows`: all rows, or the `chosen` ones, (n,).

    `known`: by place of the coded column, the id of each code. `start`: the number of the first row among the training
    rows, which have target encodings of their own; None where these are no training rows.
    """

    encoder: Encoder
    columns: ChunkColumns
    chunk: Chunk
    known: dict[int, np.ndarray]
    fitted: Fitted
    start: int | None
    chosen: np.ndarray | None = None

    def role(self, name: str) -> np.ndarray:
        """Return an array of the chosen rows: labels, mask, weight, codes."""
        found = self.chunk.array(name)
        return found if self.chosen is None else found.take(self.chosen, axis=0)

    def ids(self, field: Field) -> np.ndarray:
        place = self.columns.place(field)
        return gathered(self.known[place], self.role(f"ids.{place}").astype(np.int32, copy=False))

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
        key = list(self.encoder.target_encodings)[place]
        ids = self.fitted.key_ids[place].take(self.role(f"ids.{self.columns.place(key)}"))
        if self.start is None:
            return self.fitted.encodings[key].encode(ids)
        return self.fitted.history.inputs(self.fitted.own_inputs[place], ids, self.start)


def completed_batch(out: Batch, filled: list[Filled], group: np.ndarray | None) -> Batch:
    """Add lists, counts and groups to a filled batch. filled: the result of `fill` for each slice of it."""
    multi = [one.lists for one in filled]
    lists = tuple(torch.from_numpy(padded(list(parts))) for parts in zip(*multi, strict=True))
    categorical = out.features.categorical.contiguous()
    features = replace(out.features, categorical=categorical, multi=lists)
    groups = None if group is None else torch.from_numpy(group)
    return replace(out, features=features, group=groups, coverage=sum((one.coverage for one in filled), Coverage()))


def with_histories(batch: Batch, inputs: HistoryInputs) -> Batch:
    """Write the inputs of histories into a batch of the same rows: the last of its numbers, and further lists."""
    history_numbers(batch, inputs.numbers.shape[1])[:] = inputs.numbers
    return with_events(batch, inputs.lists)


def history_numbers(batch: Batch, width: int) -> np.ndarray:
    """Return the numbers of a batch, (N, width), that histories write: the last ones."""
    numeric: np.ndarray = batch.features.numeric.numpy()
    return numeric[:, numeric.shape[1] - width :]


def with_events(batch: Batch, lists: Iterable[np.ndarray]) -> Batch:
    """Add the ids of the events of sequences to a batch of the same rows."""
    events = map(torch.from_numpy, lists)
    return replace(batch, features=replace(batch.features, multi=(*batch.features.multi, *events)))


def padded(parts: list[Parts]) -> np.ndarray:
    """Join the parts of all slices to (N, L) int32, padded with 0; L is at least 1."""
    width = max([1, *(int(sizes.max(initial=1)) for _, sizes in parts)])
    out, start = np.zeros((sum(len(sizes) for _, sizes in parts), width), np.int32), 0
    for ids, sizes in parts:
        out[start : start + len(sizes)][np.arange(width) < sizes[:, None]] = ids
        start += len(sizes)
    return out
