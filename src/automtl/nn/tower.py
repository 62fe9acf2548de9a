"""Towers, which turn the mixed experts of a task into its logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.nn.stacked import StackedPerceptron


class Towers(nn.Module):
    """T perceptrons in one stack: (T, B, H), or (B, H) for all -> logits (B, T).

    Logits are in full precision: predicted quantities may be large.
    """

    def __init__(
        self, num_tasks: int, in_dim: int, sizes: Sequence[int], generator: torch.Generator, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_tasks = num_tasks
        self.layers = StackedPerceptron(num_tasks, in_dim, [*sizes, 1], generator, full_last=True, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.squeeze(2).T
