"""Times that histories cannot use, and what is said of outcomes where there are histories."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.tables.infer import infer_schema
from automtl.tables.quality import Finding, check_quality
from automtl.tables.split import SplitSettings, split_table

ROWS = 6000


def findings(**changes: Any) -> dict[tuple[str, str], Finding]:
    """Check a log of visits; `timestamp` may be replaced by other times."""
    rng = np.random.default_rng(0)
    click = (rng.random(ROWS) < 0.3).astype(int)
    columns: dict[str, Any] = {
        "user_id": rng.integers(0, 300, ROWS),
        "item_id": rng.integers(0, 100, ROWS),
        "watched": click * rng.integers(5, 500, ROWS) / 4,
        "verdict": np.where(click == 1, "liked", "passed"),
        "timestamp": 1_650_000_000 + np.arange(ROWS) * 60,
        "click": click,
    }
    table = pl.DataFrame(columns | changes)
    schema = infer_schema(table, ["click"], time="timestamp")
    found = check_quality(split_table(table, schema, SplitSettings(), 0), schema)
    return {(one.check, one.column): one for one in found}


def test_a_leak_of_numbers_may_become_an_outcome_where_there_are_histories() -> None:
    found = findings()
    for check in ("leakage", "outcome"):
        assert "--outcome 'watched'" in found[check, "watched"].remedy
    assert "--outcome" not in found["leakage", "verdict"].remedy
    once = findings(timestamp=np.full(ROWS, 1_650_000_000))  # without histories
    assert "--outcome" not in once["leakage", "watched"].remedy and "--drop" in once["leakage", "watched"].remedy


@pytest.mark.parametrize(("share", "level"), [(0.05, "note"), (0.3, "warning")])
def test_rows_without_a_time_have_no_histories(share: float, level: str) -> None:
    rows = np.arange(ROWS)
    times = pl.Series(1_650_000_000 + rows).set(pl.Series(rows % 100 < 100 * share), None)
    found = findings(timestamp=times)["no time", "timestamp"]
    assert found.level == level and "have no histories" in found.remedy


def test_times_are_too_coarse_where_rows_of_a_user_share_them() -> None:
    assert ("equal times", "timestamp") not in findings()
    found = findings(timestamp=1_650_000_000 + np.arange(ROWS) // 1500 * 86_400)["equal times", "timestamp"]
    assert found.value > 0.9 and "histories do not see rows of the same time" in found.remedy
