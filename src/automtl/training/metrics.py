"""Metrics of one task: a function and a direction. Scores are probabilities (binary) or values (regression).

Reading this module imports no torch, so that a schema's metrics can be checked without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from automtl.errors import SchemaError, suggestion
from automtl.system.registry import Registry
from automtl.system.slices import SLICE as SLICE_ROWS
from automtl.tables.roles import NO_GROUP
from automtl.tables.schema import Task, TaskKind, stage_names

if TYPE_CHECKING:
    from automtl.features.batch import Batch

CALIBRATION_BINS = 20
LIBRARY_ROWS = 1 << 19  # scikit-learn takes some 90 bytes a row; areas over more rows are summed in slices

Scores: TypeAlias = Callable[[int], np.ndarray]  # of a task, by its place: (N,) float64


@dataclass(frozen=True)
class Rows:
    """Rows of one task: labels and weights (N,) of any float, scores (N,), and group (N,) or None.

    Scores are float64 where they are reported. Sums go over `parts`, so that no array of all rows is made but `order`.
    """

    labels: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    group: np.ndarray | None = None

    @cached_property
    def order(self) -> np.ndarray:
        """The places (N,) of rows in order of rising scores."""
        return np.argsort(self.scores, kind="stable")

    @cached_property
    def weight(self) -> float:
        """The total weight of all rows."""
        return float(self.weights.sum(dtype=np.float64))

    def take(self, places: slice | np.ndarray) -> Rows:
        """Return the rows at these places, in float64."""
        group = None if self.group is None else self.group[places]
        labels, scores, weights = (
            values[places].astype(np.float64) for values in (self.labels, self.scores, self.weights)
        )
        return Rows(labels, scores, weights, group)

    def parts(self) -> Iterator[Rows]:
        """Yield all rows in slices."""
        starts = range(0, len(self.labels), SLICE_ROWS)
        return (self.take(slice(start, start + SLICE_ROWS)) for start in starts)

    def mean(self, values: Callable[[Rows], np.ndarray]) -> float:
        """Return the weighted mean of what `values` computes of a part."""
        return sum(float((part.weights * values(part)).sum()) for part in self.parts()) / self.weight


@dataclass(frozen=True)
class Undefined:
    """A metric has no value, for this reason."""

    reason: str


Value: TypeAlias = float | Undefined


@dataclass(frozen=True)
class Metric:
    """A named function of `Rows` and its direction; `kinds`: the kinds of task that it fits.

    `needs_both`: it is undefined where all labels are equal. `reported`: the kinds whose tasks have it unless they name
    their own. Another package's metric is a value of this class, which a task names by its import path:

        top_decile_lift = Metric("top_decile_lift", function, larger_is_better=True)
        metrics: [auc, "my_package.metrics:top_decile_lift"]

    >>> import numpy as np
    >>> from automtl.training.metrics import Rows, auc
    >>> isinstance(auc, automtl.Metric), auc.larger_is_better
    (True, True)
    >>> auc(Rows(labels=np.array([0, 1, 1]), scores=np.array([0.1, 0.9, 0.4]), weights=np.ones(3)))
    1.0
    """

    name: str
    function: Callable[[Rows], Value]
    larger_is_better: bool
    kinds: tuple[TaskKind, ...] = tuple(TaskKind)
    needs_both: bool = False
    reported: tuple[TaskKind, ...] = ()

    def __call__(self, rows: Rows) -> Value:
        """Return the value on these rows, or why there is none."""
        if len(rows.labels) == 0 or rows.weight <= 0:
            return Undefined("no row has a label")
        if self.needs_both and rows.labels.min() == rows.labels.max():
            return Undefined(f"every label is {rows.labels[0]:g}")
        return self.function(rows)

    def gain(self, value: float, other: float) -> float:
        """Return how much better `value` is than `other`; below 0 where it is worse."""
        return value - other if self.larger_is_better else other - value


def _metric(**properties: Any) -> Callable[[Callable[[Rows], Value]], Metric]:
    """Make a metric of a function, named as the function is."""
    return lambda function: Metric(function.__name__, function, **properties)


BINARY, REGRESSION = (TaskKind.BINARY,), (TaskKind.REGRESSION,)


def _whole(values: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """Cut an order by which `values` rise into slices, only where they change."""
    starts = np.unique(np.searchsorted(values, values[order[::SLICE_ROWS]], sorter=order))
    return (order[start:stop] for start, stop in pairwise([*starts.tolist(), len(order)]))


def _changes(*values: np.ndarray) -> np.ndarray:
    """Find the places where one of these arrays (n,) differs from the place before; the first is one."""
    return np.flatnonzero(np.r_[True, np.logical_or.reduce([each[1:] != each[:-1] for each in values])])


def _classes(rows: Rows, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the weights of positives and of negatives from each of these places to the next."""
    positive, negative = rows.weights * rows.labels, rows.weights * (1 - rows.labels)
    return np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)


def by_score(rows: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the weights of positives and negatives of every score, from the highest on, in slices."""
    for places in reversed(list(_whole(rows.scores, rows.order))):
        part = rows.take(places[::-1])
        yield _classes(part, _changes(part.scores))


def fast_auc(rows: Rows) -> float:
    """Compute the area under the ROC curve by ranks, ties and weights included; NaN if a class is absent."""
    area = above = below = 0.0
    for positives, negatives in by_score(rows):
        area += float((negatives * (above + np.cumsum(positives) - positives / 2)).sum())
        above, below = above + float(positives.sum()), below + float(negatives.sum())
    return area / (above * below) if above * below > 0 else float("nan")


def fast_pr_auc(rows: Rows) -> float:
    """Compute average precision: the share of positives among rows of at least a positive's score."""
    area = found = wrong = 0.0
    for positives, negatives in by_score(rows):
        true, false = found + np.cumsum(positives), wrong + np.cumsum(negatives)
        area += float((positives * true / np.maximum(true + false, 1e-300)).sum())
        found, wrong = float(true[-1]), float(false[-1])
    return area / found if found > 0 else float("nan")


def _exact(name: str, fast: Callable[[Rows], float], rows: Rows) -> Value:
    """Compute an area by scikit-learn's function of this name, where rows are not too many for it."""
    if len(rows.labels) > LIBRARY_ROWS:
        return fast(rows)
    from sklearn import metrics

    rows = rows.take(slice(None))
    return float(getattr(metrics, name)(rows.labels, rows.scores, sample_weight=rows.weights))


@_metric(larger_is_better=True, kinds=BINARY, needs_both=True, reported=BINARY)
def auc(rows: Rows) -> Value:
    """Area under the ROC curve."""
    return _exact("roc_auc_score", fast_auc, rows)


@_metric(larger_is_better=True, kinds=BINARY, needs_both=True, reported=BINARY)
def pr_auc(rows: Rows) -> Value:
    """Average precision, the area under the precision-recall curve."""
    return _exact("average_precision_score", fast_pr_auc, rows)


@_metric(larger_is_better=True, kinds=BINARY, needs_both=True, reported=BINARY)
def gauc(rows: Rows) -> Value:
    """AUC within each group that has both classes, averaged by the groups' weight (Zhou et al., KDD 2018)."""
    return _mean_of_groups(rows, _auc_of_groups, "no group has both classes")


def _mean_of_groups(rows: Rows, measure: Callable[[Rows], tuple[np.ndarray, np.ndarray]], reason: str) -> Value:
    """Average the values of groups (G,) by their weights (G,); undefined for this reason if there are none."""
    if rows.group is None:
        return Undefined("there is no group column")
    if not (grouped := rows.group != NO_GROUP).all():
        rows = rows.take(np.flatnonzero(grouped))
    if len(rows.labels) == 0:
        return Undefined("no row has a group")
    values, weights = (np.concatenate(arrays) for arrays in zip(*map(measure, _by_group(rows)), strict=True))
    total = math.fsum(weights)  # whatever numbers the groups have
    return math.fsum(values * weights) / total if total else Undefined(reason)


def _by_group(rows: Rows) -> Iterator[Rows]:
    """Yield rows of whole groups, several at a time; scores rise in each."""
    assert rows.group is not None
    order = rows.order[np.argsort(rows.group[rows.order], kind="stable")]
    return map(rows.take, _whole(rows.group, order))


def _auc_of_groups(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and weight (G,) of groups that have both classes; rows are ordered by group and score."""
    assert rows.group is not None
    starts = _changes(rows.group, rows.scores)
    positives, negatives = _classes(rows, starts)
    first = _changes(rows.group[starts])
    sizes = np.diff(np.r_[first, len(starts)])
    below = np.cumsum(negatives) - negatives
    below -= np.repeat(below[first], sizes)
    area = np.add.reduceat(positives * (below + negatives / 2), first)
    positive, negative = np.add.reduceat(positives, first), np.add.reduceat(negatives, first)
    both = positive * negative > 0
    return area[both] / (positive * negative)[both], (positive + negative)[both]


@_metric(larger_is_better=False, kinds=BINARY, reported=BINARY)
def log_loss(rows: Rows) -> Value:
    """Mean cross-entropy, by scikit-learn."""
    from sklearn.metrics import log_loss as function

    sums = (
        function(part.labels, part.scores, sample_weight=part.weights, labels=[0, 1], normalize=False)
        for part in rows.parts()
    )
    return float(sum(sums)) / rows.weight


@_metric(larger_is_better=False, kinds=BINARY, needs_both=True)
def normalized_entropy(rows: Rows) -> Value:
    """Log loss over that of always guessing the base rate; 1 is no better (He et al., ADKDD 2014, eq. 1)."""
    base = rows.mean(lambda part: part.labels)
    entropy = -(base * np.log(base) + (1 - base) * np.log(1 - base))
    return float(log_loss(rows)) / float(entropy)  # type: ignore[arg-type]


@_metric(larger_is_better=True, kinds=BINARY, needs_both=True)
def ndcg(rows: Rows) -> Value:
    """Normalised discounted cumulative gain of each group that has a positive, averaged by the groups' weight.

    Gains are labels, discounts 1 / log2(1 + rank) (Järvelin and Kekäläinen 2002); rows of equal score share theirs.
    """
    return _mean_of_groups(rows, _gains, "no positive")


def _gains(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the gain over the best possible one, and the weight (G,), of groups that have a positive."""
    assert rows.group is not None
    _, group = np.unique(rows.group, return_inverse=True)
    gain, best = (_discounted(group, by, rows.labels) for by in (rows.scores, rows.labels))
    some = best > 0
    return gain[some] / best[some], np.bincount(group, rows.weights)[some]


def _discounted(group: np.ndarray, by: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Sum labels over log2(1 + rank) in each group, ranked by falling `by`: (G,)."""
    order = np.lexsort((-by, group))
    first, tied = _changes(group[order]), _changes(group[order], by[order])
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    sizes = np.diff(np.r_[tied, len(order)])
    discount = np.repeat(np.add.reduceat(1 / np.log2(rank + 2), tied) / sizes, sizes)
    found: np.ndarray = np.bincount(group[order], labels[order] * discount)
    return found


@_metric(larger_is_better=False, kinds=BINARY, reported=BINARY)
def calibration_error(rows: Rows) -> Value:
    """Expected calibration error over bins of equal row counts: mean |label rate - mean score|."""
    bins = map(rows.take, np.array_split(rows.order, CALIBRATION_BINS))
    return sum(abs(float((part.weights * (part.labels - part.scores)).sum())) for part in bins) / rows.weight


@_metric(larger_is_better=False, reported=REGRESSION)
def rmse(rows: Rows) -> Value:
    """Root of the mean squared error."""
    return math.sqrt(rows.mean(lambda part: (part.labels - part.scores) ** 2))


@_metric(larger_is_better=False, reported=REGRESSION)
def mae(rows: Rows) -> Value:
    """Mean absolute error."""
    return rows.mean(lambda part: np.abs(part.labels - part.scores))


NAMES = ("auc", "gauc", "log_loss", "pr_auc", "calibration_error", "normalized_entropy", "ndcg", "rmse", "mae")
METRICS: Registry[Metric] = Registry(
    "metric",
    {name: f"{__name__}:{name}" for name in NAMES},
    lambda found: isinstance(found, Metric),
    "an automtl.training.metrics.Metric",
    SchemaError,
)


@dataclass(frozen=True)
class KindMetrics:
    """The metrics of a kind of task: `primary` compares models, `loss` to this power is its part of MTL-Loss."""

    primary: Metric
    loss: Metric
    power: int = 1


KIND_METRICS = {
    TaskKind.BINARY: KindMetrics(primary=auc, loss=log_loss),
    TaskKind.REGRESSION: KindMetrics(primary=rmse, loss=rmse, power=2),
}
NEEDED = tuple(dict.fromkeys(one.name for found in KIND_METRICS.values() for one in (found.primary, found.loss)))


def primary_metric(task: Task) -> Metric:
    """Return the metric by which models are compared on a task."""
    return KIND_METRICS[task.kind].primary


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task: those it names and what its kind needs, or the usual ones.

    Raises SchemaError where the task names a metric that cannot be found or is not for its kind.
    """
    known = METRICS.members()
    if task.metrics is None:
        return tuple(metric for metric in known.values() if task.kind in metric.reported)
    kind, own = KIND_METRICS[task.kind], {name: _found(task, name) for name in task.metrics}
    short = [metric for name, metric in known.items() if name in own or metric in (kind.primary, kind.loss)]
    return (*short, *(metric for name, metric in own.items() if name not in known))


def _found(task: Task, name: str) -> Metric:
    fit = [short for short, metric in METRICS.members().items() if task.kind in metric.kinds]
    try:
        metric = METRICS.find(name)
    except SchemaError as error:
        raise SchemaError(f"task '{task.name}': {error}") from None
    if task.kind not in metric.kinds:
        raise SchemaError(
            f"task '{task.name}': metric '{name}' is not for a {task.kind} task{suggestion(name, fit)}; "
            f"known: {', '.join(fit)}"
        )
    if metric.name in METRICS and name not in METRICS:
        raise SchemaError(
            f"task '{task.name}': metric '{name}' has the name of another one, '{metric.name}'; rename it"
        )
    return metric


def check_metrics(tasks: Sequence[Task]) -> None:
    """Raise SchemaError where a task names a metric that cannot be found, or that is not for its kind."""
    for task in tasks:
        metrics_of(task)


def task_rows(scores: np.ndarray, batch: Batch, index: int, among: np.ndarray | None = None) -> Rows:
    """Select the rows on which task `index` holds, of those in `among` (N,) if given. scores: (N,) of the task."""
    keep = batch.mask[:, index].numpy() > 0
    if among is not None:
        keep &= among
    group = None if batch.group is None else batch.group.numpy()[keep]
    rows = Rows(batch.labels[:, index].numpy()[keep], scores[keep], batch.weight.numpy()[keep], group)
    batch.release()
    return rows


def evaluate(scores: Scores, batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, Value]]:
    """Compute the metrics of each task, and count its rows. Raises SchemaError for a metric that cannot be found."""
    return {task.name: _measured(task, task_rows(scores(index), batch, index)) for index, task in enumerate(tasks)}


def _measured(task: Task, rows: Rows) -> dict[str, Value]:
    return {metric.name: metric(rows) for metric in metrics_of(task)} | {"rows": float(len(rows.labels))}


def stage_scores(scores: Scores, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """Compute the probabilities (N,) of a funnel's stages, by name."""
    return {name: _stage(scores, before, place) for name, (before, place) in stage_names(tasks).items()}


def _stage(scores: Scores, before: int | None, place: int) -> np.ndarray:
    return np.minimum(scores(place) / (1.0 if before is None else np.maximum(scores(before), 1e-300)), 1.0)


def evaluate_stages(scores: Scores, batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, Value]]:
    """Compute the metrics of a funnel's probabilities, by name; of a CVR on the rows that reached the stage before."""
    found = {}
    for name, (before, place) in stage_names(tasks).items():
        reached = None if before is None else ((batch.labels[:, before] > 0) & (batch.mask[:, before] > 0)).numpy()
        found[name] = _measured(tasks[place], task_rows(_stage(scores, before, place), batch, place, reached))
    return found


def mtl_loss(metrics: Mapping[str, Mapping[str, Value]], tasks: Sequence[Task]) -> Value:
    """Return the weighted mean of the tasks' losses: log loss, or squared error (paper, eq. 1).

    Errors of a quantity are in the units of its targets, unless these are logarithms: then they are as in the table.
    """
    total = 0.0
    for task in tasks:
        kind = KIND_METRICS[task.kind]
        value = metrics[task.name][kind.loss.name]
        if isinstance(value, Undefined):
            return Undefined(f"task '{task.name}': {value.reason}")
        unit = 1.0 if task.transform else task.scale or 1.0
        total += task.weight * (value / unit) ** kind.power
    return total / sum(task.weight for task in tasks)


def plain(value: Value) -> float | dict[str, str]:
    """Return a metric as a plain value: a number, or why it is undefined."""
    return {"undefined": value.reason} if isinstance(value, Undefined) else value
