"""What a column is taken for, and which labels are understood."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.errors import SchemaError
from automtl.tables.infer import infer_field, infer_schema, infer_task, left_out
from automtl.tables.schema import TaskKind
from automtl.tables.values.numbers import as_labels

MANY = np.arange(100)
NUMBERS = [str(value / 4) for value in range(100)]
KINDS: dict[str, tuple[Any, str | None]] = {
    "user_id": (MANY, "categorical"),
    "itemId": (MANY, "categorical"),
    "zip": (MANY, "categorical"),
    "author": (MANY, "categorical"),
    "count": (MANY, "numeric"),
    "bid": (MANY, "numeric"),
    "is_paid": (MANY, "numeric"),
    "price_id": (MANY / 3, "numeric"),  # fractions are no ids, whatever the name says
    "large": (pl.Series([2**63 + value for value in range(100)], dtype=pl.UInt64), "categorical"),
    "negative": (-MANY - 2**60, "categorical"),
    "few_decimals": (pl.Series(["1.5", "2.25"] * 3).cast(pl.Decimal(10, 2)), "numeric"),
    "text_numbers": (pl.Series([*NUMBERS, "NA", "?", " ", None, "\\N"]), "numeric"),
    "nearly_numbers": (pl.Series([*NUMBERS, "-"]), "categorical"),
    "text_days": (pl.Series(["2024-01-31", "2024-02-01", "NA"]), "time"),
    "marks": (pl.Series(["NA", "", None]), "categorical"),
    "tags": (pl.Series([[1, 2], [], None]), "multi"),
    "nothing": (pl.Series([[], [None], None], dtype=pl.List(pl.Int64)), None),
    "embedding": (pl.Series([[0.5, 1.5], [0.25, 1.0]]), None),
    "vector": (pl.Series([[0.5, 1.5], [0.25, 1.0]]).cast(pl.Array(pl.Float64, 2)), None),
    "lists": (pl.Series([[[1], [2]], [[3]]]), None),
    "span": (pl.Series([timedelta(hours=1), timedelta(hours=2)]), None),
    "clock": (pl.Series([time(1), time(2)]), None),
    "bytes": (pl.Series([b"a", b"b"]), None),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_a_column_is_told_by_its_values_and_its_name(name: str) -> None:
    values, kind = KINDS[name]
    column = pl.Series(name, values)
    found = infer_field(column)
    assert (None if found is None else str(found.kind)) == kind
    assert (left_out(column) is None) == (kind is not None)


def test_text_that_is_a_number_in_the_first_rows_alone_is_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automtl.tables.infer.SAMPLE", 80)
    for late, kind in (("x", "categorical"), ("101", "numeric")):
        found = infer_field(pl.Series("amount", [*NUMBERS, late]))
        assert found is not None and found.kind == kind


@pytest.mark.parametrize(
    "labels",
    [
        [True, False, None],
        [1.0, 0.0, float("nan")],
        ["yes", "No", ""],
        ["1", " 0", "NA"],
        ["TRUE", "false", None],
        pl.Series(["y", "n", None]).cast(pl.Categorical),
        pl.Series(["1", "0", None]).cast(pl.Decimal(3, 1)),
    ],
)
def test_labels_of_many_types_are_understood(labels: Any) -> None:
    table = pl.DataFrame({"y": labels}, strict=False)
    assert infer_task(table, "y").kind is TaskKind.BINARY
    assert as_labels(table["y"]).cast(pl.Float64).to_list() == [1.0, 0.0, None]


@pytest.mark.parametrize(("labels", "message"), [(["1", "maybe"], "'maybe' in row 2"), ([b"1"], "holds Binary")])
def test_other_labels_are_told(labels: list[Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        infer_task(pl.DataFrame({"y": labels}), "y")


def test_fractions_that_hardly_recur_are_no_key_of_rates() -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "user_id": rng.integers(0, 400, 500),
            "price": rng.integers(0, 99, 500) / 10,
            "score": rng.normal(size=500),
            "text_score": pl.Series(rng.normal(size=500)).cast(pl.String),
            "views": rng.integers(0, 10**6, 500),
            "click": rng.integers(0, 2, 500),
        }
    )
    assert infer_schema(table, ["click"]).target_encoding == (("user_id",), ("price",), ("views",))
