"""Adaptive task-to-task fusion network, AdaTT-sp (Li et al., KDD 2023, eq. 1-5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.layout import Layout
from automtl.models.baselines.base import HIDDEN, Baseline, Finish, GroupedExperts
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import StackedGate

EACH = 4  # native experts of a task at each level


class Fusion(nn.Module):
    """One level: native experts of each task, their linear combination, and a gate over the experts of all tasks.

    x: (T, B, I), or (B, I) for all tasks -> (T, B, H): the gated sum of all experts, plus the sum of the native ones by
    learned weights. `finish` is for the outputs of the experts.
    """

    def __init__(self, num_tasks: int, in_dim: int, width: int, finish: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.finish = finish
        count = num_tasks * EACH
        self.experts = GroupedExperts(num_tasks, EACH, in_dim, (width,), generator)
        self.gate = StackedGate(in_dim, count, [range(count)] * num_tasks, generator)
        self.native = nn.Parameter(torch.full((num_tasks, 1, EACH), 1 / EACH))

    def forward(self, x: Tensor) -> Tensor:
        experts: Tensor = self.finish(self.experts(x))  # (T EACH, B, H)
        own = experts.unflatten(0, (-1, EACH)).flatten(2)  # (T, EACH, B H)
        linear: Tensor = (self.native @ own).view(len(own), *experts.shape[1:])
        fused: Tensor = self.gate(x, experts)
        return linear + fused


class AdaTT(Baseline):
    """Two levels of task units without shared ones (sp); the weights of native experts start equal."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        tasks = layout.num_tasks
        normalize = Finish(HIDDEN, settings).normalize
        self.first = Fusion(tasks, self.embedding.width, HIDDEN, normalize, generator)
        self.second = Fusion(tasks, HIDDEN, settings.width, self.finish, generator)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x))
        return out
