"""Vocabularies and target encodings of single columns, by the steps of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from automtl.features.dictionary import Dictionary, joined_values
from automtl.features.ranking import Counted, Ranking, canonical
from automtl.features.target_encoding import EncodingHistory, Terms
from automtl.features.vocabulary import Vocabulary
from automtl.system.slices import slices
from automtl.tables.schema import Field, FieldKind, Schema, Task, TaskKind


def rank(column: pl.Series, min_count: int, rows: int | None = None) -> tuple[Ranking, np.ndarray]:
    """The ranking of a column that comes `rows` rows at a time, and the code of each row."""
    known = Dictionary()
    codes, fresh = zip(*map(known.add, slices(column, rows)), strict=True) if column.len() else ((), ())
    every = np.concatenate([np.zeros(0, np.int32), *codes])
    values = canonical(joined_values(fresh)) if fresh else pl.Series(dtype=pl.String)
    counts = np.bincount(every, minlength=known.size + 1)
    counted = Counted.of(values, np.arange(1, known.size + 1), counts, several=False, min_count=min_count)
    return counted.first(None).ranking(counted.values.len(), counts), every


def fit(column: pl.Series, min_count: int, rows: int | None = None) -> Vocabulary:
    return Vocabulary(rank(column, min_count, rows)[0].values)


def fit_encode(column: pl.Series, min_count: int) -> tuple[Vocabulary, np.ndarray]:
    ranking, codes = rank(column, min_count)
    return Vocabulary(ranking.values), ranking.ids(ranking.values.len()).take(codes)


@dataclass(frozen=True)
class Given:
    """A chunk of training rows, of which the arrays are given."""

    arrays: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        return len(self.arrays["labels"])

    @property
    def part(self) -> np.ndarray:
        return np.zeros(self.rows, np.uint8)

    def array(self, name: str) -> np.ndarray:
        return self.arrays[name]


def own_inputs(
    ids: np.ndarray, labels: np.ndarray, mask: np.ndarray, time: np.ndarray | None, smoothing: float, folds: int = 5
) -> np.ndarray:
    """(N, T + 1): the inputs of training rows of a key, not standardised; ids: (N,), from 2 on."""
    binary = bool(np.isin(labels, (0, 1)).all())
    kind = TaskKind.BINARY if binary else TaskKind.REGRESSION
    tasks = tuple(Task(f"t{place}", kind) for place in range(labels.shape[1]))
    schema = Schema((Field("x", FieldKind.CATEGORICAL),), tasks)
    half = len(ids) // 2
    arrays = {"ids.0": ids, "labels": labels * mask, "mask": mask, "time": time}
    chunks = [
        Given({name: array[part] for name, array in arrays.items() if array is not None})
        for part in (slice(0, half), slice(half, None))
    ]
    terms = Terms(chunks, schema, len(ids))
    history = EncodingHistory(terms, folds, smoothing, 0, time is not None)
    history.begin(lambda name, shape, dtype: np.empty(shape, dtype))
    known = Vocabulary([str(value) for value in range(int(ids.max()) - 1)])
    code_ids = np.arange(ids.max() + 1)
    kept: dict[str, np.ndarray] = {}

    def scratch(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return kept.setdefault(name, np.empty(shape, dtype))

    history.fit(0, known, code_ids, scratch)
    return history.inputs(kept["raw"], ids, 0)
