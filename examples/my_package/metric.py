"""A metric: `metrics: [auc, "my_package.metric:top_decile_lift"]` of a task in the schema."""

from __future__ import annotations

import numpy as np

from automtl import Metric
from automtl.tables.schema import TaskKind
from automtl.training.metrics import Rows, Value


def _lift(rows: Rows) -> Value:
    """The rate of positives among the tenth of the weight with the highest scores, over the rate of all rows."""
    order = rows.order[::-1]
    labels, weights = rows.labels[order].astype(np.float64), rows.weights[order].astype(np.float64)
    ahead = np.concatenate([[0.0], weights.cumsum()[:-1]])
    counted = np.clip(0.1 * weights.sum() - ahead, 0.0, weights)  # what of each row lies within the tenth
    return float((counted * labels).sum() / counted.sum() / np.average(labels, weights=weights))


top_decile_lift = Metric("top_decile_lift", _lift, larger_is_better=True, kinds=(TaskKind.BINARY,), needs_both=True)
