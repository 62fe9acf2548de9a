"""Encoded rows as contiguous tensors, cut into batches by slicing; two ways to shuffle them (docs/decisions/0008)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from automtl.features.coverage import Coverage
from automtl.features.layout import Layout

GATHER_BYTES = 8 * 2**20  # shuffled rows that are gathered together
BLOCK_BYTES = 2**20  # adjacent rows that are read together where rows do not fit in memory
SLICE_ROWS = 1 << 18  # rows that are read together where only sums are kept
BLOCKS = 64  # the least number of blocks that are mixed
PINNED_BYTES = 2**26  # of a tensor that is copied to a card while the processor goes on


@dataclass(frozen=True)
class Features:
    """Inputs of B rows. categorical: (B, C) ids; multi: (B, L) ids of each list field, padded with 0.

    Lists of the aspects of sequences follow, in types as narrow as their ids; others are int32 or int64.
    numeric: (B, N) float32.
    """

    categorical: Tensor
    multi: tuple[Tensor, ...]
    numeric: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Features:
        """Change every tensor in the same way."""
        return Features(change(self.categorical), tuple(change(ids) for ids in self.multi), change(self.numeric))

    def take(self, index: Tensor | slice) -> Features:
        """Take rows by an index tensor (a copy) or a slice (a view)."""
        return self.each(_chosen(index))

    def padded(self, widths: Sequence[int]) -> Features:
        """Return rows whose lists have these widths, which are theirs at least."""
        lists = (functional.pad(ids, (0, width - ids.shape[1])) for ids, width in zip(self.multi, widths, strict=True))
        return replace(self, multi=tuple(lists))

    @property
    def widths(self) -> list[int]:
        """The width of each list."""
        return [ids.shape[1] for ids in self.multi]

    def first(self, columns: int, lists: int) -> Features:
        """Return a view that has only the first numeric columns and the first lists."""
        if (columns, lists) == (self.numeric.shape[1], len(self.multi)):
            return self
        return replace(self, numeric=self.numeric[:, :columns], multi=self.multi[:lists])

    def to(self, device: str | torch.device) -> Features:
        """Copy the rows to another device; the processor does not wait for a card."""
        return self.each(_sent(torch.device(device)))


def _nothing() -> None:
    """Give back nothing, as rows in memory do."""


@dataclass(frozen=True)
class Batch:
    """B encoded rows. labels, mask: (B, T), a label is 0 where its mask is 0; weight: (B,); group: (B,) int64 or None.

    Labels are float32, or float64 where some are quantities, which are exact so; mask and weight are float32.

    buffer_rows: size of the shuffle buffer if not all rows fit in memory; `release` then gives back the memory that
    their files were read into. coverage: counts of the inputs of these rows, if they were counted when encoded.
    own: the rows whose inputs `features` holds, where it holds no others; they cannot be taken apart then.
    """

    features: Features
    labels: Tensor
    mask: Tensor
    weight: Tensor
    group: Tensor | None = None
    buffer_rows: int | None = None
    release: Callable[[], None] = _nothing
    coverage: Coverage | None = None
    own: slice | None = None

    def __len__(self) -> int:
        return self.features.categorical.shape[0] if self.own is None else self.labels.shape[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in a fixed order."""
        group = () if self.group is None else (self.group,)
        kept = self.features
        return (kept.categorical, *kept.multi, kept.numeric, self.labels, self.mask, self.weight, *group)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Change every tensor in the same way."""
        group = None if self.group is None else change(self.group)
        labels, mask, weight = change(self.labels), change(self.mask), change(self.weight)
        return Batch(self.features.each(change), labels, mask, weight, group, own=self.own)

    def take(self, index: Tensor | slice) -> Batch:
        """Take rows by an index tensor (a copy) or a slice (a view)."""
        assert self.own is None, "inputs of other rows are elsewhere"
        rows = self.each(_chosen(index))
        if self.buffer_rows is None or isinstance(index, Tensor):
            return rows
        return replace(rows, buffer_rows=self.buffer_rows, release=self.release)

    @staticmethod
    def joined(parts: Sequence[Batch]) -> Batch:
        """Put rows one after the other, their lists padded to the widest; groups and coverage are left out."""
        widths = [max(same) for same in zip(*(part.features.widths for part in parts), strict=True)]
        every = [replace(part, features=part.features.padded(widths), group=None).tensors for part in parts]
        categorical, *multi, numeric, labels, mask, weight = (torch.cat(same) for same in zip(*every, strict=True))
        return Batch(Features(categorical, tuple(multi), numeric), labels, mask, weight)

    def for_layout(self, layout: Layout) -> Batch:
        """Return a view that has only the inputs of a layout, the first numeric columns and lists of these."""
        return replace(self, features=self.features.first(layout.num_numeric, len(layout.lists)))

    def to(self, device: str | torch.device) -> Batch:
        """Copy the rows to another device; the processor does not wait for a card."""
        return self.each(_sent(torch.device(device)))


def _sent(device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return what copies a tensor to a device: to a card by way of pinned memory, from which it fetches by itself."""

    def send(tensor: Tensor) -> Tensor:
        if device.type != "cuda" or tensor.device.type != "cpu" or tensor.nbytes > PINNED_BYTES:
            return tensor.to(device)
        return tensor.pin_memory().to(device, non_blocking=True)

    return send


def _chosen(index: Tensor | slice) -> Callable[[Tensor], Tensor]:
    """Return what takes rows of a tensor; `index_select` copies rows four times as fast as `tensor[index]`."""
    if isinstance(index, slice) or index.dtype == torch.bool:
        return lambda tensor: tensor[index]
    return lambda tensor: tensor.index_select(0, index)


def subset(rows: Batch, count: int, seed: int) -> Batch:
    """Draw at most `count` rows without replacement.

    From rows that do not fit in memory, one of each stretch of equal length is drawn: an order of all would not fit.
    """
    if len(rows) <= count:
        return rows
    generator = torch.Generator().manual_seed(seed)
    if rows.buffer_rows is None:
        return rows.take(torch.randperm(len(rows), generator=generator)[:count].sort().values)
    places = torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)
    return _gathered(rows, (places * (len(rows) / count)).long().clamp(max=len(rows) - 1), rows.buffer_rows)


def _gathered(rows: Batch, index: Tensor, buffer_rows: int) -> Batch:
    """Gather rows by an ascending index, reading `buffer_rows` rows of the files at a time."""
    found = rows.each(lambda tensor: tensor.new_empty((len(index), *tensor.shape[1:])))
    edges = torch.searchsorted(index, torch.arange(0, len(rows) + buffer_rows, buffer_rows)).tolist()
    for start, stop in pairwise(edges):
        for into, tensor in zip(found.tensors, rows.tensors, strict=True):
            torch.index_select(tensor, 0, index[start:stop], out=into[start:stop])
        rows.release()
    return found


def iterate(
    rows: Batch, size: int, generator: torch.Generator | None = None, device: torch.device | None = None,
    *, bytes_of_row: int | None = None,
) -> Iterator[Batch]:  # fmt: skip
    """Yield batches of `size` rows (the last may be smaller), in order or, with a generator, in a random order.

    Each row comes once. If there are more than `buffer_rows` rows, they are shuffled by blocks. Shuffled batches come
    on the `device`, if it is given: rows that lie elsewhere are sent to it some batches at a time. `bytes_of_row`: by
    which blocks are measured, if it is not the size of these rows.
    """
    if generator is None:
        return _in_order(rows, size)
    if rows.buffer_rows is None or len(rows) <= rows.buffer_rows:
        return _shuffled(rows, size, generator, device)
    return _shuffled_by_blocks(rows, size, rows.buffer_rows, generator, device, bytes_of_row or row_bytes(rows))


def _in_order(rows: Batch, size: int) -> Iterator[Batch]:
    read = 0
    for start in range(0, len(rows), size):
        yield rows.take(slice(start, start + size))
        read += size
        if rows.buffer_rows is not None and read >= rows.buffer_rows:
            rows.release()
            read = 0


def _shuffled(
    rows: Batch, size: int, generator: torch.Generator, device: torch.device | None = None
) -> Iterator[Batch]:
    """Yield a permutation of all rows. Some batches are gathered at a time, so that the copy stays small."""
    dtype = torch.int32 if len(rows) < 2**31 else torch.int64  # the same permutation in half the memory
    order = torch.randperm(len(rows), generator=generator, dtype=dtype).to(rows.labels.device)
    gathered = max(GATHER_BYTES // row_bytes(rows) // size, 1) * size
    for part in order.split(gathered):
        taken = rows.take(part)
        yield from _in_order(taken if device is None else taken.to(device), size)


def _shuffled_by_blocks(
    rows: Batch, size: int, buffer_rows: int, generator: torch.Generator, device: torch.device | None, bytes_of_row: int
) -> Iterator[Batch]:
    """Fill a buffer of about `buffer_rows` rows with random blocks of adjacent rows, and yield it shuffled."""
    buffer_rows = max(buffer_rows // size, 1) * size
    block = max(min(BLOCK_BYTES // bytes_of_row, buffer_rows // BLOCKS), 1)
    buffer = rows.each(lambda tensor: tensor.new_empty((buffer_rows, *tensor.shape[1:])))
    for spans in buffer_spans(len(rows), buffer_rows, block, generator):
        count = _fill(buffer, rows, spans)
        rows.release()
        yield from _shuffled(buffer.take(slice(0, count)), size, generator, device)


def buffer_spans(rows: int, buffer_rows: int, block: int, generator: torch.Generator) -> Iterator[list[slice]]:
    """Yield spans of rows for each buffer: blocks in a random order, whose edges are shifted at random."""
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
    """Copy the spans one after another; returns the number of rows."""
    count = 0
    for span in spans:
        end = count + span.stop - span.start
        for into, tensor in zip(buffer.tensors, rows.tensors, strict=True):
            into[count:end] = tensor[span]
        count = end
    return count


def row_bytes(rows: Batch) -> int:
    """Return the bytes of one row, at least 1."""
    return max(rows.num_bytes // max(len(rows), 1), 1)
