"""Scaling of numeric columns: a bounded, roughly symmetric value, and the quantile bin it falls in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from automtl.tables.names import derived_name
from automtl.tables.schema import NumericForm

QUANTILES = 32  # bins if a form needs some and the settings ask for none
LIMIT = 5.0  # standard deviations at which values are cut
SAMPLE = 1 << 20  # the most rows whose quantiles are taken
LEAST = 20  # the least rows of a bin


@dataclass(frozen=True)
class Scaler:
    """A numeric column's scale and bins. `log`: signed log1p comes first. `indicator`: training rows had nulls.

    `edges`: inner quantile edges. `value`, `binned`: the scaled value is an input; the bin's id is one.
    """

    log: bool
    mean: float
    std: float
    indicator: bool
    edges: tuple[float, ...]
    value: bool = True
    binned: bool = True

    @staticmethod
    def fit(parts: Iterable[np.ndarray], rows: int, bins: int, form: NumericForm = "auto") -> Scaler:
        """Fit the slices of a column of `rows` rows, float64, NaN where missing; one slice is in use at a time.

        Forms: `auto`, the scaled value, whose log is taken where that makes the column less skewed, and its bin;
        `z-score` and `log`, the value alone; `quantile`, the bin alone. Edges are quantiles of at most SAMPLE rows, one
        from each of as many equal stretches of the column.
        """
        binned = has_bins(form, bins)
        plain, logged, sample, start = Moments(), Moments(), [], 0
        wanted = sampled_rows(rows)
        for part in parts:
            here = slice(*np.searchsorted(wanted, [start, start + len(part)]))
            sample.append(part[wanted[here] - start])
            start += len(part)
            present = part.compress(~np.isnan(part))
            plain, logged = plain + Moments.of(present), logged + Moments.of(_signed_log(present))
        log = form == "log" or (form == "auto" and abs(logged.skewness) < abs(plain.skewness))
        taken = logged if log else plain
        edges = _edges(np.concatenate(sample), bins or QUANTILES) if binned else ()
        missing = plain.count < rows
        return Scaler(log, taken.mean, taken.std, missing, edges, form != "quantile", binned)

    def scale(self, values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
        """Scale to (N, width) float32: the value (missing ones are 0, the mean), then any missing indicator.

        missing: (N,), where the values are NaN, if that is known.
        """
        if not self.value:
            return np.empty((len(values), 0), np.float32)
        scaled = _signed_log(values) if self.log else values
        scaled = (scaled - self.mean) / (self.std if self.std > 0 else 1.0)
        missing = np.isnan(values) if missing is None else missing
        scaled[missing] = 0.0
        out = np.empty((len(values), self.width), np.float32)
        np.clip(scaled, -LIMIT, LIMIT, out=out[:, 0], casting="same_kind")
        if self.indicator:
            out[:, 1] = missing
        return out

    @property
    def width(self) -> int:
        """Number of columns of `scale`."""
        return int(self.value) * (2 if self.indicator else 1)

    def columns(self, name: str) -> tuple[str, ...]:
        """Names of the columns of `scale`."""
        return (name, derived_name(name, "missing"))[: self.width]

    @property
    def num_bins(self) -> int:
        """Number of bin ids, 0 (missing) and 1 (unused, so that ids mean what they mean elsewhere) included."""
        return len(self.edges) + 3

    def bin(self, values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
        """Return bin ids, (N,) int32: 0 where missing, as in `scale`, else 2 plus the number of edges below it."""
        bins = np.searchsorted(np.asarray(self.edges), values, side="left").astype(np.int32) + 2
        bins[np.isnan(values) if missing is None else missing] = 0
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
        """Compute the moments of (n,) numbers; n may be 0."""
        if len(values) == 0:
            return Moments()
        mean = float(values.mean())
        deviation = values - mean
        square = deviation * deviation
        return Moments(len(values), mean, float(square.sum()), float((square * deviation).sum()))

    def __add__(self, other: Moments) -> Moments:
        """Compute the moments of both sets of numbers together."""
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
        """Standard deviation, with the divisor n."""
        return math.sqrt(self.second / self.count) if self.count else 0.0

    @property
    def skewness(self) -> float:
        """Skewness; 0 for a constant, and for numbers so alike that the cube of their deviation is 0."""
        cube = self.std**3
        return self.third / self.count / cube if cube > 0 else 0.0


def has_bins(form: NumericForm, bins: int) -> bool:
    """Tell whether the bin of a number is an input, with its value or alone."""
    return form == "quantile" or (form == "auto" and bins > 0)


def sampled_rows(rows: int, most: int = SAMPLE) -> np.ndarray:
    """Sample row numbers, ascending: all, or a random one of each stretch of equal length (no period matters)."""
    stretch = max(-(-rows // most), 1)
    starts = np.arange(0, rows, stretch)
    within = np.random.default_rng(0).integers(0, stretch, len(starts))
    sampled: np.ndarray = np.minimum(starts + within, rows - 1)
    return sampled


def _edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Return the inner edges of about `bins` bins: one bin for each frequent value, equal shares of the rest.

    A value is frequent if it has more than an equal share of the rows, so that a column that is mostly 0 keeps bins for
    other values. No bin of the rest has fewer than LEAST rows.
    """
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(distinct) <= bins:
        return tuple(distinct[:-1].tolist())
    heavy = counts * bins > counts.sum()
    rest = np.repeat(distinct[~heavy], counts[~heavy])
    parts = min(max(bins - int(heavy.sum()), 1), max(len(rest) // LEAST, 1))
    shares = np.quantile(rest, np.linspace(0, 1, parts + 1)[1:-1], method="lower")
    places = np.flatnonzero(heavy)
    alone = distinct[np.concatenate([places, places[places > 0] - 1])]
    edges = np.unique(np.concatenate([shares, alone]))
    return tuple(edges[edges < distinct[-1]].tolist())


def _signed_log(values: np.ndarray) -> np.ndarray:
    logged: np.ndarray = np.copysign(np.log1p(np.abs(values)), values)
    return logged
