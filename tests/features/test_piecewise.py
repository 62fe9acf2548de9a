"""Piecewise-linear encoding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automtl.features.piecewise import Piecewise
from automtl.features.scaler import LIMIT
from automtl.tables.names import shown

FLOATS = st.floats(-1e12, 1e12, allow_subnormal=False)


def test_a_value_fills_the_bins_below_it_and_a_part_of_its_own() -> None:
    """Eq. 1 of the paper."""
    encoding = Piecewise((0.0, 1.0, 3.0, 4.0), indicator=True)
    values = np.array([0.5, 2.5, 4.0, np.nan, -1.0, 100.0])
    expected = [[0.5, 0, 0, 0], [1, 0.75, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [1, 1, LIMIT + 1, 0]]
    np.testing.assert_allclose(encoding.scale(values), expected)
    assert [shown(name) for name in encoding.columns("x")] == ["x:piece 0", "x:piece 1", "x:piece 2", "x:missing"]


@given(st.lists(FLOATS, min_size=1, max_size=40), st.lists(FLOATS, min_size=2, max_size=20))
def test_larger_values_fill_no_less(train: list[float], new: list[float]) -> None:
    encoding = Piecewise.fit([np.array(train)], len(train), 8)
    scaled = encoding.scale(np.sort(np.array(new)))
    assert scaled.shape[1] == encoding.width <= 8
    assert np.isfinite(scaled).all() and (np.diff(scaled, axis=0) >= 0).all()


def test_edges_are_quantiles_and_the_extremes() -> None:
    values = np.arange(101.0)
    assert Piecewise.fit([values[:50], values[50:]], 101, 4).edges == (0.0, 25.0, 50.0, 75.0, 100.0)
