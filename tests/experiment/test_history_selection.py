"""Histories that do not pay on validation rows are left out, for all models alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from automtl.config import InputPreset, Settings, make_settings
from automtl.dataset.store import DataLoaderSettings, data_loader
from automtl.ensemble.trees import TreeModel
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, open_source
from automtl.experiment.history_selection import judge_groups, sequence_gain
from automtl.experiment.inputs import EncodedRows
from automtl.experiment.source import Source
from automtl.features.encoder import Encoder
from automtl.tables.history import History, SequenceHistory
from automtl.tables.schema import Field, FieldKind, Schema, Task

QUICK: dict[str, Any] = {
    "model": "mmoe", "report": False, "presets": [], "ensemble": False, "split": {"method": "time"},
    "training": {"epochs": 1, "batch_size": 256}, "network": {"embedding_size": 4, "width": 8, "towers": [8]},
}  # fmt: skip


def moody_log(rows: int = 4000) -> pl.DataFrame:
    """Make a log in which the last click of a user tells the next one, and nothing else tells anything."""
    rng = np.random.default_rng(3)
    user, mood, click = rng.integers(0, 40, rows), np.zeros(40), np.zeros(rows, int)
    for row in range(rows):
        click[row] = rng.random() < 0.15 + 0.7 * mood[user[row]]
        mood[user[row]] = click[row]
    item, shop = rng.integers(0, 30, rows), rng.integers(0, 60, rows)
    moment = np.arange(rows) * 60
    return pl.DataFrame({"user": user, "item": item, "shop": shop, "moment": moment, "click": click})


def moody_schema(sequence: SequenceHistory | bool = False) -> Schema:
    fields = tuple(Field(name, FieldKind.CATEGORICAL) for name in ("user", "item", "shop"))
    history = History((("user",), ("item",), ("shop",)), sequence=sequence, unit="s")  # type: ignore[arg-type]
    return Schema(fields, (Task("click"),), time="moment", history=history)


def source_of(log: pl.DataFrame, schema: Schema, settings: Settings) -> Source:
    return open_source(log, [], ColumnRoles(), schema, settings, 0)[0]


def encoded(settings: Settings, schema: Schema) -> EncodedRows:
    with data_loader(DataLoaderSettings()) as loader:
        source = EncodedSource(source_of(moody_log(), schema, settings), loader)
        return source.inputs(settings, InputPreset("default")).rows


def test_what_tells_something_stays_and_what_tells_nothing_goes() -> None:
    rows = encoded(make_settings(QUICK), moody_schema())
    kept = {one.group for one in rows.gains if one.kept}
    assert (("user",), "last") in kept and not {("item",), ("shop",)} & {key for key, _ in kept}
    assert rows.encoder.histories is not None and rows.histories is not None
    assert rows.encoder.histories.width < rows.histories.width
    assert rows.train.features.numeric.shape[1] == rows.encoder.layout.num_numeric


def test_test_rows_have_the_columns_that_are_left_and_the_bits_of_a_replay() -> None:
    settings, log = make_settings(QUICK), moody_log()
    with data_loader(DataLoaderSettings()) as loader:
        experiment = Experiment(EncodedSource(source_of(log, moody_schema(), settings), loader), settings, 0)
        experiment.train()
        test, predictor = experiment.test_rows, experiment.predictor
    again = predictor.encode(log.tail(len(test)), log)
    assert torch.equal(again.features.numeric, test.features.numeric)
    groups = experiment.history["histories"]["groups"]
    assert {True, False} == {one["kept"] for one in groups} and set(groups[0]["rises"]) == {"click"}


def test_everything_stays_where_the_settings_say_so() -> None:
    rows = encoded(make_settings(QUICK | {"encoder": {"prune_histories": False}}), moody_schema())
    assert not rows.gains and rows.encoder.histories is not None
    assert [one.key for one in rows.encoder.histories.plan.keys] == [("user",), ("item",), ("shop",)]


def test_without_trees_a_small_network_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TreeModel, "available", lambda: False)
    rows = encoded(make_settings(QUICK), moody_schema())
    assert any(one.kept and one.group[0] == ("user",) for one in rows.gains)


def test_events_one_by_one_stay_only_where_they_save_something() -> None:
    sequence = SequenceHistory("user", ("item",), 4)
    whole = encoded(make_settings(QUICK | {"encoder": {"prune_histories": False}}), moody_schema(sequence))
    assert whole.encoder.layout.sequences
    alone = whole.encoder.histories
    assert alone is not None
    bare = alone.without([(one.key, kind) for one in alone.plan.keys for kind in one.kinds])[0]
    first = whole.train.features.numeric.shape[1] - alone.width
    encoder: Encoder = replace(whole.encoder, histories=bare)
    assert encoder.layout.num_numeric == first
    gain = sequence_gain(encoder, whole.train.for_layout(encoder.layout), whole.valid.for_layout(encoder.layout))
    assert gain > 0.02  # the last click is in the sequence alone
    rows = encoded(make_settings(QUICK), moody_schema(sequence))  # the last outcome is among the numbers already
    assert rows.sequence_gain is not None and rows.sequence_gain < gain
    assert bool(rows.encoder.layout.sequences) == (rows.sequence_gain > 2e-3)


def test_all_stays_where_less_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(make_settings(QUICK | {"encoder": {"prune_histories": False}}), moody_schema())
    monkeypatch.setattr("automtl.experiment.history_selection.PAYS", 1e9)  # nothing would stay
    assert all(one.kept for one in judge_groups(whole.encoder, whole.train, whole.valid))
