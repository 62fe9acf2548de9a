"""A dictionary gives codes 1, 2, 3 ... to the values of a column that comes piece by piece, as they are first seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from automtl.features.hash_table import HashTable, RangeTable
from automtl.system.hashing import hash_texts
from automtl.system.slices import slices
from automtl.tables.values.ids import as_integers, as_raw_text, as_text, finite, other_forms, unnamed

NULL = 0  # the code of a missing value


class Dictionary:
    """Codes of one column's values. Its memory grows with the values, up to about `memory_bytes`.

    Then it forgets them, and values get further codes when they are seen again: a code stands for one value, but a
    value may have several codes. Codes depend on how the column is cut; nothing that is made of them may depend on it.
    Pieces may have other types: from the first piece of another type on, values are compared as texts. A text that is
    not in canonical form has a code that no row gets. `first`: the last code that was forgotten. `size`: the number of
    codes that were given.
    """

    def __init__(self, memory_bytes: int | None = None, first: int = 0, values: pl.Series | None = None) -> None:
        """Make an empty dictionary, or restore one with codes `first` + 1, `first` + 2 ... for `values`."""
        self.memory_bytes = memory_bytes
        self.first = self.size = first
        self.dtype: pl.DataType | None = None  # in which values are compared: Int64, Float64 or String
        self.table: RangeTable | HashTable = RangeTable()
        self.same: np.ndarray | None = None  # by code since `first`, the code that rows get, where some differ
        if values is not None and values.len():
            self.dtype = values.dtype
            self.table = HashTable.of(*_keys(values))
            self.size += values.len()
            if self.texts:
                self._unify(values, 0)

    @property
    def texts(self) -> bool:
        """Tell whether values are compared as texts."""
        return self.dtype == pl.String

    @property
    def whole(self) -> bool:
        """Tell whether all values so far are whole numbers that came as such."""
        return self.dtype in (None, pl.Int64)

    def add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        """Return the codes of a raw column, (N,) int32, and the values of the new codes, in their order."""
        column = unnamed(column)
        if column.null_count() == column.len():
            return np.full(column.len(), NULL, np.int32), pl.Series([], dtype=self.dtype or pl.Int64)
        column = _comparable(column)
        if self.dtype is not None and column.dtype != self.dtype:
            self._compare_texts()
            column = as_text(column)
        self.dtype = column.dtype
        codes, fresh = zip(*map(self._add, slices(column)), strict=True)
        return (codes[0], fresh[0]) if len(codes) == 1 else (np.concatenate(codes), pl.concat(fresh))

    def _compare_texts(self) -> None:
        """Turn the keys of numbers into those of their texts."""
        if not self.texts:
            keys = pl.Series(self.table.keys if self.dtype == pl.Int64 else self.table.keys.view(np.float64))
            self.table = HashTable.of(*hash_texts(as_text(keys)))

    def _add(self, column: pl.Series) -> tuple[np.ndarray, pl.Series]:
        if self.memory_bytes is not None and self.table.num_bytes > self.memory_bytes and self.size > self.first:
            self.first, self.table, self.same = self.size, RangeTable(), None
        present = column.drop_nulls() if column.null_count() else column
        before = self.size - self.first
        found, rows = self._codes(*_keys(present))
        fresh = present.gather(rows)
        if self.texts and len(rows):
            fresh = self._unify(fresh, before)
        if self.same is not None:
            found = self.same.take(found)
        found += np.where(found > 0, np.int32(self.first), NULL) if self.same is not None else np.int32(self.first)
        if not column.null_count():
            return found, fresh
        codes = np.full(column.len(), NULL, np.int32)
        codes[column.is_not_null().to_numpy()] = found
        return codes, fresh

    def _codes(self, keys: np.ndarray, hashes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of keys since `first`, and the rows of those that are new."""
        if isinstance(self.table, RangeTable) and (hashes is not None or not self.table.reach(keys)):
            self.table = HashTable.of(self.table.keys)
        found, rows = self.table.add(keys) if hashes is None else self.table.add(keys, hashes)  # type: ignore[call-arg]
        self.size += len(rows)
        return found, rows

    def _unify(self, fresh: pl.Series, before: int) -> pl.Series:
        """Give new texts, coded from `before` + 1 on, the codes of their canonical forms; returns all new texts.

        Where all texts are canonical, as is usual, nothing is kept.
        """
        places, forms = other_forms(fresh)
        present = forms.drop_nulls()
        found, rows = self._codes(*hash_texts(present))
        if len(places) or self.same is not None:
            same = np.arange(self.size - self.first + 1, dtype=np.int32)
            if self.same is not None:
                same[: before + 1] = self.same[: before + 1]
            own = before + 1 + places
            same[own] = NULL
            same[own[forms.is_not_null().to_numpy()]] = found
            self.same = same
        return pl.concat([fresh, present.gather(rows)])


def joined_values(parts: Sequence[pl.Series]) -> pl.Series:
    """Join the new values of pieces, as texts where their types differ."""
    kept = [part for part in parts if part.len() or part.dtype == pl.String] or parts[:1]
    same = len({part.dtype for part in kept}) == 1
    return pl.concat(kept if same else [as_raw_text(part) for part in kept])


def _keys(present: pl.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """Return keys, (n,) int64, and the second hashes of texts (None for numbers)."""
    if present.dtype == pl.String:
        return hash_texts(present)
    if present.dtype == pl.Float64:
        return (present.to_numpy() + 0.0).view(np.int64), None
    return present.to_numpy(), None


def _comparable(column: pl.Series) -> pl.Series:
    """Keep whole numbers, take NaN and infinity out of floats, turn all else into text as it is written."""
    if column.dtype.is_float():
        return finite(column.cast(pl.Float64))
    integers = as_integers(column)
    return as_raw_text(column) if integers is None else integers
