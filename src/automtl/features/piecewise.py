"""Piecewise-linear encoding of numeric columns (Gorishniy et al., NeurIPS 2022, eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from automtl.features.scaler import LIMIT, QUANTILES, sampled_rows
from automtl.tables.names import derived_name


@dataclass(frozen=True)
class Piecewise:
    """A number as the part of each of P quantile bins that lies below it: 1 in bins below it, 0 in bins above it.

    `edges`: P + 1, ascending. Unlike in the paper, values beyond the outer edges are cut at LIMIT widths of the outer
    bin. `indicator`: training rows had nulls, which are 0 in all bins and have a column of their own.
    """

    edges: tuple[float, ...]
    indicator: bool
    binned: bool = False  # the bins are no ids

    @staticmethod
    def fit(parts: Iterable[np.ndarray], rows: int, bins: int) -> Piecewise:
        """Fit the slices of a column of `rows` rows, float64, NaN where missing; one slice is in use at a time."""
        sample, start, missing, wanted = [np.empty(0)], 0, False, sampled_rows(rows)
        low, high = np.inf, -np.inf
        for part in parts:
            here = slice(*np.searchsorted(wanted, [start, start + len(part)]))
            sample.append(part[wanted[here] - start])
            start += len(part)
            missing = missing or bool(np.isnan(part).any())
            low, high = np.fmin.reduce(part, initial=low), np.fmax.reduce(part, initial=high)
        values = np.concatenate(sample)
        inner = np.quantile(values[~np.isnan(values)], np.linspace(0, 1, (bins or QUANTILES) + 1)[1:-1])
        edges = np.unique([low, *inner, high])
        if len(edges) == 1:
            edges = np.array([edges[0], np.nextafter(edges[0] + 1.0, np.inf)])
        return Piecewise(tuple(edges.tolist()), missing)

    def scale(self, values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
        """Encode numbers to (N, width) float32. missing: (N,), where they are NaN, if that is known."""
        edges = np.asarray(self.edges)
        part = (values[:, None] - edges[:-1]) / np.diff(edges)  # (N, P)
        low, high = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
        low[0], high[-1] = -LIMIT, LIMIT + 1
        out = np.zeros((len(values), self.width), np.float32)
        out[:, : len(edges) - 1] = np.nan_to_num(np.clip(part, low, high), nan=0.0)
        if self.indicator:
            out[:, -1] = np.isnan(values) if missing is None else missing
        return out

    @property
    def width(self) -> int:
        """Number of columns of `scale`."""
        return len(self.edges) - 1 + int(self.indicator)

    def columns(self, name: str) -> tuple[str, ...]:
        """Names of the columns of `scale`."""
        pieces = tuple(derived_name(name, f"piece {place}") for place in range(len(self.edges) - 1))
        return (*pieces, derived_name(name, "missing")) if self.indicator else pieces
