"""Fewer negative training rows. N rows, T tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.tables.schema import Task, TaskKind

DRAWN = 1 << 20  # numbers at a time that only move a generator on


def sample_negatives(rows: Batch, tasks: Sequence[Task], share: float | None, seed: int) -> Batch:
    """Of each task that has a `negative_share`, so many of its negatives stay, drawn by `seed`.

    A row that no task is left of goes. `share`: of the rows on which every label is 0, so many stay, and weigh
    1 / share: since a task's negatives among the others all stay, there is no one rate to correct its predictions by.
    The shares of tasks are made up for in the loss (`MultiTaskLoss`).
    """
    (kept,) = sample_parts([rows], len(rows), tasks, share, seed)
    return kept


def sample_parts(
    parts: Iterable[Batch], rows: int, tasks: Sequence[Task], share: float | None, seed: int
) -> Iterator[Batch]:
    """The same of so many rows that come part by part; the same rows stay."""
    shares = torch.tensor([task.negative_share or 1.0 for task in tasks])
    if share is None and bool((shares == 1).all()):
        yield from parts
        return
    of_rows, of_labels = (torch.Generator().manual_seed(seed) for _ in range(2))
    for start in range(0, rows if share is not None else 0, DRAWN):  # one number a row comes before those of labels
        torch.rand(min(DRAWN, rows - start), generator=of_labels)
    binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
    for part in parts:
        drawn = torch.rand(part.mask.shape, generator=of_labels) < shares
        stays = None if share is None else torch.rand(len(part), generator=of_rows) < share
        yield _kept(part, drawn | ~binary, stays, share or 1.0)


def _kept(rows: Batch, drawn: Tensor, stays: Tensor | None, share: float) -> Batch:
    """drawn: (N, T), which labels stay if they are 0; stays: (N,), which rows stay if all their labels are."""
    mask, weight = rows.mask, rows.weight
    if stays is not None:
        negative = (rows.labels == 0).all(dim=1)
        kept = ~negative | stays
        weight = torch.where(negative, weight / share, weight) * kept
        mask = mask * kept.unsqueeze(1)
    mask = mask * (drawn | (rows.labels > 0))
    thinned = replace(rows, mask=mask, labels=rows.labels * (mask > 0), weight=weight)
    return thinned.take(mask.any(dim=1).nonzero()[:, 0])
