"""The plan of histories follows from the training rows."""

from __future__ import annotations

import numpy as np
import pytest

from automtl.features.history_plan import Events, fit_plan
from automtl.histories.plan import SECOND
from automtl.tables.schema import Schema

DAY = 86_400 * SECOND


def schema_of(**history: object) -> Schema:
    return Schema.from_dict({
        "fields": [{"name": "user", "kind": "categorical"}], "tasks": [{"name": "click"}], "time": "ts",
        "history": {"keys": ["user"], "sequence": False, "unit": "s", **history},
    })  # fmt: skip


def events(days: list[int]) -> Events:
    ones = np.ones((len(days), 1))
    return Events(np.array(days) * DAY, ones, ones > 0)


@pytest.mark.parametrize(
    ("days", "span"),
    [([20_000, 20_008], 8), ([0, 20_000, 20_008], 8), ([0, 8], 8), ([0, 8, 20_000], 20_000), ([-3, 5], 8)],
)
def test_half_lives_are_shares_of_a_span_that_marks_of_missing_times_do_not_stretch(days: list[int], span: int) -> None:
    parts = [[events(days)], [events([day]) for day in days]]
    plans = [fit_plan(schema_of(), [lambda one=one: one for one in chunks], 20.0) for chunks in parts]  # type: ignore[misc]
    assert plans[0] == plans[1] and plans[0].horizon == span * DAY
    assert plans[0].half_lives == (span * DAY // 4, span * DAY // 32)


def test_half_lives_end_at_50_years() -> None:
    (longest, _) = fit_plan(schema_of(), [lambda: events([-80_000, 80_000])], 20.0).half_lives
    assert longest == 50 * 365 * DAY


def test_the_range_of_the_largest_numbers_is_finite() -> None:
    values = np.array([-1.7e308, 0.0, 1.7e308])[:, None]
    schema = Schema.from_dict(schema_of().to_dict() | {"tasks": [{"name": "click", "kind": "regression"}]})
    (outcome,) = fit_plan(schema, [lambda: Events(np.arange(3) * DAY, values, values == values)], 20.0).outcomes
    assert np.isfinite(outcome.high - outcome.low) and outcome.whole(values[:, 0]).tolist() == [0, 1 << 13, 1 << 14]
