"""Values of a column that comes piece by piece, as codes 1, 2, 3 ... about as they are first seen."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.features.hash_table import HashTable, gathered
from automtl.features.vocabulary import WIDEST
from automtl.system.hashing import hash_integers, hash_texts
from automtl.system.slices import SLICE, slices
from automtl.tables.columns import as_text

NULL = 0  # the code of a missing value
WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Boolean)


class Dictionary:
    """HashTable of one column. Its memory grows with the values, up to about `memory_bytes`.

    Then it forgets them, and values get further codes when they are seen again: a code stands for one value, but a
    value may have several codes. Which code a value gets hangs on the pieces; nothing that is made of codes may.
    `first`: codes below this or equal to it were forgotten. `size`: codes that were given.
    """

    def __init__(self, memory_bytes: int, first: int = 0, values: pl.Series | None = None) -> None:
        """Empty, or as it was with codes `first` + 1, `first` + 2 ... for `values`."""
        self.memory_bytes = memory_bytes
        self.first = self.size = first
        self._table: _Window | HashTable = _Window()
        if values is not None and values.len():
            self._table = _hashed(*_keys(values))
            self.size += values.len()

    def add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        """(N,) int32 codes of a raw column, and the values of the codes that are new, in their order."""
        column = _comparable(column)
        if column.len() == 0:
            return np.empty(0, np.int32), column
        codes, fresh = zip(*map(self._add, slices(column)), strict=True)
        return (codes[0], fresh[0]) if len(codes) == 1 else (np.concatenate(codes), pl.concat(fresh))

    @property
    def num_bytes(self) -> int:
        """Of its tables; the values themselves are kept elsewhere."""
        return self._table.num_bytes

    def _forget(self) -> None:
        self.first, self._table = self.size, _Window()

    def _add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        if self.num_bytes > self.memory_bytes and self.size > self.first:
            self._forget()
        present = column.drop_nulls() if column.null_count() else column
        keys, hashes = _keys(present)
        if isinstance(self._table, _Window) and (hashes is not None or not self._table.reach(keys)):
            self._table = _hashed(self._table.keys, None)
        if isinstance(self._table, _Window):
            found, rows = self._table.add(keys)
        else:
            found, rows = self._table.add(keys, hash_integers(keys) if hashes is None else hashes)
        self.size += len(rows)
        found += np.int32(self.first)
        if not column.null_count():
            return found, present.gather(rows)
        codes = np.full(column.len(), NULL, np.int32)
        codes[column.is_not_null().to_numpy()] = found
        return codes, present.gather(rows)


def _hashed(keys: np.ndarray, hashes: np.ndarray | None) -> HashTable:
    """A hash table of keys that all differ."""
    return HashTable.of(keys, hash_integers(keys) if hashes is None else hashes)


def _keys(present: pl.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """(n,) int64; and, of texts, their second hashes."""
    if present.dtype == pl.String:
        return hash_texts(present)
    if present.dtype.is_float():
        return (present.cast(pl.Float64).to_numpy() + 0.0).view(np.int64), None
    if present.dtype == pl.UInt64:
        return present.to_numpy().view(np.int64), None
    return present.cast(pl.Int64).to_numpy(), None


def _comparable(column: pl.Series) -> pl.Series:
    """Whole numbers and truth values as they are, floats without NaN and infinity, all else as text."""
    if column.dtype.is_float():
        finite = column.is_finite()
        return column if finite.all() else column.set((~finite).fill_null(False), None)
    return column if column.dtype in WHOLE else as_text(column)


class _Window:
    """HashTable of whole numbers that lie near together, in an array."""

    def __init__(self) -> None:
        self.size, self._low = 0, 0
        self._codes = np.zeros(0, np.int32)

    @property
    def num_bytes(self) -> int:
        return self._codes.nbytes

    @property
    def keys(self) -> np.ndarray:
        """(V,) int64, in the order of their codes."""
        taken = np.flatnonzero(self._codes)
        keys = np.empty(self.size, np.int64)
        keys[self._codes[taken] - 1] = taken + self._low
        return keys

    def reach(self, keys: np.ndarray) -> bool:
        """Make room for these; False where they lie too far apart."""
        if len(keys) == 0:
            return True
        low, high = int(keys.min()), int(keys.max())
        if len(self._codes):
            low, high = min(low, self._low), max(high, self._low + len(self._codes) - 1)
        if high - low >= WIDEST:
            return False
        if high - low >= len(self._codes):
            room = min(WIDEST, max(high - low + 1, min(2 * (high - low), high - low + SLICE)))
            codes = np.zeros(room, np.int32)
            start = self._low - low if len(self._codes) else 0
            codes[start : start + len(self._codes)] = self._codes
            self._low, self._codes = low, codes
        return True

    def add(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 codes of all keys, and the rows at which new ones stand, in the order of their codes."""
        place = keys - self._low
        found = gathered(self._codes, place)
        rows = np.flatnonzero(found == 0)
        if len(rows):
            new = place.take(rows)
            claims = np.arange(1, len(rows) + 1, dtype=np.int32)
            self._codes[new] = claims  # where several rows want a place, one of them stays
            rows = rows[self._codes.take(new) == claims]
            self._codes[place.take(rows)] = np.arange(self.size + 1, self.size + len(rows) + 1, dtype=np.int32)
            self.size += len(rows)
            found = self._codes.take(place)
        return found, rows
