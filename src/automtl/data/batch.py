"""Encoded rows as contiguous tensors, cut into batches by slicing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """categorical: (B, C) int64; multi: one (B, L) int64 a field, 0 is padding; numeric: (B, N) float32."""

    categorical: Tensor
    multi: tuple[Tensor, ...]
    numeric: Tensor

    def take(self, index: Tensor | slice) -> Features:
        """Rows by index tensor (copied) or slice (a view)."""
        return Features(self.categorical[index], tuple(ids[index] for ids in self.multi), self.numeric[index])

    def to(self, device: str | torch.device) -> Features:
        """The same rows on another device."""
        return Features(
            self.categorical.to(device), tuple(ids.to(device) for ids in self.multi), self.numeric.to(device)
        )


@dataclass(frozen=True)
class Batch:
    """B rows. labels, mask: (B, T), a label is 0 where its mask is 0; weight: (B,); group: (B,) int64 or None."""

    features: Features
    labels: Tensor
    mask: Tensor
    weight: Tensor
    group: Tensor | None = None

    def __len__(self) -> int:
        return self.features.categorical.shape[0]

    def take(self, index: Tensor | slice) -> Batch:
        """Rows by index tensor (copied) or slice (a view)."""
        group = None if self.group is None else self.group[index]
        return Batch(self.features.take(index), self.labels[index], self.mask[index], self.weight[index], group)

    def to(self, device: str | torch.device) -> Batch:
        """The same rows on another device."""
        group = None if self.group is None else self.group.to(device)
        labels, mask, weight = (tensor.to(device) for tensor in (self.labels, self.mask, self.weight))
        return Batch(self.features.to(device), labels, mask, weight, group)


def iterate(rows: Batch, size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
    """Batches of `size` rows: slices in order, or, with a generator, rows in a random order.

    The shuffle gathers blocks of 64 batches at a time, so that the copy stays small.
    """
    if generator is None:
        for start in range(0, len(rows), size):
            yield rows.take(slice(start, start + size))
        return
    order = torch.randperm(len(rows), generator=generator)
    for block in order.split(64 * size):
        yield from iterate(rows.take(block), size)
