"""A random order of rows that needs no memory: a row's place in it is computed from the row's number alone.

A table that is read piece by piece is therefore split, and cut into folds, like one in memory.
"""

from __future__ import annotations

import numpy as np

from automtl.system.hashing import hash_integers

SLICE = 1 << 15  # rows at a time, so that they stay in the cache
ROUNDS = 4  # of a Feistel network; four make a pseudo-random permutation (Luby and Rackoff 1988)


def permuted(rows: np.ndarray, total: int, seed: int) -> np.ndarray:
    """Return the place, (n,) int64, of each row number below `total` in the order that `seed` gives to `total` rows.

    A Feistel network permutes the smallest 4^b numbers that hold `total`; a place beyond `total` is permuted again.
    """
    half = np.uint64(max((total - 1).bit_length() + 1, 2) // 2)
    keys = np.random.default_rng(seed).integers(0, 2**63, ROUNDS).astype(np.uint64)
    places = np.array(rows, np.uint64)
    for start in range(0, len(places), SLICE):
        here = places[start : start + SLICE]
        beyond = np.arange(len(here))
        while len(beyond):
            here[beyond] = mixed = _feistel(here[beyond], half, keys)
            beyond = beyond[mixed >= np.uint64(total)]
    return places.view(np.int64)


def seeded_hash(numbers: np.ndarray, seed: int) -> np.ndarray:
    """Hash (n,) int64 numbers to (n,) uint64, differently for each seed."""
    key = np.random.default_rng(seed).integers(0, 2**63)
    return hash_integers(hash_integers(numbers).view(np.int64) ^ key)


def _feistel(numbers: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    low_bits = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & low_bits
    for key in keys:
        mixed = hash_integers((right ^ key).view(np.int64)) >> (np.uint64(64) - half)
        left, right = right, left ^ mixed
    return (left << half) | right
