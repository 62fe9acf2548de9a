"""Groups of rows by number."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.data.codes import Codes, hash_integers, hash_texts
from automtl.data.columns import as_text
from automtl.data.vocabulary import slices


class Numbering:
    """A number for each value of a group column, from 1; 0 for null. Which one a value gets hangs on the slices."""

    def __init__(self) -> None:
        self._codes = Codes()

    def number(self, column: pl.Series) -> np.ndarray:
        """(N,) int64. The same value has the same number in every column of one type that is given."""
        return np.concatenate([np.zeros(0, np.int64), *map(self._number, slices(column))])

    def _number(self, part: pl.Series) -> np.ndarray:
        numbers = np.zeros(part.len(), np.int64)
        if part.dtype in (pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8):
            keys = part.drop_nulls().cast(pl.Int64).to_numpy()
            present, hashes = part.is_not_null(), hash_integers(keys)
        else:
            texts = as_text(part)
            present, (keys, hashes) = texts.is_not_null(), hash_texts(texts.drop_nulls())
        numbers[present.to_numpy()] = self._codes.add(keys, hashes)[0]
        return numbers
