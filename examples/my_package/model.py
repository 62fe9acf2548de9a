"""A model beside the searched one: `--model my_package.model:TwoBottoms`. B rows, T tasks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.stacked import StackedLinear, StackedPerceptron


class TwoBottoms(nn.Module):
    """A wide and a narrow bottom that all tasks share, and a linear head for each task: features -> logits (B, T)."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        width, sizes = self.embedding.width, (2 * settings.width, settings.width)
        self.wide = StackedPerceptron(1, width, sizes, generator, activate_last=True)
        self.narrow = StackedLinear(1, width, settings.width, generator)
        self.heads = StackedLinear(1, 2 * settings.width, layout.num_tasks, generator)

    def forward(self, features: Features) -> Tensor:
        x = self.embedding(features).flatten(1).unsqueeze(0)  # (1, B, F D)
        hidden = torch.cat([self.wide(x), self.narrow(x).tanh()], dim=2)  # (1, B, 2 H)
        logits: Tensor = self.heads(hidden)[0]
        return logits
