"""Laws of metrics. N rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from automtl.tables.schema import TaskKind
from automtl.training.metrics import METRICS, Metric, Rows, Undefined


def make_rows(kind: TaskKind, rows: int = 200, noise: float = 1.0, seed: int = 0) -> Rows:
    """Draw rows of a task; the less `noise`, the better its scores. Groups are of about twenty rows."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows)
    labels = (truth > 0).astype(float) if kind is TaskKind.BINARY else truth
    scores = truth + noise * rng.normal(size=rows)
    scores = 1 / (1 + np.exp(-4 * scores)) if kind is TaskKind.BINARY else scores
    return Rows(labels, scores, np.ones(rows), rng.integers(0, max(rows // 20, 1), rows))


def value_of(metric: Metric, rows: Rows) -> float:
    """Return the metric's value. Raises AssertionError where it has none."""
    found = metric(rows)
    assert not isinstance(found, Undefined), f"{metric.name} is undefined: {found.reason}"
    assert math.isfinite(found), f"{metric.name} is {found}"
    return found


def its_name_finds_it(metric: Metric) -> None:
    """A metric with a short name is found by it."""
    if metric.name in METRICS:
        assert METRICS.find(metric.name) is metric


def better_scores_have_a_better_value(metric: Metric) -> None:
    """Scores near the truth beat scores far from it, in the metric's own direction."""
    for kind in metric.kinds:
        near, far = (value_of(metric, make_rows(kind, rows=2000, noise=noise)) for noise in (0.05, 20.0))
        better = near > far if metric.larger_is_better else near < far
        assert better, f"{metric.name} of a {kind} task: {near:g} near the truth, {far:g} far from it"


def the_order_of_rows_is_no_matter(metric: Metric) -> None:
    """Rows in another order have the same value."""
    for kind in metric.kinds:
        rows = make_rows(kind)
        order = np.random.default_rng(1).permutation(len(rows.labels))
        assert math.isclose(value_of(metric, rows.take(order)), value_of(metric, rows), rel_tol=1e-9, abs_tol=1e-12)


def only_the_ratios_of_weights_count(metric: Metric) -> None:
    """Weights three times as large give the same value."""
    for kind in metric.kinds:
        rows = replace(make_rows(kind), weights=np.random.default_rng(2).uniform(0.5, 2.0, 200))
        heavier = replace(rows, weights=3 * rows.weights)
        assert math.isclose(value_of(metric, rows), value_of(metric, heavier), rel_tol=1e-9, abs_tol=1e-12)


def without_rows_it_is_undefined(metric: Metric) -> None:
    """No row, or no weight, gives a reason in place of a number."""
    for kind in metric.kinds:
        rows = make_rows(kind)
        for empty in (rows.take(slice(0, 0)), replace(rows, weights=np.zeros(len(rows.labels)))):
            assert isinstance(metric(empty), Undefined)


def labels_that_are_all_equal_never_crash_it(metric: Metric) -> None:
    """A task of one class has a finite value, or a reason why there is none."""
    for kind in metric.kinds:
        found = metric(replace(make_rows(kind), labels=np.zeros(200)))
        assert isinstance(found, Undefined) or math.isfinite(found), f"{metric.name} is {found}"


METRIC_LAWS = (
    its_name_finds_it,
    better_scores_have_a_better_value,
    the_order_of_rows_is_no_matter,
    only_the_ratios_of_weights_count,
    without_rows_it_is_undefined,
    labels_that_are_all_equal_never_crash_it,
)
