"""Numeric columns: a bounded, roughly symmetric value and the quantile bin it falls in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIMIT = 5.0  # standard deviations; a value further out is cut


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
        present = values[~np.isnan(values)]
        log = abs(_skewness(_signed_log(present))) < abs(_skewness(present))
        scaled = _signed_log(present) if log else present
        edges = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1))[1:]) if bins else np.empty(0)
        return Scaler(
            bool(log), float(scaled.mean()), float(scaled.std()), bool(len(present) < len(values)),
            tuple(float(edge) for edge in edges[:-1]),
        )  # fmt: skip

    def scale(self, values: np.ndarray) -> np.ndarray:
        """(N, 1) or, with the missing indicator, (N, 2) float32; missing values become 0, the mean."""
        scaled = _signed_log(values) if self.log else values
        scaled = (scaled - self.mean) / self.std if self.std > 0 else scaled - self.mean
        columns = [np.clip(np.nan_to_num(scaled, nan=0.0), -LIMIT, LIMIT)]
        if self.indicator:
            columns.append(np.isnan(values).astype(np.float64))
        return np.stack(columns, axis=1).astype(np.float32)

    @property
    def num_bins(self) -> int:
        """Number of bin ids, 0 (missing) and 1 (unused, so that ids mean what they mean elsewhere) included."""
        return len(self.edges) + 3

    def bin(self, values: np.ndarray) -> np.ndarray:
        """(N,) int64: 0 where missing, else 2 plus the number of edges below the value."""
        bins = np.searchsorted(np.asarray(self.edges), values, side="left") + 2
        ids: np.ndarray = np.where(np.isnan(values), 0, bins).astype(np.int64)
        return ids


def _signed_log(values: np.ndarray) -> np.ndarray:
    logged: np.ndarray = np.sign(values) * np.log1p(np.abs(values))
    return logged


def _skewness(values: np.ndarray) -> float:
    std = values.std()
    return float((((values - values.mean()) / std) ** 3).mean()) if std > 0 else 0.0
