"""Keys, sequences and units that are chosen where a schema leaves them open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.errors import EncodingError, SchemaError
from automtl.tables.history import History, SequenceHistory
from automtl.tables.history_choice import earlier_rows, paired
from automtl.tables.infer import completed_schema, infer_schema
from automtl.tables.schema import FieldKind

ROWS = 6000


def log(rows: int = ROWS, **changes: Any) -> pl.DataFrame:
    """Users look at items of a few kinds, in visits of some minutes; a brand is nearly an item."""
    rng = np.random.default_rng(0)
    user = np.repeat(rng.integers(0, 300, rows // 10 + 1), 10)[:rows]
    begin = np.repeat(np.sort(rng.integers(0, 5_000_000, rows // 10 + 1)), 10)[:rows]
    item = rng.integers(0, 200, rows)
    kind = np.random.default_rng(1).integers(0, 8, 200)
    columns: dict[str, Any] = {
        "user_id": user, "item_id": item, "brand_id": item // 1 + 7000, "kind": kind[item],
        "city": np.array([f"c{number}" for number in user % 9]), "device": rng.integers(0, 3, rows).astype(str),
        "price": rng.normal(size=rows), "once_id": np.arange(rows),
        "time_ms": (1_650_000_000 + begin + np.tile(np.arange(10), rows // 10 + 1)[:rows] * 20) * 1000,
        "click": rng.integers(0, 2, rows),
    }  # fmt: skip
    return pl.DataFrame(columns | changes)


def history_of(table: pl.DataFrame, **given: Any) -> Any:
    return infer_schema(table, ["click"], **given).history


def test_users_items_and_pairs_that_recur_are_keys() -> None:
    found = infer_schema(log(), ["click"])
    assert found.time == "time_ms" and "time_ms" not in found.columns
    assert found.history == History(
        keys=(("user_id",), ("item_id",), ("user_id", "kind")),
        sequence=SequenceHistory("user_id", ("item_id", "kind")),
        unit="ms",
    )


def test_what_says_the_same_as_another_key_is_none() -> None:
    names = {name for key in history_of(log()).keys for name in key}
    assert not names & {"brand_id", "city", "once_id", "price", "device"}


def test_few_items_are_a_key_where_their_name_says_so() -> None:
    few = np.random.default_rng(2).integers(0, 20, ROWS)
    assert ("item_id",) in history_of(log(item_id=few)).keys
    assert ("kind",) not in history_of(log()).keys


def test_a_larger_table_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = history_of(log())
    monkeypatch.setattr("automtl.tables.history_choice.SAMPLE", ROWS // 4)
    assert history_of(log()) == whole


def test_users_without_a_name_are_known_by_their_visits() -> None:
    table = log().rename({"user_id": "a_id", "item_id": "b_id"})
    assert history_of(table).sequence.key == "a_id"


def test_the_group_is_the_user() -> None:
    assert history_of(log(), group="item_id").sequence.key == "item_id"


def test_a_log_without_users_has_items_alone() -> None:
    found = history_of(log().drop("user_id", "city"), drop=["kind"])
    assert found.keys == (("item_id",),) and found.sequence is False


def test_a_table_whose_ids_do_not_recur_keeps_its_time_as_an_input() -> None:
    found = infer_schema(log().drop("user_id", "item_id", "brand_id"), ["click"])
    assert found.history is False and found.time is None and "time_ms" in found.columns


def test_rows_of_equal_time_do_not_count() -> None:
    table = log(time_ms=np.full(ROWS, 1_650_000_000_000))
    assert history_of(table, time="time_ms") is False


def test_a_time_field_stays_an_input() -> None:
    moments = [datetime(2024, 1, 1) + timedelta(minutes=minute) for minute in range(ROWS)]
    found = infer_schema(log().drop("time_ms").with_columns(event_time=pl.Series(moments)), ["click"])
    assert found.time == "event_time" and found.history and found.history.unit is None
    assert [field.name for field in found.fields if field.kind is FieldKind.TIME] == ["event_time"]


@pytest.mark.parametrize(("scale", "unit"), [(1, "us"), (1000, "ns"), (1e-3, "ms"), (1e-6, "s"), (1e-12, "s")])
def test_the_unit_of_numbers_is_that_of_times_of_these_years(scale: float, unit: str) -> None:
    times = (log()["time_ms"] * 1000).to_numpy() * scale
    assert history_of(log(time_ms=times), time="time_ms").unit == unit


def test_histories_that_are_turned_off_choose_nothing() -> None:
    found = infer_schema(log(), ["click"], history=False)
    assert found.history is False and found.time is None and "time_ms" in found.columns


def test_what_a_schema_says_stays_and_the_rest_is_chosen() -> None:
    table = log()
    whole = infer_schema(table, ["click"], time="time_ms")
    said = History(keys=(("kind",),), label_delay=60.0, sequence=False)
    assert completed_schema(table, replace(whole, history=said)).history == replace(said, unit="ms")
    assert completed_schema(table, replace(whole, history=None)) == whole
    assert completed_schema(table, replace(whole, history=History(), time=None)) == whole
    assert completed_schema(table, replace(whole, history=None, time=None)).history is False


def test_histories_that_are_asked_for_need_a_time_that_is_one() -> None:
    table = log().rename({"time_ms": "other"})
    with pytest.raises(SchemaError, match="'history' needs a time column"):
        infer_schema(table, ["click"], history=History())
    with pytest.raises(EncodingError, match="'city' is a time but holds 'c"):
        infer_schema(table, ["click"], time="city")


def test_earlier_rows_are_those_of_a_brute_force_loop() -> None:
    rng = np.random.default_rng(3)
    ids, time = rng.integers(0, 5, 200).astype(np.uint64), np.sort(rng.integers(0, 60, 200))
    expected = [sum((ids[:row] == ids[row]) & (time[:row] < time[row])) if ids[row] else 0 for row in range(200)]
    assert earlier_rows(ids, time).tolist() == expected


def test_pairs_are_equal_where_both_parts_are() -> None:
    left, right = (np.random.default_rng(seed).integers(0, 6, 300).astype(np.uint64) for seed in (1, 2))
    pairs = paired(left, right)
    assert ((pairs == 0) == ((left == 0) | (right == 0))).all()
    both = {(int(a), int(b)) for a, b in zip(left, right, strict=True) if a and b}
    assert len(set(pairs[pairs != 0].tolist())) == len(both)
