"""Encoders of some groups of inputs, and the rows that they would encode."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import polars as pl
import pytest
import torch

from automtl.features.column_selection import EVERY_GROUP, InputGroups
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.infer import infer_schema
from tests.features.test_histories import fitted, schema_of, timed

EVERY = [InputGroups(*some) for some in product((True, False), repeat=3)]


@pytest.fixture(scope="module")
def with_histories() -> tuple[Encoder, pl.DataFrame]:
    """An encoder, whose histories take the place of target encodings, and rows that are newer."""
    return fitted(timed(), schema_of())[1], timed(seed=1).with_columns(pl.col("ts") + 1_000_000)


@pytest.fixture(scope="module")
def with_target_encoding(log: pl.DataFrame) -> tuple[Encoder, pl.DataFrame]:
    return Encoder.fit(log, infer_schema(log, ["click", "buy"]), EncoderSettings(), 0)[0], log


@pytest.mark.parametrize("kind", ["with_histories", "with_target_encoding"])
@pytest.mark.parametrize("groups", EVERY, ids=str)
def test_rows_of_all_groups_have_those_of_some_in_front(
    groups: InputGroups, kind: str, request: pytest.FixtureRequest
) -> None:
    encoder, table = request.getfixturevalue(kind)
    some = groups.select(encoder)
    assert InputGroups.of(some.settings) == groups
    assert (some.histories is not None) == (groups.history and encoder.histories is not None)
    assert bool(some.target_encodings) == (groups.target_encoding and bool(encoder.target_encodings))
    own, first = some.encode(table), encoder.encode(table).for_layout(some.layout)
    assert torch.equal(own.features.numeric, first.features.numeric)
    assert torch.equal(own.features.categorical, first.features.categorical)
    assert len(own.features.multi) == len(first.features.multi) == len(some.layout.lists)
    assert all(torch.equal(a, b) for a, b in zip(own.features.multi, first.features.multi, strict=True))


def test_groups_leave_out_columns(
    with_histories: tuple[Encoder, pl.DataFrame], with_target_encoding: tuple[Encoder, pl.DataFrame]
) -> None:
    whole = with_histories[0]
    plain = InputGroups(history=False).select(whole).layout
    assert plain.num_numeric < whole.layout.num_numeric and not plain.sequences
    listed = InputGroups(sequences=False).select(whole).layout
    assert listed.num_numeric == whole.layout.num_numeric and not listed.sequences
    encoded = with_target_encoding[0]
    assert InputGroups(target_encoding=False).select(encoded).layout.num_numeric < encoded.layout.num_numeric


def test_every_group_changes_nothing(with_histories: tuple[Encoder, pl.DataFrame]) -> None:
    assert EVERY_GROUP.select(with_histories[0]) is with_histories[0]
    assert InputGroups.of(EncoderSettings()) == EVERY_GROUP


def test_models_together_need_the_groups_of_any() -> None:
    for one, other in product(EVERY, repeat=2):
        both = one | other
        assert both == other | one and one | one == one and one | EVERY_GROUP == EVERY_GROUP
        assert both.history == (one.history or other.history)
    assert InputGroups(history=False) | InputGroups(target_encoding=False) == EVERY_GROUP
    assert replace(EVERY_GROUP, sequences=False) | InputGroups(False, False, False) == InputGroups(sequences=False)
