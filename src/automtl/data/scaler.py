"""Numeric columns: a bounded, roughly symmetric value and the quantile bin it falls in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LIMIT = 5.0  # standard deviations; a value further out is cut
SAMPLE = 1 << 20  # rows whose quantiles are taken


@dataclass(frozen=True)
class Scaler:
    """`log`: signed log1p first. `edges`: inner quantile edges. `indicator`: training rows had nulls."""

    log: bool
    mean: float
    std: float
    indicator: bool
    edges: tuple[float, ...]

    @staticmethod
    def fit(values: np.ndarray, bins: int) -> Scaler:
        """values: (N,) float64, NaN where missing. The log is taken where it makes the column less skewed."""
        return Scaler.fit_parts([values], len(values), bins)

    @staticmethod
    def fit_parts(parts: Iterable[np.ndarray], rows: int, bins: int) -> Scaler:
        """The same from slices of a column of `rows` rows, of which one at a time is looked at.

        Edges are quantiles of at most SAMPLE rows, one from each of as many equal stretches of the column.
        """
        plain, logged, sample, start = Moments(), Moments(), [], 0
        wanted = _sampled_rows(rows)
        for part in parts:
            here = slice(*np.searchsorted(wanted, [start, start + len(part)]))
            sample.append(part[wanted[here] - start])
            start += len(part)
            present = part[~np.isnan(part)]
            plain, logged = plain + Moments.of(present), logged + Moments.of(_signed_log(present))
        log = abs(logged.skewness) < abs(plain.skewness)
        taken = logged if log else plain
        edges = _edges(np.concatenate(sample), bins) if bins else ()
        return Scaler(log, taken.mean, taken.std, plain.count < rows, edges)

    def scale(self, values: np.ndarray) -> np.ndarray:
        """(N, 1) or, with the missing indicator, (N, 2) float32; missing values become 0, the mean."""
        scaled = _signed_log(values) if self.log else values
        scaled = (scaled - self.mean) / (self.std if self.std > 0 else 1.0)
        missing = np.isnan(values)
        scaled[missing] = 0.0
        out = np.empty((len(values), self.width), np.float32)
        np.clip(scaled, -LIMIT, LIMIT, out=out[:, 0], casting="same_kind")
        if self.indicator:
            out[:, 1] = missing
        return out

    @property
    def width(self) -> int:
        """Number of columns of `scale`."""
        return 2 if self.indicator else 1

    @property
    def num_bins(self) -> int:
        """Number of bin ids, 0 (missing) and 1 (unused, so that ids mean what they mean elsewhere) included."""
        return len(self.edges) + 3

    def bin(self, values: np.ndarray) -> np.ndarray:
        """(N,) int32: 0 where missing, else 2 plus the number of edges below the value."""
        bins = np.searchsorted(np.asarray(self.edges), values, side="left").astype(np.int32) + 2
        bins[np.isnan(values)] = 0
        return bins


@dataclass(frozen=True)
class Moments:
    """Count, mean, and sums of the second and third powers of the deviations from it (Pebay 2008, eq. 2.1)."""

    count: int = 0
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0

    @staticmethod
    def of(values: np.ndarray) -> Moments:
        """Of (n,) numbers; n may be 0."""
        if len(values) == 0:
            return Moments()
        mean = float(values.mean())
        deviation = values - mean
        square = deviation * deviation
        return Moments(len(values), mean, float(square.sum()), float(square @ deviation))

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of numbers together."""
        n, m = self.count, other.count
        if n == 0 or m == 0:
            return self if m == 0 else other
        total, gap = n + m, other.mean - self.mean
        second = self.second + other.second + gap**2 * n * m / total
        cross = 3 * gap * (n * other.second - m * self.second) / total
        third = self.third + other.third + gap**3 * n * m * (n - m) / total**2 + cross
        return Moments(total, self.mean + gap * m / total, second, third)

    @property
    def std(self) -> float:
        """With the divisor n."""
        return math.sqrt(self.second / self.count) if self.count else 0.0

    @property
    def skewness(self) -> float:
        """0 for a constant."""
        return self.third / self.count / self.std**3 if self.std > 0 else 0.0


def _sampled_rows(rows: int) -> np.ndarray:
    """Row numbers, ascending: all, or one of each stretch of equal length, so that no period of the table matters."""
    stretch = max(-(-rows // SAMPLE), 1)
    starts = np.arange(0, rows, stretch)
    within = np.random.default_rng(0).integers(0, stretch, len(starts))
    sampled: np.ndarray = np.minimum(starts + within, rows - 1)
    return sampled


def _edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Inner edges of equal shares; fewer than bins - 1 where values repeat."""
    present = values[~np.isnan(values)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1))[1:]) if len(present) else np.empty(0)
    return tuple(float(edge) for edge in edges[:-1])


def _signed_log(values: np.ndarray) -> np.ndarray:
    logged: np.ndarray = np.copysign(np.log1p(np.abs(values)), values)
    return logged
