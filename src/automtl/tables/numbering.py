"""Groups of rows by number."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.system.hashing import hash_integers, lasting_hash
from automtl.system.slices import slices
from automtl.tables.columns import as_text

NOT_ZERO = np.int64(0x5851F42D4C957F2D)  # so that the group 0 does not have the number of null


def group_numbers(column: pl.Series) -> np.ndarray:
    """(N,) int64: a number for each value of a group column, 0 for null.

    It comes from the value alone, so that a column read in pieces has the numbers of the whole. Whole numbers never
    share one; two of ten million texts do with a chance of about 3e-6.
    """
    return np.concatenate([np.zeros(0, np.int64), *map(_numbers, slices(column))])


def _numbers(part: pl.Series) -> np.ndarray:
    numbers = np.zeros(part.len(), np.int64)
    if part.dtype.is_integer() and part.dtype not in (pl.UInt64, pl.Int128):
        present = part.is_not_null().to_numpy()
        keys = part.drop_nulls().cast(pl.Int64).to_numpy()
        numbers[present] = hash_integers(keys ^ NOT_ZERO).view(np.int64)
        return numbers
    texts = as_text(part)
    numbers[texts.is_not_null().to_numpy()] = lasting_hash(texts.drop_nulls()).view(np.int64)
    return numbers
