"""The order of a vocabulary equals a plain sort."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from automtl.features.ordering import by_bytes, vocabulary_order

TEXTS = st.one_of(st.text(max_size=12), st.text("ab\0", max_size=20).map(lambda text: "common" + text))


@given(st.lists(TEXTS, unique=True, max_size=40))
def test_texts_are_ordered_by_their_bytes(texts: list[str]) -> None:
    expected = sorted(texts, key=str.encode)
    assert [texts[place] for place in by_bytes(pl.Series(texts, dtype=pl.String))] == expected


@given(st.lists(st.sampled_from([1, 2, 3, 65534, 65535, 65536, 2**40]), max_size=40))
def test_values_are_ordered_by_their_rows_and_ties_by_size(rows: list[int]) -> None:
    values = [7 * place % 41 for place in range(len(rows))]
    expected = sorted(range(len(rows)), key=lambda place: (-rows[place], values[place]))
    assert vocabulary_order(pl.Series(values, dtype=pl.Int64), np.array(rows, np.int64)).tolist() == expected


def test_whole_numbers_come_before_other_texts() -> None:
    values = pl.Series(["b", "10", "9", "01", "-3", "a"])
    assert values.gather(vocabulary_order(values, np.ones(6, np.int64))).to_list() == ["-3", "9", "10", "01", "a", "b"]
