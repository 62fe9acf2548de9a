"""Metrics of one task: a function and a direction. scores are probabilities (binary) or values (regression)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from automtl.data.batch import Batch
from automtl.data.schema import Task, TaskKind, stages
from automtl.errors import SchemaError, suggestion

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
    """A named function of Rows; `needs_both` classes; `kinds` of task it fits, `told` where a task names no metrics."""

    name: str
    function: Callable[[Rows], Value]
    larger_is_better: bool
    kinds: tuple[TaskKind, ...]
    needs_both: bool = False
    told: tuple[TaskKind, ...] = ()

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
    values, weights = [], []
    for members in np.split(order, edges):
        value = fast_auc(rows.labels[members], rows.scores[members], rows.weights[members])
        if not np.isnan(value):
            weights.append(float(rows.weights[members].sum()))
            values.append(weights[-1] * value)
    total = math.fsum(weights)  # whatever numbers the groups have
    return math.fsum(values) / total if total else Undefined("no group has both classes")


def log_loss(rows: Rows) -> Value:
    """Mean cross-entropy, by scikit-learn."""
    from sklearn.metrics import log_loss as function

    return float(function(rows.labels, rows.scores, sample_weight=rows.weights, labels=[0, 1]))


def pr_auc(rows: Rows) -> Value:
    """Average precision, by scikit-learn."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(rows.labels, rows.scores, sample_weight=rows.weights))


def normalized_entropy(rows: Rows) -> Value:
    """Log loss over that of always guessing the base rate; 1 is no better (He et al., ADKDD 2014, eq. 1)."""
    base = float(np.average(rows.labels, weights=rows.weights))
    entropy = -(base * np.log(base) + (1 - base) * np.log(1 - base))
    return float(log_loss(rows)) / float(entropy)  # type: ignore[arg-type]


def ndcg(rows: Rows) -> Value:
    """Normalised discounted cumulative gain of each group that has a positive, averaged by the groups' weight.

    Gains are labels, discounts 1 / log2(1 + rank) (Järvelin and Kekäläinen 2002); rows of equal score share theirs.
    """
    if rows.group is None:
        return Undefined("there is no group column")
    _, group = np.unique(rows.group, return_inverse=True)
    gain, best = (_discounted(group, by, rows.labels) for by in (rows.scores, rows.labels))
    weight = np.bincount(group, rows.weights) * (best > 0)
    total = math.fsum(weight)
    return math.fsum(weight * gain / np.where(best > 0, best, 1)) / total if total else Undefined("no positive")


def _discounted(group: np.ndarray, by: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(G,) sums of labels over log2(1 + rank) in each group, ranked by falling `by`."""
    order = np.lexsort((-by, group))
    first = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    tied = np.flatnonzero(np.r_[True, (np.diff(group[order]) != 0) | (np.diff(by[order]) != 0)])
    sizes = np.diff(np.r_[tied, len(order)])
    discount = np.repeat(np.add.reduceat(1 / np.log2(rank + 2), tied) / sizes, sizes)
    found: np.ndarray = np.bincount(group[order], labels[order] * discount)
    return found


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


BINARY, REGRESSION = (TaskKind.BINARY,), (TaskKind.REGRESSION,)
METRICS = (
    Metric("auc", auc, True, BINARY, needs_both=True, told=BINARY),
    Metric("gauc", gauc, True, BINARY, needs_both=True, told=BINARY),
    Metric("log_loss", log_loss, False, BINARY, told=BINARY),
    Metric("pr_auc", pr_auc, True, BINARY, needs_both=True, told=BINARY),
    Metric("calibration_error", calibration_error, False, BINARY, told=BINARY),
    Metric("normalized_entropy", normalized_entropy, False, BINARY, needs_both=True),
    Metric("ndcg", ndcg, True, BINARY, needs_both=True),
    Metric("rmse", rmse, False, (*BINARY, *REGRESSION), told=REGRESSION),
    Metric("mae", mae, False, (*BINARY, *REGRESSION), told=REGRESSION),
)
NEEDED = {TaskKind.BINARY: ("auc", "log_loss"), TaskKind.REGRESSION: ("rmse",)}  # by comparisons and the MTL-Loss


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Those that the task names, and what comparisons and the MTL-Loss need; else the usual ones."""
    if task.metrics is None:
        return tuple(metric for metric in METRICS if task.kind in metric.told)
    return tuple(metric for metric in METRICS if metric.name in (*task.metrics, *NEEDED[task.kind]))


def check_metrics(tasks: Sequence[Task]) -> None:
    """Raises SchemaError where a task names a metric that is unknown, or that is not for its kind."""
    for task in tasks:
        fit = [metric.name for metric in METRICS if task.kind in metric.kinds]
        for name in task.metrics or ():
            if name not in fit:
                raise SchemaError(
                    f"task '{task.name}': there is no metric '{name}' for a {task.kind} task{suggestion(name, fit)}; "
                    f"known: {', '.join(fit)}"
                )


def task_rows(scores: np.ndarray, batch: Batch, index: int) -> Rows:
    """The rows on which task `index` holds. scores: (N, T)."""
    keep = batch.mask[:, index].numpy() > 0
    group = None if batch.group is None else batch.group.numpy()[keep]
    labels = batch.labels[:, index].numpy()[keep].astype(np.float64)
    return Rows(labels, scores[keep, index].astype(np.float64), batch.weight.numpy()[keep].astype(np.float64), group)


def evaluate(scores: np.ndarray, batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, Value]]:
    """The metrics of each task. scores: (N, T) probabilities or values."""
    found: dict[str, dict[str, Value]] = {}
    for index, task in enumerate(tasks):
        rows = task_rows(scores, batch, index)
        found[task.name] = {metric.name: metric(rows) for metric in metrics_of(task)}
        found[task.name]["rows"] = float(len(rows.labels))
    return found


def stage_names(tasks: Sequence[Task]) -> dict[str, tuple[int | None, int]]:
    """What a funnel's probabilities are called: the place of the stage before, if it is given, and of the stage.

    The first stage is CTR; each later one has a CVR, given the stage before, and a CTCVR, on all rows.
    """
    first, *later = stages(tasks) or (None,)
    if first is None:
        return {}
    names: dict[str, tuple[int | None, int]] = {f"{tasks[first].name}_ctr": (None, first)}
    for before, place in zip((first, *later), later, strict=False):
        names |= {f"{tasks[place].name}_cvr": (before, place), f"{tasks[place].name}_ctcvr": (None, place)}
    return names


def stage_scores(scores: np.ndarray, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """(N,) probabilities by name. scores: (N, T)."""
    found = {}
    for name, (before, place) in stage_names(tasks).items():
        given = 1.0 if before is None else np.maximum(scores[:, before], 1e-300)
        found[name] = np.minimum(scores[:, place] / given, 1.0)
    return found


def evaluate_stages(scores: np.ndarray, batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, Value]]:
    """The metrics of a funnel's probabilities by name; those of a CVR are of the rows that reached the stage before."""
    found = {}
    for name, (before, place) in stage_names(tasks).items():
        judged, given = scores, batch
        if before is not None:
            judged = stage_scores(scores, tasks)[name][:, None].repeat(len(tasks), axis=1)
            reached = (batch.labels[:, before] > 0) & (batch.mask[:, before] > 0)
            given = replace(batch, mask=batch.mask * reached.unsqueeze(1))
        rows = task_rows(judged, given, place)
        found[name] = {metric.name: metric(rows) for metric in metrics_of(tasks[place])}
        found[name]["rows"] = float(len(rows.labels))
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
