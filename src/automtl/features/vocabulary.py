"""A vocabulary maps values to ids: 0 is missing, 1 unknown, known values start at 2, then come ids of hashed values.

A value is the same in every form in which it comes (`tables.values.ids`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.features.hash_table import HashTable, RangeTable
from automtl.system.hashing import hash_texts, lasting_hash
from automtl.system.slices import SLICE, slices
from automtl.tables.values.ids import (
    TEXTS,
    as_integers,
    as_raw_text,
    as_text,
    likely_places,
    other_forms,
    unnamed,
    whole_texts,
)

MISSING, UNKNOWN, FIRST = 0, 1, 2


class Vocabulary:
    """The known values of one field, most frequent first; ties: whole numbers by size, then texts by their bytes.

    `values`: Int64 where all are whole numbers, else String; the i-th has id FIRST + i. If `hashed` is above 0, no
    value is unknown: values without an id of their own share that many ids by their hash.
    """

    def __init__(self, values: Sequence[str] | pl.Series, hashed: int = 0) -> None:
        if not isinstance(values, pl.Series):
            values = pl.Series("value", values, dtype=pl.String)
        if values.dtype == pl.String:
            values = _whole_if_all(values)
        self.values = values.alias("value")
        self.hashed = hashed

    def __len__(self) -> int:
        """Return the number of ids, including those of missing, unknown and hashed values."""
        return FIRST + self.values.len() + self.hashed

    def joined(self, earlier: Vocabulary, most: int) -> Vocabulary:
        """Add the values of an earlier vocabulary that are not known, after those that are; at most `most` in all."""
        new = earlier.values.filter(pl.Series(self._alone.encode(earlier.values) == UNKNOWN))
        kind = pl.Int64 if self.values.dtype == new.dtype == pl.Int64 else pl.String
        values = pl.concat([self.values.cast(kind), new.cast(kind)]).head(max(most, self.values.len()))
        return Vocabulary(values, max(self.hashed, earlier.hashed))

    @property
    def _alone(self) -> Vocabulary:
        """The known values alone, without hashed ones."""
        return Vocabulary(self.values) if self.hashed else self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the values as arrays for a file: whole numbers, or the bytes of texts and the end of each."""
        if self.values.dtype == pl.Int64:
            return {"values": self.values.to_numpy()}
        content = self.values.str.join("").item() if self.values.len() else ""
        ends = self.values.str.len_bytes().to_numpy().astype(np.int64).cumsum()
        return {"bytes": np.frombuffer(content.encode(), np.uint8), "ends": ends}

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray], hashed: int = 0) -> Vocabulary:
        """Build the vocabulary that `to_arrays` described. Raises KeyError or ValueError for damaged arrays."""
        for name, kind in (("values", np.int64), ("ends", np.int64), ("bytes", np.uint8)):
            if name in arrays and (arrays[name].dtype != kind or arrays[name].ndim != 1):
                raise ValueError(f"'{name}' of a vocabulary is {arrays[name].dtype} of shape {arrays[name].shape}")
        if "values" in arrays:
            return Vocabulary(pl.Series(arrays["values"], dtype=pl.Int64), hashed)
        ends, content = np.concatenate([np.zeros(1, np.int64), arrays["ends"]]), arrays["bytes"]
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(content))]
        texts = pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)
        texts.validate(full=True)
        return Vocabulary(pl.Series(texts, dtype=pl.String), hashed)

    def encode(self, column: pl.Series) -> np.ndarray:
        """Return the ids of a raw column, (N,) int32; never fails on an unseen value."""
        return np.concatenate([np.zeros(0, np.int32), *map(self._encode_slice, slices(unnamed(column)))])

    def _encode_slice(self, column: pl.Series) -> np.ndarray:
        integers = as_integers(column)
        values = as_raw_text(column) if integers is None else integers
        if integers is not None:
            filled = integers.fill_null(0) if integers.null_count() else integers
            ids = self._by_integer.find(filled.to_numpy())
        else:
            ids = self._by_text.find(*hash_texts(values))
        if integers is None or isinstance(self._by_integer, HashTable):
            np.maximum(ids, UNKNOWN, out=ids)
        if values.null_count():
            ids[values.is_null().to_numpy()] = MISSING
        if column.dtype in TEXTS:
            self._find_other_forms(values, ids)
        if self.hashed:
            self.share_unknown(column, ids)
        return ids

    def _find_other_forms(self, texts: pl.Series, ids: np.ndarray) -> None:
        """Look up, in place, the canonical forms of texts that are not known as they are written."""
        unknown = likely_places(texts, np.flatnonzero(ids == UNKNOWN))
        places, forms = other_forms(texts.gather(unknown)) if len(unknown) else (unknown, texts)
        if len(places):
            found = np.maximum(self._by_text.find(*hash_texts(forms)), UNKNOWN)
            ids[unknown[places]] = np.where(forms.is_null().to_numpy(), MISSING, found)

    def share_unknown(self, column: pl.Series, ids: np.ndarray) -> None:
        """Give unknown values the ids of their hashes, in place."""
        unknown = np.flatnonzero(ids == UNKNOWN)
        texts = as_text(unnamed(column).gather(unknown))
        unknown, texts = unknown[texts.is_not_null().to_numpy()], texts.drop_nulls()
        if len(unknown):
            hashes = lasting_hash(texts)
            ids[unknown] = FIRST + self.values.len() + (hashes % np.uint64(self.hashed)).astype(np.int32)

    def adopt(self, table: HashTable, ids: np.ndarray, texts: bool) -> None:
        """Look values up in an existing table of keys from now on; ids: the id of each of its codes."""
        table.relabel(ids)
        self.__dict__["_by_text" if texts else "_by_integer"] = table

    @cached_property
    def _by_integer(self) -> RangeTable | HashTable:
        numbers = self.values if self.values.dtype == pl.Int64 else whole_texts(self.values)
        ids = (np.flatnonzero(numbers.is_not_null().to_numpy()) + FIRST).astype(np.int32)
        keys = numbers.drop_nulls().to_numpy()
        if len(keys) == 0 or int(keys.max()) - int(keys.min()) < 4 * len(keys) + SLICE:
            return RangeTable.of(keys, ids, UNKNOWN)
        table = HashTable.of(keys)
        table.relabel(ids)
        return table

    @cached_property
    def _by_text(self) -> HashTable:
        table = HashTable.of(*hash_texts(self.values.cast(pl.String)))
        table.relabel(np.arange(FIRST, FIRST + self.values.len(), dtype=np.int32))
        return table


def _whole_if_all(texts: pl.Series) -> pl.Series:
    """Convert to Int64 if every text is a whole number, which the first rows mostly tell."""
    if whole_texts(texts.head(100)).null_count():
        return texts
    numbers = whole_texts(texts)
    return texts if numbers.null_count() else numbers
