"""An ensemble of perceptrons in one network, after TabM (Gorishniy et al., ICLR 2025, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.baselines.base import HIDDEN, Finish
from automtl.models.settings import NetworkSettings
from automtl.nn.batch_ensemble import BatchEnsembleLinear
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.funnel import Funnel
from automtl.nn.tower import Towers
from automtl.tables.schema import stages

MEMBERS = 8


class TabM(nn.Module):
    """Eight members share the embedding and, by BatchEnsemble, a bottom of two layers; each has its own towers.

    A training step descends the mean of the members' losses; scores are the mean of their logits. Departures: the paper
    has 32 members, one task, linear heads, and takes the mean of probabilities.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.first = BatchEnsembleLinear(MEMBERS, self.embedding.width, HIDDEN, generator, signs=True)
        self.second = BatchEnsembleLinear(MEMBERS, HIDDEN, settings.width, generator, signs=False)
        self.finish = Finish(settings.width, settings)
        self.num_tasks = layout.num_tasks
        towers = MEMBERS * layout.num_tasks
        self.towers = Towers(towers, settings.width, settings.towers, generator, settings.dropout)
        self.funnel = Funnel(stages(layout.tasks))

    def member_logits(self, features: Features) -> Tensor:
        """Return the logits (K, B, T) of all members."""
        x = self.embedding(features, for_products=True).flatten(1)  # (B, F D)
        hidden = self.finish(self.second(self.first(x, activate=True), activate=True))  # (K, B, H)
        logits = self.towers(hidden.repeat_interleave(self.num_tasks, dim=0))  # (B, K T)
        members = logits.unflatten(1, (MEMBERS, self.num_tasks))
        chained: Tensor = self.funnel(members.flatten(0, 1))
        return chained.view_as(members).transpose(0, 1)

    def forward(self, features: Features) -> Tensor:
        return self.member_logits(features).mean(dim=0)
