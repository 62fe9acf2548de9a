"""From raw columns to tensors. Everything is fitted on training rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import polars as pl
import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.data.batch import Batch, Features
from automtl.data.codes import Codes, hash_integers, hash_texts
from automtl.data.columns import as_numbers, as_parts, as_text, holds, key_column
from automtl.data.infer import check_labels, require_columns
from automtl.data.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.data.rates import Earlier, Folds, Labels, Rates, fit_rates
from automtl.data.scaler import Scaler
from automtl.data.schema import CONFIG, Field, FieldKind, Schema, TaskKind
from automtl.data.vocabulary import SLICE, Vocabulary, slices
from automtl.errors import EncodingError, SchemaError, suggestion
from automtl.memory import keep_freed_memory

Parts = tuple[np.ndarray, np.ndarray]  # ids of all rows one after another (int32), and how many each row has (int64)
Item = TypeVar("Item")
Result = TypeVar("Result")


@settings_dataclass(frozen=True, config=CONFIG)
class EncoderSettings:
    """How columns become inputs. `bins`: quantile bins of numeric columns, embedded beside the value (0: none).

    `joint_numeric_above`: with more numeric columns than this they share one field, else each has its own.
    """

    min_count: int = Limit(default=3, ge=1)
    rates: bool = True
    rate_folds: int = Limit(default=5, ge=2)
    rate_smoothing: float = Limit(default=20.0, gt=0)
    bins: int = Limit(default=32, ge=0, le=1024)
    joint_numeric_above: int = Limit(default=8, ge=0)
    max_values: int = Limit(default=50, ge=1)


@dataclass(frozen=True)
class Encoder:
    """Vocabularies, scalers and historical rates of one training table."""

    schema: Schema
    settings: EncoderSettings
    vocabularies: dict[str, Vocabulary]
    scalers: dict[str, Scaler]
    rates: dict[tuple[str, ...], Rates]

    @staticmethod
    def fit(train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int) -> tuple[Encoder, Batch]:
        """The encoder and the encoded training rows, whose historical rates are out of fold.

        Columns are fitted in parallel, a slice of rows at a time. Raises SchemaError or EncodingError that names the
        column.
        """
        keep_freed_memory()
        require_columns(train, [field.name for field in schema.fields], "field")
        for task in schema.tasks:
            check_labels(train, task, "training")
        _check_weights(train, schema)
        require_both_classes(train, schema)
        categorical = [field.name for field in schema.fields if field.kind is FieldKind.CATEGORICAL]
        numbers = sum(field.kind is FieldKind.NUMERIC for field in schema.fields) if settings.bins else 0
        ids = np.empty((train.height, len(categorical) + numbers), np.int32)
        places = {name: ids[:, place] for place, name in enumerate(categorical)}
        fitted = in_threads(
            lambda field: _fit_field(train[field.name], field, settings, places.get(field.name)), schema.fields
        )
        named = {field.name: part for field, part in zip(schema.fields, fitted, strict=True)}
        encoder = Encoder(
            schema,
            settings,
            {name: part for name, part in named.items() if isinstance(part, Vocabulary)},
            {name: part for name, part in named.items() if isinstance(part, Scaler)},
            {},
        )
        arrays = replace(encoder._arrays(train.height, len(schema.rates) if settings.rates else 0), categorical=ids)
        for place, (key, rates, own) in enumerate(_fit_rates(train, schema, settings, seed)):
            arrays.numeric[:, encoder._rate_columns(place)] = own
            encoder.rates[key] = rates
        return encoder, encoder._fill(train, arrays, Numbering(), labels=True, own=True)

    def encode(self, table: pl.DataFrame, *, labels: bool = True) -> Batch:
        """New rows. Unseen ids never fail. Without `labels`, label columns need not exist and the mask is 0."""
        keep_freed_memory()
        table = self._checked(table, labels)
        return self._fill(table, self._arrays(table.height, len(self.rates)), Numbering(), labels=labels)

    def encode_parts(self, table: pl.DataFrame, rows: int = 1 << 18, *, labels: bool = True) -> Iterator[Batch]:
        """`encode`, `rows` rows at a time, so that memory does not grow with the table.

        Multi-valued fields are as wide as the part needs; a group has one number in all parts.
        """
        table, groups = self._checked(table, labels), Numbering()
        return (
            self._fill(part, self._arrays(part.height, len(self.rates)), groups, labels=labels)
            for part in table.iter_slices(rows)
        )

    @property
    def layout(self) -> Layout:
        """Sizes of the encoded inputs, in the order in which they are embedded."""
        categorical = [
            CategoricalLayout(f.name, len(self.vocabularies[f.name])) for f in self._of(FieldKind.CATEGORICAL)
        ]
        if self.settings.bins:
            categorical += [CategoricalLayout(f"{name}:bin", scaler.num_bins) for name, scaler in self.scalers.items()]
        multi = [MultiLayout(f.name, len(self.vocabularies[f.name]), f.pooling) for f in self._of(FieldKind.MULTI)]
        return Layout(
            tuple(categorical),
            tuple(multi),
            (*self._numeric_groups(), *self._rate_groups()),
            self.schema.tasks,
        )

    def _numeric_groups(self) -> list[NumericLayout]:
        groups = [
            NumericLayout(name, (name, f"{name}:missing") if scaler.indicator else (name,))
            for name, scaler in self.scalers.items()
        ]
        if len(groups) > self.settings.joint_numeric_above:
            return [NumericLayout("numeric", tuple(column for group in groups for column in group.columns))]
        return groups

    def _rate_groups(self) -> list[NumericLayout]:
        names = (*self.schema.task_names, "rows")
        labels = ["+".join(key) for key in self.rates]
        return [NumericLayout(f"rates of {label}", tuple(f"{label}:{name}" for name in names)) for label in labels]

    def _of(self, kind: FieldKind) -> list[Field]:
        return [field for field in self.schema.fields if field.kind is kind]

    def _checked(self, table: pl.DataFrame, labels: bool) -> pl.DataFrame:
        """The complete table. Raises what can only be told from all rows."""
        if labels:
            for task in self.schema.tasks:
                check_labels(table, task, "given")
            _check_weights(table, self.schema)
        return self._complete(table)

    def _complete(self, table: pl.DataFrame) -> pl.DataFrame:
        """The table with absent optional columns as nulls. Raises EncodingError where another one is absent."""
        absent = [field for field in self.schema.fields if field.name not in table.columns]
        for field in absent:
            if not field.optional:
                raise EncodingError(
                    f"column '{field.name}' is missing, the model was trained with it"
                    f"{suggestion(field.name, table.columns)}; add it (nulls are allowed), "
                    "or train with 'optional: true' in the schema"
                )
        return table.with_columns(pl.lit(None, dtype=pl.String).alias(field.name) for field in absent)

    def _arrays(self, rows: int, num_keys: int) -> Arrays:
        """Room for the result; nothing is written yet."""
        columns = len(self._of(FieldKind.CATEGORICAL)) + (len(self.scalers) if self.settings.bins else 0)
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

    def _fill(
        self, table: pl.DataFrame, arrays: Arrays, groups: Numbering, *, labels: bool, own: bool = False
    ) -> Batch:
        """Encode slice by slice, in parallel, right into `arrays`; with `own`, ids and rates are there already."""
        starts = range(0, table.height, SLICE)
        if len(starts) > 1 and not own:
            in_threads(lambda name: self._prepare(table, name), self.vocabularies)
        multi = in_threads(
            lambda start: self._fill_slice(table.slice(start, SLICE), arrays.slice(start, start + SLICE), labels, own),
            starts,
        )
        features = Features(
            torch.from_numpy(arrays.categorical),
            tuple(
                torch.from_numpy(_padded([part[i] for part in multi])) for i in range(len(self._of(FieldKind.MULTI)))
            ),
            torch.from_numpy(arrays.numeric),
        )
        group = self.schema.group if self.schema.group in table.columns else None
        numbers = None if group is None else torch.from_numpy(groups.number(table[group]))
        return Batch(
            features,
            torch.from_numpy(arrays.labels),
            torch.from_numpy(arrays.mask),
            torch.from_numpy(arrays.weight),
            numbers,
        )

    def _prepare(self, table: pl.DataFrame, name: str) -> None:
        """Make the look-up table of a vocabulary once, before the threads meet there."""
        if name in {field.name for field in self._of(FieldKind.CATEGORICAL)}:
            self.vocabularies[name].encode(table[name].head(1))

    def _fill_slice(self, part: pl.DataFrame, arrays: Arrays, labels: bool, own: bool) -> list[Parts]:
        for place, field in enumerate(() if own else self._of(FieldKind.CATEGORICAL)):
            arrays.categorical[:, place] = self.vocabularies[field.name].encode(part[field.name])
        self._fill_numbers(part, arrays)
        for place, (key, known) in enumerate(() if own else self.rates.items()):
            column = key_column(part, key, {field.name: field for field in self.schema.fields})
            arrays.numeric[:, self._rate_columns(place)] = known.encode(known.vocabulary.encode(column))
        if labels:
            found = _label_columns(part, self.schema)
            arrays.labels[:], arrays.mask[:] = found.values, found.mask
            if self.schema.weight is not None:
                arrays.weight[:] = as_numbers(part[self.schema.weight]).to_numpy()
        return [self._multi(part[field.name], field) for field in self._of(FieldKind.MULTI)]

    def _fill_numbers(self, part: pl.DataFrame, arrays: Arrays) -> None:
        column, bins = 0, len(self._of(FieldKind.CATEGORICAL))
        for place, (name, scaler) in enumerate(self.scalers.items()):
            values = _numbers(as_numbers(part[name]))
            arrays.numeric[:, column : column + scaler.width] = scaler.scale(values)
            if self.settings.bins:
                arrays.categorical[:, bins + place] = scaler.bin(values)
            column += scaler.width

    def _multi(self, column: pl.Series, field: Field) -> Parts:
        flat, sizes = as_parts(column, field, self.settings.max_values)
        return self.vocabularies[field.name].encode(flat), sizes

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values for JSON, and arrays."""
        values: dict[str, Any] = {
            "settings": asdict(self.settings),
            "vocabularies": {name: v.texts() for name, v in self.vocabularies.items()},
            "scalers": {name: asdict(scaler) for name, scaler in self.scalers.items()},
            "rates": [
                {"key": list(key), "values": r.vocabulary.texts(), "smoothing": r.smoothing}
                for key, r in self.rates.items()
            ],
        }
        arrays = {
            f"rates.{i}.{name}": np.ascontiguousarray(getattr(rates, name))
            for i, rates in enumerate(self.rates.values())
            for name in RATE_ARRAYS
        }
        return values, arrays

    @staticmethod
    def from_state(schema: Schema, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Encoder:
        """The inverse of `to_state`."""
        scalers = {
            name: Scaler(s["log"], s["mean"], s["std"], s["indicator"], tuple(s["edges"]))
            for name, s in values["scalers"].items()
        }
        rates = {}
        for i, entry in enumerate(values["rates"]):
            parts = {name: arrays[f"rates.{i}.{name}"] for name in RATE_ARRAYS}
            rates[tuple(entry["key"])] = Rates(Vocabulary(entry["values"]), smoothing=entry["smoothing"], **parts)
        vocabularies = {name: Vocabulary(known) for name, known in values["vocabularies"].items()}
        return Encoder(schema, EncoderSettings(**values["settings"]), vocabularies, scalers, rates)


RATE_ARRAYS = ("sums", "counts", "rows", "prior", "binary", "mean", "std")


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


class Numbering:
    """A number for each value of a group column, from 1; 0 for null. Which one a value gets hangs on the slices."""

    def __init__(self) -> None:
        self._codes = Codes()

    def number(self, column: pl.Series) -> np.ndarray:
        """(N,) int64. The same value has the same number in every column of one type that is given."""
        return np.concatenate([np.zeros(0, np.int64), *map(self._number, slices(column))])

    def _number(self, part: pl.Series) -> np.ndarray:
        numbers = np.zeros(part.len(), np.int64)
        if part.dtype in (pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8):
            keys = part.drop_nulls().cast(pl.Int64).to_numpy()
            present, hashes = part.is_not_null(), hash_integers(keys)
        else:
            texts = as_text(part)
            present, (keys, hashes) = texts.is_not_null(), hash_texts(texts.drop_nulls())
        numbers[present.to_numpy()] = self._codes.add(keys, hashes)[0]
        return numbers


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the order of the items, by as many threads as torch may use; polars and numpy release Python's
    lock."""
    listed = list(items)
    if len(listed) < 2 or torch.get_num_threads() == 1:
        return [work(item) for item in listed]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, listed))


def _fit_field(
    column: pl.Series, field: Field, settings: EncoderSettings, ids: np.ndarray | None
) -> Vocabulary | Scaler:
    """The ids of a categorical column go into `ids`, (N,) int32. Raises SchemaError where there is no value at all."""

    def parts() -> Iterator[pl.Series]:
        for part in slices(column):
            if field.kind is FieldKind.NUMERIC:
                part = as_numbers(part)
            yield as_parts(part, field, settings.max_values)[0] if field.kind is FieldKind.MULTI else part

    if not any(_has_value(part) for part in parts()):
        raise SchemaError(f"column '{field.name}' has no value in the training rows; drop it")
    if field.kind is FieldKind.NUMERIC:
        return Scaler.fit_parts(map(_numbers, parts()), column.len(), settings.bins)
    if ids is None:
        return Vocabulary.fit_parts(parts(), settings.min_count)
    return Vocabulary.fit_encode(column, settings.min_count, ids)


def _has_value(part: pl.Series) -> bool:
    return bool(part.is_finite().any()) if part.dtype.is_float() else part.null_count() < part.len()


def _numbers(numbers: pl.Series) -> np.ndarray:
    """(n,) float64, NaN where null."""
    return numbers.fill_null(float("nan")).to_numpy()


def _padded(parts: list[Parts]) -> np.ndarray:
    """(N, L) int32 from the parts of all slices, padded with 0; L is at least 1."""
    width = max([1, *(int(sizes.max(initial=1)) for _, sizes in parts)])
    out, start = np.zeros((sum(len(sizes) for _, sizes in parts), width), np.int32), 0
    for ids, sizes in parts:
        out[start : start + len(sizes)][np.arange(width) < sizes[:, None]] = ids
        start += len(sizes)
    return out


def _fit_rates(
    train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int
) -> Iterator[tuple[tuple[str, ...], Rates, np.ndarray]]:
    """Key by key: the rates and the (N, T + 1) inputs of the training rows, of which one key's exist at a time."""
    if not (settings.rates and schema.rates):
        return
    labels, fields = _weighted(read_labels(train, schema), train, schema), {f.name: f for f in schema.fields}
    history: Folds | Earlier
    if schema.time is not None:
        require_columns(train, [schema.time], "time column")
        history = Earlier(train[schema.time].rank("dense").fill_null(0).to_numpy())
    else:
        history = Folds(np.random.default_rng(seed).permutation(train.height) % settings.rate_folds)
    for key in schema.rates:
        column = key_column(train, key, fields)
        vocabulary = Vocabulary.fit(column, 1)
        yield key, *fit_rates(vocabulary, vocabulary.encode(column), labels, history, settings.rate_smoothing)


def read_labels(table: pl.DataFrame, schema: Schema) -> Labels:
    """Label values (0 where absent) and the mask of rows on which each task holds. Raises SchemaError."""
    for task in schema.tasks:
        check_labels(table, task, "given")
    return _label_columns(table, schema)


def _label_columns(table: pl.DataFrame, schema: Schema) -> Labels:
    values, mask = [], []
    for task in schema.tasks:
        column = table[task.name].cast(pl.Float64)
        present = column.is_not_null()
        if task.condition is not None:
            present = present & holds(table, task.condition)
        mask.append(present.to_numpy().astype(np.float64))
        values.append(column.fill_null(0.0).to_numpy() * mask[-1])
    binary = np.array([task.kind is TaskKind.BINARY for task in schema.tasks])
    return Labels(np.stack(values, axis=1), np.stack(mask, axis=1), binary)


def require_both_classes(train: pl.DataFrame, schema: Schema) -> None:
    """Raises SchemaError that names a task whose training labels are all alike, or of which no row has a label."""

    def extremes(part: pl.DataFrame) -> np.ndarray:
        found = _label_columns(part, schema)
        low, high = np.where(found.mask > 0, found.values, np.inf), np.where(found.mask > 0, found.values, -np.inf)
        return np.stack([low.min(0, initial=np.inf), -high.max(0, initial=-np.inf)])

    low, high = np.min(in_threads(extremes, train.iter_slices(SLICE)), axis=0) * [[1], [-1]]  # (T,) each
    for task, least, most in zip(schema.tasks, low, high, strict=True):
        if least > most:
            raise SchemaError(f"task '{task.name}': no training row has a label under its condition")
        if least == most:
            raise SchemaError(
                f"task '{task.name}': every label in the training rows is {least:g}; "
                "drop the task or split so that both classes occur"
            )


def _check_weights(table: pl.DataFrame, schema: Schema) -> None:
    if schema.weight is None:
        return
    require_columns(table, [schema.weight], "weight column")
    weights = as_numbers(table[schema.weight])
    if weights.null_count() or float(weights.min() or 0.0) < 0 or not weights.sum() > 0:  # type: ignore[arg-type]
        raise EncodingError(
            f"weight column '{schema.weight}' must hold numbers of 0 or more, not all 0, without nulls; correct it"
        )


def _weighted(labels: Labels, table: pl.DataFrame, schema: Schema) -> Labels:
    """Labels that count by their row's weight, which is one on average, so that smoothing keeps its meaning."""
    if schema.weight is None:
        return labels
    weight = as_numbers(table[schema.weight]).to_numpy()
    return replace(labels, mask=labels.mask * (weight / weight.mean())[:, None])
