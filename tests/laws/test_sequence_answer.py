"""Target attention finds what a pooled list cannot: whether the item was seen before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import torch

from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings

SEQUENCE = Field("history", FieldKind.SEQUENCE, target="item")


def table(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    item, history = rng.integers(0, 40, rows), [rng.integers(0, 40, size) for size in rng.integers(0, 6, rows)]
    again = rng.random(rows) < 0.5
    history = [np.append(h, i)[rng.permutation(len(h) + 1)] if a else h for h, i, a in zip(history, item, again)]
    seen = [int(i in h) for h, i in zip(history, item)]
    return pl.DataFrame({"item": item, "history": [h.tolist() for h in history], "like": seen})


def reached(field: Field) -> float:
    """AUC on held-out rows."""
    schema = Schema((Field("item", FieldKind.CATEGORICAL), field), (Task("like"),))
    encoder, train = Encoder.fit(table(4000, 0), schema, EncoderSettings(), 0)
    valid = encoder.encode(table(1000, 1))
    sizes = NetworkSettings(8, 16, (8,), dropout=0.0, normalization="none")
    model = MODELS.find("shared-bottom")(encoder.layout, sizes, torch.Generator())
    settings = TrainingSettings(epochs=10, batch_size=100, learning_rate=5e-3, patience=10)
    result = fit(model, train, valid, schema.tasks, settings, 0)
    return result.evaluations[result.best].auc["like"]


def test_an_item_that_was_seen_is_recognised_by_target_attention_alone() -> None:
    attentive = reached(SEQUENCE)
    pooled = reached(replace(SEQUENCE, kind=FieldKind.MULTI, target=None))
    assert attentive > 0.9 > pooled + 0.1, (attentive, pooled)
