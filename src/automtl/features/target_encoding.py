"""Target encoding: what a key (an id or a pair of ids) did before, as numeric inputs.

For key value v and task k with prior m_k (the mean label), smoothing s, label sum S and label count n:
rate = (S + s m_k) / (n + s); binary tasks enter as its logit. With it goes log(1 + rows of v).
Training rows get these out of fold (or, with a time column, from strictly earlier rows): no row sees its own label.

Labels are added up as whole numbers (`Grid`): a sum is the same in whatever order, and in however many pieces, its rows
come. Symbols: N rows, V ids, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from automtl.features.scaler import LIMIT, Moments
from automtl.features.vocabulary import FIRST, Vocabulary
from automtl.system.slices import SLICE
from automtl.tables.labels import Labels
from automtl.tables.shuffled import shuffled_places


@dataclass(frozen=True)
class Grid:
    """`terms` as whole multiples of a power of two a column, `step` (2 T,), so small that 62 bits hold their sum."""

    step: np.ndarray

    @staticmethod
    def of(largest: np.ndarray, rows: int) -> Grid:
        """largest: (2 T,) of the terms' absolute values among so many rows."""
        return Grid(2.0 ** (np.frexp(largest)[1] + rows.bit_length() - 62))

    def whole(self, terms: np.ndarray) -> np.ndarray:
        """(N, 2 T) int64."""
        found: np.ndarray = np.rint(terms / self.step).astype(np.int64)
        return found


@dataclass(frozen=True)
class Sums:
    """Of rows, by id: `terms` (V, 2 T) int64 on the grid, `rows` (V,) int64."""

    terms: np.ndarray
    rows: np.ndarray
    grid: Grid

    @staticmethod
    def empty(size: int, grid: Grid) -> Sums:
        """Of no rows and `size` ids."""
        return Sums(np.zeros((size, len(grid.step)), np.int64), np.zeros(size, np.int64), grid)

    def add(self, ids: np.ndarray, terms: np.ndarray) -> None:
        """More rows: ids (n,), terms (n, 2 T) on the grid."""
        ids = ids.astype(np.int64)
        self.rows[:] += np.bincount(ids, minlength=len(self.rows))
        flat = np.ascontiguousarray(terms)
        for place in range(flat.shape[1]):
            np.add.at(self.terms[:, place], ids, np.ascontiguousarray(flat[:, place]))

    def less(self, other: Sums) -> Sums:
        """Without those rows."""
        return Sums(self.terms - other.terms, self.rows - other.rows, self.grid)

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Label sums and label counts, (V, T) each."""
        sums, counts = np.split(self.terms * self.grid.step, 2, axis=1)
        return sums, counts

    @property
    def prior(self) -> np.ndarray:
        """(T,) mean label of the rows that have one."""
        return mean_label(self.terms.sum(0), self.grid)

    def slice(self, first: int, last: int) -> Sums:
        """Views of the sums of some ids."""
        return Sums(self.terms[first:last], self.rows[first:last], self.grid)

    def smoothed(self, prior: np.ndarray, binary: np.ndarray, smoothing: float) -> np.ndarray:
        """(V, T + 1): the inputs of each id, not standardised."""
        return smoothed(*self.labels, self.rows, prior, binary, smoothing)


@dataclass(frozen=True)
class TargetEncoding:
    """Label sums and counts a key value; `sums`, `counts`: (V, T), `rows`: (V,); V counts missing and unknown."""

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
        """(N, T + 1) float32 from ids of this key, by the statistics of all training rows."""
        return self.table.take(ids, axis=0)

    @cached_property
    def table(self) -> np.ndarray:
        """(V, T + 1) float32: the inputs of each id."""
        raw = smoothed(self.sums, self.counts, self.rows, self.prior, self.binary, self.smoothing)
        return Standardizer(self.mean, self.std).standardised(raw)


def smoothed(
    sums: np.ndarray,
    counts: np.ndarray,
    rows: np.ndarray,
    prior: np.ndarray,
    binary: np.ndarray,
    smoothing: float,
) -> np.ndarray:
    """(V, T + 1): smoothed rates (logits for binary tasks), then the log of one plus the rows."""
    rate = (sums + smoothing * prior) / (counts + smoothing)
    safe = np.clip(rate, 1e-6, 1 - 1e-6)
    return np.concatenate([np.where(binary, np.log(safe / (1 - safe)), rate), np.log1p(rows)[:, None]], axis=1)


def mean_label(sums: np.ndarray, grid: Grid) -> np.ndarray:
    """(T,) from the sums of all rows, (2 T,) on the grid."""
    labels, counts = np.split(sums * grid.step, 2)
    mean: np.ndarray = labels / np.maximum(counts, 1e-12)
    return mean


def fit_rates(
    vocabulary: Vocabulary, ids: np.ndarray, labels: Labels, history: Folds | Earlier, smoothing: float
) -> tuple[TargetEncoding, np.ndarray]:
    """The statistics of all training rows, and the (N, T + 1) inputs of the training rows themselves."""
    known, terms = known_ids(ids), labels.terms
    grid = Grid.of(np.abs(terms).max(0), len(ids))
    every = Sums.empty(len(vocabulary), grid)
    every.add(known, grid.whole(terms))
    raw = history.raw(known, labels, len(vocabulary), smoothing)
    spread = spread_of(raw[start : start + SLICE] for start in range(0, len(raw), SLICE))
    return rates_of(vocabulary, every, labels.binary, smoothing, spread), spread.standardised(raw)


def known_ids(ids: np.ndarray) -> np.ndarray:
    """Unknown ids count as missing ones."""
    return np.where(ids >= FIRST, ids, 0)


def rates_of(
    vocabulary: Vocabulary, every: Sums, binary: np.ndarray, smoothing: float, spread: Standardizer
) -> TargetEncoding:
    """From the sums over all training rows, and the spread of the training rows' inputs."""
    sums, counts = every.labels
    rows = every.rows.astype(np.float64)
    return TargetEncoding(vocabulary, sums, counts, rows, every.prior, binary, smoothing, spread.mean, spread.std)


@dataclass(frozen=True)
class Standardizer:
    """Mean and standard deviation of the inputs of the training rows, (T + 1,) each; a constant's deviation is 1."""

    mean: np.ndarray
    std: np.ndarray

    def standardised(self, raw: np.ndarray) -> np.ndarray:
        """(..., T + 1) float32."""
        scaled: np.ndarray = np.clip((raw - self.mean) / self.std, -LIMIT, LIMIT).astype(np.float32)
        return scaled


def spread_of(parts: Iterable[np.ndarray]) -> Standardizer:
    """parts: (n, T + 1), slices of SLICE rows; what is added up of each, is added up in order."""
    found: list[Moments] = []
    for part in parts:
        own = [Moments.of(np.ascontiguousarray(column)) for column in part.T]
        found = [one + more for one, more in zip(found, own, strict=True)] if found else own
    std = np.array([column.std for column in found])
    return Standardizer(np.array([column.mean for column in found]), np.where(std > 1e-9, std, 1.0))


def folds_of(rows: np.ndarray, total: int, folds: int, seed: int) -> np.ndarray:
    """(n,) fold of training rows, by their numbers among `total`; all folds are as large, give or take a row."""
    return shuffled_places(rows, total, seed) % folds


@dataclass(frozen=True)
class Folds:
    """fold: (N,) ints. A row's rates come from the rows of the other folds."""

    fold: np.ndarray

    def raw(self, ids: np.ndarray, labels: Labels, size: int, smoothing: float) -> np.ndarray:
        """(N, T + 1) not standardised; the prior, too, is that of the other folds. Each row is read twice."""
        grid = Grid.of(np.abs(labels.terms).max(0), len(ids))
        terms = grid.whole(labels.terms)
        out = np.empty((len(ids), labels.values.shape[1] + 1))
        every = Sums.empty(size, grid)
        every.add(ids, terms)
        for fold in range(int(self.fold.max()) + 1):
            own = np.flatnonzero(self.fold == fold)
            inside = Sums.empty(size, grid)
            inside.add(ids[own], terms[own])
            others = every.less(inside)
            out[own] = others.smoothed(others.prior, labels.binary, smoothing).take(ids[own], axis=0)
        return out


@dataclass(frozen=True)
class Earlier:
    """time: (N,) numbers. A row's rates come from strictly earlier rows."""

    time: np.ndarray

    def raw(self, ids: np.ndarray, labels: Labels, size: int, smoothing: float) -> np.ndarray:
        """(N, T + 1) not standardised; rows of the same time do not see one another."""
        grid = Grid.of(np.abs(labels.terms).max(0), len(ids))
        terms = grid.whole(labels.terms)
        before, rows = sums_before(terms, ids, self.time)
        whole, _ = sums_before(terms, np.zeros(len(ids), np.int64), self.time)
        prior = earlier_prior(whole, grid, labels.binary)
        sums, counts = np.split(before * grid.step, 2, axis=1)
        return smoothed(sums, counts, rows, prior, labels.binary, smoothing)


def earlier_prior(before: np.ndarray, grid: Grid, binary: np.ndarray) -> np.ndarray:
    """(N, T) from the sums of all earlier rows, (N, 2 T) on the grid; where there is none, 1/2 or 0 of a quantity."""
    sums, counts = np.split(before * grid.step, 2, axis=1)
    prior: np.ndarray = (sums + np.where(binary, 0.5, 0.0)) / (counts + 1)
    return prior


def sums_before(terms: np.ndarray, key: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row: sums of the terms, (N, 2 T), and number, (N,), of the rows of its key with a smaller time."""
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
