"""What every kind of field obeys: any table is encoded, saved and loaded, and unseen values never fail."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from automtl.dataset.store import Store
from automtl.ensemble.spec import ModelSpec
from automtl.errors import EncodingError, SchemaError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.tables.schema import Field, FieldKind, Schema, Task

ROWS = 60
ITEM = Field("item", FieldKind.CATEGORICAL)
# By name: the field, values of a row for training, and odd values that only come at prediction.
HISTORY = [[1, 2, 3], [], None, [2], [5, 5, 4, 1]]
NUMBERS = [1.5, None, -3.0, 1e9, 0.0, 7.25]
ODD_NUMBERS = [float("inf"), float("-inf"), float("nan"), 1e300, -1e300, None]
MOMENTS = [datetime(2024, 1, day, 3 * day) for day in range(1, 7)]
CASES: dict[str, tuple[Field, list[Any], list[Any]]] = {
    "categorical": (Field("x", FieldKind.CATEGORICAL), ["a", "b", None, "c"], ["?", "", None]),
    "text": (
        Field("x", FieldKind.CATEGORICAL, text=("strip", "lower")),
        ["A ", "a", None, "B"],
        [" b", "\u00df", None],
    ),
    "hashed": (Field("x", FieldKind.CATEGORICAL, max_ids=2, hashed_ids=3), [1, 2, 3, 4, None], [99, -(2**63), None]),
    "cut": (Field("x", FieldKind.CATEGORICAL, max_ids=2), ["a", "b", "c", "a"], ["d", None]),
    "numeric": (Field("x", FieldKind.NUMERIC), NUMBERS, ODD_NUMBERS),
    "z-score": (Field("x", FieldKind.NUMERIC, form="z-score"), NUMBERS, ODD_NUMBERS),
    "log": (Field("x", FieldKind.NUMERIC, form="log"), NUMBERS, ODD_NUMBERS),
    "quantile": (Field("x", FieldKind.NUMERIC, form="quantile"), NUMBERS, ODD_NUMBERS),
    "piecewise": (Field("x", FieldKind.NUMERIC, form="piecewise"), NUMBERS, ODD_NUMBERS),
    "multi": (Field("x", FieldKind.MULTI), HISTORY, [[99], [None], [], None, [1] * 200]),
    "sum": (Field("x", FieldKind.MULTI, pooling="sum"), HISTORY, [[99], []]),
    "max": (Field("x", FieldKind.MULTI, pooling="max"), HISTORY, [[99], [None], []]),
    "attention": (Field("x", FieldKind.MULTI, pooling="attention"), HISTORY, [[99], [None], []]),
    "delimited": (Field("x", FieldKind.MULTI, delimiter="|"), ["1|2", "", None, "3"], ["9|", "|", None]),
    "sequence": (Field("x", FieldKind.SEQUENCE, target="item"), HISTORY, [[99], [None], [], None, [1] * 200]),
    "short sequence": (Field("x", FieldKind.SEQUENCE, target="item", max_values=2), HISTORY, [[99, 1, 2], []]),
    "time": (Field("x", FieldKind.TIME), [*MOMENTS, None], [datetime(1, 1, 1), datetime(9999, 12, 31), None]),
    "date": (Field("x", FieldKind.TIME, parts=("weekday", "age")), [date(2024, 1, 2), None], [date(1800, 1, 1)]),
    "seconds": (Field("x", FieldKind.TIME, unit="s"), [1_700_000_000, None, 0], [2 * 10**10, -(2**62), None]),
    "milliseconds": (Field("x", FieldKind.TIME, unit="ms"), [1.7e12, None, 0.0], ODD_NUMBERS),
    "time as text": (
        Field("x", FieldKind.TIME),
        ["2024-01-05", "2024-01-05T12:30:01", None],
        ["2025-02-28 23:59", ""],
    ),
    "cross": (Field("x", FieldKind.CROSS, of=("item", "shop")), [None], [None]),
    "hashed cross": (Field("x", FieldKind.CROSS, of=("item", "shop"), max_ids=1, hashed_ids=4), [None], [None]),
}
CUT = {"hashed", "cut", "hashed cross"}
quietly = pytest.mark.filterwarnings("ignore:column 'x'. of .* values")
every_case = pytest.mark.parametrize("name", CASES)


def table(name: str, values: list[Any], rows: int = ROWS) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    kind = CASES[name][0].kind
    column = pl.Series("x", [values[row % len(values)] for row in range(rows)], strict=False)
    frame = pl.DataFrame(
        {
            "item": rng.integers(1, 6, rows),
            "shop": [None if row % 7 == 0 else "abc"[row % 3] for row in range(rows)],
            "y": [row % 2 for row in range(rows)],
        }
    )
    return frame if kind is FieldKind.CROSS else frame.with_columns(column)


def schema(name: str) -> Schema:
    return Schema((ITEM, CASES[name][0]), (Task("y"),))


def fitted(name: str) -> Encoder:
    return Encoder.fit(table(name, CASES[name][1]), schema(name), EncoderSettings(min_count=1), 0)[0]


def tensors(batch: Any) -> list[torch.Tensor]:
    return [batch.features.categorical, batch.features.numeric, *batch.features.multi]


def test_every_kind_and_option_has_a_case() -> None:
    assert {field.kind for field, _, _ in CASES.values()} == set(FieldKind)
    assert {field.pooling for field, _, _ in CASES.values()} == {"mean", "sum", "max", "attention"}


@quietly
@every_case
def test_ids_are_in_range_and_numbers_finite_whatever_comes(name: str) -> None:
    encoder = fitted(name)
    layout = encoder.layout
    sizes = {field.name: field.size for field in layout.categorical}
    for values in CASES[name][1:]:
        features = encoder.encode(table(name, values, 13), labels=False).features
        assert features.numeric.isfinite().all() and features.numeric.shape[1] == layout.num_numeric
        limits = torch.tensor(list(sizes.values()))
        assert ((features.categorical >= 0) & (features.categorical < limits)).all()
        for ids, field in zip(features.multi, layout.multi, strict=True):
            assert ids.min() >= 0 and ids.max() < (sizes[field.target] if field.target else field.size)


@quietly
@every_case
def test_training_rows_are_encoded_as_new_rows_are(name: str) -> None:
    rows = table(name, CASES[name][1])
    encoder, batch = Encoder.fit(rows, schema(name), EncoderSettings(min_count=1), 0)
    for ours, again in zip(tensors(batch), tensors(encoder.encode(rows)), strict=True):
        assert torch.equal(ours, again)


@quietly
@every_case
def test_slices_and_threads_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [values for part in CASES[name][1:] for values in tensors(fitted(name).encode(table(name, part)))]
    monkeypatch.setattr("automtl.features.encoder.SLICE", 7)
    monkeypatch.setattr("automtl.features.vocabulary.SLICE", 7)
    monkeypatch.setattr("automtl.system.slices.SLICE", 7)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    parts = [values for part in CASES[name][1:] for values in tensors(fitted(name).encode(table(name, part)))]
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)


@quietly
@every_case
def test_the_state_round_trips_as_json(name: str) -> None:
    encoder = fitted(name)
    values, arrays = encoder.to_state()
    read = Schema.from_dict(json.loads(json.dumps(encoder.schema.to_dict())))
    again = Encoder.from_state(read, json.loads(json.dumps(values)), arrays)
    assert (
        again.layout == encoder.layout == type(encoder.layout).from_dict(json.loads(json.dumps(again.layout.to_dict())))
    )
    for values in CASES[name][1:]:
        one, other = (each.encode(table(name, values), labels=False) for each in (encoder, again))
        for ours, theirs in zip(tensors(one), tensors(other), strict=True):
            assert torch.equal(ours, theirs)


@quietly
@every_case
def test_a_saved_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    encoder, spec = fitted(name), ModelSpec.of("shared-bottom", NetworkSettings(4, 4, (4,)))
    model = spec.build(encoder, seed=0)
    predictor = Predictor(encoder.schema, encoder, spec, model.eval())
    predictor.save(tmp_path / "run")
    odd = table(name, CASES[name][2], 11).drop("y")
    scores = predictor.predict(odd)
    assert scores.equals(Predictor.load(tmp_path / "run").predict(odd))
    assert scores["y"].is_finite().all()


@quietly
@every_case
def test_rows_in_files_are_those_in_memory(name: str, tmp_path: Path) -> None:
    encoder, rows = fitted(name), table(name, CASES[name][1])
    stored = Store.write(tmp_path / "rows", encoder.encode_parts(rows, 11), encoder.layout).rows()
    for ours, theirs in zip(tensors(encoder.encode(rows)), tensors(stored), strict=True):
        assert torch.equal(ours, theirs)


@quietly
@every_case
def test_every_field_learns(name: str) -> None:
    rows = table(name, CASES[name][1])
    encoder, batch = Encoder.fit(rows, schema(name), EncoderSettings(min_count=1), 0)
    model = MODELS.find("shared-bottom")(encoder.layout, NetworkSettings(4, 4, (4,), dropout=0.0), torch.Generator())
    model.embedding(batch.features).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.embedding.parameters() if p.numel())


@quietly
@every_case
def test_a_column_of_one_value_is_no_trouble(name: str) -> None:
    field, values, _ = CASES[name]
    alike = table(name, [next(value for value in values if value)] if field.kind is not FieldKind.CROSS else values)
    alike = alike.with_columns(pl.lit(1).alias("item"), pl.lit("a").alias("shop"))
    encoder, batch = Encoder.fit(alike, schema(name), EncoderSettings(min_count=1), 0)
    assert all(values.isfinite().all() for values in tensors(batch))
    assert encoder.encode(alike.head(1), labels=False).features.numeric.isfinite().all()


@pytest.mark.parametrize("form", ["auto", "z-score", "log", "quantile", "piecewise"])
@pytest.mark.parametrize("values", [[1e300, -1e300, 1.0], [1.7e308, -1.7e308], [float("inf"), 5.0], [1e-320, 0.0]])
def test_numbers_of_any_size_are_learned_from(form: Any, values: list[float]) -> None:
    field = Field("x", FieldKind.NUMERIC, form=form)
    rows = pl.DataFrame({"x": values * 6, "y": [0, 1] * (len(values) * 3)})
    encoder, batch = Encoder.fit(rows, Schema((field,), (Task("y"),)), EncoderSettings(min_count=1), 0)
    assert batch.features.numeric.isfinite().all()
    assert encoder.encode(rows.head(2)).features.numeric.isfinite().all()


@every_case
def test_a_column_without_values_is_left_out_with_a_word(name: str) -> None:
    rows = table(name, CASES[name][1])
    expected, batch = Encoder.fit(rows, Schema((ITEM,), (Task("y"),)), EncoderSettings(min_count=1), 0)
    empty = rows.with_columns(shop=pl.lit(None, dtype=pl.String))
    tables = [empty]
    if "x" in rows.columns:
        tables = [empty.with_columns(x=pl.lit(None, dtype=rows.schema["x"]))]
    if isinstance(rows.schema.get("x"), pl.List):
        tables.append(rows.with_columns(x=pl.Series([[]] * ROWS, dtype=rows.schema["x"])))
    for given in tables:
        with pytest.warns(UserWarning, match="^left out, without a value in the training rows: 'x'$"):
            encoder, found = Encoder.fit(given, schema(name), EncoderSettings(min_count=1), 0)
        assert encoder.layout == expected.layout and encoder.schema == expected.schema
        assert all(map(torch.equal, tensors(found), tensors(batch)))
        assert all(map(torch.equal, tensors(encoder.encode(rows.select("item", "y"))), tensors(batch)))


@quietly
@every_case
def test_all_values_may_be_missing_where_rows_are_scored(name: str) -> None:
    rows = table(name, CASES[name][1]).with_columns(shop=pl.lit(None, dtype=pl.String))
    if "x" in rows.columns:
        rows = rows.with_columns(x=pl.lit(None, dtype=rows.schema["x"]))
    features = fitted(name).encode(rows, labels=False).features
    assert features.numeric.isfinite().all() and not any(ids.any() for ids in features.multi)


@quietly
@pytest.mark.parametrize("name", sorted(CUT))
def test_a_cut_vocabulary_says_so(name: str) -> None:
    with pytest.warns(UserWarning, match="column 'x': of .+ values the . most frequent have an id of their own"):
        fitted(name)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["2024-01-05", "soon"], "column 'x' is a time but holds 'soon'; expected 2024-01-31"),
        ([1, 2], "column 'x' is a time in the schema but has type Int64; numbers need a unit since 1970"),
    ],
)
def test_what_is_no_time_is_shown(column: list[Any], message: str) -> None:
    rows = pl.DataFrame({"x": column, "item": [1, 2], "y": [0, 1]})
    with pytest.raises(EncodingError, match=message):
        Encoder.fit(rows, schema("time"), EncoderSettings(), 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([{"name": "x", "kind": "numeric", "target": "item"}], "'target' is for sequence fields, this one is numeric"),
        ([{"name": "x", "kind": "sequence"}], "a sequence field needs 'target'"),
        ([{"name": "x", "kind": "cross"}], "a cross field needs 'of'"),
        ([{"name": "x", "kind": "cross", "of": ["x", "z"]}], "cross 'x': there is a column of this name in use"),
        ([{"name": "x", "kind": "time", "parts": []}], "'parts' is empty"),
        ([{"name": "x", "kind": "time", "parts": ["day", "day"]}], "'parts' names one part twice"),
        (
            [{"name": "x", "kind": "sequence", "target": "itme"}, {"name": "item", "kind": "categorical"}],
            "did you mean 'item'",
        ),
        ([{"name": "x", "kind": "numeric", "form": "cubic"}], "entry 'fields.0.form'"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(fields: list[Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.from_dict({"fields": fields, "tasks": [{"name": "y"}]})
