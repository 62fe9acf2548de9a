"""Counted columns of ids: their values in the order of a vocabulary. V values, 3 splits.

Every vocabulary of a column, whatever its least count and its most ids, is a beginning of its ranking. Where values and
their codes do not fit in the memory given, they are looked at in partitions by hash, one of which fits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.dataset.builder.chunks import read_values
from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.workdir import SPLITS, TRAIN, Work
from automtl.features.ordering import vocabulary_order
from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN
from automtl.tables.columns import as_text

NOT_RANKED = -1  # the rank of a code whose value no training row has, or which is beyond the most
CODE_BYTES = 150  # of a value of a partition while it is ranked, about


@dataclass(frozen=True)
class Ranking:
    """`values`: (V,), most training rows first, as a vocabulary has them; those of `distinct` for which there is room.

    `rank`: (codes + 1,) int32; the first is unused. `rows`: (3, V) by split and rank; `missing`, `present`: rows, or
    elements of lists, of each split.
    """

    values: pl.Series
    distinct: int
    rank: np.ndarray
    rows: np.ndarray
    missing: list[int]
    present: list[int]

    def most(self, min_count: int) -> int:
        """How many values at least so many training rows have."""
        return int(np.searchsorted(-self.rows[TRAIN], -min_count, side="right"))

    def ids(self, known: int) -> np.ndarray:
        """(codes + 1,) int32 ids by code, where the first `known` values have one."""
        ids = np.where((self.rank >= 0) & (self.rank < known), self.rank + FIRST, UNKNOWN).astype(np.int32)
        ids[0] = MISSING
        return ids


@dataclass(frozen=True)
class Counted:
    """Values that training rows have, each once, as Int64 or String; `rows`: (3, V); `codes`: (V,), one of each."""

    values: pl.Series
    rows: np.ndarray
    codes: np.ndarray

    def first(self, most: int, *others: Counted) -> Counted:
        """The `most` most frequent ones of these and others, in their order."""
        values, rows, codes = self.values, self.rows, self.codes
        if others:
            every = (self, *others)
            values = pl.concat([one.values for one in every])
            rows = np.concatenate([one.rows for one in every], axis=1)
            codes = np.concatenate([one.codes for one in every])
        order = vocabulary_order(values, rows[TRAIN])[:most]
        return Counted(values.gather(order), rows.take(order, axis=1), codes.take(order))


def rank_column(work: Work, columns: Columns, place: int, most: int, memory_bytes: int) -> Ranking:
    """Count a column and put its values in order; of more than `most` values the most frequent are kept."""
    last = work.chunks[-1].about
    size, several = last["size"][place], last["first"][place] > 0
    counts = _counts(work, columns, place, size)
    kept: list[Counted] = []
    distinct = 0
    with _partitions(work, place, max(-(-size * CODE_BYTES // memory_bytes), 1)) as partitions:
        for read in partitions:
            counted = _counted(*read(), counts, several)
            distinct += counted.values.len()
            kept = [counted.first(most, *kept)]
        (found,) = kept
        rank = np.full(size + 1, NOT_RANKED, np.int32)
        rank[found.codes] = np.arange(found.values.len(), dtype=np.int32)
        for read in partitions if several else ():
            values, codes = read()
            rank[codes] = _ranks(values, found.values)
    missing, present = counts[:, 0].tolist(), counts[:, 1:].sum(1).tolist()
    return Ranking(found.values, distinct, rank, found.rows, missing, present)


def _counts(work: Work, columns: Columns, place: int, size: int) -> np.ndarray:
    """(3, codes + 1): rows, or elements of lists, by split and code."""
    lists, total = columns.coded[place].lists, sum(chunk.rows for chunk in work.chunks)
    counts = np.zeros((3, size + 1), np.int64 if lists or total >= 2**31 else np.int32)
    one, starts = counts.dtype.type(1), np.arange(3) * (size + 1)
    for chunk in work.chunks:
        codes, part = chunk.array(f"ids.{place}"), chunk.part()
        if lists:
            part = np.repeat(part, chunk.array(f"sizes.{place}"))
        where = codes + starts.take(part)
        if counts.size < len(codes):
            counts += np.bincount(where, minlength=counts.size).reshape(3, -1).astype(counts.dtype)
        else:
            np.add.at(counts.reshape(-1), where, one)
    return counts


Read = Callable[[], tuple[pl.Series, np.ndarray]]  # values, as Int64 or String, and their codes


@contextmanager
def _partitions(work: Work, place: int, count: int) -> Iterator[list[Read]]:
    """All values of a column with their codes: one partition, or so many by hash, in files for the block."""
    if count == 1:
        yield [lambda: _joined(list(_coded(work, place)))]
        return
    folder = work.folder / f"partitions.{place}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths = [folder / f"{partition}.arrow" for partition in range(count)]
    with ExitStack() as stack:
        writers: list[pa.RecordBatchStreamWriter] = []
        for values, codes in _coded(work, place):
            table, own = pl.DataFrame([values, pl.Series("code", codes)]), values.hash() % count
            writers = writers or [
                stack.enter_context(pa.ipc.new_stream(path, table.to_arrow().schema)) for path in paths
            ]
            for partition, writer in enumerate(writers):
                writer.write_table(table.filter(own == partition).to_arrow())
    yield [partial(_read_partition, path) for path in paths]
    shutil.rmtree(folder)


def _read_partition(path: Path) -> tuple[pl.Series, np.ndarray]:
    table = pl.read_ipc_stream(path)
    return table["value"], table["code"].to_numpy()


def _coded(work: Work, place: int) -> Iterator[tuple[pl.Series, np.ndarray]]:
    """Chunk by chunk, the values that came with it and their codes."""
    start = 1
    for chunk in work.chunks:
        values = read_values(chunk, place)
        whole = (values.dtype.is_integer() and values.dtype != pl.UInt64) or values.dtype == pl.Boolean
        yield values.cast(pl.Int64) if whole else as_text(values), np.arange(start, start + values.len())
        start += values.len()


def _joined(parts: list[tuple[pl.Series, np.ndarray]]) -> tuple[pl.Series, np.ndarray]:
    return pl.concat([values for values, _ in parts]), np.concatenate([codes for _, codes in parts])


def _counted(values: pl.Series, codes: np.ndarray, counts: np.ndarray, several: bool) -> Counted:
    """Of values, which are there several times where a value has `several` codes."""
    rows = counts.take(codes, axis=1)
    if several:
        groups = values.to_frame().with_row_index("place").group_by("value", maintain_order=True).agg("place")
        group = np.repeat(np.arange(groups.height), groups["place"].list.len().to_numpy())
        place = groups["place"].explode().to_numpy()
        merged = np.zeros((len(SPLITS), groups.height), rows.dtype)
        for split in range(len(SPLITS)):
            np.add.at(merged[split], group, rows[split, place])
        values, rows, codes = groups["value"], merged, codes[groups["place"].list.first().to_numpy()]
    trained = np.flatnonzero(rows[TRAIN])
    if len(trained) == len(codes):
        return Counted(values, rows, codes)
    return Counted(values.gather(trained), rows.take(trained, axis=1), codes.take(trained))


def _ranks(values: pl.Series, ranked: pl.Series) -> np.ndarray:
    """(n,) int32: where each value stands among those that are ranked."""
    ranks = ranked.to_frame().with_row_index("rank")
    found = values.to_frame().join(ranks, on="value", how="left", maintain_order="left")["rank"]
    return found.cast(pl.Int32).fill_null(NOT_RANKED).to_numpy()
