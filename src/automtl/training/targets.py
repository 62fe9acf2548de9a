"""The targets that a model learns in place of labels: quantities cut to a range and logged. T tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.tables.schema import Task

LARGEST = 80.0  # of a predicted logarithm


class Targets(nn.Module):
    """Turns labels (N, T) into targets and back; metrics are of the labels as they are in the table."""

    logged: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.changes = any(task.transform or task.clip for task in tasks)
        ranges = [task.clip or ((0.0 if task.transform else -torch.inf), torch.inf) for task in tasks]
        self.register_buffer("logged", torch.tensor([task.transform == "log1p" for task in tasks]), persistent=False)
        self.register_buffer("low", torch.tensor([low for low, _ in ranges]), persistent=False)
        self.register_buffer("high", torch.tensor([high for _, high in ranges]), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        if not self.changes:
            return labels
        cut = labels.clamp(self.low, self.high)
        return torch.where(self.logged, cut.clamp(min=0).log1p(), cut)

    def inverse(self, values: Tensor) -> Tensor:
        """Turn predicted targets into predicted labels, within the range that labels were cut to."""
        if not self.changes:
            return values
        unlogged = torch.where(self.logged, values.clamp(max=LARGEST).expm1(), values)
        return unlogged.clamp(self.low.to(values.dtype), self.high.to(values.dtype))
