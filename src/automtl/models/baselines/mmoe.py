"""Multi-gate mixture-of-experts (Ma et al., KDD 2018, eq. 5-7)."""

from __future__ import annotations

import torch
from torch import Tensor

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import Gate


class MMoE(Baseline):
    """Eight experts that all tasks share, a gate for each task."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        count = 8
        self.experts = make_experts(count, self.embedding.width, settings.width, generator)
        self.gate = Gate(self.embedding.width, count, [range(count)] * layout.num_tasks, generator)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.gate(x, self.finish(self.experts(x)))
        return out
