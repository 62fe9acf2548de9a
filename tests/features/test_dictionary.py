"""A code stands for one value, however the values are hashed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from automtl.features.dictionary import Dictionary

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 3000)
COLUMNS = {
    "near": pl.Series([None, *(KEYS % 500).tolist(), *(KEYS % 4000).tolist()]),
    "scattered": pl.Series([*KEYS[:2000].tolist(), None, *KEYS.tolist(), 0]),
    "near, then far": pl.Series([1, 2, 3, 1, *KEYS.tolist(), 2]),
    "texts": pl.Series([None, "", *(f"u_{key % 1500}" for key in KEYS.tolist()), ""]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_code_stands_for_one_value(name: str) -> None:
    column, known = COLUMNS[name], Dictionary(2**30)
    parts = [known.add(column.slice(start, 700)) for start in range(0, column.len(), 700)]
    found, values = np.concatenate([part for part, _ in parts]), pl.concat([fresh for _, fresh in parts])
    assert values.n_unique() == values.len() == known.size == column.drop_nulls().n_unique()
    places = pl.Series(found.astype(np.int64) - 1).set(pl.Series(found == 0), None)
    assert values.gather(places).equals(column, null_equal=True)
    again = Dictionary(2**30, 5, values)
    np.testing.assert_array_equal(again.add(column)[0], np.where(found > 0, found + 5, 0))


def test_a_dictionary_that_is_full_forgets() -> None:
    known = Dictionary(2**16)
    for _ in range(2):
        known.add(pl.Series(KEYS))
    assert known.first == len(KEYS)
    assert known.size == 2 * len(KEYS)
