"""Batches that are drawn from contiguous shards of the rows: part k of each batch from shard k.

Of several workers, each then needs the inputs of its own shard alone; labels and weights of all rows are needed by all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch

from automtl.features.batch import Batch, Features, iterate, row_bytes
from automtl.system.workers import Workers

SEEDS = 2**62


@dataclass(frozen=True)
class RowShards:
    """A number of shards; `own`: that whose inputs are needed here, None: all.

    Batches of `size` rows of `rows` rows have the sizes that they have without shards. So have their parts, of which
    the first ones may have one row more than the last ones; the shards have as many rows as their parts need. Where
    fewer rows than shards are left over, these, the last rows of all, are the last batch.
    """

    count: int
    own: int | None = None

    def parts(self, rows: int) -> list[slice]:
        """Cut so many rows of a batch, none or as many as there are shards at least, into its parts."""
        return [Workers(place, self.count).share(rows) for place in range(self.count)]

    def _sizes(self, rows: int) -> list[int]:
        return [part.stop - part.start for part in self.parts(rows)]

    def spans(self, rows: int, size: int) -> list[slice]:
        """Return the shards of so many rows, which are trained on in batches of `size` rows."""
        full, last = divmod(rows, size)
        whole, left = map(self._sizes, (size, last if last >= self.count else 0))
        counts = (full * part + more for part, more in zip(whole, left, strict=True))
        return [slice(start, stop) for start, stop in pairwise(accumulate([0, *counts]))]

    def iterate(
        self, rows: Batch, size: int, generator: torch.Generator, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Yield batches in a random order, as `iterate` does; they hold the inputs of the own part alone, if it is set.

        Each row comes once, always in the part of its shard.
        """
        spans = self.spans(len(rows), size)
        seeds = torch.randint(SEEDS, (self.count,), generator=generator).tolist()
        streams = [
            self._stream(rows, place, span, part, seed, device)
            for place, (span, part, seed) in enumerate(zip(spans, self._sizes(size), seeds, strict=True))
        ]
        for parts in zip(*streams, strict=True):
            yield self._joined(parts)
        if spans[-1].stop < len(rows):
            last = rows.take(slice(spans[-1].stop, len(rows)))
            yield last if device is None else last.to(device)

    def _stream(
        self, rows: Batch, place: int, span: slice, size: int, seed: int, device: torch.device | None
    ) -> Iterator[Batch]:
        """Yield the parts that a shard gives to the batches."""
        bytes_of_row, own = row_bytes(rows), self.own in (None, place)
        found = (rows if own else replace(rows, features=_no_inputs(rows.features))).take(span)
        if rows.buffer_rows is not None:
            found = replace(found, buffer_rows=max(rows.buffer_rows // self.count, 1))
        return iterate(found, size, torch.Generator().manual_seed(seed), device, bytes_of_row=bytes_of_row)

    def _joined(self, parts: Sequence[Batch]) -> Batch:
        labels, mask, weight = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("labels", "mask", "weight")
        )
        if self.own is not None:
            start = sum(map(len, parts[: self.own]))
            own = slice(start, start + len(parts[self.own]))
            return Batch(parts[self.own].features, labels, mask, weight, own=own)
        lists = tuple(torch.cat(same) for same in zip(*(part.features.multi for part in parts), strict=True))
        categorical, numeric = (
            torch.cat([getattr(part.features, name) for part in parts]) for name in ("categorical", "numeric")
        )
        return Batch(Features(categorical, lists, numeric), labels, mask, weight)


def _no_inputs(features: Features) -> Features:
    """Return views of all rows that have no columns, whose values are never read."""
    return features.each(lambda tensor: tensor[:, :0])
