"""Sizes of encoded inputs as plain values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from automtl.features.layout import AspectLayout, Layout, SequenceLayout
from tests.conftest import small_layout

TWO = SequenceLayout("other", (AspectLayout("item", 0, "a"), AspectLayout("age", 7)), 20)
LAYOUT = replace(small_layout(), sequences=(*small_layout().sequences, TWO))


@pytest.mark.parametrize("layout", [LAYOUT, small_layout(1), replace(LAYOUT, sequences=()), Layout((), (), (), ())])
def test_it_round_trips_through_json(layout: Layout) -> None:
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_a_sequence_is_two_fields_and_a_list_for_each_aspect() -> None:
    assert LAYOUT.num_fields == 2 + 1 + 2 * 2 + 2
    assert [one.name for one in LAYOUT.lists] == ["m", "a", "b", "outcome", "age", "item", "age"]
