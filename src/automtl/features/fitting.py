"""Fitting of an encoder to training rows, which come in chunks of a table in memory or of files in a folder.

Both are fitted by the same steps, to the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import polars as pl

from automtl.errors import SchemaError
from automtl.features.chunk import ChunkColumns, Numbers, newest_of
from automtl.features.piecewise import Piecewise
from automtl.features.ranking import Ranking
from automtl.features.scaler import Scaler
from automtl.features.target_encoding import EncodingHistory, Scratch, TargetEncoding, Terms
from automtl.features.targets import standardized_tasks
from automtl.features.vocabulary import Vocabulary
from automtl.system.threads import in_threads
from automtl.tables.derive import simple_fields_of
from automtl.tables.names import shown
from automtl.tables.roles import Chunk
from automtl.tables.schema import Field, FieldKind, Schema

VALUE_BYTES = 64  # memory for a value of a vocabulary, about
SHOWN = 10  # names in a warning
Fit = Callable[[Scratch], tuple[TargetEncoding, np.ndarray]]


class TrainingRows(Protocol):
    """Rows that an encoder is fitted on, as chunks; `num_rows`: the number of training rows among them.

    `memory_bytes`: limits for all vocabularies together, and for each key that is encoded; None: no limit.
    """

    @property
    def columns(self) -> ChunkColumns: ...

    @property
    def num_rows(self) -> int: ...

    @property
    def seed(self) -> int: ...

    @property
    def chunks(self) -> Sequence[Chunk]: ...

    @property
    def memory_bytes(self) -> tuple[int | None, int | None]: ...

    def each(self, stage: str, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Work on the items in parallel, and return the results."""

    def values(self, place: int) -> Iterator[pl.Series]:
        """Yield the values of a coded column, in the order of their codes."""

    def ranking(self, place: int, min_count: int) -> Ranking:
        """Rank the values of a coded column that at least `min_count` training rows have; others may follow them."""

    def target_encoding(self, key: int, vocabulary: Vocabulary, fit: Fit) -> tuple[TargetEncoding, np.ndarray]:
        """Return what `fit` gives for a key of the schema, with its arrays where there is room for them."""

    def scratch(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Make an array to be filled, which all keys share."""


@dataclass(frozen=True)
class Fitted:
    """Everything that was learned. `schema`: without the fields that have no value in the training rows, and with the
    scales of its quantities.

    `rankings`: by place of the coded column. By key of this schema: `key_ids` has the id of each code, `own_inputs`
    gives the inputs of the training rows themselves. `kept`: the earlier vocabularies whose values were kept, by field.
    """

    schema: Schema
    newest: dict[str, float]
    vocabularies: dict[str, Vocabulary]
    scalers: dict[str, Scaler | Piecewise]
    rankings: list[Ranking]
    encodings: dict[tuple[str, ...], TargetEncoding]
    key_ids: list[np.ndarray]
    own_inputs: list[np.ndarray]
    history: EncodingHistory
    kept: Mapping[str, Vocabulary] = field(default_factory=dict)

    def ids(self, rows: TrainingRows) -> dict[int, np.ndarray]:
        """Return the id of each code, (codes + 1,) int32, by the place of each field among the coded columns."""
        fields = rows.columns.coded_fields(self.schema)
        return dict(zip(fields, in_threads(lambda one: self._ids(rows, *one), fields.items()), strict=True))

    def _ids(self, rows: TrainingRows, place: int, field: Field) -> np.ndarray:
        vocabulary = self.vocabularies[field.target or field.name]
        if field.target is not None or field.name in self.kept:
            own = Vocabulary(vocabulary.values, vocabulary.hashed)  # its look-up table is freed afterwards
            return np.concatenate([np.zeros(1, np.int32), *map(own.encode, rows.values(place))])
        ids, start = self.rankings[place].ids(vocabulary.values.len()), 1
        for values in rows.values(place) if vocabulary.hashed else ():
            vocabulary.share_unknown(values, ids[start : start + values.len()])
            start += values.len()
        return ids


def fit_rows(rows: TrainingRows, kept: Mapping[str, Vocabulary] | None = None) -> Fitted:
    """Fit numbers, vocabularies and target encodings.

    kept: earlier vocabularies by field, whose values are known, too, after those of the rows. Fields without a value in
    the training rows are left out, with one warning. Raises SchemaError if no field is left.
    """
    columns = rows.columns
    newest = newest_of(rows.chunks, columns)
    scalers, rankings = _count(rows, newest)
    schema = _schema_of_values(columns, scalers, rankings)
    keys = tuple(key for key in columns.keys if key in schema.target_encoding)
    vocabularies, known = _fit_vocabularies(rows, rankings, schema, keys)
    kept = {name: one for name, one in (kept or {}).items() if name in vocabularies}
    for one in columns.coded_fields(schema).values():
        if one.name in kept:
            most = columns.settings.of(one).max_ids
            vocabularies[one.name] = vocabularies[one.name].joined(kept[one.name], most)
    settings, by_time = columns.settings, columns.schema.time is not None
    schema = replace(schema, tasks=standardized_tasks(rows.chunks, schema.tasks))
    terms = Terms(rows.chunks, schema, rows.num_rows)
    history = EncodingHistory(terms, settings.folds, settings.smoothing, rows.seed, by_time, rows.memory_bytes[1])
    if keys:
        history.begin(rows.scratch)
    ids = [rankings[columns.place(key)].ids(count) for key, count in zip(keys, known, strict=True)]

    def encode(key: int) -> tuple[TargetEncoding, np.ndarray]:
        place = columns.place(keys[key])
        vocabulary = Vocabulary(rankings[place].values.head(known[key]))
        return rows.target_encoding(key, vocabulary, lambda scratch: history.fit(place, vocabulary, ids[key], scratch))

    encoded = rows.each("target encoding", encode, range(len(keys)))
    encodings = dict(zip(keys, [one for one, _ in encoded], strict=True))
    own = [inputs for _, inputs in encoded]
    return Fitted(schema, newest, vocabularies, scalers, rankings, encodings, ids, own, history, kept)


def _count(rows: TrainingRows, newest: dict[str, float]) -> tuple[dict[str, Scaler | Piecewise], list[Ranking]]:
    """Fit the numbers that have a value, and rank the values of the other columns, by place."""
    columns = rows.columns
    numbers = [Numbers(columns, field, newest) for field in columns.of(FieldKind.NUMERIC)]
    tasks: list[Callable[[], Any]] = [partial(_fit_numbers, rows, one) for one in numbers]
    counted = [place for place, one in enumerate(columns.coded) if one.field is not None or one.key]
    tasks += [partial(rows.ranking, place, _least_count(columns, place)) for place in counted]
    found = rows.each("counting", lambda task: task(), tasks)
    scalers = {
        one.field.name: fit for kind in (Scaler, Piecewise) for one, fit in zip(numbers, found, strict=False)
        if isinstance(fit, kind)
    }  # fmt: skip
    return scalers, found[len(numbers) :]


def _schema_of_values(columns: ChunkColumns, scalers: dict[str, Scaler | Piecewise], rankings: list[Ranking]) -> Schema:
    """Return the schema of the fields that have a value in the training rows; warns of others."""
    coded = zip(columns.coded, rankings, strict=False)
    valued = {*scalers, *(one.field.name for one, found in coded if one.field is not None and found.present)}
    whole = columns.schema
    empty = [field.name for field in whole.fields if not valued & {one.name for one in simple_fields_of(field)}]
    if not empty:
        return whole
    if len(empty) == len(whole.fields):
        raise SchemaError("no field has a value in the training rows; give a column that has some")
    left = whole.without(empty)
    _warn_empty([field.name for field in whole.fields if field not in left.fields])
    return left


def _warn_empty(names: list[str]) -> None:
    """Warn, once for all of them, of fields that are left out."""
    shown, more = ", ".join(f"'{name}'" for name in names[:SHOWN]), len(names) - SHOWN
    rest = f" and {more} more columns" if more > 0 else ""
    warnings.warn(f"left out, without a value in the training rows: {shown}{rest}", stacklevel=2)


def _least_count(columns: ChunkColumns, place: int) -> int:
    """Return the training rows that a value of a coded column needs to be ranked; keys need all values."""
    one = columns.coded[place]
    if one.field is None or any(columns.place(key) == place for key in columns.keys):
        return 1
    return columns.settings.of(one.field).min_count


def _fit_numbers(rows: TrainingRows, numbers: Numbers) -> Scaler | Piecewise | None:
    """Fit a number; None where it has no value."""
    settings = rows.columns.settings.of(numbers.field)
    if all(np.isnan(part).all() for part in numbers.training(rows.chunks)):  # the first one mostly tells
        return None
    parts = numbers.training(rows.chunks)
    if settings.form == "piecewise":
        return Piecewise.fit(parts, rows.num_rows, settings.bins)
    return Scaler.fit(parts, rows.num_rows, settings.bins, settings.form)


def _fit_vocabularies(
    rows: TrainingRows, rankings: list[Ranking], schema: Schema, keys: Sequence[tuple[str, ...]]
) -> tuple[dict[str, Vocabulary], list[int]]:
    """Return the vocabulary of each field of the schema, and the number of known values of each key.

    Where not all values fit in memory, the largest vocabularies are cut to one size.
    """
    columns = rows.columns
    fields = {
        one.name: (columns.settings.of(one), rankings[place])
        for place, one in columns.coded_fields(schema).items() if one.target is None
    }  # fmt: skip
    wanted = {name: ranking.most(settings.min_count) for name, (settings, ranking) in fields.items()}
    most = {name: min(wanted[name], settings.max_ids) for name, (settings, _) in fields.items()}
    counts = [rankings[columns.place(key)].values.len() for key in keys]
    memory = rows.memory_bytes[0]
    fits = _evenly(np.array([*most.values(), *counts], np.int64), None if memory is None else memory // VALUE_BYTES)
    found = {}
    for name, (settings, ranking) in fields.items():
        known = min(most[name], fits)
        found[name] = Vocabulary(ranking.values.head(known), settings.hashed_ids if known < wanted[name] else 0)
        if known < wanted[name]:
            _warn_cut(name, wanted[name], found[name], "max_ids" if known == most[name] else "memory")
    return found, [min(count, fits) for count in counts]


def _evenly(sizes: np.ndarray, total: int | None) -> int:
    """Return the largest size to which all sizes may be cut so that their sum is at most the total."""
    if total is None or sizes.sum() <= total:
        return int(sizes.max(initial=0))
    ascending = np.sort(sizes)
    before = np.concatenate([[0], np.cumsum(ascending)[:-1]])
    shares = (total - before) // np.arange(len(sizes), 0, -1)
    return max(int(shares[np.argmax(shares < ascending)]), 1)


def _warn_cut(name: str, values: int, kept: Vocabulary, why: str) -> None:
    """Warn that only the most frequent of a column's values have an id of their own."""
    rest = f"hashed into {kept.hashed:,} ids" if kept.hashed else "unknown"
    warnings.warn(
        f"column '{shown(name)}': of {values:,} values the {kept.values.len():,} most frequent have an id "
        f"of their own ({why}), the others are {rest}",
        stacklevel=3,
    )
