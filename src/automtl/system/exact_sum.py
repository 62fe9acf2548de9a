"""Sums of numbers that do not depend on their order, or on the parts in which they come."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

MANTISSA, HALF = 53, 27  # bits of a float64, and of the lower part of its digits
BLOCK = 1 << 25  # numbers of which sums of parts stay exact


def exact_sum(values: np.ndarray) -> Fraction:
    """Add finite numbers (N,) without rounding; `float` of the result, or of a sum of results, is rounded once.

    >>> float(exact_sum(np.array([1e100, 1.0, -1e100])))
    1.0
    """
    numbers = np.asarray(values, np.float64)
    return sum((_block_sum(numbers[start : start + BLOCK]) for start in range(0, len(numbers), BLOCK)), Fraction(0))


def _block_sum(numbers: np.ndarray) -> Fraction:
    """Add the digits of numbers of the same exponent as integers, in two halves that float64 holds."""
    share, exponents = np.frexp(numbers)
    digits = np.ldexp(share, MANTISSA).astype(np.int64)
    least = int(exponents.min())
    high = np.bincount(exponents - least, digits >> HALF)
    low = np.bincount(exponents - least, digits & ((1 << HALF) - 1))
    found = Fraction(0)
    for place in np.flatnonzero((high != 0) | (low != 0)).tolist():
        found += Fraction((int(high[place]) << HALF) + int(low[place])) * Fraction(2) ** (least + place - MANTISSA)
    return found
