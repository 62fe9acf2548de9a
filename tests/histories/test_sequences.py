"""Sequences of the last events, as ids."""

from __future__ import annotations

import numpy as np

from automtl.histories.plan import SECOND, KeyPlan, Outcome, Plan
from automtl.histories.rows import Rows
from automtl.histories.sequences import AGES, UNKNOWN, aspects, last_events

PLAN = Plan(
    (KeyPlan(("user",), ()),), (Outcome("click", True, 5 * SECOND), Outcome("time", False)), sequence=(0, 3)
)  # fmt: skip


def log(seconds: list[int], times: list[float]) -> Rows:
    rows = len(seconds)
    whole = PLAN.outcomes[1].whole(np.array(times))
    return Rows(
        np.array(seconds) * SECOND, np.ones((1, rows), np.int64), np.stack([np.ones(rows, np.int64), whole], axis=1),
        np.ones((rows, 2), bool), np.ones(rows, bool), np.arange(10, 10 + rows, dtype=np.int32)[None],
    )  # fmt: skip


def test_events_stand_oldest_first_behind_padding() -> None:
    item, click, time, age = last_events(PLAN, log([0, 3, 10, 20, 21], [0.1, 0.3, 0.6, 1.0, 0.0])).ids()
    assert item.tolist() == [[0, 0, 0], [0, 0, 10], [0, 10, 11], [10, 11, 12], [11, 12, 13]]
    assert click.tolist() == [[0, 0, 0], [0, 0, UNKNOWN], [0, 3, 3], [3, 3, 3], [3, 3, UNKNOWN]]
    assert time.tolist()[3:] == [[2, 3, 4], [3, 4, 5]]
    assert age.tolist()[2:] == [[0, 4, 4], [5, 5, 4], [5, 4, 2]]


def test_ids_are_those_of_the_aspects() -> None:
    assert aspects(PLAN) == [("click", 4), ("time", 6), ("age", AGES + 1)]
    ages = last_events(PLAN, log([0, 2**40], [0.0, 0.0])).ids()[-1]
    assert ages.max() == AGES


def test_ids_have_narrow_types() -> None:
    found = last_events(PLAN, log([0, 3, 10, 20], [0.1, 0.3, 0.6, 1.0]))
    assert [one.dtype.name for one in found.ids([np.int16])] == ["int16", "uint8", "uint8", "uint8"]
    np.testing.assert_array_equal(found.ids([np.int16])[0], found.ids()[0])
