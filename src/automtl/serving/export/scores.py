"""Logits as scores, and the sum of an ensemble's members, as operators of ONNX. N rows, T tasks, float64 scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from automtl.features.targets import LARGEST
from automtl.serving.export.graph import Graph
from automtl.tables.schema import Task, TaskKind, stage_names


def mixed(graph: Graph, logits: Sequence[str], weights: np.ndarray, places: Sequence[int]) -> str:
    """Sum members' logits, (N, T) each, by their weights (M, T); stages of a funnel stay below the one before."""
    parts = [
        graph.op("Mul", one, graph.constant(weight.reshape(1, -1), np.float32))
        for one, weight in zip(logits, weights, strict=True)
    ]
    total = parts[0] if len(parts) == 1 else graph.op("Sum", *parts)
    if not places:
        return total
    columns = [_task(graph, total, place) for place in range(weights.shape[1])]
    for before, place in pairwise(places):
        columns[place] = graph.op("Min", columns[place], columns[before])
    return graph.op("Concat", *(graph.op("Unsqueeze", one, graph.constant([1], np.int64)) for one in columns), axis=1)


def scores(graph: Graph, logits: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Return the columns of `Predictor.predict`, (N,) float64 each, by name."""
    wide = graph.cast(logits, np.float64)
    found = {task.name: _score(graph, _task(graph, wide, place), task) for place, task in enumerate(tasks)}
    columns = [found[task.name] for task in tasks]
    for name, (before, place) in stage_names(tasks).items():
        value = columns[place]
        if before is not None:
            above = graph.op("Max", columns[before], graph.constant(1e-300, np.float64))
            value = graph.op("Div", value, above)
        found[name] = graph.op("Min", value, graph.constant(1.0, np.float64))
    return found


def _task(graph: Graph, matrix: str, place: int) -> str:
    return graph.op("Gather", matrix, graph.constant(place, np.int64), axis=1)


def _score(graph: Graph, logits: str, task: Task) -> str:
    """Return the probability, or the value within the range that labels were cut to."""
    if task.kind is TaskKind.BINARY:
        return graph.op("Sigmoid", logits)
    scale, center = (graph.constant(one, np.float64) for one in (task.scale or 1.0, task.center or 0.0))
    value = graph.op("Add", graph.op("Mul", logits, scale), center)
    low, high = task.clip or (0.0 if task.transform else -np.inf, np.inf)
    if task.transform == "log1p":
        most = graph.op("Min", value, graph.constant(LARGEST, np.float64))
        value = graph.op("Sub", graph.op("Exp", most), graph.constant(1.0, np.float64))
    if not (task.clip or task.transform):
        return value
    return graph.op("Clip", value, *(graph.constant(float(edge), np.float64) for edge in (low, high)))
