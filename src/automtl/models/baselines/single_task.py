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
from automtl.training.hooks import Part


class SingleTask(nn.Module):
    """A Shared-Bottom model for each task, embedding included; a funnel chains their logits.

    They are trained side by side and each is stopped by its own task; the stages of a funnel, which learn through each
    other, stop together.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        alone = (replace(layout, tasks=(task,)) for task in layout.tasks)
        self.models = nn.ModuleList(SharedBottom(one, settings, generator) for one in alone)
        self.funnel = Funnel(stages(layout.tasks))

    def independent_parts(self) -> list[Part]:
        stages = self.funnel.places
        alone = [place for place in range(len(self.models)) if place not in stages]
        groups = [*([place] for place in alone), *([stages] if stages else [])]
        return [Part(nn.ModuleList(self.models[place] for place in group), tuple(group)) for group in groups]

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.funnel(torch.cat([model(features) for model in self.models], dim=1))
        return logits
