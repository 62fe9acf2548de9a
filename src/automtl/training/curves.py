"""Curves of one task as few points, for drawings: ROC and calibration, and the rates of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from automtl.features.batch import SLICE_ROWS, Batch, iterate
from automtl.tables.schema import Task, TaskKind
from automtl.training.metrics import CALIBRATION_BINS, Rows, Scores, by_score, task_rows

ROC_POINTS = 200


def roc_points(rows: Rows) -> list[list[float]]:
    """List false and true positive rates from (0, 0) to (1, 1), at most ROC_POINTS pairs; none if a class is absent."""
    base = rows.mean(lambda part: part.labels) if rows.weight > 0 else 0.0
    if not 0 < base < 1:
        return []
    positive, negative = base * rows.weight, (1 - base) * rows.weight
    wanted = np.linspace(0, 2, ROC_POINTS)[1:-1]  # evenly along the way: a steep start gets as many as a flat end
    points, true, false = [np.zeros((1, 2))], 0.0, 0.0
    for positives, negatives in by_score(rows):
        rates = np.stack([(false + np.cumsum(negatives)) / negative, (true + np.cumsum(positives)) / positive], axis=1)
        way = rates.sum(1)
        points.append(rates[np.unique(np.searchsorted(way, wanted[wanted <= way[-1]]))])
        wanted = wanted[wanted > way[-1]]
        true, false = true + float(positives.sum()), false + float(negatives.sum())
    return _rounded(np.unique(np.concatenate([*points, np.ones((1, 2))]).round(5), axis=0))


def calibration_points(rows: Rows) -> list[list[float]]:
    """List the weighted mean score and mean label of bins of equally many rows, in order of the score."""
    parts = map(rows.take, np.array_split(rows.order, CALIBRATION_BINS))
    means = [
        [np.average(values, weights=part.weights) for values in (part.scores, part.labels)]
        for part in parts
        if part.weight > 0
    ]
    return _rounded(np.array(means).reshape(-1, 2))


def task_curves(scores: Scores, batch: Batch, tasks: Sequence[Task]) -> dict[str, Any]:
    """Draw the ROC and calibration points of every binary task."""
    binary = [(index, task.name) for index, task in enumerate(tasks) if task.kind is TaskKind.BINARY]
    found = ((name, task_rows(scores(index), batch, index)) for index, name in binary)
    return {name: {"roc": roc_points(rows), "calibration": calibration_points(rows)} for name, rows in found}


def label_summary(batch: Batch, tasks: Sequence[Task]) -> dict[str, dict[str, float | None]]:
    """Count the rows of each task that have a label, with the mean of their labels (None without rows)."""
    count = total = torch.zeros(len(tasks), dtype=torch.float64)
    for part in iterate(batch, SLICE_ROWS):
        count = count + part.mask.sum(0, dtype=torch.float64)
        total = total + (part.labels * part.mask).sum(0, dtype=torch.float64)
    return {
        task.name: {"rows": int(rows), "mean": float(f"{labels / rows:.12g}") if rows else None}
        for task, rows, labels in zip(tasks, count.tolist(), total.tolist(), strict=True)
    }


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.tolist()]
