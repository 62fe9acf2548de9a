"""Historical rates: what a key (an id or a pair of ids) did before, as numeric inputs.

For key value v and task k with prior m_k (the mean label), smoothing s, label sum S and label count n:
rate = (S + s m_k) / (n + s); binary tasks enter as its logit. With it goes log(1 + rows of v).
Training rows get these out of fold (or, with a time column, from strictly earlier rows): no row sees its own label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from automtl.data.scaler import LIMIT
from automtl.data.vocabulary import FIRST, Vocabulary


@dataclass(frozen=True)
class Labels:
    """values, mask: (N, T) float64; binary: (T,) bool. A mask may be a row's weight, 1 on average."""

    values: np.ndarray
    mask: np.ndarray
    binary: np.ndarray

    @property
    def prior(self) -> np.ndarray:
        """(T,) mean label over the rows where it is present."""
        prior: np.ndarray = (self.values * self.mask).sum(0) / np.maximum(self.mask.sum(0), 1e-12)
        return prior


@dataclass(frozen=True)
class Rates:
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
        return self._standardise(smoothed(self.sums, self.counts, self.rows, self.prior, self.binary, self.smoothing))

    def _standardise(self, raw: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = np.clip((raw - self.mean) / self.std, -LIMIT, LIMIT).astype(np.float32)
        return scaled


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


def fit_rates(
    vocabulary: Vocabulary, ids: np.ndarray, labels: Labels, history: Folds | Earlier, smoothing: float
) -> tuple[Rates, np.ndarray]:
    """The statistics of all training rows, and the (N, T + 1) inputs of the training rows themselves."""
    known = np.where(ids >= FIRST, ids, 0)
    sums, counts, rows = _totals(known, labels, len(vocabulary))
    raw = history.raw(known, labels, len(vocabulary), smoothing)
    std = raw.std(0)
    rates = Rates(
        vocabulary,
        sums,
        counts,
        rows,
        labels.prior,
        labels.binary,
        smoothing,
        raw.mean(0),
        np.where(std > 1e-9, std, 1.0),
    )
    return rates, rates._standardise(raw)


def _totals(ids: np.ndarray, labels: Labels, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label sums (V, T), label counts (V, T) and rows (V,). Unknown (1) stays 0."""
    tasks = range(labels.values.shape[1])
    sums = np.stack([np.bincount(ids, labels.values[:, k] * labels.mask[:, k], size) for k in tasks], axis=1)
    counts = np.stack([np.bincount(ids, labels.mask[:, k], size) for k in tasks], axis=1)
    return sums, counts, np.bincount(ids, minlength=size).astype(np.float64)


@dataclass(frozen=True)
class Folds:
    """fold: (N,) ints. A row's rates come from the rows of the other folds."""

    fold: np.ndarray

    def raw(self, ids: np.ndarray, labels: Labels, size: int, smoothing: float) -> np.ndarray:
        """(N, T + 1) not standardised; the prior, too, is that of the other folds. Each row is read twice."""
        out = np.empty((len(ids), labels.values.shape[1] + 1))
        every = _totals(ids, labels, size)
        for fold in range(int(self.fold.max()) + 1):
            own = np.flatnonzero(self.fold == fold)
            inside = _totals(ids[own], Labels(labels.values[own], labels.mask[own], labels.binary), size)
            sums, counts, rows = (whole - part for whole, part in zip(every, inside, strict=True))
            prior = sums.sum(0) / np.maximum(counts.sum(0), 1e-12)
            table = smoothed(sums, counts, rows, prior, labels.binary, smoothing)
            out[own] = table.take(ids[own], axis=0)
        return out


@dataclass(frozen=True)
class Earlier:
    """time: (N,) numbers. A row's rates come from strictly earlier rows."""

    time: np.ndarray

    def raw(self, ids: np.ndarray, labels: Labels, size: int, smoothing: float) -> np.ndarray:
        """(N, T + 1) not standardised; rows of the same time do not see one another."""
        seen = labels.mask
        parts = np.concatenate([labels.values * seen, seen, np.ones((len(ids), 1))], axis=1)
        order = np.lexsort((self.time, ids))
        before = _sums_before(parts[order], ids[order], self.time[order])
        by_time = np.argsort(self.time, kind="stable")
        whole = _sums_before(parts[by_time], np.zeros(len(ids)), self.time[by_time])
        T = labels.values.shape[1]
        out, prior = np.empty((len(ids), 2 * T + 1)), np.empty((len(ids), T))
        out[order] = before
        start = np.where(labels.binary, 0.5, 0.0)
        prior[by_time] = (whole[:, :T] + start) / (whole[:, T : 2 * T] + 1)
        return smoothed(out[:, :T], out[:, T : 2 * T], out[:, -1], prior, labels.binary, smoothing)


def _sums_before(parts: np.ndarray, key: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Rows sorted by key and time: for each, the sum over rows of its key with a smaller time."""
    total = np.concatenate([np.zeros((1, parts.shape[1])), np.cumsum(parts, axis=0)])
    position = np.arange(len(key))
    new_key = np.r_[True, key[1:] != key[:-1]]
    new_time = new_key | np.r_[True, time[1:] != time[:-1]]
    key_start = np.maximum.accumulate(np.where(new_key, position, 0))
    time_start = np.maximum.accumulate(np.where(new_time, position, 0))
    before: np.ndarray = total[time_start] - total[key_start]
    return before
