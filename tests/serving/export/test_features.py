"""Encoded inputs of an exported model are those of the encoder, for every kind of field and hostile rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.errors import FileError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.serving.export.check import compare_inputs, session_of
from automtl.serving.export.onnx_file import encoder_model, serialized
from automtl.serving.export.rows import draw_rows
from automtl.tables.schema import Field, FieldKind, Schema, Task
from tests.features.test_histories import fitted as with_histories
from tests.features.test_histories import schema_of, timed
from tests.laws.test_fields import CASES, fitted, quietly

ID, NUMBER = FieldKind.CATEGORICAL, FieldKind.NUMERIC


def agree(encoder: Encoder, sizes: tuple[int, ...] = (1, 7, 400)) -> None:
    model, columns = encoder_model(encoder)
    session = session_of(serialized(model))
    for size in sizes:
        compare_inputs(session, encoder, columns, draw_rows(encoder, size, seed=size))


@quietly
@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_field_is_encoded_alike(name: str) -> None:
    agree(fitted(name))


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Shanghai"])
@pytest.mark.parametrize("unit", [None, "s", "ns"])
def test_times_of_zones_and_units(zone: str | None, unit: Any) -> None:
    field = Field("x", FieldKind.TIME, zone=zone, unit=unit)
    stamps = pl.Series("x", [1_700_000_000 + 40_000 * row for row in range(60)])
    times = (stamps * 1_000_000).cast(pl.Datetime("us", None if zone is None else "UTC"))
    values = times if unit is None else stamps * (1 if unit == "s" else 10**9)
    rows = pl.DataFrame({"x": values, "y": [0, 1] * 30})
    agree(Encoder.fit(rows, Schema((field,), (Task("y"),)), EncoderSettings(min_count=1), 0)[0])


def test_target_encodings_of_ids_numbers_and_pairs() -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "user": rng.integers(0, 20, 300),
            "shop": rng.choice(["a", "b", "2.5", "0.0000001", "7"], 300),
            "price": rng.choice([0.1, 2.0, -3.5, 1e20, 1e-7, 0.30000000000000004], 300),
            "y": rng.integers(0, 2, 300),
        }
    )
    fields = (Field("user", ID), Field("shop", ID), Field("price", NUMBER))
    keys = (("user",), ("shop", "price"), ("price",), ("user", "shop", "price"))
    schema = Schema(fields, (Task("y"),), target_encoding=keys)
    agree(Encoder.fit(rows, schema, EncoderSettings(min_count=1), 0)[0])


def test_crosses_that_are_not_hashed_are_looked_up_by_their_parts() -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {"a": rng.integers(0, 5, 200), "b": rng.choice(["x", "1.5", ""], 200), "y": rng.integers(0, 2, 200)}
    )
    fields = (Field("a", ID), Field("a by b", FieldKind.CROSS, of=("a", "b"), hashed_ids=0))
    encoder = Encoder.fit(rows, Schema(fields, (Task("y"),)), EncoderSettings(min_count=1), 0)[0]
    _, columns = encoder_model(encoder)
    assert list(columns.inputs) == ["a", "b"]
    agree(encoder)


@quietly
def test_what_onnx_cannot_compute_enters_encoded_under_another_name() -> None:
    names = {name: list(encoder_model(fitted(name))[1].inputs) for name in ("hashed", "text", "hashed cross")}
    assert names == {"hashed": ["item", "x:id"], "text": ["item", "x:text"], "hashed cross": ["item", "x:id"]}


def test_numbers_next_to_zero_are_logged_exactly() -> None:
    values = [1e-16, 3e-16, 5e-16, 1e-15, 2e-15, 4e-15, 1e-13]
    rows = pl.DataFrame({"x": values * 10, "y": [0, 1] * 35})
    field = Field("x", NUMBER, form="log")
    agree(Encoder.fit(rows, Schema((field,), (Task("y"),)), EncoderSettings(min_count=1), 0)[0])


def test_long_ids_with_a_fraction_of_zeros_are_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [10_000_000_425 + row for row in range(30)]
    rows = pl.DataFrame({"x": values * 2, "y": [0, 1] * 30})
    encoder = Encoder.fit(rows, Schema((Field("x", ID),), (Task("y"),)), EncoderSettings(min_count=1), 0)[0]
    agree(encoder)
    monkeypatch.setattr("automtl.serving.export.lookups.WHOLE", "never")
    with pytest.raises(FileError, match="encodes 'x' otherwise"):  # the drawn rows hold such ids
        agree(encoder)


def test_histories_and_last_events_enter_as_the_encoder_gives_them() -> None:
    _, encoder = with_histories(timed(), schema_of())
    _, columns = encoder_model(encoder)
    assert {"histories", "history:user:item", "history:user:category"} <= set(columns.inputs)
    agree(encoder)
