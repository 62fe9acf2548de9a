"""Encoding: fitted on training rows, never failing on what it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automtl.errors import EncodingError, SchemaError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.features.vocabulary import MISSING, UNKNOWN
from automtl.tables.infer import infer_schema
from automtl.tables.roles import group_ids
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.values.conditions import holds
from automtl.tables.values.ids import as_text
from automtl.tables.values.lists import as_parts
from tests.features.chunks import fit as fit_vocabulary
from tests.features.chunks import own_inputs

SETTINGS = EncoderSettings(min_count=1)


def fitted(log: pl.DataFrame) -> Encoder:
    return Encoder.fit(log, infer_schema(log, ["click", "buy"], drop=["like", "cart"]), SETTINGS, 0)[0]


@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=30), st.lists(st.text(max_size=4)))
def test_a_vocabulary_never_fails_and_knows_missing_from_unknown(train: list[str | None], new: list[str]) -> None:
    vocabulary = fit_vocabulary(pl.Series(train, dtype=pl.String), 1)
    ids = vocabulary.encode(pl.Series([*new, None], dtype=pl.String))
    known = set(as_text(pl.Series(train, dtype=pl.String)))
    read = as_text(pl.Series(new, dtype=pl.String)).to_list()
    assert ids[-1] == MISSING
    assert all((i == MISSING) == (text is None) for i, text in zip(ids, read, strict=False))
    assert all((i == UNKNOWN) == (text is not None and text not in known) for i, text in zip(ids, read, strict=False))
    assert ids.max(initial=0) < len(vocabulary)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True))
def test_integers_of_any_size_stay_apart(values: list[int]) -> None:
    assert as_text(pl.Series(values)).n_unique() == len(values)


def test_whole_floats_and_integers_are_the_same_id() -> None:
    assert as_text(pl.Series([1.0, None, 3.0])).to_list() == as_text(pl.Series([1, None, 3])).to_list()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_the_encoding_of_a_row_does_not_depend_on_its_own_label(seed: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    ids, labels = rng.integers(2, 6, n), rng.integers(0, 2, (n, 2)).astype(float)
    mask, row = (rng.random((n, 2)) > 0.2).astype(float), int(rng.integers(n))
    other = labels.copy()
    other[row] = 1 - other[row]
    for time in (None, rng.integers(0, 8, n)):
        before = own_inputs(ids, labels, mask, time, 5.0, folds)
        after = own_inputs(ids, other, mask, time, 5.0, folds)
        np.testing.assert_allclose(before[row], after[row])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_encodings_in_time_order_equal_a_plain_loop_over_earlier_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, smoothing = 25, 3.0
    ids, time = rng.integers(2, 5, n), rng.integers(0, 6, n)
    labels = rng.normal(size=(n, 1))
    raw = own_inputs(ids, labels, np.ones((n, 1)), time, smoothing)
    for row in range(n):
        earlier = time < time[row]
        own = earlier & (ids == ids[row])
        prior = labels[earlier].sum() / (earlier.sum() + 1)
        expected = (labels[own].sum() + smoothing * prior) / (own.sum() + smoothing)
        np.testing.assert_allclose(raw[row], [expected, np.log1p(own.sum())])


def test_unseen_ids_nulls_and_other_types_are_encoded(log: pl.DataFrame) -> None:
    encoder = fitted(log)
    odd = log.head(3).with_columns(
        pl.col("user_id").cast(pl.String),
        pl.Series("item_id", [None, 10**12, 5]),
        pl.Series("device", ["fridge", None, "tv"]),
        pl.Series("price", ["1.5", None, "7"]),
        pl.lit(None).alias("tags"),
    )
    batch = encoder.encode(odd, labels=False)
    assert torch.isfinite(batch.features.numeric).all()
    same = encoder.encode(log.head(3), labels=False)
    assert torch.equal(batch.features.categorical[:, 0], same.features.categorical[:, 0])


def test_row_order_does_not_matter(log: pl.DataFrame) -> None:
    encoder, order = fitted(log), np.random.default_rng(0).permutation(log.height)
    straight, shuffled = encoder.encode(log), encoder.encode(log[order])
    assert torch.equal(straight.features.numeric[order], shuffled.features.numeric)
    assert torch.equal(straight.features.categorical[order], shuffled.features.categorical)


@pytest.mark.parametrize("rows", [1, 7, 400, 5000])
def test_parts_of_a_table_are_encoded_as_the_whole_is(log: pl.DataFrame, rows: int) -> None:
    log = log.head(800).with_columns(joined=pl.col("tags").list.join("|"), w=pl.int_range(pl.len()) + 1.0)
    schema = infer_schema(log, ["click", "buy"], drop=["like", "cart"], group="user_id", weight="w")
    encoder, _ = Encoder.fit(log, schema, SETTINGS, 0)
    table = log.head(rows * 20)
    whole, parts = encoder.encode(table), list(encoder.encode_parts(table, rows))
    assert [len(part) for part in parts] == [len(piece) for piece in table.iter_slices(rows)]
    for name in ("categorical", "numeric"):
        together = torch.cat([getattr(part.features, name) for part in parts])
        assert torch.equal(together, getattr(whole.features, name))
    for name in ("labels", "mask", "weight"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    groups = [torch.cat([part.group for part in parts]).tolist(), whole.group.tolist()]
    assert len(set(zip(*groups))) == len(set(groups[0])) == len(set(groups[1]))
    for index, ids in enumerate(whole.features.multi):
        width = ids.shape[1]
        padded = [torch.nn.functional.pad(m, (0, width - m.shape[1])) for m in (p.features.multi[index] for p in parts)]
        assert torch.equal(torch.cat(padded), ids)


def test_fitting_and_encoding_do_not_hang_on_slices_or_threads(log: pl.DataFrame, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    schema = infer_schema(log, ["click", "buy"], drop=["like", "cart"])
    encoder, batch = Encoder.fit(log, schema, SETTINGS, 0)
    monkeypatch.setattr("automtl.features.encoder.SLICE", 100)
    monkeypatch.setattr("automtl.features.vocabulary.SLICE", 100)
    monkeypatch.setattr("automtl.system.slices.SLICE", 100)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    other, again = Encoder.fit(log, schema, SETTINGS, 0)
    for name, vocabulary in encoder.vocabularies.items():
        assert other.vocabularies[name].values.equals(vocabulary.values)
    assert torch.equal(batch.features.categorical, again.features.categorical)
    torch.testing.assert_close(batch.features.numeric, again.features.numeric)
    torch.testing.assert_close(other.encode(log).features.numeric, encoder.encode(log).features.numeric)


@given(st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=5)), max_size=20))
def test_lists_of_numbers_and_of_their_texts_have_the_same_parts(rows: list[list[int | None] | None]) -> None:
    field, numbers = Field("m", FieldKind.MULTI), pl.Series("m", rows, dtype=pl.List(pl.Int64))
    expected = [[part for part in row or [] if part is not None][:3] for row in rows]
    for column in (numbers, numbers.cast(pl.List(pl.String)), numbers.cast(pl.List(pl.Float64))):
        flat, sizes = as_parts(column, field, 3)
        assert as_text(flat).to_list() == [str(part) for row in expected for part in row]
        assert sizes.tolist() == [len(row) for row in expected]
    joined = pl.Series("m", [None if row is None else " |".join(map(str, row)) for row in expected], dtype=pl.String)
    flat, sizes = as_parts(joined, replace(field, delimiter="|"), 3)
    assert flat.to_list() == [str(part) for row in expected for part in row]
    assert sizes.tolist() == [len(row) for row in expected]


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "10", "1"])), min_size=1, max_size=20))
def test_groups_are_numbered_alike_in_all_parts(values: list[str | None]) -> None:
    for column in (pl.Series("g", values), pl.Series("g", values).cast(pl.Int64, strict=False)):
        numbers = np.concatenate([group_ids(column[:5]), group_ids(column[5:])])
        pairs = set(zip(column.to_list(), numbers.tolist()))
        assert len(pairs) == len(set(column.to_list())) == len(set(numbers.tolist()))
        assert all((value is None) == (number == 0) for value, number in pairs)


def test_the_state_of_an_encoder_round_trips(log: pl.DataFrame) -> None:
    encoder = fitted(log)
    again = Encoder.from_state(encoder.schema, *encoder.to_state())
    a, b = encoder.encode(log), again.encode(log)
    assert torch.equal(a.features.numeric, b.features.numeric)
    assert torch.equal(a.features.categorical, b.features.categorical)
    assert encoder.layout == again.layout


def test_a_missing_column_at_prediction_is_named_with_the_nearest_one(log: pl.DataFrame) -> None:
    with pytest.raises(EncodingError, match="'device' is missing.*did you mean 'devices'"):
        fitted(log).encode(log.rename({"device": "devices"}), labels=False)


def test_text_in_a_numeric_column_is_shown(log: pl.DataFrame) -> None:
    with pytest.raises(EncodingError, match="'price' is numeric in the schema but holds 'cheap'"):
        fitted(log).encode(log.with_columns(price=pl.lit("cheap")), labels=False)


def test_masks_follow_missing_labels_and_conditions() -> None:
    table = pl.DataFrame({"x": [1, 2, 3, 1] * 5, "click": [1, 0, 1, None] * 5, "buy": [1, 0, 0, 1] * 5})
    schema = Schema((Field("x", FieldKind.CATEGORICAL),), (Task("click"), Task("buy", condition="click = 1")))
    _, batch = Encoder.fit(table, schema, SETTINGS, 0)
    assert batch.mask[:4].tolist() == [[1, 1], [1, 0], [1, 1], [0, 0]]
    assert batch.labels[3].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("x = 2", [0, 1, 0, 0]), ("x != 2", [1, 0, 1, 0]), ("x >= 2", [0, 1, 1, 0]), ("s == 'b'", [0, 1, 0, 0])],
)
def test_conditions(condition: str, expected: list[int]) -> None:
    table = pl.DataFrame({"x": [1, 2, 3, None], "s": ["a", "b", "c", None]})
    schema = Schema((Field("x", FieldKind.CATEGORICAL),), (Task("click"),))
    assert holds(table, condition, schema).cast(pl.Int64).to_list() == expected


def test_one_class_among_training_rows_is_an_error(log: pl.DataFrame) -> None:
    flat = log.with_columns(click=pl.lit(0))
    with pytest.raises(SchemaError, match="'click'.*every label in the training rows is 0"):
        fitted(flat)


def test_many_columns_without_a_value_are_one_warning(log: pl.DataFrame) -> None:
    names = [f"s{place}" for place in range(20)]
    sparse = log.with_columns(pl.lit(1.5).alias(name) for name in names)
    schema = infer_schema(sparse.with_columns(pl.Series(name, range(log.height)) for name in names), ["click"])
    empty = log.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in names)
    with pytest.warns(UserWarning, match=r"rows: 's0', 's1', .*, 's9' and 10 more columns$") as told:
        encoder, _ = Encoder.fit(empty, schema, SETTINGS, 0)
    assert len(told) == 1 and encoder.schema == infer_schema(log, ["click"])


def test_an_optional_column_may_be_absent_where_rows_are_scored(log: pl.DataFrame) -> None:
    schema = infer_schema(log, ["click"], drop=["like", "buy", "cart"])
    schema = replace(schema, fields=tuple(replace(field, optional=True) for field in schema.fields))
    encoder, _ = Encoder.fit(log, schema, EncoderSettings(), 0)
    for name in ("user_id", "price", "tags"):
        absent = encoder.encode(log.drop(name), labels=False)
        nulls = encoder.encode(log.with_columns(pl.lit(None, dtype=log.schema[name]).alias(name)), labels=False)
        assert torch.equal(absent.features.categorical, nulls.features.categorical)
        assert torch.equal(absent.features.numeric, nulls.features.numeric)
        assert torch.equal(absent.features.multi[0], nulls.features.multi[0])


def test_a_row_of_weight_two_counts_as_two_rows(log: pl.DataFrame) -> None:
    """In the encoding of new rows; smoothing sees weights that are one on average."""
    half = log.select("user_id", "click").head(600)
    twice = pl.concat([half, half, log.select("user_id", "click").slice(600, 600)])
    weights = half.vstack(log.select("user_id", "click").slice(600, 600)).with_columns(
        w=pl.Series([2.0] * 600 + [1.0] * 600)
    )
    plain = infer_schema(twice, ["click"])
    weighted = infer_schema(weights, ["click"], weight="w")
    settings = EncoderSettings(smoothing=1.5 * 20)
    first = Encoder.fit(twice, plain, settings, 0)[0].target_encodings[("user_id",)]
    second = Encoder.fit(weights, weighted, replace(settings, smoothing=20.0), 0)[0].target_encodings[("user_id",)]
    a, b = (
        dict(zip(first.vocabulary.values, first.sums[2:, 0])),
        dict(zip(second.vocabulary.values, second.sums[2:, 0])),
    )
    assert a.keys() == b.keys()
    for user, total in a.items():
        assert b[user] == pytest.approx(total / 1.5)
    assert first.prior[0] == pytest.approx(second.prior[0])
