"""Statistics of histories on small logs whose numbers are known by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automtl.histories.plan import SECOND, KeyPlan, Kind, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.state import State
from automtl.histories.statistics import inputs
from automtl.tables.values.times import NO_TIME


def log(seconds: list[float], clicks: list[int], keys: list[int] | None = None) -> Rows:
    rows = len(seconds)
    time = (np.array(seconds) * SECOND).astype(np.int64)
    key = np.ones(rows, np.int64) if keys is None else np.array(keys)
    return Rows(time, key[None], np.array(clicks)[:, None], np.ones((rows, 1), bool), np.ones(rows, bool))


def plan(kind: Kind, delay: float = 0.0) -> Plan:
    outcome = Outcome("click", True, int(delay * SECOND), prior=0.5)
    return Plan(
        (KeyPlan(("user",), (kind,)),), (outcome,), (10 * SECOND,), last=2, session=30 * SECOND, smoothings=(2.0,)
    )


def test_rates_count_earlier_events_and_smooth_their_outcomes() -> None:
    found = inputs(plan("rates"), 0, log([1, 2, 3, 3], [1, 1, 0, 0]))
    np.testing.assert_allclose(np.expm1(found[:, 0]), [0, 1, 2, 2])
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 1])), [1 / 2, 2 / 3, 3 / 4, 3 / 4])


def test_an_outcome_is_known_after_its_delay() -> None:
    found = inputs(plan("rates", delay=1.5), 0, log([1, 2, 3, 3], [1, 1, 0, 0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 1])), [1 / 2, 1 / 2, 2 / 3, 2 / 3])


def test_an_event_weighs_half_after_a_half_life() -> None:
    found = inputs(plan("recent"), 0, log([0, 10, 20], [1, 0, 0]))
    np.testing.assert_allclose(np.expm1(found[:, 0]), [0, 0.5, 0.75], rtol=1e-3)


def test_gaps_are_seconds_and_end_at_the_horizon() -> None:
    found = inputs(plan("gaps"), 0, log([1, 4, 9], [0, 1, 0]))
    never = plan("gaps").horizon / SECOND
    np.testing.assert_allclose(np.expm1(found), [[never, never], [3, never], [5, 5]], rtol=1e-6)


def test_last_outcomes_come_newest_first_less_the_prior() -> None:
    found = inputs(plan("last"), 0, log([1, 2, 3], [1, 0, 0]))
    np.testing.assert_allclose(found, [[0, 0], [0.5, 0], [-0.5, 0.5]])


def test_a_long_gap_begins_a_session() -> None:
    found = inputs(plan("session"), 0, log([0, 20, 45, 90], [0, 0, 0, 0]))
    np.testing.assert_allclose(np.expm1(found), [[0, 0], [1, 20], [2, 45], [0, 0]])


@pytest.mark.parametrize("kind", ["rates", "recent", "gaps", "last", "session"])
def test_rows_without_a_key_or_of_other_keys_know_nothing(kind: Kind) -> None:
    alone = inputs(plan(kind), 0, log([5], [1]))
    found = inputs(plan(kind), 0, log([5, 6, 7], [1, 1, 1], [0, 0, 3]))
    np.testing.assert_array_equal(found, np.repeat(alone, 3, axis=0))


@pytest.mark.parametrize("kind", ["rates", "recent", "gaps", "last", "session"])
@pytest.mark.parametrize("begin", [0, -1000])
def test_rows_without_a_time_know_nothing_of_a_state(kind: Kind, begin: int) -> None:
    state, _ = State.empty(plan(kind)).update(plan(kind), log([begin + second for second in range(20)], [1] * 20))
    asked = replace(log([0], [0]), time=np.array([NO_TIME]))
    np.testing.assert_array_equal(inputs(plan(kind), 0, asked, state), inputs(plan(kind), 0, asked))
