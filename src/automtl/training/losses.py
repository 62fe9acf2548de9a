"""Task losses and their total, MTL-Loss (paper, eq. 1). B rows, T tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.data.batch import Batch
from automtl.data.schema import Task, TaskKind


class MultiTaskLoss(nn.Module):
    """Cross-entropy for binary tasks, squared error for regression, on rows where the task holds."""

    binary: Tensor
    weights: Tensor

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        total = sum(task.weight for task in tasks)
        binary = torch.tensor([task.kind is TaskKind.BINARY for task in tasks])
        self.register_buffer("binary", binary, persistent=False)
        self.register_buffer("weights", torch.tensor([task.weight / total for task in tasks]), persistent=False)
        self.all_binary = bool(binary.all())

    def per_row(self, logits: Tensor, batch: Batch) -> Tensor:
        """(B, T) losses, not masked."""
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
        if self.all_binary:
            return entropy
        return torch.where(self.binary, entropy, (logits - batch.labels).square())

    def per_task(self, logits: Tensor, batch: Batch) -> Tensor:
        """(T,) weighted means; 0 for a task without rows in the batch."""
        weight = batch.mask * batch.weight.unsqueeze(1)
        return (self.per_row(logits, batch) * weight).sum(0) / weight.sum(0).clamp(min=1e-12)

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """The total: task losses by weights that sum to one."""
        return self.per_task(logits, batch) @ self.weights
