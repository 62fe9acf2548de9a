"""Compiled loops give what numpy gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from automtl.data import codes
from automtl.data.streaming.dictionary import Dictionary
from automtl.data.streaming.loops import SWITCH

compiled = pytest.importorskip("automtl.data.streaming.compiled")
KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 3000)
COLUMNS = {
    "near": pl.Series([None, *(KEYS % 500).tolist(), *(KEYS % 4000).tolist()]),
    "scattered": pl.Series([*KEYS[:2000].tolist(), None, *KEYS.tolist(), 0]),
    "near, then far": pl.Series([1, 2, 3, 1, *KEYS.tolist(), 2]),
    "texts": pl.Series([None, "", *(f"u_{key % 1500}" for key in KEYS.tolist()), ""]),
}


def test_integers_are_hashed_alike() -> None:
    np.testing.assert_array_equal(compiled.hash_integers(KEYS), codes.hash_integers(KEYS))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_code_stands_for_one_value(name: str, switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, switch)
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


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_rows_are_counted_by_split_and_code(dtype: type) -> None:
    part, found = (KEYS % 3).astype(np.uint8), (KEYS % 10).astype(np.int32)
    counts = np.zeros((3, 10), dtype)
    compiled.count_rows(counts, part, found)
    np.testing.assert_array_equal(
        counts, [[((part == one) & (found == code)).sum() for code in range(10)] for one in range(3)]
    )


def test_ids_of_rows_fill_a_column() -> None:
    ids, found, rows = np.arange(10, 20, dtype=np.int32), (KEYS % 10).astype(np.int32), np.arange(0, 3000, 7)
    out = np.zeros((len(rows), 3), np.int32)
    compiled.take_rows(ids, found, rows, out, 1)
    np.testing.assert_array_equal(out[:, 1], ids[found[rows]])
    assert not out[:, ::2].any()
