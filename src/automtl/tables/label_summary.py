"""What the labels of chunks of rows are, by part and task. T tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.labels import require_differing
from automtl.tables.roles import PARTS, TRAIN, Chunk, TableRoles
from automtl.tables.schema import Schema, Task


def summarize_labels(chunks: Sequence[Chunk], tasks: Sequence[Task]) -> tuple[np.ndarray, np.ndarray]:
    """(3, T) each, by part: rows with a label, and the sum of their labels. Raises SchemaError where none can be
    learned from the training rows."""
    parts = in_threads(_summary, chunks)
    held, total, low, high = (np.stack([part[place] for part in parts]) for place in range(4))
    require_differing(tasks, low.min(0)[TRAIN], high.max(0)[TRAIN])
    return held.sum(0), total.sum(0)


def _summary(chunk: Chunk) -> np.ndarray:
    """(4, 3, T) by part and task: rows on which the task holds, and of these sum, least, most."""
    part, labels, mask = chunk.part, chunk.array("labels"), chunk.array("mask")
    found = np.zeros((4, len(PARTS), labels.shape[1]))
    found[2], found[3] = np.inf, -np.inf
    for code in np.unique(part):
        here = part == code
        for task in range(labels.shape[1]):
            held = np.ascontiguousarray(labels[:, task]).compress(here & (mask[:, task] > 0))
            if len(held):
                found[:, code, task] = len(held), held.sum(dtype=np.float64), held.min(), held.max()
    return found


def require_both_classes(train: pl.DataFrame, schema: Schema) -> None:
    """Raises SchemaError that names a task whose training labels are all alike, or of which no row has a label."""
    summarize_labels([TableRoles(part, schema) for part in train.iter_slices(SLICE)], schema.tasks)
