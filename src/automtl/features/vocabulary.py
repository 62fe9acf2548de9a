"""Values to ids: 0 is missing, 1 is unknown, known values start at 2, then come the ids of hashed values, if any.

A whole number is one value whether it comes as an integer, a whole float or a text; on the way it stays a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.features.hash_table import HashTable
from automtl.features.ordering import vocabulary_order
from automtl.system.hashing import hash_integers, hash_texts, lasting_hash
from automtl.system.slices import SLICE, slices
from automtl.tables.columns import as_integers, as_text, whole_texts

MISSING, UNKNOWN, FIRST = 0, 1, 2
WIDEST = 1 << 24  # the widest range of whole numbers that is counted in an array, not in a hash table


class Vocabulary:
    """The known values of one field, most frequent first; ties: whole numbers by size, then texts by their bytes.

    `values`: Int64 where all are whole numbers, else String; the i-th has id FIRST + i. Where `hashed` is above 0, no
    value is unknown: those without an id of their own share so many by their hash.
    """

    def __init__(self, values: Sequence[str] | pl.Series, hashed: int = 0) -> None:
        if not isinstance(values, pl.Series):
            values = pl.Series("value", values, dtype=pl.String)
        if values.dtype == pl.String:
            values = _whole_if_all(values)
        self.values = values.alias("value")
        self.hashed = hashed

    def __len__(self) -> int:
        """Number of ids, those for missing and unknown included."""
        return FIRST + self.values.len() + self.hashed

    def cut(self, most: int, hashed: int) -> Vocabulary:
        """The `most` most frequent values; if there are more, those left over are hashed into `hashed` ids."""
        return self if self.values.len() <= most else Vocabulary(self.values.head(most), hashed)

    @staticmethod
    def fit(column: pl.Series, min_count: int) -> Vocabulary:
        """All values of a raw column that occur at least `min_count` times."""
        return _fit_window(column, min_count) or Vocabulary.fit_parts(slices(column), min_count)

    @staticmethod
    def fit_encode(column: pl.Series, min_count: int, out: np.ndarray) -> Vocabulary:
        """`fit`, and the ids of the column itself into `out`, (N,) int32, without looking each value up again."""
        vocabulary, by_code = _fit_window(column, min_count), None
        if vocabulary is None:
            counter = Counter()
            for start, part in zip(range(0, column.len(), SLICE), slices(column)):
                out[start : start + SLICE] = counter.add(part)
            vocabulary, by_code = counter.vocabulary(min_count), counter.ids
        for start, part in zip(range(0, column.len(), SLICE), slices(column)):
            ids = vocabulary.encode(part) if by_code is None else by_code.take(out[start : start + SLICE])
            out[start : start + SLICE] = ids
        return vocabulary

    @staticmethod
    def fit_parts(parts: Iterable[pl.Series], min_count: int) -> Vocabulary:
        """The same from slices of a column, of which one at a time is looked at."""
        counter = Counter()
        for part in parts:
            counter.add(part)
        return counter.vocabulary(min_count)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The values for a file: whole numbers, or texts as their bytes and where each one ends."""
        if self.values.dtype == pl.Int64:
            return {"values": self.values.to_numpy()}
        content = self.values.str.join("").item() if self.values.len() else ""
        ends = self.values.str.len_bytes().to_numpy().astype(np.int64).cumsum()
        return {"bytes": np.frombuffer(content.encode(), np.uint8), "ends": ends}

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray], hashed: int = 0) -> Vocabulary:
        """The inverse of `to_arrays`. Raises KeyError or ValueError where they are damaged."""
        if "values" in arrays:
            return Vocabulary(pl.Series(arrays["values"], dtype=pl.Int64), hashed)
        ends, content = np.concatenate([np.zeros(1, np.int64), arrays["ends"]]), arrays["bytes"]
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(content))]
        texts = pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)
        texts.validate(full=True)
        return Vocabulary(pl.Series(texts, dtype=pl.String), hashed)

    def encode(self, column: pl.Series) -> np.ndarray:
        """(N,) int32 ids of a raw column; never fails on a value that was not seen."""
        return np.concatenate([np.zeros(0, np.int32), *map(self._encode_slice, slices(column))])

    def _encode_slice(self, column: pl.Series) -> np.ndarray:
        integers = as_integers(column)
        if integers is not None:
            missing = integers.is_null() if integers.null_count() else None
            ids = self._by_integer.ids(integers.fill_null(0).to_numpy())
        else:
            texts = as_text(column)
            missing = texts.is_null() if texts.null_count() else None
            ids = np.maximum(self._by_text.find(*hash_texts(texts)), UNKNOWN)
        if missing is not None:
            ids[missing.to_numpy()] = MISSING
        if self.hashed:
            self.share_unknown(column, ids)
        return ids

    def share_unknown(self, column: pl.Series, ids: np.ndarray) -> None:
        """Give the unknown values the ids of their hashes, in place."""
        unknown = np.flatnonzero(ids == UNKNOWN)
        if len(unknown):
            hashes = lasting_hash(as_text(column.gather(unknown)))
            ids[unknown] = FIRST + self.values.len() + (hashes % np.uint64(self.hashed)).astype(np.int32)

    @cached_property
    def _by_integer(self) -> _Window | _Scattered:
        numbers = self.values if self.values.dtype == pl.Int64 else whole_texts(self.values)
        whole = np.flatnonzero(numbers.is_not_null().to_numpy())
        keys, ids = numbers.drop_nulls().to_numpy(), (whole + FIRST).astype(np.int32)
        low, high = (int(keys.min()), int(keys.max())) if len(keys) else (0, 0)
        if high - low < 4 * len(keys) + SLICE:
            return _Window(keys, ids, low, high)
        return _Scattered(_table(keys, hash_integers(keys), ids))

    @cached_property
    def _by_text(self) -> HashTable:
        last = FIRST + self.values.len()
        return _table(*hash_texts(self.values.cast(pl.String)), np.arange(FIRST, last, dtype=np.int32))


class _Window:
    """Ids of whole numbers between `low` and `high`, in an array."""

    def __init__(self, keys: np.ndarray, ids: np.ndarray, low: int, high: int) -> None:
        self._low = np.int64(low).view(np.uint64)
        self._ids = np.full(high - low + 2, UNKNOWN, np.int32)  # the last stands for all outside
        self._ids[keys.view(np.uint64) - self._low] = ids

    def ids(self, keys: np.ndarray) -> np.ndarray:
        place = np.minimum(keys.view(np.uint64) - self._low, np.uint64(len(self._ids) - 1))
        ids: np.ndarray = self._ids.take(place.view(np.int64))
        return ids


class _Scattered:
    """Ids of whole numbers that lie far apart."""

    def __init__(self, codes: HashTable) -> None:
        self._codes = codes

    def ids(self, keys: np.ndarray) -> np.ndarray:
        ids: np.ndarray = np.maximum(self._codes.find(keys, hash_integers(keys)), UNKNOWN)
        return ids


class Counter:
    """How often each value occurs, counted a slice at a time; memory grows with the values, not with the rows.

    `ids`: once the vocabulary is made, the id of each code that `add` returned; None where forms were mixed.
    """

    def __init__(self) -> None:
        self._integers, self._texts = HashTable(), HashTable()
        self._values: list[pl.Series] = [pl.Series(dtype=pl.String)]
        self.ids: np.ndarray | None = None

    def add(self, part: pl.Series) -> np.ndarray:
        """Count the values of a raw column. (n,) int32: a code for each row, 0 for null."""
        integers = as_integers(part)
        if integers is not None:
            keys = integers.drop_nulls().to_numpy()
            codes, _ = self._integers.count(keys, hash_integers(keys))
            return _spread(codes, integers)
        texts = as_text(part)
        present = texts.drop_nulls()
        codes, fresh = self._texts.count(*hash_texts(present))
        self._values.append(present.gather(fresh))
        return _spread(codes, texts)

    def vocabulary(self, min_count: int) -> Vocabulary:
        """The values of at least `min_count` rows. Ends the counting: its table may become the vocabulary's."""
        integers = _counted(pl.Series(self._integers.keys), self._integers)
        texts = _counted(pl.concat(self._values), self._texts)
        kept = _frequent(integers, texts, min_count)
        vocabulary = Vocabulary(kept["value"])
        if (integers.height and texts.height) or kept["code"].null_count():
            return vocabulary
        table = self._integers if integers.height else self._texts
        self.ids = _ids_by_code(kept["code"], table.size)
        if 2 * kept.height >= table.size:  # else one that is made when it is needed will be much smaller
            table.relabel(self.ids[1:])
            vocabulary.__dict__.update({"_by_integer": _Scattered(table)} if integers.height else {"_by_text": table})
        return vocabulary


def _whole_if_all(texts: pl.Series) -> pl.Series:
    """Int64 if every text is one; the first rows mostly tell."""
    if whole_texts(texts.head(100)).null_count():
        return texts
    numbers = whole_texts(texts)
    return texts if numbers.null_count() else numbers


def _table(keys: np.ndarray, hashes: np.ndarray, ids: np.ndarray) -> HashTable:
    table = HashTable(len(keys))
    codes, _ = table.add(keys, hashes)
    by_code = np.empty(table.size, np.int32)
    by_code[codes - 1] = ids
    table.relabel(by_code)
    return table


def _ids_by_code(codes: pl.Series, size: int) -> np.ndarray:
    """(size + 1,) int32: the id of each code; `codes` are in the order of ids, others are unknown, 0 is missing."""
    ids = np.full(size + 1, UNKNOWN, np.int32)
    ids[0] = MISSING
    ids[codes.to_numpy()] = np.arange(FIRST, FIRST + codes.len(), dtype=np.int32)
    return ids


def _counted(values: pl.Series, codes: HashTable) -> pl.DataFrame:
    """Columns value, rows and code."""
    rows, code = pl.Series("rows", codes.counts[1 : codes.size + 1]), np.arange(1, codes.size + 1)
    return pl.DataFrame([values.alias("value"), rows, pl.Series("code", code, dtype=pl.Int64)])


def _spread(codes: np.ndarray, column: pl.Series) -> np.ndarray:
    """HashTable of the rows that are not null, to all rows."""
    if column.null_count() == 0:
        return codes
    spread = np.zeros(column.len(), np.int32)
    spread[column.is_not_null().to_numpy()] = codes
    return spread


def _fit_window(column: pl.Series, min_count: int) -> Vocabulary | None:
    """The vocabulary of whole numbers that lie near together; None for other columns."""
    if not column.dtype.is_integer() or column.len() == column.null_count():
        return None
    low, high = int(column.min()), int(column.max())  # type: ignore[arg-type]
    if low < -(2**63) or high >= 2**63 or high - low >= min(max(column.len(), SLICE), WIDEST):
        return None
    no_texts = _counted(pl.Series(dtype=pl.String), HashTable())
    return Vocabulary(_frequent(_count_window(column, low, high), no_texts, min_count)["value"])


def _count_window(column: pl.Series, low: int, high: int) -> pl.DataFrame:
    """Values and rows of whole numbers from `low` to `high`."""
    counts = np.zeros(high - low + 1, np.int64)
    for part in slices(column):
        place = part.drop_nulls().cast(pl.Int64).to_numpy() - low
        if len(counts) <= SLICE:
            counts += np.bincount(place, minlength=len(counts))
        else:
            np.add.at(counts, place, 1)
    seen = np.flatnonzero(counts)
    return pl.DataFrame({"value": seen + low, "rows": counts[seen], "code": seen})


def _frequent(integers: pl.DataFrame, texts: pl.DataFrame, min_count: int) -> pl.DataFrame:
    """The values of at least `min_count` rows in the order of their ids; code is null where texts became numbers."""
    numbers = whole_texts(texts["value"])
    if numbers.null_count() < texts.height:
        moved = texts.with_columns(value=numbers).filter(numbers.is_not_null())
        merged = pl.concat([integers, moved]).group_by("value").agg(pl.col("rows").sum())
        integers, texts = merged.with_columns(code=pl.lit(None, dtype=pl.Int64)), texts.filter(numbers.is_null())
    integers, texts = (part.filter(part["rows"] >= min_count) for part in (integers, texts))
    if texts.height:
        integers = integers.with_columns(pl.col("value").cast(pl.String))
    together = pl.concat([integers, texts]) if texts.height else integers
    return together[vocabulary_order(together["value"], together["rows"].to_numpy())]
