"""One network a task, nothing shared."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.baselines.shared_bottom import SharedBottom
from automtl.models.settings import NetworkSettings
from automtl.nn.funnel import Funnel
from automtl.tables.schema import stages


class SingleTask(nn.Module):
    """A Shared-Bottom model for each task, embedding included, trained together; a funnel chains their logits."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        alone = (replace(layout, tasks=(task,)) for task in layout.tasks)
        self.models = nn.ModuleList(SharedBottom(one, settings, generator) for one in alone)
        self.funnel = Funnel(stages(layout.tasks))

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.funnel(torch.cat([model(features) for model in self.models], dim=1))
        return logits
