"""Scaled numbers and their bins, as operators of ONNX, in the order and precision of the encoder."""

from __future__ import annotations

import numpy as np

from automtl.features.chunk import HUGE
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import LIMIT, Scaler
from automtl.serving.export.graph import Graph


def plain(graph: Graph, numbers: str) -> str:
    """Read raw numbers, (N,) float64: infinity is missing, as NaN is, and what is huge is cut."""
    infinite = graph.op("IsInf", numbers)
    present = graph.op("Where", infinite, graph.constant(np.nan, np.float64), numbers)
    return graph.op("Clip", present, graph.constant(-HUGE, np.float64), graph.constant(HUGE, np.float64))


def scaled(graph: Graph, numbers: str, scaler: Scaler | Piecewise) -> list[str]:
    """Return the columns of `scale`, (N, width) float32 in all."""
    missing = graph.op("IsNaN", numbers)
    present = graph.op("Where", missing, graph.constant(0.0, np.float64), numbers)
    if isinstance(scaler, Piecewise):
        parts = [_pieces(graph, present, missing, scaler)]
    else:
        parts = [_standardized(graph, present, missing, scaler)] if scaler.value else []
    indicator = scaler.indicator and (isinstance(scaler, Piecewise) or scaler.value)
    return [*parts, *([column(graph, graph.cast(missing, np.float32))] if indicator else [])]


def column(graph: Graph, values: str) -> str:
    """Make a column (N, 1) of values (N,)."""
    return graph.op("Unsqueeze", values, graph.constant([1], np.int64))


def binned(graph: Graph, numbers: str, scaler: Scaler) -> str:
    """Return the ids of `bin`, (N,) int64; nothing is below NaN."""
    edges = graph.constant(np.asarray(scaler.edges, np.float64).reshape(1, -1))
    below = graph.cast(graph.op("Less", edges, column(graph, numbers)), np.int64)  # (N, edges)
    count = graph.op("ReduceSum", below, graph.constant([1], np.int64), keepdims=0)
    bins = graph.op("Add", count, graph.constant(2, np.int64))
    return graph.op("Where", graph.op("IsNaN", numbers), graph.constant(0, np.int64), bins)


def _standardized(graph: Graph, present: str, missing: str, scaler: Scaler) -> str:
    values = signed_log(graph, present) if scaler.log else present
    spread = scaler.std if scaler.std > 0 else 1.0
    centred = graph.op("Sub", values, graph.constant(scaler.mean, np.float64))
    found = graph.op("Div", centred, graph.constant(spread, np.float64))
    found = graph.op("Where", missing, graph.constant(0.0, np.float64), found)
    cut = graph.op("Clip", found, graph.constant(-LIMIT, np.float64), graph.constant(LIMIT, np.float64))
    return column(graph, graph.cast(cut, np.float32))


def _pieces(graph: Graph, present: str, missing: str, scaler: Piecewise) -> str:
    edges = np.asarray(scaler.edges, np.float64)
    low, high = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    low[0], high[-1] = -LIMIT, LIMIT + 1
    above = graph.op("Sub", column(graph, present), graph.constant(edges[:-1].reshape(1, -1)))
    part = graph.op("Div", above, graph.constant(np.diff(edges).reshape(1, -1)))  # (N, P)
    cut = graph.op("Min", graph.op("Max", part, graph.constant(low)), graph.constant(high))
    cut = graph.op("Where", column(graph, missing), graph.constant(0.0, np.float64), cut)
    return graph.cast(cut, np.float32)


def signed_log(graph: Graph, values: str) -> str:
    """Compute the logarithm of 1 + |x| with the sign of x, exact for small x, too: log(u) x / (u - 1), u = 1 + x."""
    one, size = graph.constant(1.0, np.float64), graph.op("Abs", values)
    more = graph.op("Add", size, one)
    rounded = graph.op("Sub", more, one)
    tiny = graph.op("Equal", rounded, graph.constant(0.0, np.float64))
    share = graph.op("Div", size, graph.op("Where", tiny, one, rounded))
    logged = graph.op("Where", tiny, size, graph.op("Mul", graph.op("Log", more), share))
    return graph.op("Mul", logged, graph.op("Sign", values))
