"""Rows of a request with histories: the inputs of a table of them, and no table where there is nothing odd."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch

from automtl.errors import EncodingError
from automtl.features.batch import Batch
from automtl.features.row_encoder import RowEncoder
from automtl.tables.table import read_table
from tests.features.test_histories import fitted, schema_of, timed

LABELS = ("click", "buy", "watched")


def made() -> tuple[RowEncoder, list[dict[str, Any]]]:
    log = timed()
    _, encoder = fitted(log, schema_of())
    later = int(log["ts"].max()) + 60  # type: ignore[call-overload]
    rows = [row | {"ts": later + place} for place, row in enumerate(timed(seed=1).drop(LABELS).to_dicts()[:80])]
    return RowEncoder(encoder), rows


def table_of(own: RowEncoder, rows: list[dict[str, Any]]) -> Batch:
    return own.encoder.encode(read_table(rows), labels=False)


def assert_same(found: Batch, expected: Batch) -> None:
    assert len(found.tensors) == len(expected.tensors)
    for one, other in zip(found.tensors, expected.tensors, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)
    assert found.coverage == expected.coverage


def test_rows_have_the_histories_of_a_table_of_them() -> None:
    own, rows = made()
    rng = Random(0)
    for size in (1, 1, 1, 2, 7, 50):
        some = rng.sample(rows, size)
        assert_same(own.encoded(some), table_of(own, some))
    odd = [{**rows[0], "ts": None}, {**rows[1], "user": "new"}, {**rows[2], "category": None}, {**rows[3], "user": 7}]
    assert_same(own.encode(odd), table_of(own, odd))


def test_rows_with_labels_are_events_as_those_of_a_table_are() -> None:
    own, rows = made()
    some = [row | {"click": 1, "buy": 0} for row in rows[:5]]
    assert_same(own.encode(some), table_of(own, some))


def test_a_row_before_the_newest_event_is_refused_in_the_words_of_a_table() -> None:
    own, rows = made()
    early = [rows[0], rows[1] | {"ts": 1_700_000_000}]
    with pytest.raises(EncodingError) as expected:
        table_of(own, early)
    with pytest.raises(EncodingError) as found:
        own.encode(early)
    assert str(found.value) == str(expected.value)
