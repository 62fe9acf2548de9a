"""Compare the scores of an exported model with those of the predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from automtl.errors import FileError
from automtl.features.encoder import Encoder
from automtl.features.histories import HistoryInputs
from automtl.predictor import Predictor
from automtl.serving.export.columns import Columns
from automtl.serving.export.feed import Feed
from automtl.serving.export.rows import Rows, draw_rows
from automtl.tables.names import shown
from automtl.tables.schema import Task
from automtl.training.metrics import stage_scores

TOLERANCE = 1e-5  # of scores, absolute below 1 and relative above
ROWS, SIZES = 1000, (1, 7)  # rows that are drawn; of these, so many are scored alone, too


@dataclass(frozen=True)
class Agreement:
    """The largest difference of a score on so many rows, absolute below 1 and relative above."""

    difference: float
    rows: int


def predicted(predictor: Predictor, rows: Rows) -> dict[str, np.ndarray]:
    """Return the predictor's columns of scores, (N,) each."""
    batch = predictor.encoder.encode(rows.table, labels=False, history=rows.histories)
    scores = predictor.scores(batch)
    tasks = {task.name: scores(index) for index, task in enumerate(predictor.schema.tasks)}
    return tasks | stage_scores(scores, predictor.schema.tasks)


def distances(found: np.ndarray, expected: np.ndarray, name: str, tasks: Sequence[Task]) -> np.ndarray:
    """Return how far scores, (N,), are from those expected: absolute below 1 and relative above.

    Those of a quantity are told in its own units, from its center on.
    """
    task = next((task for task in tasks if task.name == name and not task.transform), None)
    center, unit = (0.0, 1.0) if task is None else (task.center or 0.0, task.scale or 1.0)
    apart: np.ndarray = np.abs(found - expected) / np.maximum(np.abs(expected - center), unit)
    return apart


def session_of(content: bytes, threads: int = 1) -> Any:
    """Load a model into ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def check_inputs(content: bytes, encoder: Encoder, columns: Columns, seed: int = 0) -> None:
    """Encode drawn rows with ONNX Runtime and with the encoder. Raises FileError where an input differs."""
    session = session_of(content)
    for size in (*SIZES, ROWS):
        compare_inputs(session, encoder, columns, draw_rows(encoder, size, seed + size))


def compare_inputs(session: Any, encoder: Encoder, columns: Columns, rows: Rows) -> None:
    """Compare encoded inputs: all ids, and numbers within the tolerance. Raises FileError where one differs."""
    feed = Feed(encoder, rows.table, rows.histories)
    categorical, numeric, *lists = session.run(None, {name: feed.of(one) for name, one in columns.inputs.items()})
    wanted, layout = encoder.encode(rows.table, labels=False, history=rows.histories).features, encoder.layout
    odd = {one.name: categorical[:, place] != wanted.categorical[:, place].numpy()
           for place, one in enumerate(layout.categorical)}  # fmt: skip
    names = [name for group in layout.numeric for name in group.columns]
    numbers = wanted.numeric.numpy()
    odd |= {name: ~(np.abs(numeric[:, place] - numbers[:, place]) <= TOLERANCE) for place, name in enumerate(names)}
    for one, given, known in zip(layout.lists, lists, wanted.multi, strict=True):
        odd[one.name] = np.array([_ids(a) != _ids(b) for a, b in zip(given, known.numpy(), strict=True)], np.bool_)
    for name, rows_of in odd.items():
        if rows_of.any():
            row = int(np.argmax(rows_of))
            raise FileError(
                f"the exported model encodes '{shown(name)}' otherwise than the predictor, "
                f"for {_shown(rows.table, row)}; nothing was written: please report this"
            )


def _ids(padded: np.ndarray) -> list[int]:
    found: list[int] = padded[padded > 0].tolist()
    return found


def check_scores(content: bytes, predictor: Predictor, columns: Columns, seed: int = 0) -> Agreement:
    """Score drawn rows with ONNX Runtime and with the predictor. Raises FileError where they differ."""
    session, rows, largest = session_of(content), draw_rows(predictor.encoder, ROWS, seed), 0.0
    for size in (*SIZES, ROWS):
        part = _first(rows, size)
        largest = max(largest, difference(session, predictor, columns, part))
    return Agreement(largest, ROWS)


def difference(session: Any, predictor: Predictor, columns: Columns, rows: Rows) -> float:
    """Return the largest difference of a score. Raises FileError where it is above the tolerance."""
    feed = Feed(predictor.encoder, rows.table, rows.histories)
    expected = predicted(predictor, rows)
    found = session.run(list(expected), {name: feed.of(one) for name, one in columns.inputs.items()})
    largest = 0.0
    for (name, wanted), given in zip(expected.items(), found, strict=True):
        apart = distances(given, wanted, name, predictor.schema.tasks)
        row = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
        if not apart[row] <= TOLERANCE:
            raise FileError(
                f"the exported model scores '{name}' {given[row]:.9g} where the predictor gives {wanted[row]:.9g}, "
                f"for {_shown(rows.table, row)}; nothing was written: please report this"
            )
        largest = max(largest, float(apart[row]))
    return largest


def _first(rows: Rows, count: int) -> Rows:
    known = rows.histories
    return replace(rows, table=rows.table.head(count), histories=None if known is None else _some(known, count))


def _some(known: HistoryInputs, count: int) -> HistoryInputs:
    return known.take(slice(0, count))


def _shown(table: pl.DataFrame, row: int) -> str:
    return str(table.row(row, named=True))[:500]
