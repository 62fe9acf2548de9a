"""Explain the scores of a row by Shapley values of its columns, from sampled walks of other rows to the row.

A walk starts at another row of a table, takes the columns of the explained row one by one, in a random order, and notes
by how much each changes the score (Strumbelj and Kononenko, Explaining prediction models, 2014). Every order is walked
forwards and backwards. M columns, S samples, T tasks, W = 2 S walks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from automtl.errors import SettingsError
from automtl.features.batch import Batch, Features
from automtl.features.origins import Origin, Origins
from automtl.predictor import Predictor
from automtl.tables.schema import TaskKind
from automtl.tables.table import read_table
from automtl.training.evaluation import predict_logits, to_scores

SAMPLES = 64  # other rows that a row is compared with


@dataclass(frozen=True)
class Contribution:
    """How much a column moves the score of a task; `error`: the standard error of the sampling.

    `value`: that of the row, None where there is none, as of histories and of missing values.
    """

    column: str
    value: str | None
    contribution: float
    error: float


@dataclass(frozen=True)
class Explanation:
    """The score of a task for a row, counted from 1, taken apart: `base` plus all contributions is `output`.

    `base`: the mean output of the other rows. `output`: the logit of the score (`scale`: 'logit'), or of a regression
    task the score itself ('value').
    """

    row: int
    task: str
    scale: str
    score: float
    output: float
    base: float
    contributions: tuple[Contribution, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def explain(
    model: Predictor | Path | str,
    source: Any,
    *,
    rows: Sequence[int] = (1,),
    background: Any = None,
    history: Any = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[Explanation, ...]:
    """Take the scores of some rows of a table apart into contributions of its columns, for each row and task.

    A row is explained against `samples` other rows, drawn by `seed` from the table `background`, by default from the
    table itself. `rows` are counted from 1. `history` is that of `Predictor.predict`. The model is asked about rows
    that have some columns of one row and the others of another; whatever is made of a column goes with it, what is made
    of several columns, or of earlier rows, has an entry of its own. Raises SettingsError for a row that is not there,
    and where there is no other row.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> run = automtl.fit_table(log, ["click"], settings=automtl.read_settings(None, quick), seed=0)
    >>> (one,) = automtl.explain(run.predictor, log, rows=[7], samples=8)
    >>> total = one.base + sum(each.contribution for each in one.contributions)
    >>> abs(total - one.output) < 1e-4
    True
    """
    predictor = model if isinstance(model, Predictor) else Predictor.load(model)
    table = read_table(source)
    wrong = next((row for row in rows if not 1 <= row <= table.height), None)
    if wrong is not None:
        raise SettingsError(
            f"row {wrong} is not in the table, whose {table.height:,} rows are counted from 1; give one of these"
        )
    others = table if background is None else read_table(background)
    if not others.height or (background is None and others.height == 1):
        raise SettingsError(
            "there is no other row to compare the row with; give a table of other rows as the background"
        )
    rng, origins = np.random.default_rng(seed), Origins.of(predictor.encoder)
    drawn = np.resize(rng.permutation(others.height), samples)
    orders = rng.permuted(np.tile(np.arange(len(origins.every)), (samples, 1)), axis=1)
    places = np.asarray(rows) - 1
    own, other = _alike(_encoded(predictor, table, places, history), _encoded(predictor, others, drawn, history))
    found: list[Explanation] = []
    for place, row in enumerate(rows):
        values = [_value(table, origin, row - 1) for origin in origins.every]
        walked = _walks(predictor, origins, own.take(slice(place, place + 1)), other, orders)
        found += _explanations(predictor, origins, row, values, walked)
    return tuple(found)


def _encoded(predictor: Predictor, table: pl.DataFrame, places: np.ndarray, history: Any) -> Features:
    """Encode some rows of a table; earlier rows of it may be events of their histories."""
    if predictor.encoder.histories is None:
        return predictor.encode(table[places], history, labels=False).features
    return predictor.encode(table, history, labels=False).features.take(torch.from_numpy(places))


def _alike(first: Features, second: Features) -> tuple[Features, Features]:
    """Pad the lists of ids of both to the same widths."""
    widths = [max(pair) for pair in zip(first.widths, second.widths, strict=True)]
    return first.padded(widths), second.padded(widths)


def _value(table: pl.DataFrame, origin: Origin, place: int) -> str | None:
    """Write the values of a row that inputs are made of, None where they are of earlier rows or missing."""
    if origin.history or not set(origin.columns) <= set(table.columns):
        return None
    values = [table[name][place] for name in origin.columns]
    values = [one.to_list() if isinstance(one, pl.Series) else one for one in values]
    return None if None in values else " × ".join(map(str, values))


def _walks(
    predictor: Predictor, origins: Origins, own: Features, others: Features, orders: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs at all steps of all walks, (W, M + 1, T), and the step that takes each column, (W, M)."""
    steps = np.argsort(np.concatenate([orders, orders[:, ::-1]]), axis=1)
    count = steps.shape[1]
    taken = torch.from_numpy(steps[:, None, :] < np.arange(count + 1)[None, :, None]).flatten(0, 1)  # (W (M + 1), M)
    start = torch.arange(len(orders)).repeat(2).repeat_interleave(count + 1)
    mixed = _mixed(origins, own, others.take(start), taken)
    outputs = _outputs(predictor, mixed)
    return outputs.reshape(len(steps), count + 1, -1), steps


def _mixed(origins: Origins, own: Features, others: Features, taken: Tensor) -> Features:
    """Return rows that have what is `taken` (N, M) of one row and the rest of other rows."""
    places = {origin: place for place, origin in enumerate(origins.every)}

    def chosen(these: Sequence[Origin]) -> Tensor:
        return taken[:, [places[one] for one in these]]

    lists = tuple(
        torch.where(taken[:, places[origin], None], mine, theirs)
        for origin, mine, theirs in zip(origins.lists, own.multi, others.multi, strict=True)
    )
    return Features(
        torch.where(chosen(origins.categorical), own.categorical, others.categorical), lists,
        torch.where(chosen(origins.numeric), own.numeric, others.numeric),
    )  # fmt: skip


def _outputs(predictor: Predictor, features: Features) -> np.ndarray:
    """Return logits of binary tasks and values of regression tasks, (N, T) float64."""
    tasks, rows = predictor.schema.tasks, len(features.categorical)
    nothing = torch.zeros(rows, len(tasks))
    logits = predict_logits(predictor.network, Batch(features, nothing, nothing, torch.ones(rows)), predictor.precision)
    binary = [task.kind is TaskKind.BINARY for task in tasks]
    outputs: np.ndarray = np.where(binary, logits.double().numpy(), to_scores(logits, tasks))
    return outputs


def _explanations(
    predictor: Predictor, origins: Origins, row: int, values: Sequence[str | None],
    walked: tuple[np.ndarray, np.ndarray],
) -> list[Explanation]:  # fmt: skip
    """Average the walks of a row."""
    outputs, steps = walked
    moves = np.take_along_axis(np.diff(outputs, axis=1), steps[:, :, None], axis=1)  # (W, M, T)
    pairs = moves.reshape(2, -1, *moves.shape[1:]).mean(axis=0)  # (S, M, T), forwards and backwards together
    mean, error = pairs.mean(axis=0), pairs.std(axis=0) / np.sqrt(len(pairs))
    found = []
    for place, task in enumerate(predictor.schema.tasks):
        binary, output = task.kind is TaskKind.BINARY, float(outputs[0, -1, place])
        parts = [
            Contribution(origin.name, value, float(mean[column, place]), float(error[column, place]))
            for column, (origin, value) in enumerate(zip(origins.every, values, strict=True))
        ]
        found.append(Explanation(
            row, task.name, "logit" if binary else "value", float(1 / (1 + np.exp(-output))) if binary else output,
            output, float(outputs[:, 0, place].mean()), tuple(sorted(parts, key=lambda one: -abs(one.contribution))),
        ))  # fmt: skip
    return found
