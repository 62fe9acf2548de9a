"""Counting of columns of ids whose values need not fit in memory.

Values that do not fit are counted in partitions by hash, each of which fits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from automtl.dataset.builder.chunks import read_values
from automtl.dataset.builder.workdir import Work
from automtl.features.ranking import NOT_RANKED, Counted, Ranking, canonical, count_codes

CODE_BYTES = 150  # memory for a value of a partition while it is ranked, about


def rank_column(work: Work, place: int, lists: bool, most: int, memory_bytes: int) -> Ranking:
    """Count a column and rank its values, of which the `most` most frequent are kept."""
    last = work.chunks[-1].about
    size, several = last["size"][place], last["first"][place] > 0
    counts = count_codes(work.chunks, place, size, lists=lists)
    kept: list[Counted] = []
    distinct = 0
    with _partitions(work, place, max(-(-size * CODE_BYTES // memory_bytes), 1)) as partitions:
        for read in partitions:
            counted = Counted.of(*read(), counts, several)
            distinct += counted.values.len()
            kept = [counted.first(most, *kept)]
        ranking = kept[0].ranking(distinct, counts)
        for read in partitions if several else ():
            values, codes = read()
            ranking.rank[codes] = _ranks(values, ranking.values)
    return ranking


Read = Callable[[], tuple[pl.Series, np.ndarray]]  # values, as Int64 or String, and their codes


@contextmanager
def _partitions(work: Work, place: int, count: int) -> Iterator[list[Read]]:
    """Give readers of the `count` partitions by hash of all values of a column; files of them last for the block."""
    if count == 1:
        values, codes = zip(*_coded(work, place), strict=True)
        yield [lambda: (pl.concat(values), np.concatenate(codes))]
        return
    folder = work.folder / f"partitions.{place}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths = [folder / f"{partition}.arrow" for partition in range(count)]
    with ExitStack() as stack:
        writers: list[pa.RecordBatchStreamWriter] = []
        for some, own_codes in _coded(work, place):
            table, own = pl.DataFrame([some.alias("value"), pl.Series("code", own_codes)]), some.hash() % count
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
    """Yield, chunk by chunk, the values that got their codes in it, and these codes."""
    start, whole = 1, work.chunks[-1].about["whole"][place]
    for chunk in work.chunks:
        values = canonical(read_values(chunk, place)).alias("value")
        yield values if whole else values.cast(pl.String), np.arange(start, start + values.len())
        start += values.len()


def _ranks(values: pl.Series, ranked: pl.Series) -> np.ndarray:
    """Return the rank of each value, (n,) int32, among the ranked values; NOT_RANKED for others."""
    ranks = ranked.to_frame("value").with_row_index("rank")
    found = values.to_frame("value").join(ranks, on="value", how="left", maintain_order="left")["rank"]
    return found.cast(pl.Int32).fill_null(NOT_RANKED).to_numpy()
