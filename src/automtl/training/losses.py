"""The losses of tasks and their total, MTL-Loss (paper, eq. 1). B rows, T tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from automtl.features.batch import SLICE_ROWS, Batch
from automtl.features.targets import Targets
from automtl.tables.schema import Task, TaskKind


def log_odds_offset(task: Task) -> float:
    """Return what the weights and sampling of training rows add to the log-odds of label 1."""
    return math.log((task.positive_weight or 1.0) / (task.negative_share or 1.0))


def task_means(rows: Batch, values: Callable[[Batch, slice], Tensor]) -> Tensor:
    """Return weighted means (T,) of values (B, T) over the rows on which a task holds, a slice of rows at a time."""
    total = weights = torch.zeros(rows.labels.shape[1])
    for start in range(0, len(rows), SLICE_ROWS):
        places = slice(start, start + SLICE_ROWS)
        part = rows.take(places)
        weight = part.mask * part.weight.unsqueeze(1)
        total = total + (values(part, places) * weight).sum(0)
        weights = weights + weight.sum(0)
        rows.release()
    return total / weights.clamp(min=1e-12)


class MultiTaskLoss(nn.Module):
    """Cross-entropy for binary tasks, squared error for regression, on rows where the task holds.

    `sampled`: rows are training rows, of which a task may weigh positives by w or keep a share s of negatives. Log-odds
    are then larger by log(w / s) than on all rows (He et al., ADKDD 2014, eq. 4, solved for the training rows). It is
    added here, so that a model's logits are always those of all rows.
    """

    binary: Tensor
    weights: Tensor
    positive: Tensor
    offset: Tensor

    def __init__(self, tasks: Sequence[Task], *, sampled: bool = False) -> None:
        super().__init__()
        self.tasks, self.targets = tuple(tasks), Targets(tasks)
        self.sampled = sampled and any(task.positive_weight or task.negative_share for task in tasks)
        positive = torch.tensor([task.positive_weight or 1.0 for task in tasks])
        self.register_buffer("positive", positive, persistent=False)
        self.register_buffer("offset", torch.tensor([log_odds_offset(task) for task in tasks]), persistent=False)
        total = sum(task.weight for task in tasks)
        binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
        self.register_buffer("binary", binary, persistent=False)
        self.register_buffer("weights", torch.tensor([task.weight / total for task in tasks]), persistent=False)
        self.all_binary = bool(binary.all())

    def per_row(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the losses (B, T) of all rows, also of those on which a task does not hold; of K members (K, B, T)."""
        judged = logits + self.offset if self.sampled else logits
        labels = self.targets(batch.labels).to(judged.dtype).expand_as(judged)
        entropy = nn.functional.binary_cross_entropy_with_logits(judged, labels, reduction="none")
        if self.sampled:
            entropy = entropy * torch.where(batch.labels > 0, self.positive, 1.0)
        if self.all_binary:
            return entropy
        return torch.where(self.binary, entropy, (logits - labels).square())

    def per_task(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return weighted means (T,) of a batch; 0 for a task without rows in it.

        Of logits of K members, (K, B, T), it is the mean of the members' losses, not the loss of their mean.
        """
        weight = batch.mask * batch.weight.unsqueeze(1)
        losses = (self.per_row(logits, batch) * weight).sum(-2) / weight.sum(0).clamp(min=1e-12)
        return losses if logits.dim() == 2 else losses.mean(0)

    def over(self, logits: Tensor, rows: Batch) -> Tensor:
        """Return weighted means (T,) over many rows, computed in little memory."""
        return task_means(rows, lambda part, places: self.per_row(logits[places], part))

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return MTL-Loss, the mean of the task losses by the weights of the tasks."""
        return self.per_task(logits, batch) @ self.weights
