"""Permutation importance: how much worse a model is when one column is shuffled (Breiman 2001, section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.features.batch import Batch
from automtl.predictor import Predictor
from automtl.system.progress import Callback, Progress, ignore
from automtl.tables.schema import Task
from automtl.tables.table import read_table
from automtl.training.metrics import Undefined, primary_metric, task_rows


@dataclass(frozen=True)
class Importance:
    """Importance of a column for a task: mean drop of AUC (or rise of RMSE) over the repeats, and its deviation.

    `base`: the metric before; None where it is undefined on these rows.
    """

    column: str
    task: str
    metric: str
    base: float | None
    drop: float | None
    spread: float | None


def column_importance(
    folder: Path | str,
    source: Any,
    *,
    history: Any = None,
    repeats: int = 3,
    rows: int = 20_000,
    seed: int = 0,
    callback: Callback = ignore,
) -> tuple[Importance, ...]:
    """Measure the importance of each column for each task of a saved model, the most important first.

    At most `rows` rows of the labelled table are drawn, by `seed`. A column is shuffled in the table, so everything
    made of it (id, bins, target encoding, crosses, histories) is shuffled together. Columns that carry the same
    information show little importance, since each replaces the other. Where the model has histories, they come from
    the log `history`, by default from the table itself.
    """
    predictor = Predictor.load(folder)
    whole = read_table(source)
    log = None if predictor.encoder.histories is None else whole if history is None else read_table(history)
    table = _sampled(whole, rows, seed)
    batch, tasks = predictor.encode(table, log), predictor.schema.tasks
    predictor.compare_coverage(table, batch, allow_unknown=True)
    base = _values(predictor, batch, tasks)
    found, columns = [], predictor.schema.columns
    for place, name in enumerate(columns):
        callback(Progress("shuffling columns", place, len(columns)))
        if name in table.columns:
            shuffles = [np.random.default_rng([seed, place, one]).permutation(table.height) for one in range(repeats)]
            changed = [_shuffled_values(predictor, table, log, name, order, batch) for order in shuffles]
            found += [_importance(name, *of_task) for of_task in zip(tasks, base, zip(*changed))]
    callback(Progress("shuffling columns", len(columns), len(columns)))
    return tuple(sorted(found, key=lambda one: -(one.drop or 0.0)))


def _sampled(table: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    if table.height <= rows:
        return table
    return table[np.sort(np.random.default_rng(seed).choice(table.height, rows, replace=False))]


def _shuffled_values(
    predictor: Predictor, table: pl.DataFrame, log: pl.DataFrame | None, name: str, order: np.ndarray, batch: Batch
) -> list[float | None]:
    shuffled = predictor.encode(table.with_columns(table[name][order]), log, labels=False)
    return _values(predictor, Batch(shuffled.features, batch.labels, batch.mask, batch.weight), predictor.schema.tasks)


def _values(predictor: Predictor, batch: Batch, tasks: tuple[Task, ...]) -> list[float | None]:
    """Return AUC or RMSE by task, None where it is undefined."""
    scores = predictor.scores(batch)
    values = [primary_metric(task)(task_rows(scores(place), batch, place)) for place, task in enumerate(tasks)]
    return [None if isinstance(value, Undefined) else value for value in values]


def _importance(name: str, task: Task, base: float | None, changed: tuple[float | None, ...]) -> Importance:
    metric, known = primary_metric(task), [value for value in changed if value is not None]
    if base is None or not known:
        return Importance(name, task.name, metric.name, base, None, None)
    drops = np.array([metric.gain(base, value) for value in known])
    return Importance(name, task.name, metric.name, base, float(drops.mean()), float(drops.std()))
