"""What all published models share. T tasks, E experts, H width."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from automtl.data.batch import Features
from automtl.data.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.nn.dropout import Dropout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.stacked import StackedPerceptron
from automtl.nn.tower import Towers

HIDDEN = 128  # of an expert, before its output of the settings' width


class Baseline(nn.Module, ABC):
    """Features to logits (B, T): the fields are embedded and flattened, `gather` makes each task's input."""

    embedding: FieldEmbedding

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.dropout = Dropout(settings.dropout)
        self.towers = Towers(layout.num_tasks, settings.width, settings.towers, generator, settings.dropout)

    @abstractmethod
    def gather(self, x: Tensor) -> Tensor:
        """(B, F D) -> (T, B, H)."""

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.towers(self.dropout(self.gather(self.embedding(features).flatten(1))))
        return logits


class Experts(nn.Module):
    """E two-layer perceptrons on one input: (B, I) -> (E, B, H), or on one input each: (E, B, I)."""

    def __init__(self, count: int, in_dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = StackedPerceptron(count, in_dim, (HIDDEN, width), generator, activate_last=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
