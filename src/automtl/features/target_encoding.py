"""Target encoding: past labels of the rows that share a key (an id or a pair of ids), as numeric inputs.

For key value v and task k with prior m_k (the mean label), smoothing s, label sum S and label count n:
rate = (S + s m_k) / (n + s); binary tasks enter as its logit. A further input is log(1 + rows of v).
Training rows get these out of fold (or, with a time column, from strictly earlier rows): no row sees its own label.

Labels and label counts (the "terms") are added up as whole multiples of a power of two, the grid's `step`: a sum is the
same in any order and any number of pieces. Symbols: N training rows, V ids, T tasks, F folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from automtl.features.chunk import sliced
from automtl.features.scaler import LIMIT, Moments
from automtl.features.vocabulary import FIRST, Vocabulary
from automtl.system.slices import SLICE
from automtl.tables.permutation import permuted
from automtl.tables.roles import Chunk, train_starts, training
from automtl.tables.schema import Schema, TaskKind
from automtl.tables.split import time_in_order

ENCODING_ARRAYS = ("sums", "counts", "rows", "prior", "binary", "mean", "std")  # of a TargetEncoding
ROW_BYTES = 200  # memory for a row that is sorted, about
Scratch = Callable[[str, tuple[int, ...], type], np.ndarray]  # an array to be filled, by its name, shape and type


@dataclass(frozen=True)
class Sums:
    """Sums of rows by id: `terms` (V, 2 T) int64 in multiples of `step` (2 T,), and `rows` (V,) int64."""

    terms: np.ndarray
    rows: np.ndarray
    step: np.ndarray

    @staticmethod
    def empty(size: int, step: np.ndarray) -> Sums:
        """Return the sums of no rows, for `size` ids."""
        return Sums(np.zeros((size, len(step)), np.int64), np.zeros(size, np.int64), step)

    def add(self, ids: np.ndarray, terms: np.ndarray) -> None:
        """Add rows: ids (n,), terms (n, 2 T) on the grid."""
        ids = ids.astype(np.int64)
        if len(self.rows) < len(ids):
            self.rows[:] += np.bincount(ids, minlength=len(self.rows))
        else:
            np.add.at(self.rows, ids, 1)
        flat = np.ascontiguousarray(terms)
        for place in range(flat.shape[1]):
            np.add.at(self.terms[:, place], ids, np.ascontiguousarray(flat[:, place]))

    def less(self, other: Sums) -> Sums:
        """Subtract the sums of other rows."""
        return Sums(self.terms - other.terms, self.rows - other.rows, self.step)

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Label sums and label counts, (V, T) each."""
        sums, counts = np.split(self.terms * self.step, 2, axis=1)
        return sums, counts

    def slice(self, first: int, last: int) -> Sums:
        """Return views of the sums of some ids."""
        return Sums(self.terms[first:last], self.rows[first:last], self.step)


@dataclass(frozen=True)
class TargetEncoding:
    """Label `sums` and `counts`, (V, T), and `rows`, (V,), of each value of a key; V counts missing and unknown."""

    vocabulary: Vocabulary
    sums: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    prior: np.ndarray
    binary: np.ndarray
    smoothing: float
    mean: np.ndarray
    std: np.ndarray

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Return the inputs, (N, T + 1) float32, of ids of this key, by the statistics of all training rows."""
        return self.table.take(ids, axis=0)

    @cached_property
    def table(self) -> np.ndarray:
        """The inputs of each id, (V, T + 1) float32."""
        raw = smoothed(self.sums, self.counts, self.rows, self.prior, self.binary, self.smoothing)
        return Standardizer(self.mean, self.std).standardized(raw)


def smoothed(
    sums: np.ndarray, counts: np.ndarray, rows: np.ndarray, prior: np.ndarray, binary: np.ndarray, smoothing: float
) -> np.ndarray:
    """Return (V, T + 1): smoothed rates (logits for binary tasks), then the log of one plus the rows."""
    rate = (sums + smoothing * prior) / (counts + smoothing)
    safe = np.clip(rate, 1e-6, 1 - 1e-6)
    return np.concatenate([np.where(binary, np.log(safe / (1 - safe)), rate), np.log1p(rows)[:, None]], axis=1)


def mean_label(sums: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the mean label of each task, (T,), from the sums of all rows, (2 T,) on the grid."""
    labels, counts = np.split(sums * step, 2)
    mean: np.ndarray = labels / np.maximum(counts, 1e-12)
    return mean


def known_ids(ids: np.ndarray) -> np.ndarray:
    """Turn unknown ids into missing ones, with which they are counted."""
    return np.where(ids >= FIRST, ids, 0)


@dataclass(frozen=True)
class Standardizer:
    """Mean and standard deviation of the inputs of the training rows, (T + 1,) each; a constant's deviation is 1."""

    mean: np.ndarray
    std: np.ndarray

    @staticmethod
    def fit(parts: Iterable[np.ndarray], units: np.ndarray | float = 1.0) -> Standardizer:
        """Fit inputs that come in slices, (n, T + 1), of SLICE rows each; their moments are added in this order.

        units: (T + 1,), in which a deviation is of a size of 1, so that far smaller ones are those of a constant.
        """
        found: list[Moments] = []
        for part in parts:
            own = [Moments.of(np.ascontiguousarray(column)) for column in part.T]
            found = [one + more for one, more in zip(found, own, strict=True)] if found else own
        std = np.array([column.std for column in found])
        return Standardizer(np.array([column.mean for column in found]), np.where(std > 1e-9 * units, std, 1.0))

    def standardized(self, raw: np.ndarray) -> np.ndarray:
        """Return standardized inputs, (..., T + 1) float32, cut at LIMIT standard deviations, by sums of raw's type."""
        scaled: np.ndarray = raw - self.mean.astype(raw.dtype)
        scaled /= self.std.astype(raw.dtype)
        return np.clip(scaled, -LIMIT, LIMIT, out=scaled).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Terms:
    """Labels and masks of the training rows, weighted (by 1 on average), as the terms that are added up."""

    chunks: Sequence[Chunk]
    schema: Schema
    rows: int

    @cached_property
    def mean_weight(self) -> float:
        """Mean weight of the training rows."""
        parts = sliced(training(chunk, chunk.array("weight")) for chunk in self.chunks)
        return sum(float(np.ascontiguousarray(part).sum()) for part in parts) / self.rows

    @cached_property
    def step(self) -> np.ndarray:
        """Step of the grid, (2 T,): a power of two, so small that 62 bits hold the sum of all rows' terms."""
        largest = np.max([np.abs(self._plain(chunk)).max(0, initial=0) for chunk in self.chunks], 0)
        return np.asarray(2.0 ** (np.frexp(largest)[1] + self.rows.bit_length() - 62))

    @cached_property
    def binary(self) -> np.ndarray:
        """Which tasks are binary, (T,)."""
        return np.array([task.kind is TaskKind.BINARY for task in self.schema.tasks])

    @cached_property
    def units(self) -> np.ndarray:
        """The size of each task's labels, and of the log of rows, (T + 1,)."""
        return np.array([*(task.scale or 1.0 for task in self.schema.tasks), 1.0])

    def of(self, chunk: Chunk) -> np.ndarray:
        """Return the terms, (n, 2 T) int64 on the grid, of a chunk's training rows."""
        return np.asarray(np.rint(self._plain(chunk) / self.step).astype(np.int64))

    def _plain(self, chunk: Chunk) -> np.ndarray:
        values, mask = (training(chunk, chunk.array(name)).astype(np.float64) for name in ("labels", "mask"))
        if self.schema.weight is not None:
            mask = mask * (training(chunk, chunk.array("weight")) / self.mean_weight)[:, None]
        return np.concatenate([values * mask, mask], axis=1)


@dataclass
class EncodingHistory:
    """Fits the encodings of all keys. `by_time`: a training row's history is the earlier rows, not the other folds.

    `memory_bytes`: about what a key may use beside its result; None: no limit.
    """

    terms: Terms
    folds: int
    smoothing: float
    seed: int
    by_time: bool
    memory_bytes: int | None = None

    def begin(self, scratch: Scratch) -> None:
        """Compute what all keys share: sums by fold, (F, 2 T), or the mean labels before each row, (N, T)."""
        self.shared = self._priors(scratch) if self.by_time else self._fold_totals()

    def fit(
        self, place: int, vocabulary: Vocabulary, ids: np.ndarray, scratch: Scratch
    ) -> tuple[TargetEncoding, np.ndarray]:
        """Fit the encoding of the key whose codes are `ids.PLACE`; also returns the training rows' own inputs.

        ids: the id of each code. The inputs are (F, V, T + 1) by fold and id or, by time, (N, T + 1), float32.
        """
        known, every = known_ids(ids), Sums.empty(len(vocabulary), self.terms.step)
        raw, rows = (self._by_time if self.by_time else self._by_fold)(place, known, every, scratch)
        spread = Standardizer.fit(sliced(rows), self.terms.units)
        inputs = scratch("inputs", raw.shape, np.float32)
        for table, into in zip(raw, inputs, strict=True) if raw.ndim == 3 else [(raw, inputs)]:
            for start in range(0, len(table), SLICE):
                into[start : start + SLICE] = spread.standardized(table[start : start + SLICE])
        prior = mean_label(every.terms.sum(0), every.step)
        encoding = TargetEncoding(
            vocabulary, *every.labels, every.rows.astype(np.float64), prior, self.terms.binary, self.smoothing,
            spread.mean, spread.std,
        )  # fmt: skip
        return encoding, inputs

    def inputs(self, fitted: np.ndarray, ids: np.ndarray, start: int) -> np.ndarray:
        """Return the inputs, (n, T + 1) float32, of training rows from number `start` on, whose ids are `ids` (n,)."""
        if self.by_time:
            return fitted[start : start + len(ids)]
        _, size, columns = fitted.shape
        flat = self._fold(start, len(ids)) * size + known_ids(ids)
        return np.asarray(fitted.reshape(-1, columns).take(flat, axis=0))

    def _fold(self, start: int, rows: int) -> np.ndarray:
        """Return the folds, (n,), of training rows from number `start` on; all folds are of equal size within a row."""
        return permuted(np.arange(start, start + rows), self.terms.rows, self.seed) % self.folds

    def _rows(self, place: int, ids: np.ndarray) -> Iterator[tuple[Chunk, int, np.ndarray]]:
        """Yield each chunk, the number of its first training row, and the ids of its training rows."""
        for chunk, start in train_starts(self.terms.chunks):
            yield chunk, start, ids.take(training(chunk, chunk.array(f"ids.{place}")))

    def _fold_totals(self) -> np.ndarray:
        """Sum the terms of each fold's rows, (F, 2 T) on the grid."""
        totals = Sums.empty(self.folds, self.terms.step)
        for chunk, start in train_starts(self.terms.chunks):
            terms = self.terms.of(chunk)
            totals.add(self._fold(start, len(terms)), terms)
        return totals.terms

    def _by_fold(
        self, place: int, ids: np.ndarray, every: Sums, scratch: Scratch
    ) -> tuple[np.ndarray, Iterator[np.ndarray]]:
        """Return the inputs by the sums of other folds, (F, V, T + 1), made some ids at a time; fills `every`."""
        terms, size, width = self.terms, len(every.rows), len(self.terms.binary) + 1
        totals = self.shared
        raw = scratch("raw", (self.folds, size, width), np.float64)
        most = size if self.memory_bytes is None else max(self.memory_bytes // (self.folds * width * 48), 1)
        for first in range(0, size, most):
            last = min(first + most, size)
            inside = Sums.empty(self.folds * (last - first), terms.step)
            for chunk, start, own in self._rows(place, ids):
                flat, more = self._fold(start, len(own)) * (last - first) + own - first, terms.of(chunk)
                if last - first < size:
                    here = np.flatnonzero((own >= first) & (own < last))
                    flat, more = flat[here], more[here]
                inside.add(flat, more)
            every.terms[first:last] = inside.terms.reshape(self.folds, last - first, -1).sum(0)
            every.rows[first:last] = inside.rows.reshape(self.folds, -1).sum(0)
            for fold in range(self.folds):
                others = every.slice(first, last).less(inside.slice(fold * (last - first), (fold + 1) * (last - first)))
                prior = mean_label(totals.sum(0) - totals[fold], terms.step)
                raw[fold, first:last] = smoothed(*others.labels, others.rows, prior, terms.binary, self.smoothing)
        return raw, (raw[self._fold(start, len(own)), own] for _, start, own in self._rows(place, ids))

    def _by_time(
        self, place: int, ids: np.ndarray, every: Sums, scratch: Scratch
    ) -> tuple[np.ndarray, Iterator[np.ndarray]]:
        """Return the inputs by the sums of earlier rows, (N, T + 1), bucket by bucket of ids; fills `every`."""
        terms, priors = self.terms, self.shared
        for chunk, _, own in self._rows(place, ids):
            every.add(own, terms.of(chunk))
        bucket = np.cumsum(every.rows) // self.bucket_rows
        raw = scratch("raw", (terms.rows, len(terms.binary) + 1), np.float64)
        for one in range(int(bucket[-1]) + 1):
            where, key, time, own = self._gathered(place, ids, partial(_in_bucket, bucket, one))
            before, count = sums_before(own, key, time)
            sums, counts = np.split(before * terms.step, 2, axis=1)
            raw[where] = smoothed(sums, counts, count, priors[where], terms.binary, self.smoothing)
        return raw, (raw[start : start + SLICE] for start in range(0, terms.rows, SLICE))

    @property
    def bucket_rows(self) -> int:
        """The number of rows that are sorted together; all rows of one id stay together."""
        return self.terms.rows + 1 if self.memory_bytes is None else max(self.memory_bytes // ROW_BYTES, 1)

    def _priors(self, scratch: Scratch) -> np.ndarray:
        """Return the mean label before each row's time, (N, T); before all rows it is 1/2 (of a quantity: 0)."""
        terms, chunks = self.terms, self.terms.chunks
        priors = scratch("priors", (terms.rows, len(terms.binary)), np.float64)
        total = sum(chunk.rows for chunk in chunks)
        last = [time_in_order(chunks, place) for place in range(self.bucket_rows, total, self.bucket_rows)]
        edges = np.unique(np.array(last, np.int64))
        base = np.zeros(2 * len(terms.binary), np.int64)
        for bucket in range(len(edges) + 1):
            where, key, time, own = self._gathered(None, None, partial(_between, edges, bucket))
            before, _ = sums_before(own, key, time)
            sums, counts = np.split((before + base) * terms.step, 2, axis=1)
            priors[where] = (sums + np.where(terms.binary, 0.5, 0.0)) / (counts + 1)
            base = base + own.sum(0)
        return priors

    def _gathered(
        self, place: int | None, ids: np.ndarray | None, chosen: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return numbers, ids, times and terms of the training rows that are `chosen` by their ids and times."""
        parts = []
        for chunk, start in train_starts(self.terms.chunks):
            time = training(chunk, chunk.array("time"))
            own = np.zeros(len(time), np.int32)
            if place is not None and ids is not None:
                own = ids.take(training(chunk, chunk.array(f"ids.{place}")))
            here = np.flatnonzero(chosen(own, time))
            parts.append((start + here, own[here], time[here], self.terms.of(chunk)[here]))
        where, key, time, terms = (np.concatenate(column) for column in zip(*parts, strict=True))
        return where, key, time, terms


def _in_bucket(bucket: np.ndarray, wanted: int, ids: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.asarray(bucket[ids] == wanted)


def _between(edges: np.ndarray, wanted: int, ids: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.asarray(np.searchsorted(edges, times) == wanted)


def sums_before(terms: np.ndarray, key: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the terms, (N, 2 T), and count the rows, (N,), of each row's key that have an earlier time."""
    order = np.lexsort((time, key))
    key, time, position = key[order], time[order], np.arange(len(order))
    new_key = np.r_[True, key[1:] != key[:-1]]
    new_time = new_key | np.r_[True, time[1:] != time[:-1]]
    key_start = np.maximum.accumulate(np.where(new_key, position, 0))
    time_start = np.maximum.accumulate(np.where(new_time, position, 0))
    sums, rows = np.empty_like(terms), np.empty(len(order), np.int64)
    rows[order] = time_start - key_start
    total = np.concatenate([np.zeros((1, terms.shape[1]), np.int64), np.cumsum(terms[order], axis=0)])
    sums[order] = total[time_start] - total[key_start]
    return sums, rows
