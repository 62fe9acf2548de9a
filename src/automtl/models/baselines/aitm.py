"""Adaptive information transfer multi-task (Xi et al., KDD 2021, eq. 1-6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.stacked import StackedLinear


class Transfer(nn.Module):
    """Attends to what a task gets from the task before and to its own vector (eq. 3-6): twice (B, H) -> (B, H)."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.passed = StackedLinear(1, width, width, generator)
        self.heads = StackedLinear(3, width, width, generator)  # value, key and query, alike for both inputs

    def forward(self, before: Tensor, own: Tensor) -> Tensor:
        both = torch.cat([self.passed(before).relu()[0], own])  # (2 B, H)
        value, key, query = self.heads(both).unflatten(1, (2, -1)).unbind(0)  # (2, B, H) each
        score = torch.linalg.vecdot(key, query) * own.shape[1] ** -0.5  # (2, B)
        mixed: Tensor = (score.softmax(dim=0).unsqueeze(2) * value).sum(dim=0)
        return mixed


class AITM(Baseline):
    """A bottom for each task; information passes along the tasks in their order, so that they must be a chain.

    The calibrator, a loss on p_k above p_(k-1), is left out: it presupposes that each label implies the one before.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        tasks, width = layout.num_tasks, settings.width
        self.bottoms = make_experts(tasks, self.embedding.width, width, generator)
        self.transfers = nn.ModuleList(Transfer(width, generator) for _ in range(tasks - 1))

    def gather(self, x: Tensor) -> Tensor:
        first, *others = self.finish(self.bottoms(x))  # (B, H) a task
        gathered = [first]
        for transfer, own in zip(self.transfers, others, strict=True):
            gathered.append(transfer(gathered[-1], own))
        return torch.stack(gathered)
