"""Tables by id: what is looked up, and what is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from automtl.ensemble.lookup_tables import NO_TABLES, LookupTables
from automtl.errors import FileError

SIZES = (3, 2)
GOOD = LookupTables.of([(1, np.array([5.0, 6.0])), (0, np.array([1.0, 2.0, 3.0])), (1, np.array([7.0, 8.0]))])


def test_rows_get_a_column_of_each_table() -> None:
    GOOD.require_sizes(SIZES)
    assert GOOD.columns(np.array([[2, 0], [0, 1]])).tolist() == [[5, 3, 7], [6, 1, 8]]
    assert NO_TABLES.columns(np.zeros((4, 2), np.int64)).shape == (4, 0) and NO_TABLES.num_tables == 0


def test_tables_are_split_from_other_arrays() -> None:
    more = {"leaf": np.zeros(3)}
    tables, rest = LookupTables.split(GOOD.arrays() | more)
    assert rest == more and all(np.array_equal(array, GOOD.arrays()[name]) for name, array in tables.arrays().items())
    assert LookupTables.split(more) == (NO_TABLES, more)


WRONG: list[tuple[str, Any]] = [
    ("table_field", np.array([1, 0, 1], np.int64)),
    ("table_field", np.zeros((3, 1), np.int32)),
    ("table_field", np.array([1, 2, 1], np.int32)),
    ("table_field", np.array([1, -1, 1], np.int32)),
    ("table_field", np.array([1, 0, 0], np.int32)),
    ("table_field", np.zeros(4, np.int32)),
    ("table_start", np.array([0, 3, 5, 7], np.int64)),
    ("table_start", np.array([0, 2, 2, 7], np.int64)),
    ("table_start", np.array([0, 9, 5, 7], np.int64)),
    ("table_start", np.array([1, 2, 5, 7], np.int64)),
    ("table_start", np.array([0, 2, 5, 8], np.int64)),
    ("table_start", np.zeros(0, np.int64)),
    ("table_value", np.full(7, np.nan, np.float32)),
    ("table_value", np.zeros(6, np.float32)),
    ("table_value", None),
]


@pytest.mark.parametrize(("name", "array"), WRONG)
def test_what_cannot_be_looked_up_is_refused_by_name(name: str, array: Any) -> None:
    arrays = {key: value for key, value in (GOOD.arrays() | {name: array}).items() if value is not None}
    with pytest.raises(FileError, match="'table_"):
        LookupTables.split(arrays)[0].require_sizes(SIZES)
