"""Customized gate control (Tang et al., PLE, RecSys 2020, eq. 1-3)."""

from __future__ import annotations

import torch
from torch import Tensor

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import Gate

SHARED, OWN = 4, 4  # experts


def task_experts(num_tasks: int) -> list[list[int]]:
    """List for each task its own experts, then the shared ones, which are the last of all."""
    shared = range(num_tasks * OWN, num_tasks * OWN + SHARED)
    return [[*range(task * OWN, (task + 1) * OWN), *shared] for task in range(num_tasks)]


class CGC(Baseline):
    """Four experts for each task and four shared; a task's gate sees its own and the shared ones."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        count = layout.num_tasks * OWN + SHARED
        self.experts = make_experts(count, self.embedding.width, settings.width, generator)
        self.gate = Gate(self.embedding.width, count, task_experts(layout.num_tasks), generator)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.gate(x, self.finish(self.experts(x)))
        return out
