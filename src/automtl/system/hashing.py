"""Hashes of 64 bits for whole numbers and texts."""

from __future__ import annotations

import numpy as np
import polars as pl

BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial of `lasting_hash`


def hash_integers(keys: np.ndarray) -> np.ndarray:
    """Hash (n,) int64 to (n,) uint64; all 64 bits of the key reach the upper bits of the hash."""
    mixed = keys.view(np.uint64) ^ (keys.view(np.uint64) >> np.uint64(32))
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return mixed


def hash_texts(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Give keys (n,) int64 and hashes (n,) uint64 of a String column."""
    key, place = (texts.alias("").hash(seed=seed).to_numpy().view(np.int64) for seed in (1, 2))
    return key, hash_integers(place)


def lasting_hash(texts: pl.Series) -> np.ndarray:
    """Hash a String column without nulls to (n,) uint64, the same on every machine and in every version.

    A polynomial in an odd base over the bytes, modulo 2^64, by differences of its prefix sums; then mixed.
    """
    content = np.frombuffer(texts.alias("").str.join("").item().encode(), np.uint8)
    sizes = texts.alias("").str.len_bytes().to_numpy().astype(np.int64)
    powers = np.full(len(content) + 1, BASE, np.uint64)
    powers[0] = 1
    np.multiply.accumulate(powers, out=powers)
    sums = np.zeros(len(content) + 1, np.uint64)
    np.cumsum((content.astype(np.uint64) + np.uint64(1)) * powers[:-1], out=sums[1:])
    ends = sizes.cumsum()
    inverse = np.full(len(content) + 1, pow(int(BASE), -1, 2**64), np.uint64)
    inverse[0] = 1
    np.multiply.accumulate(inverse, out=inverse)
    return hash_integers(((sums[ends] - sums[ends - sizes]) * inverse[ends - sizes]).view(np.int64))
