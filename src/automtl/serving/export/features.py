"""The encoder as operators of ONNX: raw columns in, the inputs of a network out. N rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automtl.features.encoder import Encoder
from automtl.features.piecewise import Piecewise
from automtl.serving.export.columns import Columns
from automtl.serving.export.graph import Graph
from automtl.serving.export.numbers import binned, column, scaled
from automtl.tables.derive import part_name, simple_fields
from automtl.tables.names import shown
from automtl.tables.schema import FieldKind

HISTORIES = "histories"  # name of the input of all numbers of histories


@dataclass(frozen=True)
class Encoded:
    """Names of encoded inputs: categorical (N, C) int64, numeric (N, W) float32, lists of (N, L) int64 each."""

    categorical: str
    numeric: str
    lists: tuple[str, ...]


def encoded(columns: Columns) -> Encoded:
    """Encode all inputs of a model, in the order of the encoder's layout."""
    graph, encoder = columns.graph, columns.encoder
    fields = simple_fields(encoder.schema)
    ids = [columns.ids(one.name, encoder.vocabularies[one.name]) for one in fields if one.kind is FieldKind.CATEGORICAL]
    numbers, bins = _numbers(columns)
    lists = [
        columns.lists(one, encoder.vocabulary(one))
        for one in fields
        if one.kind in (FieldKind.MULTI, FieldKind.SEQUENCE)
    ]
    numbers += _target_encodings(columns)
    if encoder.histories is not None:
        numbers += _histories(columns)
        lists += _events(columns)
    anything = [*ids, *bins, *numbers, *lists][0]
    return Encoded(
        _joined(graph, [column(graph, one) for one in (*ids, *bins)], anything, np.int64),
        _joined(graph, numbers, anything, np.float32),
        tuple(lists),
    )


def _numbers(columns: Columns) -> tuple[list[str], list[str]]:
    """Return scaled numbers, in order, and the ids of bins."""
    numbers, bins = list[str](), list[str]()
    ages = {part_name(one, "age"): one for one in columns.encoder.schema.fields if one.kind is FieldKind.TIME}
    for name, scaler in columns.encoder.scalers.items():
        time = ages.get(name)
        raw = columns.number(name) if time is None else columns.moments(time).age(columns.encoder.newest[time.name])
        numbers += scaled(columns.graph, raw, scaler)
        if not isinstance(scaler, Piecewise) and scaler.binned:
            bins.append(binned(columns.graph, raw, scaler))
    return numbers, bins


def _target_encodings(columns: Columns) -> list[str]:
    """Return the inputs, (N, T + 1) float32, of each key."""
    found = []
    for key, encoding in columns.encoder.target_encodings.items():
        ids = columns.codes(key, encoding.vocabulary.values)
        found.append(columns.graph.op("Gather", columns.graph.constant(encoding.table), ids, axis=0))
    return found


def _histories(columns: Columns) -> list[str]:
    """Return the numbers of histories, which the client gives as `HistoryInputs` has them."""
    histories = columns.encoder.histories
    assert histories is not None
    if not histories.width:
        return []
    meaning = "standardized numbers of histories, as the encoder gives them: " + ", ".join(
        history_names(columns.encoder)
    )
    return [columns.given(HISTORIES, "numbers", HISTORIES, meaning, histories.width)]


def history_names(encoder: Encoder) -> list[str]:
    """Return the names of the numbers of histories, in order."""
    groups = () if encoder.histories is None else encoder.histories.groups
    return [shown(name) for group in groups for name in group.columns]


def _events(columns: Columns) -> list[str]:
    """Return the lists of the aspects of the last events, which the client gives, the newest last."""
    histories = columns.encoder.histories
    assert histories is not None
    found = []
    for sequence in histories.sequences:
        for aspect in sequence.aspects:
            meaning = f"ids of '{shown(aspect.name)}' of the last events, the newest last, then 0 for padding"
            found.append(columns.given(shown(aspect.name), "events", aspect.name, meaning))
    return found


def _joined(graph: Graph, parts: list[str], like: str, dtype: type) -> str:
    """Join columns; without any, make a matrix of no columns and as many rows as another value has."""
    if parts:
        return parts[0] if len(parts) == 1 else graph.op("Concat", *parts, axis=1)
    rows = graph.op("Shape", like, start=0, end=1)
    shape = graph.op("Concat", rows, graph.constant([0], np.int64), axis=0)
    return graph.op("Expand", graph.constant(np.zeros((1, 1)), dtype), shape)
