"""States take in later events, refuse earlier rows, and stay bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automtl.errors import EncodingError, FileError
from automtl.histories.plan import SECOND, KeyPlan, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.state import State, Taken
from automtl.histories.statistics import inputs
from automtl.tables.values.times import NO_TIME

PLAN = Plan((KeyPlan(("user",), ("rates", "last")),), (Outcome("click", True, 5 * SECOND, prior=0.5),), sequence=(0, 2))


def log(seconds: list[int], users: list[int], clicks: list[int]) -> Rows:
    known = np.ones((len(seconds), 1), bool)
    time = np.array(seconds, np.int64) * SECOND
    return Rows(time, np.array([users]), np.array(clicks)[:, None], known, known[:, 0])


def events(state: State, user: int, at: int) -> float:
    asked = log([at], [user], [0])
    return float(np.expm1(inputs(PLAN, 0, asked, state)[0, 0]))


def test_late_and_repeated_events_are_counted_and_left_out() -> None:
    state, taken = State.empty(PLAN).update(PLAN, log([10, 20, 20], [1, 1, 2], [1, 0, 0]))
    assert taken == Taken(3, 0, 0, 0) and state.newest == 20 * SECOND
    state, taken = state.update(PLAN, log([15, 20, 20, 21], [1, 1, 1, 1], [1, 0, 1, 0]))
    assert taken == Taken(2, 1, 1, 0)  # of user 1 at 20 the click is new, the other one is known
    assert round(events(state, 1, 30)) == 4


def test_rows_older_than_the_newest_event_are_refused_with_a_remedy() -> None:
    state, _ = State.empty(PLAN).update(PLAN, log([10], [1], [1]))
    with pytest.raises(
        EncodingError, match=r"row 2 is of 1970-01-01 00:00:09.*, before the newest .*; give later rows"
    ):
        inputs(PLAN, 0, log([10, 9], [1, 1], [0, 0]), state)
    inputs(PLAN, 0, replace(log([9], [1], [0]), time=np.array([NO_TIME])), state)


def test_a_row_does_not_see_events_of_its_own_time() -> None:
    state, _ = State.empty(PLAN).update(PLAN, log([10, 20], [1, 1], [1, 1]))
    assert round(events(state, 1, 20)) == 1 and round(events(state, 1, 21)) == 2


def test_keys_whose_last_events_are_oldest_go_first() -> None:
    plan = replace(PLAN, max_keys=2)
    state, taken = State.empty(plan).update(plan, log([1, 2, 3, 4, 90], [7, 8, 9, 7, 8], [1] * 5))
    assert taken.dropped == 1 and set(state.settled[0].every_key) == {7, 9} and set(state.recent.keys[0]) == {7, 9}
    assert round(events(state, 8, 100)) == 1  # of the event that is not settled


def test_sequences_keep_the_last_settled_events() -> None:
    state, _ = State.empty(PLAN).update(PLAN, log([1, 2, 3, 99], [7, 7, 7, 8], [1, 0, 1, 0]))
    np.testing.assert_array_equal(state.recent.time, [2 * SECOND, 3 * SECOND])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("0.keys", np.array([8, 7])), ("0.last", np.zeros((2, 1, 9), np.int16)), ("0.few.keys", np.array([[8, 7]])),
        ("pending.outcomes", np.full((1, 1), 7, np.int16)), ("pending.time", np.array([2**60])),
        ("newest", np.zeros(2, np.int64)), ("0.few.time", np.array([2**60])), ("recent.time", np.full(3, 2**60)),
        ("0.count", np.array([-1])), ("0.sums", np.array([[2**63 - 1]])),
        ("0.last", np.array([[[1, 1, -2]]], np.int16)), ("0.time", np.array([100 * SECOND])),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_a_state_are_named(name: str, value: np.ndarray) -> None:
    seconds, users = [1, *range(2, 22), 99], [7, *[8] * 20, 8]
    arrays = State.empty(PLAN).update(PLAN, log(seconds, users, [1] * 22))[0].to_arrays()
    State.from_arrays(PLAN, arrays)
    with pytest.raises(FileError, match=rf"array '{name}' of the model's histories .*; restore"):
        State.from_arrays(PLAN, arrays | {name: value})
    with pytest.raises(FileError, match=rf"array '{name}' of the model's histories is missing"):
        State.from_arrays(PLAN, {one: array for one, array in arrays.items() if one != name})


@pytest.mark.parametrize("times", [2, 20])
def test_states_of_keys_that_lie_far_apart_are_read_back(times: int) -> None:
    users = [-(2**62) - 1, 2**62] * times
    state, _ = State.empty(PLAN).update(PLAN, log([*range(2 * times), 99], [*users, 7], [1] * (2 * times + 1)))
    found = State.from_arrays(PLAN, state.to_arrays())
    assert set(found.settled[0].every_key) == {-(2**62) - 1, 2**62}
