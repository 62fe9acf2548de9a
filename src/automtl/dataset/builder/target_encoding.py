"""The fourth step: target encoding of each key, as `features.target_encoding` defines them for a table in memory.

Out of fold, a table by fold and id is enough: an input is looked up. In time order each training row has its own sums;
rows are taken bucket by bucket, which holds all rows of its ids, so that a bucket can be sorted in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.counting import Ranking
from automtl.dataset.builder.split import time_in_order, times_of, train_starts
from automtl.dataset.builder.statistics import sliced
from automtl.dataset.builder.workdir import TRAIN, Chunk, Work, write_about, write_array
from automtl.features.target_encoding import (
    Grid,
    Standardizer,
    Sums,
    TargetEncoding,
    earlier_prior,
    folds_of,
    known_ids,
    mean_label,
    rates_of,
    smoothed,
    spread_of,
    sums_before,
)  # fmt: skip
from automtl.features.vocabulary import FIRST, Vocabulary
from automtl.system.slices import SLICE
from automtl.tables.labels import mean_weight
from automtl.tables.schema import TaskKind

ROW_BYTES = 200  # of a row that is sorted, about


@dataclass(frozen=True)
class Terms:
    """What of each training row's labels is added up. N training rows, T tasks."""

    work: Work
    columns: Columns
    rows: int

    @cached_property
    def mean_weight(self) -> float:
        """Of the training rows, 1 without a weight column."""
        if self.columns.schema.weight is None:
            return 1.0
        parts = sliced(chunk.array("weight").compress(chunk.part() == TRAIN) for chunk in self.work.chunks)
        return mean_weight(parts, self.rows)

    @cached_property
    def grid(self) -> Grid:
        """Of the terms of all training rows."""
        return Grid.of(
            np.max([np.abs(self._plain(chunk)).max(0, initial=0) for chunk in self.work.chunks], 0), self.rows
        )

    @cached_property
    def binary(self) -> np.ndarray:
        """(T,)."""
        return np.array([task.kind is TaskKind.BINARY for task in self.columns.schema.tasks])

    def of(self, chunk: Chunk) -> np.ndarray:
        """(n, 2 T) int64 of the training rows of a chunk."""
        return self.grid.whole(self._plain(chunk))

    def _plain(self, chunk: Chunk) -> np.ndarray:
        trained = chunk.part() == TRAIN
        values, mask = (chunk.array(name).compress(trained, axis=0).astype(np.float64) for name in ("labels", "mask"))
        if self.columns.schema.weight is not None:
            mask = mask * (chunk.array("weight").compress(trained) / self.mean_weight)[:, None]
        return np.concatenate([values * mask, mask], axis=1)


@dataclass(frozen=True)
class History:
    """The rates of all keys. `memory_bytes`: about what a key may use."""

    terms: Terms
    folds: int
    smoothing: float
    seed: int
    memory_bytes: int

    def begin(self) -> None:
        """What all keys need, before threads ask for it."""
        _ = self.terms.grid, self._priors if self.in_time_order else self._fold_totals

    def rates(self, key: int, ranking: Ranking, known: int) -> TargetEncoding:
        """Those of the key at a place; the first `known` values of its ranking have a history of their own."""
        work, name = self.terms.work, f"rates.{key}"
        if work.done(name) is None:
            with work.step(name) as folder:
                ids = known_ids(ranking.ids(known))
                fit = self._fit_earlier if self.in_time_order else self._fit_folds
                every, spread = fit(folder, self._place(key), ids, known + FIRST)
                np.savez(folder / "sums.npz", terms=every.terms, rows=every.rows, mean=spread.mean, std=spread.std)
                write_about(folder, {"known": known})
        found = np.load(work.folder / name / "sums.npz")
        every, spread = Sums(found["terms"], found["rows"], self.terms.grid), Standardizer(found["mean"], found["std"])
        vocabulary = Vocabulary(ranking.values.head(known))
        return rates_of(vocabulary, every, self.terms.binary, self.smoothing, spread)

    def inputs(self, key: int, ids: np.ndarray, start: int) -> np.ndarray:
        """(n, T + 1) float32 of training rows from the number `start` on; `ids`: theirs, (n,)."""
        path, columns = self.terms.work.folder / f"rates.{key}" / "own.bin", len(self.terms.binary) + 1
        own = np.memmap(path, np.float32, "r").reshape(-1, columns)
        if self.in_time_order:
            return own[start : start + len(ids)]
        size = len(own) // self.folds
        found: np.ndarray = own.take(self._fold(start, len(ids)) * size + known_ids(ids), axis=0)
        return found

    @property
    def in_time_order(self) -> bool:
        """Whether earlier rows, not other folds, are the history."""
        return self.terms.columns.schema.time is not None

    def _place(self, key: int) -> int:
        columns = self.terms.columns
        return columns.place(columns.rate_keys[key])

    def _fold(self, start: int, rows: int) -> np.ndarray:
        return folds_of(np.arange(start, start + rows), self.terms.rows, self.folds, self.seed)

    def _rows(self, place: int, ids: np.ndarray) -> Iterator[tuple[Chunk, int, np.ndarray]]:
        """Of each chunk: its first training row's number, and the ids of its training rows."""
        for chunk, start in train_starts(self.terms.work):
            yield chunk, start, ids.take(chunk.array(f"ids.{place}").compress(chunk.part() == TRAIN))

    def _fit_folds(self, folder: Path, place: int, ids: np.ndarray, size: int) -> tuple[Sums, Standardizer]:
        """Sums by fold and id, a range of ids at a time; then each fold's inputs, by the sums of the others."""
        terms, tasks = self.terms, len(self.terms.binary)
        every = Sums.empty(size, terms.grid)
        table = np.lib.format.open_memmap(folder / "raw.npy", "w+", np.float64, (self.folds, size, tasks + 1))
        most = max(self.memory_bytes // (self.folds * (tasks + 1) * 48), 1)
        for first in range(0, size, most):
            last = min(first + most, size)
            inside = Sums.empty(self.folds * (last - first), terms.grid)
            for chunk, start, own in self._rows(place, ids):
                here = np.flatnonzero((own >= first) & (own < last))
                flat = self._fold(start, len(own))[here] * (last - first) + own[here] - first
                inside.add(flat, terms.of(chunk)[here])
            by_fold = [inside.slice(fold * (last - first), (fold + 1) * (last - first)) for fold in range(self.folds)]
            for part in by_fold:
                every.terms[first:last] += part.terms
                every.rows[first:last] += part.rows
            for fold, part in enumerate(by_fold):
                others = every.slice(first, last).less(part)
                prior = mean_label(self._fold_totals.sum(0) - self._fold_totals[fold], terms.grid)
                table[fold, first:last] = others.smoothed(prior, terms.binary, self.smoothing)

        def raw() -> Iterator[np.ndarray]:
            for _, start, own in self._rows(place, ids):
                yield table[self._fold(start, len(own)), own]

        spread = spread_of(sliced(raw()))
        write_array(folder / "own.bin", spread.standardised(table))
        (folder / "raw.npy").unlink()
        return every, spread

    @cached_property
    def _fold_totals(self) -> np.ndarray:
        """(folds, 2 T) on the grid: the sums of all rows of each fold."""
        totals = Sums.empty(self.folds, self.terms.grid)
        for chunk, start in train_starts(self.terms.work):
            terms = self.terms.of(chunk)
            totals.add(self._fold(start, len(terms)), terms)
        return totals.terms

    def _fit_earlier(self, folder: Path, place: int, ids: np.ndarray, size: int) -> tuple[Sums, Standardizer]:
        """Sums of earlier rows, bucket by bucket of ids."""
        terms, tasks = self.terms, len(self.terms.binary)
        every, rows = Sums.empty(size, terms.grid), np.zeros(size, np.int64)
        for chunk, _, own in self._rows(place, ids):
            every.add(own, terms.of(chunk))
        rows = np.cumsum(every.rows)
        bucket = rows // self.bucket_rows
        raw = np.lib.format.open_memmap(folder / "raw.npy", "w+", np.float64, (terms.rows, tasks + 1))
        priors = self._priors
        for one in range(int(bucket[-1]) + 1):
            where, key, time, whole = self._gathered(place, ids, partial(_in_bucket, bucket, one))
            before, count = sums_before(whole, key, time)
            labels = np.split(before * terms.grid.step, 2, axis=1)
            raw[where] = smoothed(labels[0], labels[1], count, priors[where], terms.binary, self.smoothing)
        spread = spread_of(raw[start : start + SLICE] for start in range(0, terms.rows, SLICE))
        with (folder / "own.bin").open("wb") as file:
            for start in range(0, terms.rows, SLICE):
                spread.standardised(raw[start : start + SLICE]).tofile(file)
        (folder / "raw.npy").unlink()
        return every, spread

    @property
    def bucket_rows(self) -> int:
        """Rows that are sorted at a time, but for those of one id, which stay together."""
        return max(self.memory_bytes // ROW_BYTES, 1)

    @cached_property
    def _priors(self) -> np.ndarray:
        """(N, T), in a file: the mean label before each row's time, bucket by bucket of times."""
        work, terms = self.terms.work, self.terms
        path = work.folder / "priors.npy"
        priors = np.lib.format.open_memmap(path, "w+", np.float64, (terms.rows, len(terms.binary)))
        total = sum(chunk.rows for chunk in work.chunks)
        times = times_of(work, terms.columns)
        last = [time_in_order(work, times, place) for place in range(self.bucket_rows, total, self.bucket_rows)]
        edges = np.unique(np.array(last, np.int64))
        base = np.zeros(2 * len(terms.binary), np.int64)
        for bucket in range(len(edges) + 1):
            where, key, time, whole = self._gathered(None, None, partial(_between, edges, bucket))
            before, _ = sums_before(whole, key, time)
            priors[where] = earlier_prior(before + base, terms.grid, terms.binary)
            base = base + whole.sum(0)
        return priors

    def _gathered(
        self, place: int | None, ids: np.ndarray | None, chosen: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training rows that are chosen by id and time: their numbers, ids, times and terms."""
        times = times_of(self.terms.work, self.terms.columns)
        parts = []
        for chunk, start in train_starts(self.terms.work):
            trained = chunk.part() == TRAIN
            moments = times(chunk).compress(trained)
            own = np.zeros(len(moments), np.int32)
            if place is not None and ids is not None:
                own = ids.take(chunk.array(f"ids.{place}").compress(trained))
            here = np.flatnonzero(chosen(own, moments))
            parts.append((start + here, own[here], moments[here], self.terms.of(chunk)[here]))
        where, key, time, terms = (np.concatenate(column) for column in zip(*parts, strict=True))
        return where, key, time, terms


def _in_bucket(bucket: np.ndarray, wanted: int, ids: np.ndarray, times: np.ndarray) -> np.ndarray:
    chosen: np.ndarray = bucket[ids] == wanted
    return chosen


def _between(edges: np.ndarray, wanted: int, ids: np.ndarray, times: np.ndarray) -> np.ndarray:
    chosen: np.ndarray = np.searchsorted(edges, times) == wanted
    return chosen
