"""A dictionary gives codes 1, 2, 3 ... to the values of a column that comes piece by piece, as they are first seen."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.features.hash_table import HashTable, RangeTable
from automtl.system.hashing import hash_texts
from automtl.system.slices import slices
from automtl.tables.columns import as_text, finite

NULL = 0  # the code of a missing value
WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Boolean)


class Dictionary:
    """Codes of one column's values. Its memory grows with the values, up to about `memory_bytes`.

    Then it forgets them, and values get further codes when they are seen again: a code stands for one value, but a
    value may have several codes. Codes depend on how the column is cut; nothing that is made of them may depend on it.
    `first`: the last code that was forgotten. `size`: the number of codes that were given.
    """

    def __init__(self, memory_bytes: int | None = None, first: int = 0, values: pl.Series | None = None) -> None:
        """Make an empty dictionary, or restore one with codes `first` + 1, `first` + 2 ... for `values`."""
        self.memory_bytes = memory_bytes
        self.first = self.size = first
        self.texts = False  # whether its values are texts
        self.table: RangeTable | HashTable = RangeTable()
        if values is not None and values.len():
            self.table = HashTable.of(*_keys(values))
            self.size += values.len()

    def add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        """Return the codes of a raw column, (N,) int32, and the values of the new codes, in their order."""
        column = _comparable(column)
        self.texts = column.dtype == pl.String
        if column.len() == 0:
            return np.empty(0, np.int32), column
        codes, fresh = zip(*map(self._add, slices(column)), strict=True)
        return (codes[0], fresh[0]) if len(codes) == 1 else (np.concatenate(codes), pl.concat(fresh))

    def _add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        if self.memory_bytes is not None and self.table.num_bytes > self.memory_bytes and self.size > self.first:
            self.first, self.table = self.size, RangeTable()
        present = column.drop_nulls() if column.null_count() else column
        keys, hashes = _keys(present)
        if isinstance(self.table, RangeTable) and (hashes is not None or not self.table.reach(keys)):
            self.table = HashTable.of(self.table.keys)
        found, rows = self.table.add(keys) if hashes is None else self.table.add(keys, hashes)  # type: ignore[call-arg]
        self.size += len(rows)
        found += np.int32(self.first)
        if not column.null_count():
            return found, present.gather(rows)
        codes = np.full(column.len(), NULL, np.int32)
        codes[column.is_not_null().to_numpy()] = found
        return codes, present.gather(rows)


def _keys(present: pl.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """Return keys, (n,) int64, and the second hashes of texts (None for numbers)."""
    if present.dtype == pl.String:
        return hash_texts(present)
    if present.dtype.is_float():
        return (present.cast(pl.Float64).to_numpy() + 0.0).view(np.int64), None
    if present.dtype == pl.UInt64:
        return present.to_numpy().view(np.int64), None
    return present.cast(pl.Int64).to_numpy(), None


def _comparable(column: pl.Series) -> pl.Series:
    """Keep whole numbers and booleans, take NaN and infinity out of floats, turn all else into text."""
    if column.dtype.is_float():
        return finite(column)
    return column if column.dtype in WHOLE else as_text(column)
