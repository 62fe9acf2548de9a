"""Metrics of one task: a function and a direction. scores are probabilities (binary) or values (regression)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from automtl.data.batch import Batch
from automtl.data.schema import Task, TaskKind

CALIBRATION_BINS = 20


@dataclass(frozen=True)
class Rows:
    """Rows of one task: labels, scores, weights (N,) float64; group (N,) or None."""

    labels: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    group: np.ndarray | None = None


@dataclass(frozen=True)
class Undefined:
    """Why a metric has no value here."""

    reason: str


Value: TypeAlias = float | Undefined


@dataclass(frozen=True)
class Metric:
    """A named function of Rows; `needs_both` classes; `kinds` of task it fits."""

    name: str
    function: Callable[[Rows], Value]
    larger_is_better: bool
    kind: TaskKind
    needs_both: bool = False

    def __call__(self, rows: Rows) -> Value:
        if len(rows.labels) == 0 or rows.weights.sum() <= 0:
            return Undefined("no row has a label")
        if self.needs_both and rows.labels.min() == rows.labels.max():
            return Undefined(f"every label is {rows.labels[0]:g}")
        return self.function(rows)


def fast_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve by ranks, ties and weights included; NaN if a class is absent."""
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    sorted_scores, positive = scores[order], (weights * labels)[order]
    negative = (weights * (1 - labels))[order]
    start = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])
    positives, negatives = np.add.reduceat(positive, start), np.add.reduceat(negative, start)
    total = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / total) if total > 0 else float("nan")


def auc(rows: Rows) -> Value:
    """Area under the ROC curve, by scikit-learn."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(rows.labels, rows.scores, sample_weight=rows.weights))


def gauc(rows: Rows) -> Value:
    """AUC within each group that has both classes, averaged by the groups' weight (Zhou et al., KDD 2018)."""
    if rows.group is None:
        return Undefined("there is no group column")
    order = np.argsort(rows.group, kind="stable")
    edges = np.flatnonzero(np.diff(rows.group[order])) + 1
    total = weight_sum = 0.0
    for members in np.split(order, edges):
        value = fast_auc(rows.labels[members], rows.scores[members], rows.weights[members])
        if not np.isnan(value):
            weight = float(rows.weights[members].sum())
            total, weight_sum = total + weight * value, weight_sum + weight
    return total / weight_sum if weight_sum else Undefined("no group has both classes")


def log_loss(rows: Rows) -> Value:
    """Mean cross-entropy, by scikit-learn."""
    from sklearn.metrics import log_loss as function

    return float(function(rows.labels, rows.scores, sample_weight=rows.weights, labels=[0, 1]))


def pr_auc(rows: Rows) -> Value:
    """Average precision, by scikit-learn."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(rows.labels, rows.scores, sample_weight=rows.weights))


def calibration_error(rows: Rows) -> Value:
    """Expected calibration error over bins of equal row counts: mean |label rate - mean score|."""
    total = 0.0
    for members in np.array_split(np.argsort(rows.scores, kind="stable"), CALIBRATION_BINS):
        weight = rows.weights[members]
        total += abs(float((weight * (rows.labels[members] - rows.scores[members])).sum()))
    return total / float(rows.weights.sum())


def rmse(rows: Rows) -> Value:
    """Root of the mean squared error."""
    return float(np.sqrt(np.average((rows.labels - rows.scores) ** 2, weights=rows.weights)))


def mae(rows: Rows) -> Value:
    """Mean absolute error."""
    return float(np.average(np.abs(rows.labels - rows.scores), weights=rows.weights))


METRICS = (
    Metric("auc", auc, True, TaskKind.BINARY, needs_both=True),
    Metric("gauc", gauc, True, TaskKind.BINARY, needs_both=True),
    Metric("log_loss", log_loss, False, TaskKind.BINARY),
    Metric("pr_auc", pr_auc, True, TaskKind.BINARY, needs_both=True),
    Metric("calibration_error", calibration_error, False, TaskKind.BINARY),
    Metric("rmse", rmse, False, TaskKind.REGRESSION),
    Metric("mae", mae, False, TaskKind.REGRESSION),
)


def task_rows(scores: np.ndarray, batch: Batch, index: int) -> Rows:
    """The rows on which task `index` holds. scores: (N, T)."""
    keep = batch.mask[:, index].numpy() > 0
    group = None if batch.group is None else batch.group.numpy()[keep]
    labels = batch.labels[:, index].numpy()[keep].astype(np.float64)
    return Rows(labels, scores[keep, index].astype(np.float64), batch.weight.numpy()[keep].astype(np.float64), group)


def evaluate(scores: np.ndarray, batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, Value]]:
    """All metrics that fit each task. scores: (N, T) probabilities or values."""
    found: dict[str, dict[str, Value]] = {}
    for index, task in enumerate(tasks):
        rows = task_rows(scores, batch, index)
        found[task.name] = {metric.name: metric(rows) for metric in METRICS if metric.kind is task.kind}
        found[task.name]["rows"] = float(len(rows.labels))
    return found


def mtl_loss(metrics: Mapping[str, Mapping[str, Value]], tasks: Sequence[Task]) -> Value:
    """The weighted sum of the tasks' losses: log loss, or squared error."""
    total = 0.0
    for task in tasks:
        value = metrics[task.name]["log_loss" if task.kind is TaskKind.BINARY else "rmse"]
        if isinstance(value, Undefined):
            return Undefined(f"task '{task.name}': {value.reason}")
        total += task.weight * (value if task.kind is TaskKind.BINARY else value**2)
    return total / sum(task.weight for task in tasks)
