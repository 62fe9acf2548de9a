"""Histories in bounded memory have the bits of those of all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from automtl.histories.buckets import (
    BucketedLog,
    Buckets,
    LogChunk,
    WholeLog,
    bits_for,
    bucket_of,
    inputs_by_buckets,
    joined_states,
    newest_of,
    settled_of,
    state_by_buckets,
    state_of,
)  # fmt: skip
from automtl.histories.plan import KINDS, SECOND, KeyPlan, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.sorting import FEW
from automtl.histories.state import State
from automtl.histories.statistics import inputs

PLAN = Plan(
    (KeyPlan(("user",), KINDS), KeyPlan(("item",), ("rates", "recent"))),
    (Outcome("click", True, prior=0.5), Outcome("seconds", False, 30 * SECOND, prior=0.3)),
    (60 * SECOND,), last=2, session=30 * SECOND, sequence=(0, 3),
)  # fmt: skip


def log(rows: int, values: int) -> Rows:
    rng = np.random.default_rng(0)
    hashes = rng.integers(-(2**63), 2**63 - 1, values)
    hashes[0] = 0
    outcomes = np.stack([rng.integers(0, 2, rows), rng.integers(0, 1 << 14, rows)], axis=1)
    return Rows(
        rng.integers(0, 500, rows) * SECOND, hashes[rng.integers(0, values, (2, rows))], outcomes,
        rng.random((rows, 2)) < 0.9, rng.random(rows) < 0.9, rng.integers(2, 9, (1, rows)).astype(np.int32),
    )  # fmt: skip


def chunks(rows: Rows, number: int) -> list[LogChunk]:
    return [WholeLog(rows.take(numbers)) for numbers in np.array_split(np.arange(len(rows)), number)]


def bucketed(parts: Sequence[LogChunk], place: int, bits: int) -> BucketedLog:
    rows = [part.rows([place]) for part in parts]
    found = BucketedLog.empty(
        Buckets([bucket_of(one.keys[0], bits) for one in rows], bits), rows[0], lambda _, *shape: np.empty(*shape)
    )
    for number, one in enumerate(rows):
        found.add(number, one)
    return found


@pytest.mark.parametrize("bits", [0, 1, 3])
@pytest.mark.parametrize("place", [0, 1])
def test_inputs_by_buckets_have_the_same_bits(bits: int, place: int) -> None:
    rows, number = log(500, 20), 3
    whole = inputs(PLAN, place, rows)
    parts = bucketed(chunks(rows, number), place, bits)
    results = np.full(whole.shape, np.nan)
    for bucket in range(len(parts.buckets)):
        results[parts.buckets.span(bucket)] = inputs(PLAN.only(place), 0, parts.rows(bucket))
    found = [results[parts.buckets.places(one)] for one in range(number)]
    np.testing.assert_array_equal(np.concatenate(found), whole)


@pytest.mark.parametrize("size", [7, 1000])
def test_inputs_of_many_rows_have_the_same_bits(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automtl.histories.buckets.ROWS", size)
    rows = log(500, 20)
    for place in range(len(PLAN.keys)):
        np.testing.assert_array_equal(inputs_by_buckets(PLAN, place, rows), inputs(PLAN, place, rows))
    assert_same(state_by_buckets(PLAN, rows), State.empty(PLAN).update(PLAN, rows)[0])


def assert_same(one: State, other: State) -> None:
    first, second = one.to_arrays(), other.to_arrays()
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("bits", [0, 3])
@pytest.mark.parametrize("max_keys", [5, 1000])
def test_the_state_of_chunks_is_that_of_the_log(bits: int, max_keys: int) -> None:
    plan = Plan.from_dict(PLAN.to_dict() | {"max_keys": max_keys})
    rows, states = log(500, 20), []
    parts = chunks(rows, 3)
    for place in range(len(plan.keys)):
        found = bucketed(parts, place, bits)
        own, newest = plan.only(place), newest_of(parts)
        states.append(joined_states([settled_of(own, found.rows(one), newest) for one in range(len(found.buckets))]))
    assert_same(state_of(plan, parts, newest_of(parts), states), State.empty(plan).update(plan, rows)[0])


def test_logs_that_are_sorted_by_digits_have_the_same_state_in_pieces() -> None:
    rows = log(2 * FEW, 5000)
    once, _ = State.empty(PLAN).update(PLAN, rows)
    state = State.empty(PLAN)
    edges = [-1, 100, 101, 499]
    for first, last in pairwise(edges):
        state, _ = state.update(
            PLAN, rows.take(np.flatnonzero((rows.time > first * SECOND) & (rows.time <= last * SECOND)))
        )
    for name, array in once.to_arrays().items():
        np.testing.assert_array_equal(state.to_arrays()[name], array, err_msg=name)


def test_smaller_memory_makes_more_buckets() -> None:
    assert bits_for(1000, 5, 1 << 30) == bits_for(1000, 5) == 0
    assert bits_for(1_000_000, 5, 1 << 26) < bits_for(1_000_000, 200, 1 << 26) < 8
