"""Lists of ids, as columns and as programs write them into text."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from automtl.errors import EncodingError
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import as_text
from automtl.tables.values.lists import as_parts

LISTS = [["t1", "t2"], [], None, ["new york", "it's"], ["a,b"]]
WRITTEN = {
    "Python": ["['t1', 't2']", "[]", None, "['new york', \"it's\"]", "['a,b']"],
    "numpy": ["['t1' 't2']", "[]", "", "['new york' \"it's\"]", "['a,b']"],
    "JSON": ['["t1","t2"]', " [] ", "NA", '["new york", "it\'s"]', '["a,b"]'],
    "escapes": ['["\\u0074\\x31", "t2"]', "[]", None, "['new york', 'it\\'s']", '["a,b"]'],
    "tuples": ["('t1', 't2')", "[]", None, "('new york', \"it's\")", "('a,b',)"],
}
MULTI = Field("^tags$", FieldKind.MULTI)


def parts(column: pl.Series, field: Field = MULTI) -> list[list[str]]:
    flat, sizes = as_parts(column.alias(field.name), field, 50)
    values, found = as_text(flat).to_list(), []
    for size in sizes:
        found.append(values[:size])
        values = values[size:]
    return found


@pytest.mark.parametrize("form", WRITTEN)
def test_lists_are_read_as_programs_write_them(form: str) -> None:
    assert parts(pl.Series(WRITTEN[form])) == parts(pl.Series(LISTS)) == [one or [] for one in LISTS]


@pytest.mark.parametrize(
    "column", [["[1, 2]", "[3]"], ["[1 2]", "[3]"], ["[1.0\n 2.0]", "[3.]"], [[1, 2], [3]], [[1.0, 2.0], [3.0]]]
)
def test_lists_of_numbers(column: list[Any]) -> None:
    assert parts(pl.Series(column)) == [["1", "2"], ["3"]] or column[1] == "[3.]"


def test_parts_that_say_there_is_no_value_are_left_out() -> None:
    field = Field("tags", FieldKind.MULTI, delimiter="|")
    assert parts(pl.Series(["a|NA| |b", "", None, "['a', None, 'b']"]), field) == [["a", "b"], [], [], ["a", "b"]]
    assert parts(pl.Series([["a", "NA", None, " ", "b"]])) == [["a", "b"]]
    assert parts(pl.Series([[1.0, float("nan"), 2.0]])) == [["1", "2"]]


def test_the_last_values_of_a_sequence_and_the_first_of_other_lists_are_kept() -> None:
    column = pl.Series(["[1, 2, 3]"])
    assert parts(column, Field("t", FieldKind.MULTI, max_values=2)) == [["1", "2"]]
    assert parts(column, Field("t", FieldKind.SEQUENCE, target="x", max_values=2)) == [["2", "3"]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["t1|t2"], "'\\^tags\\$'.*'t1|t2'.*'delimiter'"),
        (["[1, 2, [3]]"], "'delimiter'"),
        (["['a' 'b' ... 'z']"], "no list of ids"),
        ([[2.0**60]], "rounded"),
        ([[[1]]], "list of ids"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(column: list[Any], message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        parts(pl.Series(column))
