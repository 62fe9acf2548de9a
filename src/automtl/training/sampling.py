"""Sampling of negative training rows. N rows, T tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.tables.schema import Task, TaskKind

DRAWN = 1 << 20  # numbers at a time that only move a generator on


def sample_negatives(rows: Batch, tasks: Sequence[Task], share: float | None, seed: int) -> Batch:
    """Keep a share of the negatives of each task that has a `negative_share`, drawn by `seed`.

    A row on which no task holds any more goes. `share`: of the rows on which every label is 0, this share stays, with
    weight 1 / share: a task's negatives on other rows all stay, so no one rate could correct its predictions. The
    shares of the tasks are made up for in the loss (`MultiTaskLoss`).
    """
    (kept,) = sample_parts([rows], len(rows), tasks, share, seed)
    return kept


def sample_parts(
    parts: Iterable[Batch], rows: int, tasks: Sequence[Task], share: float | None, seed: int
) -> Iterator[Batch]:
    """Sample as `sample_negatives` does `rows` rows that come in parts; the same rows stay."""
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
    """Keep drawn labels, drawn (N, T), and rows, stays (N,), of those with label 0 and with all labels 0."""
    mask, weight = rows.mask, rows.weight
    if stays is not None:
        negative = (rows.labels == 0).all(dim=1)
        kept = ~negative | stays
        weight = torch.where(negative, weight / share, weight) * kept
        mask = mask * kept.unsqueeze(1)
    mask = mask * (drawn | (rows.labels > 0))
    thinned = replace(rows, mask=mask, labels=rows.labels * (mask > 0), weight=weight)
    return thinned.take(mask.any(dim=1).nonzero()[:, 0])
