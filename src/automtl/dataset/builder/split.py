"""The second step: to which split each row belongs, as `automtl.tables.split` decides it for a table in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from automtl.dataset.builder.chunks import NO_TIME
from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.workdir import TRAIN, VALID, Chunk, Work, write_about, write_array
from automtl.errors import SchemaError
from automtl.system.threads import in_threads
from automtl.tables.shuffled import seeded_hash, shuffled_places
from automtl.tables.split import are_validation, cut, cut_groups, edges

DIGIT = 16  # bits of a time that are counted at a time


def split_rows(work: Work, columns: Columns, seed: int) -> list[int]:
    """Write the parts of all chunks; rows of each split. Raises SchemaError where one is empty."""
    if (done := work.done("split")) is not None:
        return list(done["rows"])
    part_of = _rule(work, columns, seed)
    (work.folder / "parts").mkdir(exist_ok=True)

    def write(given: tuple[Chunk, int]) -> np.ndarray:
        part = part_of(*given).astype(np.uint8)
        write_array(given[0].part_file, part)
        return np.bincount(part, minlength=3)

    rows: list[int] = np.sum(in_threads(write, _starts(work.chunks, lambda chunk: chunk.rows)), axis=0).tolist()
    for name, count in zip(("training", "validation", "test"), rows, strict=True):
        if count == 0:
            raise SchemaError(f"the split leaves no {name} rows; use a larger table or other shares")
    with work.step("split") as folder:
        write_about(folder, {"rows": rows})
    return rows


def train_starts(work: Work) -> Iterator[tuple[Chunk, int]]:
    """Each chunk with the number of training rows before it."""
    return _starts(work.chunks, lambda chunk: int((chunk.part() == TRAIN).sum()))


def _starts(chunks: list[Chunk], size: Callable[[Chunk], int]) -> Iterator[tuple[Chunk, int]]:
    start = 0
    for chunk in chunks:
        yield chunk, start
        start += size(chunk)


def _rule(work: Work, columns: Columns, seed: int) -> Callable[[Chunk, int], np.ndarray]:
    """What tells the parts of a chunk that begins at a row."""
    shares, total = columns.split.shares, sum(chunk.rows for chunk in work.chunks)
    if columns.schema.split is not None:
        return _by_column(work, columns.split.valid_share_of_train, seed)
    if columns.split.method == "time":
        return _by_time(work, columns, shares)
    if columns.split.method == "user":
        if columns.schema.group is None:
            raise SchemaError("a split by user needs the user column; name it with --group")
        orders = [np.unique(seeded_hash(_groups(chunk), seed)) for chunk in work.chunks]
        known = np.unique(np.concatenate(orders))
        return lambda chunk, start: cut_groups(seeded_hash(_groups(chunk), seed), known, shares)
    return lambda chunk, start: cut(
        shuffled_places(np.arange(start, start + chunk.rows), total, seed), total, shares
    )  # fmt: skip


def _groups(chunk: Chunk) -> np.ndarray:
    return chunk.array("group")


def _by_column(work: Work, valid_share: float, seed: int) -> Callable[[Chunk, int], np.ndarray]:
    def named(chunk: Chunk) -> np.ndarray:
        return chunk.array("split")

    counts = sum(np.bincount(named(chunk), minlength=3) for chunk in work.chunks)
    assert isinstance(counts, np.ndarray)
    if counts[VALID]:
        return lambda chunk, start: named(chunk)
    train = list(_starts(work.chunks, lambda chunk: int((named(chunk) == TRAIN).sum())))
    starts = {chunk.folder: start for chunk, start in train}

    def with_validation(chunk: Chunk, _: int) -> np.ndarray:
        part, first = named(chunk).copy(), starts[chunk.folder]
        rows = np.flatnonzero(part == TRAIN)
        taken = are_validation(np.arange(first, first + len(rows)), int(counts[TRAIN]), valid_share, seed)
        part[rows[taken]] = VALID
        return part

    return with_validation


def _by_time(work: Work, columns: Columns, shares: tuple[float, float, float]) -> Callable[[Chunk, int], np.ndarray]:
    """Rows belong to a later split where at least as many rows as stand before it are of an earlier time."""
    name = columns.schema.time
    if name is None:
        raise SchemaError("a split by time needs a time column; name it with --time")
    times = times_of(work, columns)
    nulls = sum(int((times(chunk) == NO_TIME).sum()) for chunk in work.chunks)
    if nulls:
        raise SchemaError(f"time column '{name}' has {nulls} null values; drop those rows")
    total = sum(chunk.rows for chunk in work.chunks)
    last = [time_in_order(work, times, int(edge) - 1) for edge in edges(total, shares) if edge > 0]
    none_before = 2 - len(last)
    return lambda chunk, start: none_before + sum((times(chunk) > one for one in last), np.zeros(chunk.rows, np.int64))


def times_of(work: Work, columns: Columns) -> Callable[[Chunk], np.ndarray]:
    """What reads the times of a chunk, (N,) int64 in their order; NO_TIME where missing."""
    if columns.times_are_numbers:
        return lambda chunk: chunk.array("time")
    from automtl.dataset.builder.statistics import text_order

    place = columns.place(None)
    order = text_order(work, place)
    return lambda chunk: order.take(chunk.array(f"ids.{place}"))


def time_in_order(work: Work, times: Callable[[Chunk], np.ndarray], place: int) -> int:
    """The time that stands at a place, from 0, when those of all rows are in order; found digit by digit."""
    found = np.uint64(0)
    for shift in range(64 - DIGIT, -1, -DIGIT):
        counts = np.zeros(1 << DIGIT, np.int64)
        for chunk in work.chunks:
            keys = (times(chunk) ^ NO_TIME).view(np.uint64)
            if shift < 64 - DIGIT:
                keys = keys[keys >> np.uint64(shift + DIGIT) == found]
            counts += np.bincount((keys >> np.uint64(shift)) & np.uint64((1 << DIGIT) - 1), minlength=1 << DIGIT)
        before = np.cumsum(counts)
        digit = int(np.searchsorted(before, place, side="right"))
        place -= int(before[digit] - counts[digit])
        found = (found << np.uint64(DIGIT)) | np.uint64(digit)
    return int(found.astype(np.int64) ^ NO_TIME)
