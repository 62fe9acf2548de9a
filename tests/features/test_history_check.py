"""Saved histories whose parts do not fit each other are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from automtl.errors import FileError
from automtl.features.encoder import Encoder
from automtl.features.histories import Histories
from automtl.features.history_check import check_histories
from automtl.features.target_encoding import Standardizer
from automtl.histories.plan import KeyPlan
from tests.features.test_histories import fitted, of, schema_of, timed


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return fitted(timed(), schema_of(label_delay="1m"))[1]


def with_items(found: Histories, items: np.ndarray | None) -> Histories:
    return replace(found, state=replace(found.state, pending=replace(found.state.pending, items=items)))


def with_spread(found: Histories, mean: float, std: float, more: int = 0) -> Histories:
    size = len(found.spreads[0].mean) + more
    return replace(found, spreads=(Standardizer(np.full(size, mean), np.full(size, std)), *found.spreads[1:]))


DAMAGES: dict[str, tuple[Callable[[Histories], Histories], str]] = {
    "no history": (lambda one: replace(one, schema=replace(one.schema, history=False)), "declarations"),
    "no field": (lambda one: replace(one, plan=replace(one.plan, keys=(KeyPlan(("nope",), ()),))), "keys"),
    "no outcome": (lambda one: replace(one, schema=replace(one.schema, outcomes=())), "outcomes"),
    "another key": (lambda one: replace(one, plan=replace(one.plan, sequence=(1, 4))), "sequences"),
    "no such key": (lambda one: replace(one, plan=replace(one.plan, sequence=(9, 4))), "sequences"),
    "too many": (lambda one: with_spread(one, 0.0, 1.0, 1), "means"),
    "no number": (lambda one: with_spread(one, np.nan, 1.0), "means"),
    "no deviation": (lambda one: with_spread(one, 0.0, 0.0), "deviations"),
    "no items": (lambda one: with_items(one, None), "items of events"),
    "odd items": (lambda one: with_items(one, np.full((2, len(one.state.pending)), 999)), "items of events"),
    "one item": (lambda one: with_items(one, np.zeros((1, len(one.state.pending)), int)), "items of events"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_parts_that_do_not_fit_are_named(encoder: Encoder, name: str) -> None:
    damage, part = DAMAGES[name]
    check_histories(of(encoder), encoder.vocabularies)
    with pytest.raises(FileError, match=f"the {part} of the model's histories do not fit; restore"):
        check_histories(damage(of(encoder)), encoder.vocabularies)
