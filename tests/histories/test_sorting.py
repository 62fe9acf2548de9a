"""Sorting by digits is sorting."""

from __future__ import annotations

import numpy as np
import pytest

from automtl.histories.sorting import FEW, hashes_order, latest, sorted_order

RNG = np.random.default_rng(0)
NUMBERS = {
    "few values": RNG.integers(0, 9, FEW + 5),
    "all bits": RNG.integers(-(2**63), 2**63 - 1, FEW + 5),
    "with the least": np.r_[np.iinfo(np.int64).min, RNG.integers(0, 1 << 40, FEW)],
    "sorted": np.arange(FEW + 5),
    "few": RNG.integers(0, 9, 50),
    "none": np.zeros(0, np.int64),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_sorting_keeps_the_order_of_equal_numbers(name: str) -> None:
    np.testing.assert_array_equal(sorted_order(NUMBERS[name]), np.argsort(NUMBERS[name], kind="stable"))


@pytest.mark.parametrize("name", NUMBERS)
def test_hashes_are_sorted_alike(name: str) -> None:
    np.testing.assert_array_equal(hashes_order(NUMBERS[name]), np.argsort(NUMBERS[name], kind="stable"))


def test_hashes_that_share_their_upper_bits_are_told_apart() -> None:
    hashes = RNG.integers(0, 1000, FEW) + (RNG.integers(-25, 25, FEW) << 40)
    np.testing.assert_array_equal(hashes_order(hashes), np.argsort(hashes, kind="stable"))


def test_the_latest_mark_is_found() -> None:
    marked = np.array([False, True, False, False, True])
    np.testing.assert_array_equal(latest(marked, none=-1), [-1, 1, 1, 1, 4])
    np.testing.assert_array_equal(latest(np.zeros(2, bool)), [0, 0])
