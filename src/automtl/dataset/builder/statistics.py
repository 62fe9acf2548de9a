"""The third step, beside `ranking`: what the training rows say of numbers, times and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from automtl.dataset.builder.chunks import NO_TIME, read_values
from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.workdir import SPLITS, TRAIN, Chunk, Work
from automtl.errors import EncodingError, SchemaError
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.system.slices import SLICE
from automtl.system.threads import in_threads
from automtl.tables.labels import require_differing
from automtl.tables.schema import Field

NOT_TRAINED = -1  # the rank of a code that no training row has


def text_order(work: Work, place: int) -> np.ndarray:
    """(codes + 1,) int64: where each code's text comes in the order of texts; NO_TIME for the first, no text."""
    values = pl.concat([read_values(chunk, place) for chunk in work.chunks])
    return np.concatenate([[NO_TIME], values.rank("dense").to_numpy().astype(np.int64)])


@dataclass(frozen=True)
class Numbers:
    """A numeric column, or the age of a time, as the encoder reads it; chunk by chunk or by training rows."""

    work: Work
    columns: Columns
    field: Field
    newest: float = 0.0

    def of(self, chunk: Chunk) -> np.ndarray:
        """(n,) float64, NaN where missing."""
        time = self.columns.ages.get(self.field)
        if time is None:
            return chunk.array(f"number.{self.columns.numeric.index(self.field)}")
        return self.newest - chunk.array(f"days.{self.columns.times_of_fields.index(time)}")

    def training(self) -> Iterator[np.ndarray]:
        """Slices of SLICE training rows."""
        return sliced(self.of(chunk).compress(chunk.part() == TRAIN) for chunk in self.work.chunks)


def sliced(parts: Iterable[np.ndarray], rows: int = SLICE) -> Iterator[np.ndarray]:
    """The same rows in parts of another length, as a table in memory is cut."""
    waiting: list[np.ndarray] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= rows:
            whole = np.concatenate(waiting)
            yield whole[:rows]
            waiting = [whole[rows:]]
    rest = np.concatenate(waiting)
    if len(rest):
        yield rest


def newest_of(work: Work, columns: Columns) -> dict[str, float]:
    """By time field, the newest training time in days. Raises SchemaError without any."""
    found = {}
    for place, field in enumerate(columns.times_of_fields):
        newest = max(_largest(chunk.array(f"days.{place}").compress(chunk.part() == TRAIN)) for chunk in work.chunks)
        if newest == -np.inf:
            raise SchemaError(f"column '{field.name}' has no time in the training rows; drop it")
        found[field.name] = float(newest)
    return found


def _largest(values: np.ndarray) -> float:
    return float(np.fmax.reduce(values, initial=-np.inf))


def fit_numbers(numbers: Numbers, rows: list[int]) -> tuple[Scaler | Piecewise, dict[str, Any]]:
    """The scaler of a column, and what a report says of it. `rows`: of each split."""
    field, settings = numbers.field, numbers.columns.settings.of(numbers.field)
    missing, low, high = np.zeros(3, np.int64), np.inf, -np.inf
    for chunk in numbers.work.chunks:
        values, part = numbers.of(chunk), chunk.part()
        missing += np.bincount(part.compress(np.isnan(values)), minlength=3)
        trained = values.compress(part == TRAIN)
        low, high = min(low, -_largest(-trained)), max(high, _largest(trained))
    if missing[TRAIN] == rows[TRAIN]:
        raise SchemaError(f"column '{field.name}' has no value in the training rows; drop it")
    scaler: Scaler | Piecewise
    if settings.form == "piecewise":
        scaler = Piecewise.fit_parts(numbers.training(), rows[TRAIN], settings.bins)
    else:
        scaler = Scaler.fit_parts(numbers.training(), rows[TRAIN], settings.bins, settings.form)
    return scaler, {"missing": missing.tolist(), "least": low, "most": high}


def check_labels(work: Work, columns: Columns) -> dict[str, Any]:
    """Rows with a label and their mean, by task and split. Raises SchemaError where nothing can be learned or told."""
    tasks = columns.schema.tasks
    parts = in_threads(_label_sums, work.chunks)
    held, total, low, high = (np.stack([part[place] for part in parts]) for place in range(4))
    held, total = held.sum(0), total.sum(0)  # (3, T) each
    require_differing(tasks, low.min(0)[TRAIN], high.max(0)[TRAIN])
    _check_weights(work, columns)
    return {
        task.name: {
            name: {"labels": int(held[split, place]), "mean": total[split, place] / max(held[split, place], 1)}
            for split, name in enumerate(SPLITS)
        }
        for place, task in enumerate(tasks)
    }


def _label_sums(chunk: Chunk) -> np.ndarray:
    """(4, 3, T) by split and task: rows on which the task holds, and of these sum, least, most."""
    part, labels, mask = chunk.part(), chunk.array("labels"), chunk.array("mask")
    found = np.zeros((4, 3, labels.shape[1]))
    for task in range(labels.shape[1]):
        holds, values = np.ascontiguousarray(mask[:, task]) > 0, np.ascontiguousarray(labels[:, task])
        for split in range(3):
            here = part == split
            held = values.compress(here & holds)
            edges = (held.min(), held.max()) if len(held) else (np.inf, -np.inf)
            found[:, split, task] = len(held), held.sum(dtype=np.float64), *edges
    return found


def _check_weights(work: Work, columns: Columns) -> None:
    if columns.schema.weight is None:
        return
    weights = sum(np.bincount(one.part(), one.array("weight"), minlength=3) for one in work.chunks)
    for name, weight in zip(SPLITS, np.atleast_1d(weights), strict=True):
        if weight == 0:
            raise EncodingError(f"weight column '{columns.schema.weight}' is 0 in all {name} rows; correct it")
