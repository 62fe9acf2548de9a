"""From raw columns to tensors. Everything is fitted on training rows only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler, has_bins
from automtl.features.target_encoding import Earlier, Folds, TargetEncoding, fit_rates, folds_of
from automtl.features.vocabulary import Vocabulary
from automtl.system.memory import keep_freed_memory
from automtl.system.slices import SLICE, slices
from automtl.system.threads import in_threads
from automtl.tables.columns import as_numbers, as_parts, key_column
from automtl.tables.derive import completed, derive, newest_days, simple_fields
from automtl.tables.infer import check_labels, require_columns
from automtl.tables.labels import check_weights, label_columns, read_labels, require_both_classes, weighted
from automtl.tables.numbering import group_numbers
from automtl.tables.schema import CONFIG, Field, FieldKind, NumericForm, Schema

Parts = tuple[np.ndarray, np.ndarray]  # ids of all rows one after another (int32), and how many each row has (int64)
HUGE = 1e60
LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)


@settings_dataclass(frozen=True, config=CONFIG)
class EncoderSettings:
    """How columns become inputs; a field of the schema may say otherwise.

    Ids: `min_count` rows make a value known; of more than `max_ids` values the rest is unknown, or hashed into
    `hashed_ids` ids. Numbers: their `form` (docs/features.md) and their quantile `bins` (0: none).
    `joint_numeric_above`: with more numeric columns than this they share one field, else each has its own.
    `max_values`: of a row's list or sequence.
    """

    min_count: int = Limit(default=3, ge=1)
    target_encoding: bool = True
    folds: int = Limit(default=5, ge=2)
    smoothing: float = Limit(default=20.0, gt=0)
    bins: int = Limit(default=32, ge=0, le=1024)
    joint_numeric_above: int = Limit(default=8, ge=0)
    max_values: int = Limit(default=50, ge=1)
    form: NumericForm = "auto"
    max_ids: int = Limit(default=50_000_000, ge=1)
    hashed_ids: int = Limit(default=0, ge=0)

    def of(self, simple: Field) -> EncoderSettings:
        """The settings of one field: what it says itself goes first."""
        names = ("min_count", "max_values", "form", "max_ids", "hashed_ids")
        own = {name: value for name in names if (value := getattr(simple, name)) is not None}
        return replace(self, **own) if own else self


@dataclass(frozen=True)
class Encoder:
    """Vocabularies, scalers and target encoding of one training table.

    They are of the columns of `derive`. `newest`: by time field, the newest training time in days since 1970.
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
        """The encoder and the encoded training rows, whose target encoding are out of fold.

        Columns are fitted in parallel, a slice of rows at a time. Raises SchemaError or EncodingError that names the
        column.
        """
        require_columns(train, schema.columns, "field")
        for task in schema.tasks:
            check_labels(train, task)
        check_weights(train, schema)
        require_both_classes(train, schema)
        newest = newest_days(train, schema)
        train, simple = derive(train, schema, newest), simple_fields(schema)
        categorical = [one.name for one in simple if one.kind is FieldKind.CATEGORICAL]
        forms = [settings.of(one).form for one in simple if one.kind is FieldKind.NUMERIC]
        bins = sum(has_bins(form, settings.bins) for form in forms)
        ids = np.empty((train.height, len(categorical) + bins), np.int32)
        places = {name: ids[:, place] for place, name in enumerate(categorical)}
        fitted = in_threads(
            lambda one: _fit_field(train[one.name], one, settings.of(one), places.get(one.name)), simple
        )
        named = {one.name: part for one, part in zip(simple, fitted, strict=True)}
        scalers = {name: part for name, part in named.items() if isinstance(part, Scaler)}
        pieces = {name: part for name, part in named.items() if isinstance(part, Piecewise)}
        vocabularies = {name: part for name, part in named.items() if isinstance(part, Vocabulary)}
        encoder = Encoder(schema, settings, vocabularies, {**scalers, **pieces}, {}, newest)
        arrays = replace(
            encoder._arrays(train.height, len(schema.target_encoding) if settings.target_encoding else 0),
            categorical=ids,
        )
        for place, (key, rates, own) in enumerate(_fit_rates(train, schema, settings, seed)):
            arrays.numeric[:, encoder._rate_columns(place)] = own
            encoder.target_encodings[key] = rates
        return encoder, encoder._fill(train, arrays, labels=True, own=True)

    def encode(self, table: pl.DataFrame, *, labels: bool = True) -> Batch:
        """New rows. Unseen ids never fail. Without `labels`, label columns need not exist and the mask is 0."""
        table = self._checked(table, labels)
        with keep_freed_memory(table.height > SLICE):
            return self._fill(table, self._arrays(table.height, len(self.target_encodings)), labels=labels)

    def encode_parts(self, table: pl.DataFrame, rows: int = 1 << 18, *, labels: bool = True) -> Iterator[Batch]:
        """`encode`, `rows` rows at a time, so that memory does not grow with the table.

        Multi-valued fields are as wide as the part needs.
        """
        table = self._checked(table, labels)
        return (
            self._fill(part, self._arrays(part.height, len(self.target_encodings)), labels=labels)
            for part in table.iter_slices(rows)
        )

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

    def _vocabulary(self, simple: Field) -> Vocabulary:
        """A sequence has that of its target."""
        return self.vocabularies[simple.target or simple.name]

    def _checked(self, table: pl.DataFrame, labels: bool) -> pl.DataFrame:
        """The complete table. Raises what can only be told from all rows."""
        if labels:
            for task in self.schema.tasks:
                check_labels(table, task)
            check_weights(table, self.schema)
        return completed(table, self.schema)

    def _arrays(self, rows: int, num_keys: int) -> Arrays:
        """Room for the result; nothing is written yet."""
        columns = len(self._of(FieldKind.CATEGORICAL)) + len(self._binned)
        tasks = len(self.schema.tasks)
        numbers = self._rate_columns(num_keys).start
        return Arrays(
            np.empty((rows, columns), np.int32),
            np.empty((rows, numbers), np.float32),
            np.zeros((rows, tasks), np.float32),
            np.zeros((rows, tasks), np.float32),
            np.ones(rows, np.float32),
        )

    def _rate_columns(self, place: int) -> slice:
        """The numeric columns of the rates of the key at `place`."""
        width = len(self.schema.tasks) + 1
        start = sum(scaler.width for scaler in self.scalers.values()) + place * width
        return slice(start, start + width)

    def _fill(self, table: pl.DataFrame, arrays: Arrays, *, labels: bool, own: bool = False) -> Batch:
        """Encode slice by slice, in parallel, right into `arrays`; with `own`, the table is
        derived, and ids and rates are there already."""
        starts = range(0, table.height, SLICE)
        if len(starts) > 1 and not own:
            in_threads(lambda name: self._prepare(table, name), self.vocabularies)

        def fill(start: int) -> list[Parts]:
            part = table.slice(start, SLICE)
            part = part if own else derive(part, self.schema, self.newest)
            return self._fill_slice(part, arrays.slice(start, start + SLICE), labels, own)

        multi = in_threads(fill, starts)
        features = Features(
            torch.from_numpy(arrays.categorical),
            tuple(torch.from_numpy(padded([part[i] for part in multi])) for i in range(len(self._of(*LISTS)))),
            torch.from_numpy(arrays.numeric),
        )
        group = self.schema.group if self.schema.group in table.columns else None
        numbers = None if group is None else torch.from_numpy(group_numbers(table[group]))
        return Batch(
            features,
            torch.from_numpy(arrays.labels),
            torch.from_numpy(arrays.mask),
            torch.from_numpy(arrays.weight),
            numbers,
        )

    def _prepare(self, table: pl.DataFrame, name: str) -> None:
        """Make the look-up table of a vocabulary once, before the threads meet there."""
        if name in table.columns and name in {one.name for one in self._of(FieldKind.CATEGORICAL)}:
            self.vocabularies[name].encode(table[name].head(1))

    def _fill_slice(self, part: pl.DataFrame, arrays: Arrays, labels: bool, own: bool) -> list[Parts]:
        for place, one in enumerate(() if own else self._of(FieldKind.CATEGORICAL)):
            arrays.categorical[:, place] = self.vocabularies[one.name].encode(part[one.name])
        self._fill_numbers(part, arrays)
        for place, (key, known) in enumerate(() if own else self.target_encodings.items()):
            column = key_column(part, key, {one.name: one for one in self.schema.fields})
            arrays.numeric[:, self._rate_columns(place)] = known.encode(known.vocabulary.encode(column))
        if labels:
            found = label_columns(part, self.schema)
            arrays.labels[:], arrays.mask[:] = found.values, found.mask
            if self.schema.weight is not None:
                arrays.weight[:] = as_numbers(part[self.schema.weight]).to_numpy()
        return [self._multi(part[one.name], one) for one in self._of(*LISTS)]

    def _fill_numbers(self, part: pl.DataFrame, arrays: Arrays) -> None:
        column, bins = 0, len(self._of(FieldKind.CATEGORICAL))
        for name, scaler in self.scalers.items():
            values = plain_numbers(as_numbers(part[name]))
            arrays.numeric[:, column : column + scaler.width] = scaler.scale(values)
            column += scaler.width
            if isinstance(scaler, Scaler) and scaler.binned:
                arrays.categorical[:, bins] = scaler.bin(values)
                bins += 1

    def _multi(self, column: pl.Series, simple: Field) -> Parts:
        flat, sizes = as_parts(column, simple, self.settings.max_values)
        return self._vocabulary(simple).encode(flat), sizes

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
        scalers = {name: _scaler(entry, values["settings"]["bins"] > 0) for name, entry in values["scalers"].items()}
        rates = {}
        for i, entry in enumerate(values["target_encoding"]):
            parts = {name: arrays[f"target_encoding.{i}.{name}"] for name in ENCODING_ARRAYS}
            known = _vocabulary(arrays, f"target_encoding.{i}.values", entry.get("values"))
            rates[tuple(entry["key"])] = TargetEncoding(known, smoothing=entry["smoothing"], **parts)
        hashed, listed = values.get("hashed", {}), values["vocabularies"]
        vocabularies = {
            name: _vocabulary(
                arrays, f"vocabularies.{place}", listed[name] if isinstance(listed, dict) else None, hashed.get(name, 0)
            )
            for place, name in enumerate(listed)
        }
        settings = EncoderSettings(**values["settings"])
        return Encoder(schema, settings, vocabularies, scalers, rates, values.get("newest", {}))


def _scaler(entry: dict[str, Any], bins: bool) -> Scaler | Piecewise:
    """From its state. `bins`: whether numbers have bins where the state does not say so (format of version 0.1)."""
    entry = entry | {"edges": tuple(entry["edges"])}
    return Scaler(**{"binned": bins} | entry) if "mean" in entry else Piecewise(**entry)


def _prefixed(prefix: str, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": array for name, array in vocabulary.to_arrays().items()}


def _vocabulary(arrays: dict[str, np.ndarray], prefix: str, texts: list[str] | None, hashed: int = 0) -> Vocabulary:
    """From arrays, or the list of texts that version 0.1 first wrote."""
    if texts is not None:
        return Vocabulary(texts, hashed)
    own = {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
    return Vocabulary.from_arrays(own, hashed)


ENCODING_ARRAYS = ("sums", "counts", "rows", "prior", "binary", "mean", "std")


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


def _fit_field(
    column: pl.Series, simple: Field, settings: EncoderSettings, ids: np.ndarray | None
) -> Vocabulary | Scaler | Piecewise | None:
    """The ids of a categorical column go into `ids`, (N,) int32. None for a sequence, which has its target's ids.

    Raises SchemaError where there is no value at all.
    """

    def parts() -> Iterator[pl.Series]:
        for part in slices(column):
            if simple.kind is FieldKind.NUMERIC:
                part = as_numbers(part)
            yield as_parts(part, simple, settings.max_values)[0] if simple.kind in LISTS else part

    if not any(_has_value(part) for part in parts()):
        raise SchemaError(f"column '{simple.name}' has no value in the training rows; drop it")
    if simple.kind is FieldKind.SEQUENCE:
        return None
    if simple.kind is FieldKind.NUMERIC:
        if settings.form == "piecewise":
            return Piecewise.fit_parts(map(plain_numbers, parts()), column.len(), settings.bins)
        return Scaler.fit_parts(map(plain_numbers, parts()), column.len(), settings.bins, settings.form)
    if ids is None:
        return _cut(Vocabulary.fit_parts(parts(), settings.min_count), simple.name, settings)
    fitted = Vocabulary.fit_encode(column, settings.min_count, ids)
    kept = _cut(fitted, simple.name, settings)
    if kept is not fitted:
        for start, part in zip(range(0, column.len(), SLICE), slices(column), strict=True):
            ids[start : start + SLICE] = kept.encode(part)
    return kept


def _cut(vocabulary: Vocabulary, name: str, settings: EncoderSettings) -> Vocabulary:
    kept = vocabulary.cut(settings.max_ids, settings.hashed_ids)
    if kept is not vocabulary:
        tell_cut(name, vocabulary.values.len(), kept, "max_ids")
    return kept


def tell_cut(name: str, values: int, kept: Vocabulary, why: str) -> None:
    """Warn that of so many values of a column only those of a vocabulary have an id of their own."""
    rest = f"hashed into {kept.hashed:,} ids" if kept.hashed else "unknown"
    warnings.warn(
        f"column '{name}': of {values:,} values the {kept.values.len():,} most frequent have an id "
        f"of their own ({why}), the others are {rest}",
        stacklevel=3,
    )


def _has_value(part: pl.Series) -> bool:
    return bool(part.is_finite().any()) if part.dtype.is_float() else part.null_count() < part.len()


def plain_numbers(numbers: pl.Series) -> np.ndarray:
    """(n,) float64, NaN where null; cut at HUGE, whose cube is still a number."""
    return numbers.clip(-HUGE, HUGE).fill_null(float("nan")).to_numpy()


def padded(parts: list[Parts]) -> np.ndarray:
    """(N, L) int32 from the parts of all slices, padded with 0; L is at least 1."""
    width = max([1, *(int(sizes.max(initial=1)) for _, sizes in parts)])
    out, start = np.zeros((sum(len(sizes) for _, sizes in parts), width), np.int32), 0
    for ids, sizes in parts:
        out[start : start + len(sizes)][np.arange(width) < sizes[:, None]] = ids
        start += len(sizes)
    return out


def _fit_rates(
    train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int
) -> Iterator[tuple[tuple[str, ...], TargetEncoding, np.ndarray]]:
    """Key by key: the rates and the (N, T + 1) inputs of the training rows, of which one key's exist at a time."""
    if not (settings.target_encoding and schema.target_encoding):
        return
    labels, fields = weighted(read_labels(train, schema), train, schema), {one.name: one for one in schema.fields}
    history: Folds | Earlier
    if schema.time is not None:
        require_columns(train, [schema.time], "time column")
        history = Earlier(train[schema.time].rank("dense").fill_null(0).to_numpy())
    else:
        history = Folds(folds_of(np.arange(train.height), train.height, settings.folds, seed))
    for key in schema.target_encoding:
        column = key_column(train, key, fields)
        vocabulary = Vocabulary.fit(column, 1)
        yield (
            key,
            *fit_rates(vocabulary, vocabulary.encode(column), labels, history, settings.smoothing),
        )
