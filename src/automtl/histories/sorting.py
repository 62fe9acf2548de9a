"""Sorting of whole numbers, and marks and sums along what is sorted. n places."""

from __future__ import annotations

import numpy as np

DIGIT = 16  # bits that numpy sorts by counting
LEAST = np.iinfo(np.int64).min
FEW = 1 << DIGIT  # numbers that are sorted by comparing


def sorted_order(numbers: np.ndarray) -> np.ndarray:
    """Return the order, (n,), that sorts (n,) int64; equal numbers stay in theirs."""
    if len(numbers) < FEW or (numbers[1:] >= numbers[:-1]).all():
        return np.argsort(numbers, kind="stable")
    above = (numbers - numbers.min()).view(np.uint64)
    return _by_digits(above, range(0, int(above.max()).bit_length(), DIGIT))


def hashes_order(hashes: np.ndarray) -> np.ndarray:
    """Return what `sorted_order` does, quicker where the upper bits tell different numbers apart, as of hashes."""
    if len(hashes) < FEW:
        return np.argsort(hashes, kind="stable")
    order = _by_digits((hashes ^ LEAST).view(np.uint64), range(DIGIT, 64, DIGIT))
    found = hashes.take(order)
    apart = np.count_nonzero(changes(found)) == np.count_nonzero(changes(found >> DIGIT))
    return order if apart else sorted_order(hashes)


def _by_digits(numbers: np.ndarray, shifts: range) -> np.ndarray:
    """Sort (n,) uint64 by their digits from these bits on, the last one first."""
    order = np.arange(len(numbers))
    for place, shift in enumerate(shifts):
        digit = (numbers >> np.uint64(shift)).astype(np.uint16)
        by_digit = np.argsort(digit.take(order) if place else digit, kind="stable")
        order = order.take(by_digit) if place else by_digit
    return order


def changes(values: np.ndarray) -> np.ndarray:
    """Tell where a value differs from the one before it, (n,) bool; the first does."""
    found = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def tied_places(new: np.ndarray) -> np.ndarray:
    """Return the places of what is equal to a neighbour. new: (n,), what differs from the one before it."""
    return np.flatnonzero(~(new & np.append(new[1:], True)[: len(new)]))


def refine(order: np.ndarray, new: np.ndarray, column: np.ndarray) -> None:
    """Sort equal rows by a column, (N,) of 32 bits, in place. order: (n,), rows in order; new: as of `tied_places`."""
    tied = tied_places(new)
    rows = order.take(tied)
    numbers = (running(new.take(tied))[1:] << 32) | column.take(rows).astype(np.int64)
    if (numbers[1:] < numbers[:-1]).any():
        by_number = sorted_order(numbers)
        order[tied], numbers = rows.take(by_number), numbers.take(by_number)
    new[tied] = changes(numbers)


def different(rising: np.ndarray) -> np.ndarray:
    """Return the different numbers among rising ones."""
    return rising.compress(changes(rising))


def places_of(wanted: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """Return the places at which rising numbers, (n,), are one of the wanted ones."""
    if len(rising) == 0:
        return np.zeros(0, np.int64)
    wanted = different(np.sort(wanted)) if len(wanted) > 1 else wanted
    first, last = (np.searchsorted(rising, wanted, side) for side in ("left", "right"))
    sizes = last - first
    return np.repeat(first - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())


def latest(marked: np.ndarray, none: int = 0) -> np.ndarray:
    """Return, for each place, the last place up to it that is marked, (..., n); `none`, 0 or less, without one."""
    return np.maximum.accumulate(np.where(marked, np.arange(marked.shape[-1]), none), axis=-1)


def running(terms: np.ndarray) -> np.ndarray:
    """Return the sums, (..., n + 1) int64, of the terms, (..., n), before each place."""
    sums = np.zeros((*terms.shape[:-1], terms.shape[-1] + 1), np.int64)
    np.cumsum(terms, axis=-1, out=sums[..., 1:])
    return sums
