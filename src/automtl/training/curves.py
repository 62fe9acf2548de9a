"""Curves of one task as few points, for drawings: ROC and calibration, and the rates of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from automtl.data.batch import Batch, iterate
from automtl.data.schema import Task, TaskKind
from automtl.training.metrics import CALIBRATION_BINS, Rows, task_rows

ROC_POINTS = 200
SUMMED_ROWS = 2**20  # at a time, where rows are in files


def roc_points(rows: Rows) -> list[list[float]]:
    """At most ROC_POINTS pairs of false and true positive rate, from (0, 0) to (1, 1); none if a class is absent."""
    from sklearn.metrics import roc_curve

    if len(rows.labels) == 0 or rows.labels.min() == rows.labels.max():
        return []
    false, true, _ = roc_curve(rows.labels, rows.scores, sample_weight=rows.weights)
    wanted = np.linspace(0, 2, ROC_POINTS)  # evenly along the way: a steep start gets as many points as a flat end
    places = np.unique(np.searchsorted(false + true, wanted).clip(max=len(false) - 1))
    return _rounded(np.stack([false[places], true[places]], axis=1))


def calibration_points(rows: Rows) -> list[list[float]]:
    """Mean score and mean label of bins of equally many rows, in order of the score; weighted."""
    parts = np.array_split(np.argsort(rows.scores, kind="stable"), CALIBRATION_BINS)
    filled = [part for part in parts if rows.weights[part].sum() > 0]
    means = [
        [np.average(values[part], weights=rows.weights[part]) for values in (rows.scores, rows.labels)]
        for part in filled
    ]
    return _rounded(np.array(means).reshape(-1, 2))


def task_curves(scores: np.ndarray, batch: Batch, tasks: Sequence[Task]) -> dict[str, Any]:
    """ROC and calibration points of every binary task. scores: (N, T) probabilities."""
    return {
        task.name: {"roc": roc_points(rows), "calibration": calibration_points(rows)}
        for task, rows in ((task, task_rows(scores, batch, index)) for index, task in enumerate(tasks))
        if task.kind is TaskKind.BINARY
    }


def label_summary(batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, float | None]]:
    """By task: rows that have a label, and the mean of their labels (None without rows)."""
    count = total = torch.zeros(len(tasks), dtype=torch.float64)
    for part in iterate(batch, SUMMED_ROWS):
        count = count + part.mask.sum(0, dtype=torch.float64)
        total = total + (part.labels * part.mask).sum(0, dtype=torch.float64)
    return {
        task.name: {"rows": int(rows), "mean": round(labels / rows, 6) if rows else None}
        for task, rows, labels in zip(tasks, count.tolist(), total.tolist(), strict=True)
    }


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.tolist()]
