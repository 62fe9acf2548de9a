"""Encoded rows as contiguous tensors, cut into batches by slicing; two ways to shuffle them (docs/decisions/0008)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

GATHER_BYTES = 8 * 2**20  # of shuffled rows that are gathered at a time
BLOCK_BYTES = 2**20  # of adjacent rows that are read at a time where rows do not fit in memory
SLICE_ROWS = 1 << 18  # looked at a time where sums are all that is kept
BLOCKS = 64  # at least so many blocks are mixed at a time


@dataclass(frozen=True)
class Features:
    """categorical: (B, C); multi: one (B, L) a field, 0 is padding; numeric: (B, N) float32. Ids: int32 or int64."""

    categorical: Tensor
    multi: tuple[Tensor, ...]
    numeric: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Features:
        """Every tensor changed in the same way."""
        return Features(change(self.categorical), tuple(change(ids) for ids in self.multi), change(self.numeric))

    def take(self, index: Tensor | slice) -> Features:
        """Rows by index tensor (copied) or slice (a view)."""
        return self.each(_chosen(index))

    def with_numeric(self, columns: int) -> Features:
        """A view of the first numeric columns alone."""
        return self if columns == self.numeric.shape[1] else replace(self, numeric=self.numeric[:, :columns])

    def to(self, device: str | torch.device) -> Features:
        """The same rows on another device."""
        return self.each(lambda tensor: tensor.to(device))


def _nothing() -> None:
    """What rows in memory have to give back."""


@dataclass(frozen=True)
class Batch:
    """B rows. labels, mask: (B, T), a label is 0 where its mask is 0; weight: (B,); group: (B,) int64 or None.

    buffer_rows: size of the shuffle buffer, where not all rows fit in memory; `release` then gives back the memory that
    their files were read into.
    """

    features: Features
    labels: Tensor
    mask: Tensor
    weight: Tensor
    group: Tensor | None = None
    buffer_rows: int | None = None
    release: Callable[[], None] = _nothing

    def __len__(self) -> int:
        return self.features.categorical.shape[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in a fixed order."""
        group = () if self.group is None else (self.group,)
        kept = self.features
        return (kept.categorical, *kept.multi, kept.numeric, self.labels, self.mask, self.weight, *group)

    @property
    def num_bytes(self) -> int:
        """Of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every tensor changed in the same way."""
        group = None if self.group is None else change(self.group)
        labels, mask, weight = change(self.labels), change(self.mask), change(self.weight)
        return Batch(self.features.each(change), labels, mask, weight, group)

    def take(self, index: Tensor | slice) -> Batch:
        """Rows by index tensor (copied) or slice (a view)."""
        rows = self.each(_chosen(index))
        if self.buffer_rows is None or isinstance(index, Tensor):
            return rows
        return replace(rows, buffer_rows=self.buffer_rows, release=self.release)

    def with_numeric(self, columns: int) -> Batch:
        """A view with the first numeric columns alone."""
        return replace(self, features=self.features.with_numeric(columns))

    def to(self, device: str | torch.device) -> Batch:
        """The same rows on another device."""
        return self.each(lambda tensor: tensor.to(device))


def _chosen(index: Tensor | slice) -> Callable[[Tensor], Tensor]:
    """`index_select` copies whole rows, four times as fast as `tensor[index]`."""
    if isinstance(index, slice) or index.dtype == torch.bool:
        return lambda tensor: tensor[index]
    return lambda tensor: tensor.index_select(0, index)


def subset(rows: Batch, count: int, seed: int) -> Batch:
    """At most `count` rows, drawn without replacement by `seed`.

    Of rows that do not fit in memory, one of each stretch of equal length: an order of all rows is too much.
    """
    if len(rows) <= count:
        return rows
    generator = torch.Generator().manual_seed(seed)
    if rows.buffer_rows is None:
        return rows.take(torch.randperm(len(rows), generator=generator)[:count].sort().values)
    places = torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)
    return _gathered(rows, (places * (len(rows) / count)).long().clamp(max=len(rows) - 1), rows.buffer_rows)


def _gathered(rows: Batch, index: Tensor, buffer_rows: int) -> Batch:
    """Rows of a rising index, read `buffer_rows` rows of the files at a time."""
    found = rows.each(lambda tensor: tensor.new_empty((len(index), *tensor.shape[1:])))
    edges = torch.searchsorted(index, torch.arange(0, len(rows) + buffer_rows, buffer_rows)).tolist()
    for start, stop in pairwise(edges):
        for into, tensor in zip(found.tensors, rows.tensors, strict=True):
            torch.index_select(tensor, 0, index[start:stop], out=into[start:stop])
        rows.release()
    return found


def iterate(rows: Batch, size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
    """Batches of `size` rows, the last one of what is left: slices in order, or, with a generator, in a random order.

    Each row comes once. Rows with a smaller `buffer_rows` than their number are shuffled by blocks.
    """
    if generator is None:
        return _in_order(rows, size)
    if rows.buffer_rows is None or len(rows) <= rows.buffer_rows:
        return _shuffled(rows, size, generator)
    return _shuffled_by_blocks(rows, size, rows.buffer_rows, generator)


def _in_order(rows: Batch, size: int) -> Iterator[Batch]:
    read = 0
    for start in range(0, len(rows), size):
        yield rows.take(slice(start, start + size))
        read += size
        if rows.buffer_rows is not None and read >= rows.buffer_rows:
            rows.release()
            read = 0


def _shuffled(rows: Batch, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """A permutation of all rows. Several batches are gathered at a time, so that the copy stays small."""
    dtype = torch.int32 if len(rows) < 2**31 else torch.int64  # the same permutation in half the memory
    order = torch.randperm(len(rows), generator=generator, dtype=dtype)
    gathered = max(GATHER_BYTES // row_bytes(rows) // size, 1) * size
    for part in order.split(gathered):
        yield from _in_order(rows.take(part), size)


def _shuffled_by_blocks(rows: Batch, size: int, buffer_rows: int, generator: torch.Generator) -> Iterator[Batch]:
    """Blocks of adjacent rows in a random order fill a buffer of about `buffer_rows` rows, which is then shuffled."""
    buffer_rows = max(buffer_rows // size, 1) * size
    block = max(min(BLOCK_BYTES // row_bytes(rows), buffer_rows // BLOCKS), 1)
    buffer = rows.each(lambda tensor: tensor.new_empty((buffer_rows, *tensor.shape[1:])))
    for spans in buffer_spans(len(rows), buffer_rows, block, generator):
        count = _fill(buffer, rows, spans)
        rows.release()
        yield from _shuffled(buffer.take(slice(0, count)), size, generator)


def buffer_spans(rows: int, buffer_rows: int, block: int, generator: torch.Generator) -> Iterator[list[slice]]:
    """Spans of rows, `buffer_rows` rows at a time: blocks in a random order, cut at a random place every time."""
    shift = int(torch.randint(block, (1,), generator=generator))
    edges = [0, *range(shift or block, rows, block), rows]
    spans, room = [], buffer_rows
    for index in torch.randperm(len(edges) - 1, generator=generator).tolist():
        start, stop = edges[index], edges[index + 1]
        while start < stop:
            end = min(stop, start + room)
            spans.append(slice(start, end))
            start, room = end, room - (end - start)
            if room == 0:
                yield spans
                spans, room = [], buffer_rows
    if spans:
        yield spans


def _fill(buffer: Batch, rows: Batch, spans: list[slice]) -> int:
    """Copy the spans one after another; the number of rows."""
    count = 0
    for span in spans:
        end = count + span.stop - span.start
        for into, tensor in zip(buffer.tensors, rows.tensors, strict=True):
            into[count:end] = tensor[span]
        count = end
    return count


def row_bytes(rows: Batch) -> int:
    """Of one row, at least 1."""
    return max(rows.num_bytes // max(len(rows), 1), 1)
