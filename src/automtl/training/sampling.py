"""Fewer negative training rows. N rows, T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from automtl.data.batch import Batch
from automtl.data.schema import Task, TaskKind


def sample_negatives(rows: Batch, tasks: Sequence[Task], share: float | None, seed: int) -> Batch:
    """Of each task that has a `negative_share`, so many of its negatives stay, drawn by `seed`.

    A row that no task is left of goes. `share`: of the rows on which every label is 0, so many stay, and weigh
    1 / share: since a task's negatives among the others all stay, there is no one rate to correct its predictions by.
    The shares of tasks are made up for in the loss (`MultiTaskLoss`).
    """
    shares = torch.tensor([task.negative_share or 1.0 for task in tasks])
    if share is None and bool((shares == 1).all()):
        return rows
    generator = torch.Generator().manual_seed(seed)
    mask, weight = rows.mask, rows.weight
    if share is not None:
        negative = (rows.labels == 0).all(dim=1)
        stays = ~negative | (torch.rand(len(rows), generator=generator) < share)
        weight = torch.where(negative, weight / share, weight) * stays
        mask = mask * stays.unsqueeze(1)
    binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
    drawn = torch.rand(mask.shape, generator=generator) < shares
    mask = mask * (drawn | (rows.labels > 0) | ~binary)
    kept = replace(rows, mask=mask, labels=rows.labels * (mask > 0), weight=weight)
    return kept.take(mask.any(dim=1).nonzero()[:, 0])
