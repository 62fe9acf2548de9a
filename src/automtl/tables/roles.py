"""Columns with a role of their own as plain arrays: labels, weights, groups, times, parts. N rows, T tasks.

Rows come in chunks, in memory or in files, and the same code works on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import polars as pl

from automtl.errors import SchemaError
from automtl.system.exact_sum import exact_sum
from automtl.system.hashing import hash_integers, lasting_hash
from automtl.system.slices import SLICE, slices
from automtl.system.threads import in_threads
from automtl.tables.infer import require_columns
from automtl.tables.labels import label_columns
from automtl.tables.schema import FieldKind, Schema, Task
from automtl.tables.values.ids import as_integers, as_text, require_ids, unnamed, whole_texts
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import time_order

PARTS = ("train", "valid", "test")
TRAIN, VALID, TEST = range(3)
NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}
NO_GROUP = 0  # of a row whose group is missing
NOT_ZERO = np.int64(0x5851F42D4C957F2D)  # so that the group 0 does not have the number of null


class Chunk(Protocol):
    """N adjacent rows. `part`: (N,) uint8, TRAIN, VALID or TEST.

    Arrays: `labels` and `mask` (N, T) and, where there is such a column, `weight` float64, `group` int64, `split` uint8
    and `time` int64, (N,) each; `features.chunk` names the arrays of inputs.
    """

    @property
    def rows(self) -> int: ...

    @property
    def part(self) -> np.ndarray: ...

    def array(self, name: str) -> np.ndarray: ...


AnyChunk = TypeVar("AnyChunk", bound=Chunk)


@dataclass(frozen=True)
class TableRoles:
    """A table in memory as one chunk of training rows."""

    table: pl.DataFrame
    schema: Schema

    @property
    def rows(self) -> int:
        return self.table.height

    @property
    def part(self) -> np.ndarray:
        return np.zeros(self.rows, np.uint8)

    def array(self, name: str) -> np.ndarray:
        if name in ("labels", "mask"):
            return self._labels[name == "mask"]
        column = str(getattr(self.schema, name))
        require_columns(self.table, [column], f"{name} column")
        if name == "time":
            times = (one for one in self.schema.fields if one.kind is FieldKind.TIME and one.name == column)
            return time_order(self.table[column], next(times, None))
        return READ[name](self.table[column])

    @cached_property
    def _labels(self) -> tuple[np.ndarray, np.ndarray]:
        return label_columns(self.table, self.schema)


def starts(chunks: Sequence[AnyChunk]) -> Iterator[tuple[AnyChunk, int]]:
    """Yield each chunk with the number of rows before it."""
    start = 0
    for chunk in chunks:
        yield chunk, start
        start += chunk.rows


def train_starts(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, int]]:
    """Yield each chunk with the number of training rows before it."""
    start = 0
    for chunk in chunks:
        yield chunk, start
        start += int(np.count_nonzero(chunk.part == TRAIN))


def training(chunk: Chunk, values: np.ndarray) -> np.ndarray:
    """Select the training rows of (N, ...) values; returns the values themselves where all are training rows."""
    trained = chunk.part == TRAIN
    return values if trained.all() else values.compress(trained, axis=0)


def group_ids(column: pl.Series) -> np.ndarray:
    """Number the values of a group column, (N,) int64: NO_GROUP where missing, equal values have equal numbers.

    A number depends on the value alone, not on other rows. Whole numbers never share one; two of ten million texts do
    with a chance of about 3e-6. Raises EncodingError for other than ids.
    """
    require_ids(column)
    return np.concatenate([np.zeros(0, np.int64), *map(_ids, slices(column))])


def _ids(part: pl.Series) -> np.ndarray:
    integers = as_integers(part)
    if integers is not None and not integers.null_count():
        return hash_integers(integers.to_numpy() ^ NOT_ZERO).view(np.int64)
    numbers = np.full(part.len(), NO_GROUP, np.int64)
    if integers is None:
        texts = as_text(part)
        integers = whole_texts(texts)
        others = integers.is_null() & texts.is_not_null()
        numbers[others.to_numpy()] = lasting_hash(texts.filter(others)).view(np.int64)
    keys = integers.drop_nulls().to_numpy()
    numbers[integers.is_not_null().to_numpy()] = hash_integers(keys ^ NOT_ZERO).view(np.int64)
    return numbers


def named_parts(column: pl.Series) -> np.ndarray:
    """Read the parts, (N,) uint8, that a split column names. Raises SchemaError for an unknown name."""
    require_ids(column, rounded=False)
    values = unnamed(column).cast(pl.String)
    unique = values.unique()  # few, whose names are looked at
    parts = unique.str.strip_chars().str.to_lowercase().replace_strict(NAMES, default=None, return_dtype=pl.Int64)
    if parts.null_count():
        known = values.replace_strict(unique, parts, return_dtype=pl.Int64)
        odd = column.filter(known.is_null())[0]
        raise SchemaError(f"split column '{column.name}': unknown value {odd!r}; expected train, val or test")
    found = np.zeros(column.len(), np.uint8)
    for value, part in zip(unique, parts, strict=True):
        found += (values == value).to_numpy() * np.uint8(part)  # quicker than to set the rows of a mask
    return found


READ: dict[str, Callable[[pl.Series], np.ndarray]] = {
    "weight": lambda column: as_numbers(column).to_numpy(),
    "group": group_ids,
    "split": named_parts,
}


def summarize_labels(chunks: Sequence[Chunk], tasks: Sequence[Task]) -> tuple[np.ndarray, np.ndarray]:
    """Count the rows with a label, and sum their labels, by part: (3, T) each. Sums do not depend on the chunks.

    Raises SchemaError for a task that cannot be learned from the training rows.
    """
    parts = in_threads(_summary, chunks)
    held, low, high = (np.stack([counts[place] for counts, _ in parts]) for place in range(3))
    for task, least, most in zip(tasks, low.min(0)[TRAIN], high.max(0)[TRAIN], strict=True):
        if least > most:
            where = f" where {task.condition}" if task.condition else ""
            raise SchemaError(f"task '{task.name}': no training row has a label{where}; give labelled rows")
        if least == most:
            raise SchemaError(
                f"task '{task.name}': every label in the training rows is {least:g}; "
                "drop the task or split so that both classes occur"
            )
    sums = np.sum([total for _, total in parts], axis=0)
    return held.sum(0), sums.astype(np.float64)


def _summary(chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of labels, the smallest and the largest, (3, 3, T), and exact sums, (3, T), by part and task."""
    part, labels, mask = chunk.part, chunk.array("labels"), chunk.array("mask")
    shape = len(PARTS), labels.shape[1]
    found, total = np.zeros((3, *shape)), np.full(shape, Fraction(0))
    found[1], found[2] = np.inf, -np.inf
    for code in np.unique(part):
        here = part == code
        for task in range(labels.shape[1]):
            held = np.ascontiguousarray(labels[:, task]).compress(here & (mask[:, task] > 0))
            if len(held):
                found[:, code, task] = len(held), held.min(), held.max()
                total[code, task] = _sum(held)
    return found, total


def _sum(labels: np.ndarray) -> Fraction:
    """Add labels exactly; those of two classes need no care."""
    classes = bool(((labels == 0) | (labels == 1)).all())
    return Fraction(int(np.count_nonzero(labels))) if classes else exact_sum(labels)


def require_both_classes(train: pl.DataFrame, schema: Schema) -> None:
    """Raise SchemaError that names a task whose training labels are all equal, or that has no training label."""
    summarize_labels([TableRoles(part, schema) for part in train.iter_slices(SLICE)], schema.tasks)
