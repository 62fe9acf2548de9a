"""Plans of histories: names, whole numbers of outcomes, and what is left out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from automtl.histories.plan import LEVELS, SECOND, KeyPlan, Outcome, Plan, duration

PLAN = Plan(
    (KeyPlan(("user",), ("rates", "session")), KeyPlan(("user", "tag"), ("rates", "recent"))),
    (Outcome("click", True, 5, prior=0.1), Outcome("seconds", False, 0, 2.0, 10.0, 4.0)),
    (3600 * SECOND,),
    sequence=(0, 20),
)


def test_plans_go_through_json() -> None:
    assert Plan.from_dict(json.loads(json.dumps(PLAN.to_dict()))) == PLAN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("half_lives", [0]), ("half_lives", [10**30]), ("half_lives", [float("nan")]), ("last", 10**9), ("session", -1),
        ("smoothings", [float("nan")]), ("smoothings", [0]), ("sequence", [0, 10**9]), ("sequence", [-1, 4]),
        ("horizon", 10**30), ("max_keys", 0), ("keys", [{"key": [], "kinds": []}]), ("frozen", "x"), ("odd", 1),
        ("keys", [{"key": ["user"], "kinds": ["odd"]}]), ("outcomes", [{"name": "click", "binary": [0]}]),
        ("outcomes", [{"name": "click", "binary": True, "delay": -1}]),
        ("outcomes", [{"name": "click", "binary": False, "low": float("inf")}]),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Plan.from_dict(PLAN.to_dict() | {name: value})


def test_inputs_are_named_kind_by_kind() -> None:
    assert PLAN.names(1) == [
        ("history", "user", "tag", "events"),
        ("history", "user", "tag", "rate", "click", "smoothed by 20"),
        ("history", "user", "tag", "mean", "seconds", "smoothed by 20"),
        ("history", "user", "tag", "events", "half-life 1h"),
        ("history", "user", "tag", "rate", "click", "half-life 1h"),
        ("history", "user", "tag", "mean", "seconds", "half-life 1h"),
    ]


def test_a_key_without_kinds_goes_unless_it_is_that_of_the_sequence() -> None:
    left = PLAN.without([(("user",), kind) for kind in PLAN.keys[0].kinds])
    assert left.keys == (KeyPlan(("user",), ()), PLAN.keys[1]) and left.sequence == (0, 20)
    left = PLAN.without([(("user", "tag"), "rates"), (("user", "tag"), "recent")])
    assert left.keys == PLAN.keys[:1]


def test_quantities_become_steps_of_their_range() -> None:
    np.testing.assert_array_equal(
        PLAN.outcomes[1].whole(np.array([2.0, 6.0, 99.0, np.nan])), [0, LEVELS // 2, LEVELS, 0]
    )
    np.testing.assert_array_equal(PLAN.outcomes[0].whole(np.array([0.0, 1.0])), [0, 1])
    assert PLAN.outcomes[1].share == 0.25


@pytest.mark.parametrize(
    ("given", "text"), [(1, "1us"), (1_500, "1.5ms"), (90 * SECOND, "1.5min"), (86_400 * SECOND, "1d")]
)
def test_durations_are_written_in_their_largest_unit(given: int, text: str) -> None:
    assert duration(given) == text
