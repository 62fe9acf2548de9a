"""Rows of usual types may be joined with those of other clients, and others may not."""

from __future__ import annotations

from typing import Any

import pytest

from automtl.predictor import Predictor
from automtl.serving.server.columns import Signature
from automtl.serving.server.rows import read_rows
from automtl.serving.server.settings import ServerSettings


@pytest.fixture(scope="module")
def signature(predictor: Predictor) -> Signature:
    return Signature.of(predictor)


@pytest.mark.parametrize(
    ("change", "joinable"),
    [
        ({}, True),
        ({"price": 3, "item_id": "12", "device": 7, "note": None, "user_id": 5.0}, True),
        ({"tags": None, "words": [], "stamp": None}, True),
        ({"price": "3.5"}, False),
        ({"price": True}, False),
        ({"user_id": False}, False),
        ({"tags": ["t1", 2]}, False),
        ({"tags": "['t1', 't2']"}, False),
        ({"stamp": "1700000000"}, False),
        ({"shown_at": 1_700_000_000}, False),
    ],
    ids=str,
)
def test_usual_types_are_joined(
    signature: Signature, rows: list[dict[str, Any]], change: dict[str, Any], joinable: bool
) -> None:
    given = [rows[0] | {"tags": ["t1"], "words": ["t1"]}, rows[1] | {"tags": ["t1"], "words": ["t2"]} | change]
    assert read_rows(given, signature, ServerSettings()).joinable is joinable


def test_rows_of_a_batch_get_the_scores_that_they_get_alone(predictor: Predictor, rows: list[dict[str, Any]]) -> None:
    mixed = [row | ({"item_id": str(row["item_id"])} if place % 2 else {}) for place, row in enumerate(rows)]
    together = predictor.columns(predictor.encode_rows(mixed))
    for place, row in enumerate(rows[:20]):
        alone = predictor.columns(predictor.encode_rows([row]))
        for name, values in together.items():
            assert values[place] == pytest.approx(alone[name][0], rel=1e-7, abs=1e-7)


def test_likely_rows_have_the_known_values(signature: Signature, predictor: Predictor) -> None:
    likely = signature.frequent(10)
    assert len(likely) == 10 and likely[0]["device"] == predictor.encoder.vocabularies["device"].values[0]
    assert len({row["user_id"] for row in likely}) == 10
