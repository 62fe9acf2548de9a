"""Numeric columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automtl.features.scaler import LIMIT, Moments, Scaler

FLOATS = st.floats(-1e12, 1e12, allow_subnormal=False)


def fit(values: np.ndarray, bins: int) -> Scaler:
    return Scaler.fit([values], len(values), bins)


@given(st.lists(FLOATS, min_size=1), st.lists(st.one_of(st.just(float("nan")), FLOATS)))
def test_any_value_becomes_a_bounded_number_and_a_known_bin(train: list[float], new: list[float]) -> None:
    scaler, values = fit(np.array(train), 8), np.array(new, dtype=float)
    scaled, bins = scaler.scale(values), scaler.bin(values)
    assert np.isfinite(scaled).all()
    assert (np.abs(scaled) <= LIMIT).all()
    assert ((bins >= 0) & (bins < scaler.num_bins)).all()
    assert ((bins == 0) == np.isnan(values)).all()


@given(st.lists(FLOATS, min_size=2, max_size=50))
def test_order_is_kept(values: list[float]) -> None:
    array = np.sort(np.array(values))
    scaler = fit(array, 8)
    assert (np.diff(scaler.scale(array)[:, 0]) >= 0).all()
    assert (np.diff(scaler.bin(array)) >= 0).all()


def test_a_heavy_tail_is_logged_and_a_normal_column_is_not() -> None:
    rng = np.random.default_rng(0)
    assert fit(np.exp(rng.normal(size=1000) * 2), 8).log
    assert not fit(rng.normal(size=1000) + 3, 8).log


def test_bins_hold_about_equal_shares_of_the_training_rows() -> None:
    values = np.random.default_rng(0).normal(size=8000)
    counts = np.bincount(fit(values, 8).bin(values))
    assert (counts[:2] == 0).all()
    assert (np.abs(counts[2:] - 1000) < 20).all()


def test_missing_values_are_told_apart_where_training_rows_had_them() -> None:
    scaler = fit(np.array([1.0, 2.0, np.nan]), 4)
    assert scaler.scale(np.array([np.nan, 1.5])).shape == (2, 2)
    assert scaler.scale(np.array([np.nan]))[0].tolist() == [0.0, 1.0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 9))
def test_a_scaler_of_slices_is_that_of_the_whole(values: list[float], rows: int) -> None:
    array = np.array(values)
    whole = fit(array, 8)
    parts = Scaler.fit((array[i : i + rows] for i in range(0, len(array), rows)), len(array), 8)
    assert parts.edges == whole.edges
    if parts.log == whole.log:  # a symmetric column may go either way
        np.testing.assert_allclose([parts.mean, parts.std], [whole.mean, whole.std], rtol=1e-6, atol=1e-6)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.lists(st.floats(-1e3, 1e3), max_size=30))
def test_moments_add_up(first: list[float], second: list[float]) -> None:
    together = np.array(first + second)
    added = Moments.of(np.array(first)) + Moments.of(np.array(second))
    centred = together - together.mean()
    np.testing.assert_allclose(added.mean, together.mean(), atol=1e-9)
    np.testing.assert_allclose(added.second, (centred**2).sum(), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(added.third, (centred**3).sum(), rtol=1e-6, atol=1e-1)


def test_edges_of_a_large_column_come_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    exact = fit(values, 8).edges
    monkeypatch.setattr("automtl.features.scaler.SAMPLE", 10_000)
    sampled = fit(values, 8).edges
    assert sampled == fit(values, 8).edges
    np.testing.assert_allclose(sampled, exact, atol=0.1)


def test_a_column_that_is_mostly_one_value_keeps_its_bins_for_the_rest() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(20_000) < 0.96, 0.0, rng.integers(1, 100_000, 20_000).astype(float))
    scaler = fit(values, 32)
    bins = scaler.bin(values)
    assert len(set(bins[values == 0].tolist())) == 1
    assert set(bins[values == 0].tolist()).isdisjoint(bins[values > 0].tolist())
    counts = np.unique(bins[values > 0], return_counts=True)[1]
    assert len(counts) == 31
    assert counts.min() >= 20


def test_a_column_of_few_values_has_a_bin_for_each() -> None:
    values = np.repeat([1.0, 2.0, 5.0, 7.0], [900, 50, 30, 20])
    assert fit(values, 32).bin(np.array([1.0, 2.0, 5.0, 7.0])).tolist() == [2, 3, 4, 5]
