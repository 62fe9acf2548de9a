"""From raw columns to tensors. Everything is fitted on training rows only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.data.batch import Batch, Features
from automtl.data.columns import as_lists, as_numbers, as_text, holds, key_column
from automtl.data.infer import check_labels, require_columns
from automtl.data.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.data.rates import Earlier, Folds, Labels, Rates, fit_rates
from automtl.data.scaler import Scaler
from automtl.data.schema import CONFIG, Field, FieldKind, Schema, TaskKind
from automtl.data.vocabulary import Vocabulary
from automtl.errors import EncodingError, SchemaError, suggestion


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

        Raises SchemaError or EncodingError that names the column.
        """
        require_columns(train, [field.name for field in schema.fields], "field")
        for task in schema.tasks:
            check_labels(train, task, "training")
        _require_both_classes(train, schema)
        vocabularies, scalers = {}, {}
        for field in schema.fields:
            if field.kind is FieldKind.NUMERIC:
                scalers[field.name] = Scaler.fit(_numbers(train, field), settings.bins)
            else:
                vocabularies[field.name] = Vocabulary.fit(_texts(train, field, settings), settings.min_count)
        fitted, own = _fit_rates(train, schema, settings, seed)
        encoder = Encoder(schema, settings, vocabularies, scalers, fitted)
        return encoder, encoder._batch(train, own, labels=True)

    def encode(self, table: pl.DataFrame, *, labels: bool = True) -> Batch:
        """New rows. Unseen ids never fail. Without `labels`, label columns need not exist and the mask is 0."""
        table = self._complete(table)
        own = {key: rates.encode(rates.vocabulary.encode(self._key(table, key))) for key, rates in self.rates.items()}
        return self._batch(table, own, labels)

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

    def _key(self, table: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
        return key_column(table, key, {field.name: field for field in self.schema.fields})

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

    def _batch(self, table: pl.DataFrame, own_rates: dict[tuple[str, ...], np.ndarray], labels: bool) -> Batch:
        ids = [self.vocabularies[f.name].encode(as_text(table[f.name])) for f in self._of(FieldKind.CATEGORICAL)]
        columns = []
        for name, scaler in self.scalers.items():
            values = as_numbers(table[name]).fill_null(float("nan")).to_numpy()
            columns.append(scaler.scale(values))
            if self.settings.bins:
                ids.append(scaler.bin(values))
        columns += [own_rates[key] for key in self.rates]
        features = Features(
            torch.from_numpy(_stack(ids, table.height, np.int64)),
            tuple(torch.from_numpy(self._multi(table[f.name], f)) for f in self._of(FieldKind.MULTI)),
            torch.from_numpy(np.concatenate(columns, axis=1) if columns else np.zeros((table.height, 0), np.float32)),
        )
        found = read_labels(table, self.schema) if labels else _no_labels(table.height, self.schema)
        return Batch(
            features,
            torch.from_numpy(found.values.astype(np.float32)),
            torch.from_numpy(found.mask.astype(np.float32)),
            torch.from_numpy(_weights(table, self.schema) if labels else np.ones(table.height, np.float32)),
            _groups(table, self.schema),
        )

    def _multi(self, column: pl.Series, field: Field) -> np.ndarray:
        """(N, L) int64, padded with 0."""
        lists = as_lists(column, field, self.settings.max_values)
        sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
        out = np.zeros((len(sizes), max(int(sizes.max(initial=1)), 1)), np.int64)
        flat = lists.filter(pl.Series(sizes > 0)).explode()
        row = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        if len(row):
            out[row, place] = self.vocabularies[field.name].encode(flat)
        return out

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values for JSON, and arrays."""
        values: dict[str, Any] = {
            "settings": asdict(self.settings),
            "vocabularies": {name: v.values.to_list() for name, v in self.vocabularies.items()},
            "scalers": {name: asdict(scaler) for name, scaler in self.scalers.items()},
            "rates": [
                {"key": list(key), "values": r.vocabulary.values.to_list(), "smoothing": r.smoothing}
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


def _numbers(table: pl.DataFrame, field: Field) -> np.ndarray:
    numbers = as_numbers(table[field.name])
    if numbers.null_count() == table.height:
        raise SchemaError(f"column '{field.name}' has no value in the training rows; drop it")
    return numbers.fill_null(float("nan")).to_numpy()


def _texts(table: pl.DataFrame, field: Field, settings: EncoderSettings) -> pl.Series:
    column = table[field.name]
    if field.kind is FieldKind.MULTI:
        lists = as_lists(column, field, settings.max_values)
        texts = lists.filter((lists.list.len() > 0).fill_null(False)).explode()
    else:
        texts = as_text(column)
    if texts.null_count() == texts.len():
        raise SchemaError(f"column '{field.name}' has no value in the training rows; drop it")
    return texts


def _fit_rates(
    train: pl.DataFrame, schema: Schema, settings: EncoderSettings, seed: int
) -> tuple[dict[tuple[str, ...], Rates], dict[tuple[str, ...], np.ndarray]]:
    fitted: dict[tuple[str, ...], Rates] = {}
    own: dict[tuple[str, ...], np.ndarray] = {}
    if not (settings.rates and schema.rates):
        return fitted, own
    labels, fields = _weighted(read_labels(train, schema), train, schema), {f.name: f for f in schema.fields}
    history: Folds | Earlier
    if schema.time is not None:
        require_columns(train, [schema.time], "time column")
        history = Earlier(train[schema.time].rank("dense").fill_null(0).to_numpy())
    else:
        history = Folds(np.random.default_rng(seed).permutation(train.height) % settings.rate_folds)
    for key in schema.rates:
        texts = key_column(train, key, fields)
        vocabulary = Vocabulary.fit(texts, 1)
        ids = vocabulary.encode(texts)
        fitted[key], own[key] = fit_rates(vocabulary, ids, labels, history, settings.rate_smoothing)
    return fitted, own


def _weighted(labels: Labels, table: pl.DataFrame, schema: Schema) -> Labels:
    """Labels that count by their row's weight, which is one on average, so that smoothing keeps its meaning."""
    if schema.weight is None:
        return labels
    weight = _weights(table, schema).astype(np.float64)
    return replace(labels, mask=labels.mask * (weight / weight.mean())[:, None])


def read_labels(table: pl.DataFrame, schema: Schema) -> Labels:
    """Label values (0 where absent) and the mask of rows on which each task holds. Raises SchemaError."""
    values, mask = [], []
    for task in schema.tasks:
        check_labels(table, task, "given")
        column = table[task.name].cast(pl.Float64)
        present = column.is_not_null()
        if task.condition is not None:
            present = present & holds(table, task.condition)
        mask.append(present.to_numpy().astype(np.float64))
        values.append(column.fill_null(0.0).to_numpy() * mask[-1])
    binary = np.array([task.kind is TaskKind.BINARY for task in schema.tasks])
    return Labels(np.stack(values, axis=1), np.stack(mask, axis=1), binary)


def _require_both_classes(train: pl.DataFrame, schema: Schema) -> None:
    labels = read_labels(train, schema)
    for index, task in enumerate(schema.tasks):
        present = labels.values[labels.mask[:, index] > 0, index]
        if len(present) == 0:
            raise SchemaError(f"task '{task.name}': no training row has a label under its condition")
        if present.min() == present.max():
            raise SchemaError(
                f"task '{task.name}': every label in the training rows is {present[0]:g}; "
                "drop the task or split so that both classes occur"
            )


def _no_labels(rows: int, schema: Schema) -> Labels:
    zeros = np.zeros((rows, len(schema.tasks)))
    return Labels(zeros, zeros, np.zeros(len(schema.tasks), bool))


def _weights(table: pl.DataFrame, schema: Schema) -> np.ndarray:
    if schema.weight is None:
        return np.ones(table.height, np.float32)
    require_columns(table, [schema.weight], "weight column")
    weights = as_numbers(table[schema.weight])
    if weights.null_count() or float(weights.min() or 0.0) < 0 or not weights.sum() > 0:  # type: ignore[arg-type]
        raise EncodingError(
            f"weight column '{schema.weight}' must hold numbers of 0 or more, not all 0, without nulls; correct it"
        )
    return weights.to_numpy().astype(np.float32)


def _groups(table: pl.DataFrame, schema: Schema) -> torch.Tensor | None:
    if schema.group is None or schema.group not in table.columns:
        return None
    codes = as_text(table[schema.group]).rank("dense").fill_null(0).cast(pl.Int64)
    return torch.from_numpy(codes.to_numpy().copy())


def _stack(ids: list[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    return np.stack(ids, axis=1) if ids else np.zeros((rows, 0), dtype)
