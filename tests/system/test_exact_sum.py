"""Sums without rounding."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automtl.system.exact_sum import exact_sum

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=60)


@given(NUMBERS, NUMBERS)
def test_a_sum_of_parts_is_rounded_once(first: list[float], second: list[float]) -> None:
    found = exact_sum(np.array(first)) + exact_sum(np.array(second))
    try:
        expected = math.fsum([*first, *second])
    except OverflowError:
        return
    assert float(found) == expected


def test_many_numbers_of_all_sizes_give_the_sum_in_any_order() -> None:
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=10_000) * 10.0 ** generator.integers(-300, 300, 10_000)
    assert float(exact_sum(numbers)) == math.fsum(numbers) == float(exact_sum(generator.permutation(numbers)))
    assert exact_sum(numbers) == exact_sum(numbers[:777]) + exact_sum(numbers[777:])
