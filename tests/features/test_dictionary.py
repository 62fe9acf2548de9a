"""A code stands for one value, however the values are hashed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from automtl.features.dictionary import Dictionary
from automtl.tables.values.ids import as_text

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 3000)
COLUMNS = {
    "near": pl.Series([None, *(KEYS % 500).tolist(), *(KEYS % 4000).tolist()]),
    "scattered": pl.Series([*KEYS[:2000].tolist(), None, *KEYS.tolist(), 0]),
    "near, then far": pl.Series([1, 2, 3, 1, *KEYS.tolist(), 2]),
    "texts": pl.Series([None, "x", *(f"u_{key % 1500}" for key in KEYS.tolist()), "x"]),
}
FORMS = pl.Series(["2", "2.0", None, "NA", "a", "2.00", "true", "1", " ", "a", "0.50", "0.5", "2"])


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


@pytest.mark.parametrize("rows", [1, 3, 5, 100])
@pytest.mark.parametrize("memory", [None, 1])
def test_the_forms_of_a_value_have_the_codes_of_one_value(rows: int, memory: int | None) -> None:
    known, again = Dictionary(memory), None
    values: list[str] = []
    for start in range(0, FORMS.len(), rows):
        codes, fresh = known.add(FORMS.slice(start, rows))
        values += fresh.to_list()
        assert known.size == len(values)
        found = [None if code == 0 else values[code - 1] for code in codes.tolist()]
        assert found == as_text(FORMS.slice(start, rows)).to_list()
        again = Dictionary(memory, known.first, pl.Series(values[known.first :], dtype=pl.String))
    if memory is None:
        assert again is not None
        np.testing.assert_array_equal(again.add(FORMS)[0], known.add(FORMS)[0])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1)])
def test_pieces_of_other_types_share_the_codes_of_their_values(order: tuple[int, ...]) -> None:
    pieces = [
        pl.Series([2, None, 7], dtype=pl.Int64), pl.Series([2.0, 0.5, 7.0, float("nan")]),
        pl.Series(["7", "0.50", "x"]), pl.Series([None, None, None], dtype=pl.Null),
    ]  # fmt: skip
    known, values = Dictionary(), list[str]()
    for piece in (pieces[place] for place in order):
        codes, fresh = known.add(piece)
        values += fresh.cast(pl.String).to_list()
        expected = as_text(piece).to_list()
        found = [None if code == 0 else values[code - 1] for code in codes.tolist()]
        assert as_text(pl.Series(found, dtype=pl.String)).to_list() == expected
    codes = {value: known.add(pl.Series([value]))[0].item() for value in ("2", "7", "0.5", "x")}
    assert len(set(codes.values())) == 4


def test_a_dictionary_that_is_full_forgets() -> None:
    known = Dictionary(2**16)
    for _ in range(2):
        known.add(pl.Series(KEYS))
    assert known.first == len(KEYS)
    assert known.size == 2 * len(KEYS)
