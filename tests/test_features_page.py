"""Every schema on the page of features is read, encoded and learned from."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import FieldKind, Schema
from automtl.training.fit import fit
from automtl.training.metrics import check_metrics
from automtl.training.settings import TrainingSettings

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
SECTIONS = {part.splitlines()[0]: part for part in PAGE.read_text().split("\n## ")[1:]}
EXAMPLES = [
    pytest.param(text, id=title)
    for title, part in SECTIONS.items()
    for text in re.findall(r"```yaml\n(.+?)```", part, re.DOTALL)
]
ROWS = 300


def log() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    click = rng.random(ROWS) < 0.5
    return pl.DataFrame(
        {
            "user_id": rng.integers(0, 20, ROWS),
            "item_id": rng.integers(0, 30, ROWS),
            "city": rng.choice(["Rome ", "rome", "Oslo"], ROWS),
            "price": rng.exponential(size=ROWS),
            "duration": rng.exponential(size=ROWS),
            "age": rng.normal(40, 10, ROWS),
            "tags": [rng.integers(0, 9, size).tolist() for size in rng.integers(0, 4, ROWS)],
            "genres": ["|".join(rng.choice(list("abc"), 2)) for _ in range(ROWS)],
            "history": [rng.integers(0, 30, size).tolist() for size in rng.integers(0, 6, ROWS)],
            "shown_at": [datetime(2024, 1, 1) + timedelta(hours=row) for row in range(ROWS)],
            "registered": rng.integers(1_600_000_000, 1_700_000_000, ROWS),
            "click": click.astype(int),
            "like": (rng.random(ROWS) < 0.3).astype(int),
            "conversion": (click & (rng.random(ROWS) < 0.4)).astype(int),
            "watch_seconds": rng.exponential(100, ROWS),
        }
    )


@pytest.mark.filterwarnings("ignore:column .* of .* values")
@pytest.mark.parametrize("text", EXAMPLES)
def test_the_example_is_learned_from(text: str) -> None:
    schema = Schema.from_dict(yaml.safe_load(text))
    encoder, batch = Encoder.fit(log(), schema, EncoderSettings(), 0)
    check_metrics(schema.tasks)
    network = NetworkSettings(4, 8, (8,))
    model = MODELS.find("mmoe")(encoder.layout, network, torch.Generator().manual_seed(0))
    result = fit(model, batch, batch, schema.tasks, TrainingSettings(epochs=1, batch_size=100), 0)
    assert result.score > 0 and len(result.evaluations) == 1


def test_every_kind_of_field_has_an_example() -> None:
    shown = {
        field["kind"] for (text,) in (param.values for param in EXAMPLES) for field in yaml.safe_load(text)["fields"]
    }
    assert shown == {str(kind) for kind in FieldKind}
