"""Times, crosses, text and hashed ids."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automtl.errors import EncodingError
from automtl.features.vocabulary import FIRST, Vocabulary
from automtl.system.hashing import lasting_hash
from automtl.tables.derive import TIME_PARTS, days_of, derive
from automtl.tables.describe import summarize
from automtl.tables.infer import infer_schema
from automtl.tables.names import derived_name
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.values.lists import as_parts
from automtl.tables.values.times import as_moments

MOMENT = datetime(2024, 2, 29, 13, 5)  # a Thursday
SECONDS = 1_709_211_900


def of(field: Field) -> Schema:
    return Schema((Field("item", FieldKind.CATEGORICAL), field), (Task("y"),))


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ([MOMENT, None], None),
        (["2024-02-29T13:05:00", None], None),
        ([" 2024-02-29 13:05 ", ""], None),
        ([SECONDS, None], "s"),
        ([float(SECONDS), None], "s"),
        ([str(SECONDS * 1000), None], "ms"),
    ],
)
def test_a_time_means_the_same_however_it_is_written(column: list[Any], unit: Any) -> None:
    field = Field("t", FieldKind.TIME, unit=unit)
    table = pl.DataFrame({"t": column})
    newest = days_of(as_moments(table["t"], field)).max()
    assert isinstance(newest, float)
    found = derive(table, of(field), {"t": newest + 2})
    parts = found.select(derived_name("t", part) for part in TIME_PARTS)
    assert parts.row(0) == (13, 4, 29, 2.0) and parts.row(1) == (None,) * 4


def test_a_time_with_a_zone_is_local_time() -> None:
    column = pl.Series("t", [MOMENT]).dt.replace_time_zone("Europe/Rome")
    field = Field("t", FieldKind.TIME, zone="Europe/Rome")
    assert as_moments(column, field).to_list() == [MOMENT]
    assert as_moments(column.dt.convert_time_zone("Asia/Tokyo"), field).to_list() == [MOMENT]
    assert as_moments(pl.Series("t", ["2024-02-29T12:05:00Z"]), field).to_list() == [MOMENT]
    for odd, of in ((pl.Series("t", [MOMENT]), field), (column, Field("t", FieldKind.TIME))):
        with pytest.raises(EncodingError, match="column 't'.*zone"):
            as_moments(odd, of)


def test_times_lists_and_dates_are_inferred_and_told() -> None:
    rows = 40
    table = pl.DataFrame(
        {
            "at": [datetime(2024, 1, 1 + row % 28, row % 24) for row in range(rows)],
            "on": [date(2024, 1, 1 + row % 28) for row in range(rows)],
            "written": [f"2024-01-{1 + row % 28:02} 10:00:00" for row in range(rows)],
            "tags": [[row % 3, row % 5] for row in range(rows)],
            "y": [row % 2 for row in range(rows)],
        }
    )
    schema = infer_schema(table, ["y"])
    assert [str(field.kind) for field in schema.fields] == ["time", "time", "time", "multi"]
    told = {line.name: line.role for line in summarize(table, schema)}
    assert told["at"] == told["written"] == told["on"] == "time"
    assert {field.name: field.parts for field in schema.fields}["on"] == ("weekday", "day", "age")


def test_a_cross_tells_pairs_apart_and_is_missing_where_a_part_is() -> None:
    table = pl.DataFrame({"item": [1, 11, None], "shop": ["1a", "a", "b"]})
    found = derive(table, of(Field("both", FieldKind.CROSS, of=("item", "shop"))), {})["both"]
    assert found[0] != found[1] and found[2] is None


def test_text_is_written_alike_in_ids_lists_crosses_and_sequences() -> None:
    item = Field("item", FieldKind.CATEGORICAL, text=("strip", "lower"))
    schema = Schema(
        (
            item,
            Field("seen", FieldKind.SEQUENCE, target="item"),
            Field("both", FieldKind.CROSS, of=("item", "shop")),
        ),
        (Task("y"),),
    )
    found = derive(pl.DataFrame({"item": [" Ab"], "seen": [["aB ", "C"]], "shop": ["x"]}), schema, {})
    assert found["item"].to_list() == ["ab"] and found["seen"].to_list() == [["ab", "c"]]
    assert found["both"][0].startswith("ab")


def test_a_sequence_keeps_its_newest_values_a_list_its_first() -> None:
    column = pl.Series("x", [[1, 2, 3]])
    assert as_parts(column, Field("x", FieldKind.MULTI), 2)[0].to_list() == [1, 2]
    assert as_parts(column, Field("x", FieldKind.SEQUENCE, target="t"), 2)[0].to_list() == [2, 3]


@given(st.lists(st.text(max_size=6), min_size=1, max_size=20, unique=True))
def test_hashes_depend_on_the_text_alone(texts: list[str]) -> None:
    together = lasting_hash(pl.Series(texts, dtype=pl.String))
    assert [int(lasting_hash(pl.Series([text]))[0]) for text in texts] == together.tolist()
    assert len(set(together.tolist())) == len(texts)


def test_hashes_are_those_of_every_version() -> None:
    """Saved models rest on them."""
    assert lasting_hash(pl.Series(["", "a", "Straße"])).tolist() == [0, 11151059456098639141, 6209253865766615557]


def test_hashed_values_share_the_last_ids_evenly() -> None:
    vocabulary = Vocabulary(["1", "2"], hashed=50)
    assert len(vocabulary) == FIRST + 2 + 50
    ids = vocabulary.encode(pl.Series(range(5, 5005)))
    assert ids.min() >= FIRST + 2
    counts = pl.Series(ids).value_counts()["count"]
    assert counts.len() == 50 and counts.min() > 50  # 100 expected
    assert (vocabulary.encode(pl.Series([str(n) for n in range(5, 5005)])) == ids).all()
