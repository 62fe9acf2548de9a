"""Progressive layered extraction (Tang et al., RecSys 2020, eq. 4-6)."""

from __future__ import annotations

import torch
from torch import Tensor

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.baselines.cgc import OWN, SHARED, task_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import Gate, StackedGate
from automtl.nn.stacked import chosen


class PLE(Baseline):
    """Two levels: the first has a gate for each task and one for the shared experts, over all experts."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        tasks = layout.num_tasks
        count, width, flat = tasks * OWN + SHARED, settings.width, self.embedding.width
        allowed = task_experts(tasks)
        self.first = make_experts(count, flat, width, generator)
        self.first_gate = Gate(flat, count, [*allowed, range(count)], generator)
        self.second = make_experts(count, width, width, generator)
        self.owner = [task for task in range(tasks) for _ in range(OWN)] + [tasks] * SHARED
        self.gate = StackedGate(width, count, allowed, generator)

    def gather(self, x: Tensor) -> Tensor:
        level = self.first_gate(x, self.finish.normalize(self.first(x)))  # (T + 1, B, H), the shared one last
        experts = self.finish(self.second(chosen(level, self.owner)))  # (E, B, H)
        out: Tensor = self.gate(level[:-1], experts)
        return out
