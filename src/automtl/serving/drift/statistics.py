"""Distances of two samples, and the sizes that chance alone gives them. K buckets; counts: (K,)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PSEUDO = 0.5  # rows that are added to each bucket, so that an empty one has a logarithm


def shares(counts: Sequence[float]) -> np.ndarray:
    """Return the shares of buckets, (K,), with half a row added to each."""
    smooth = np.asarray(counts, np.float64) + PSEUDO
    found: np.ndarray = smooth / smooth.sum()
    return found


def stability_index(now: Sequence[float], at_fit: Sequence[float]) -> float:
    """Return the population stability index: the sum of (p - q) ln(p / q) over buckets.

    That is the sum of both Kullback-Leibler divergences (Jeffreys). Buckets that are empty in both samples are left
    out.
    """
    p, q = _filled(now, at_fit)
    return float(((p - q) * np.log(p / q)).sum())


def jensen_shannon(now: Sequence[float], at_fit: Sequence[float]) -> float:
    """Return the Jensen-Shannon distance, the root of the divergence in bits: 0 of equal shares, 1 of disjoint ones."""
    p, q = _filled(now, at_fit)
    mean = (p + q) / 2
    divergence = float((p * np.log2(p / mean) + q * np.log2(q / mean)).sum() / 2)
    return math.sqrt(max(divergence, 0.0))


def index_by_chance(now: Sequence[float], at_fit: Sequence[float], rows: tuple[int, int], significance: float) -> float:
    """Return the stability index that two samples of one distribution exceed with the probability `significance`.

    The index of n and m rows is then about (1/n + 1/m) times chi-squared with K - 1 degrees of freedom (Yurdakul and
    Naranjo, 2020). rows: of both samples, which may have several values each.
    """
    from scipy.stats import chi2

    filled = int(((np.asarray(now) + np.asarray(at_fit)) > 0).sum())
    if filled < 2 or not all(rows):
        return math.inf
    return float(sum(1 / count for count in rows) * chi2.isf(significance, filled - 1))


def _filled(now: Sequence[float], at_fit: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    here = (np.asarray(now) + np.asarray(at_fit)) > 0
    if not here.any():
        return np.ones(1), np.ones(1)
    return shares(np.asarray(now)[here].tolist()), shares(np.asarray(at_fit)[here].tolist())


def z_of_shares(now: tuple[float, float], at_fit: tuple[float, float]) -> float:
    """Return the z score of the difference of two shares, given as (count, rows): of a pooled test; 0 without rows."""
    (count, rows), (other, others) = now, at_fit
    if not rows or not others:
        return 0.0
    pooled = (count + other) / (rows + others)
    spread = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / rows + 1 / others))
    return 0.0 if spread == 0 else (count / rows - other / others) / spread


def auc_error(auc: float, positives: float, negatives: float) -> float:
    """Return the standard error of AUC (Hanley and McNeil, 1982)."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def two_sided(significance: float) -> float:
    """Return the size of a z score that chance exceeds with the probability `significance`."""
    from scipy.stats import norm

    return float(norm.isf(significance / 2))
