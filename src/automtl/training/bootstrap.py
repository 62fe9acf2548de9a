"""Paired bootstrap over test rows or over users, which measures the noise of drawing the test rows.

N rows, U units that are drawn (rows or users), B draws. A draw of U units with replacement is how often each unit came:
counts (U,). A statistic takes the counts and weighs every row by its unit's count; what is the same in every draw, such
as the order of the scores, is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from automtl.tables.roles import NO_GROUP
from automtl.tables.schema import Task, TaskKind

Statistic: TypeAlias = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of the draws of a difference, and the two-sided p-value that it is 0."""

    low: float
    high: float
    p: float

    @staticmethod
    def of(draws: np.ndarray) -> Interval | None:
        """Summarize draws, (B,), NaN where a draw has no value; return None if more than half of them have none.

        p: twice the share of draws on the smaller side of 0, the observed sample counted as one of them
        (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.4).
        """
        known = draws[~np.isnan(draws)]
        if 2 * len(known) <= len(draws):
            return None
        low, high = np.quantile(known, (0.025, 0.975))
        side = min((known <= 0).sum(), (known >= 0).sum())
        return Interval(float(low), float(high), float(min(1.0, 2 * (side + 1) / (len(known) + 1))))


def paired_bootstrap(
    statistics: Sequence[Statistic], units: int, *, draws: int = 2000, seed: int = 0, threads: int = 1
) -> np.ndarray:
    """Compute all statistics on the same draws: (B, len(statistics)), whatever the number of threads."""

    def one(draw: int) -> list[float]:
        rng = np.random.default_rng([seed, draw])
        counts = np.bincount(rng.integers(0, units, units), minlength=units).astype(np.float32)
        return [statistic(counts) for statistic in statistics]

    with ThreadPoolExecutor(threads) as pool:  # numpy lets go of the interpreter's lock
        return np.array(list(pool.map(one, range(draws))))


def drawn_units(rows: int, group: np.ndarray | None) -> np.ndarray:
    """Return the number of each row's unit in a draw, (N,): its group where there are groups, else the row itself."""
    if group is None:
        return np.arange(rows)
    alone = np.flatnonzero(group == NO_GROUP)
    number = np.unique(group, return_inverse=True)[1]
    number[alone] = rows + np.arange(len(alone))
    return np.unique(number, return_inverse=True)[1]


def main_metric_of_draws(
    task: Task, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, units: np.ndarray
) -> Statistic:
    """Return a task's main metric of N rows as a function of the counts: AUC, or RMSE of a regression task."""
    made = auc_of_draws if task.kind is TaskKind.BINARY else rmse_of_draws
    return made(labels, scores.astype(np.float64), weights.astype(np.float64), units)


def auc_of_draws(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the weighted AUC of N rows as a function of the counts; NaN where a draw has only one class.

    labels: (N,) 0 or 1; units: (N,) each row's number among the counts. Negatives are sorted once. For each positive we
    know how many of them are below it and how many are not above it, so cumulative weights give the pairs.
    """
    is_positive = labels > 0
    order = np.flatnonzero(~is_positive)
    order = order[np.argsort(scores[order], kind="stable")]
    below = np.searchsorted(scores[order], scores[is_positive], side="left")
    upto = np.searchsorted(scores[order], scores[is_positive], side="right")
    negative, positive = _weigher(weights[order], units[order]), _weigher(weights[is_positive], units[is_positive])
    sums = len(order) + 1

    def statistic(counts: np.ndarray) -> float:
        cumulative = np.zeros(sums)
        np.cumsum(negative(counts), out=cumulative[1:])
        weight = positive(counts)
        pairs = cumulative[-1] * weight.sum(dtype=np.float64)
        return float(weight @ (cumulative[below] + cumulative[upto]) / (2 * pairs)) if pairs > 0 else float("nan")

    return statistic


def rmse_of_draws(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the weighted root mean squared error as a function of the counts; NaN where a draw has no row."""
    size = int(units.max()) + 1
    total = np.bincount(units, weights, size)
    squares = np.bincount(units, weights * (labels - scores) ** 2, size)

    def statistic(counts: np.ndarray) -> float:
        weight = counts[:size] @ total
        return float(np.sqrt(counts[:size] @ squares / weight)) if weight > 0 else float("nan")

    return statistic


def _weigher(weights: np.ndarray, units: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that multiplies each row's own weight by the count of its unit."""
    if np.all(weights == 1):
        return lambda counts: counts.take(units)
    return lambda counts: counts.take(units) * weights
