"""Shared-Bottom (Caruana, ICML 1993)."""

from __future__ import annotations

import torch
from torch import Tensor

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings


class SharedBottom(Baseline):
    """One bottom network, a tower for each task."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        self.bottom = make_experts(1, self.embedding.width, settings.width, generator)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.finish(self.bottom(x))  # (1, B, H)
        return out.squeeze(0)
