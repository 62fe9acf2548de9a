"""Counting and ranking of columns of ids: values in the order of a vocabulary. V values.

Every vocabulary of a column, whatever its `min_count` and `max_ids`, is a beginning of the column's ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from automtl.features.ordering import vocabulary_order
from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN
from automtl.tables.roles import TRAIN, Chunk
from automtl.tables.values.ids import as_integers, as_text

NOT_RANKED = -1  # the rank of a code whose value is too rare


@dataclass(frozen=True)
class Ranking:
    """The values of a column in the order of a vocabulary, (V,): of `distinct` values, those for which there is room.

    `rank`: (codes + 1,) int32 by code, the first is unused. `rows`: (V,), the training rows of each value, or elements
    of their lists. `present`: those of all values.
    """

    values: pl.Series
    distinct: int
    rank: np.ndarray
    rows: np.ndarray
    present: int

    def most(self, min_count: int) -> int:
        """Count the values of at least `min_count` training rows; if all ranked ones have so many, all values."""
        enough = int(np.searchsorted(-self.rows, -min_count, side="right"))
        return enough if enough < self.values.len() else self.distinct

    def ids(self, known: int) -> np.ndarray:
        """Return ids by code, (codes + 1,) int32, if the first `known` values have an id."""
        ids = np.where((self.rank >= 0) & (self.rank < known), self.rank + FIRST, UNKNOWN).astype(np.int32)
        ids[0] = MISSING
        return ids


@dataclass(frozen=True)
class Counted:
    """Different values, Int64 or String, with their training `rows`, (V,), and one of their `codes`, (V,), each."""

    values: pl.Series
    rows: np.ndarray
    codes: np.ndarray

    @staticmethod
    def of(values: pl.Series, codes: np.ndarray, counts: np.ndarray, several: bool, min_count: int = 1) -> Counted:
        """Count values and keep those of at least `min_count` training rows. `several`: a value may have many codes."""
        rows = counts.take(codes)
        if several:
            groups = (
                values.to_frame("value").with_row_index("place").group_by("value", maintain_order=True).agg("place")
            )
            group = np.repeat(np.arange(groups.height), groups["place"].list.len().to_numpy())
            place = groups["place"].explode().to_numpy()
            merged = np.zeros(groups.height, rows.dtype)
            np.add.at(merged, group, rows[place])
            values, rows, codes = groups["value"], merged, codes[groups["place"].list.first().to_numpy()]
        kept = np.flatnonzero(rows >= min_count)
        if len(kept) == len(codes):
            return Counted(values, rows, codes)
        return Counted(values.gather(kept), rows.take(kept), codes.take(kept))

    def first(self, most: int | None, *others: Counted) -> Counted:
        """Select the `most` most frequent of these and other values, in the order of a vocabulary."""
        values, rows, codes = self.values, self.rows, self.codes
        if others:
            every = (self, *others)
            values = pl.concat([one.values for one in every])
            rows = np.concatenate([one.rows for one in every])
            codes = np.concatenate([one.codes for one in every])
        order = vocabulary_order(values, rows)[:most]
        return Counted(values.gather(order), rows.take(order), codes.take(order))

    def ranking(self, distinct: int, counts: np.ndarray) -> Ranking:
        """Make a ranking of values that are in order already."""
        rank = np.full(len(counts), NOT_RANKED, np.int32)
        rank[self.codes] = np.arange(self.values.len(), dtype=np.int32)
        return Ranking(self.values, distinct, rank, self.rows, int(counts[1:].sum()))


def count_codes(chunks: Sequence[Chunk], place: int, size: int, *, lists: bool) -> np.ndarray:
    """Count training rows, or elements of their lists, by code: (codes + 1,)."""
    large = lists or sum(chunk.rows for chunk in chunks) >= 2**31
    counts: np.ndarray = np.zeros(size + 1, np.int64 if large else np.int32)
    for chunk in chunks:
        codes, trained = chunk.array(f"ids.{place}"), chunk.part == TRAIN
        if not trained.all():
            codes = codes.compress(np.repeat(trained, chunk.array(f"sizes.{place}")) if lists else trained)
        if counts.size < len(codes):
            counts += np.bincount(codes, minlength=counts.size).astype(counts.dtype)
        else:
            np.add.at(counts, codes, counts.dtype.type(1))
    return counts


def canonical(values: pl.Series) -> pl.Series:
    """Turn values into the form in which a vocabulary compares them: Int64 or String."""
    integers = None if values.dtype.is_float() else as_integers(values)
    return as_text(values) if integers is None else integers
