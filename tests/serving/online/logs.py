"""A log with ties, missing values, delays and a funnel, models of it, and the events that a client would send."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.config import make_settings
from automtl.ensemble.saved_model import rewrite_encoder
from automtl.experiment import fit_table
from automtl.features.histories import Histories
from automtl.histories.state import State
from automtl.predictor import Predictor
from automtl.tables.history import History, SequenceHistory
from automtl.tables.schema import Field, FieldKind, Schema, Task
from tests.experiment.test_history_selection import QUICK

SETTINGS = QUICK | {"encoder": {"prune_histories": False}}
LABELS = ("click", "buy", "play")
DELAY = 300  # seconds, of `buy`


def behaviour(rows: int, seed: int = 0) -> pl.DataFrame:
    """Make a log of `rows` rows within hours, many of them at the same time."""
    rng = np.random.default_rng(seed)
    click = rng.integers(0, 2, rows)
    table = pl.DataFrame(
        {
            "moment": np.sort(1_700_000_000 + rng.integers(0, rows // 4, rows) * 20),
            "user": rng.integers(0, 12, rows), "item": rng.integers(0, 30, rows).astype(str),
            "shop": rng.integers(0, 4, rows), "click": click, "buy": rng.integers(0, 2, rows) * click,
            "play": rng.exponential(10.0, rows).round(1),
        }
    )  # fmt: skip
    missing = [pl.when(pl.Series(rng.random(rows) < 0.05)).then(None).otherwise(pl.col(one)) for one in table.columns]
    return table.with_columns(
        one.alias(name) for one, name in zip(missing, table.columns, strict=True) if name != "moment"
    )


def schema() -> Schema:
    fields = tuple(Field(name, FieldKind.CATEGORICAL) for name in ("user", "item", "shop"))
    history = History(
        (("user",), ("item",), ("user", "shop")), label_delay={"*": 0.0, "buy": DELAY},
        sequence=SequenceHistory("user", ("item", "shop"), 5), unit="s",
    )  # fmt: skip
    tasks = (Task("click"), Task("buy", condition="click = 1"))
    return Schema(fields, tasks, time="moment", history=history, outcomes=("play",))


def fitted(folder: Path, log: pl.DataFrame) -> Predictor:
    """Fit a small model on a log, whose histories then know nothing."""
    fit_table(log, schema=schema(), settings=make_settings(SETTINGS), out=folder)
    predictor = Predictor.load(folder)
    histories = predictor.encoder.histories
    assert histories is not None
    return with_state(predictor, State.empty(histories.plan))


def with_state(predictor: Predictor, state: State) -> Predictor:
    histories = replace(histories_of(predictor), state=state)
    return replace(predictor, encoder=replace(predictor.encoder, histories=histories))


def knowing(predictor: Predictor, log: pl.DataFrame) -> Predictor:
    """Let a model know a log, and nothing else."""
    histories = histories_of(predictor)
    empty = replace(histories, state=State.empty(histories.plan))
    return with_state(
        predictor, empty.updated(log, predictor.encoder.vocabularies)[0].state if log.height else empty.state
    )


def histories_of(predictor: Predictor) -> Histories:
    assert predictor.encoder.histories is not None
    return predictor.encoder.histories


def saved(predictor: Predictor, model: Path, out: Path) -> Path:
    """Write a model with other histories."""
    rewrite_encoder(model, predictor.encoder, out)
    return out


def event(number: int, row: dict[str, Any], labels: bool = True) -> dict[str, Any]:
    """Return what a client sends of a row."""
    return {"event_id": f"e{number}", "row": {name: row[name] for name in row if labels or name not in LABELS}}


def same(found: Any, wanted: Any) -> bool:
    """Tell whether inputs of histories have the same bits."""
    return bool(
        np.array_equal(found.numbers, wanted.numbers)
        and len(found.lists) == len(wanted.lists)
        and all(np.array_equal(one, other) for one, other in zip(found.lists, wanted.lists, strict=True))
    )


def same_state(one: State, other: State) -> bool:
    """Tell whether states have the same bits."""
    first, second = one.to_arrays(), other.to_arrays()
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
