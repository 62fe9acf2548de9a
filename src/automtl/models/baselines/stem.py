"""Shared and task-specific embeddings, STEM-Net (Su et al., AAAI 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.baselines.base import HIDDEN, Finish, GroupedExperts, group_experts
from automtl.models.baselines.cgc import OWN
from automtl.models.settings import NetworkSettings
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.funnel import Funnel
from automtl.nn.gate import StackedGate
from automtl.nn.tower import Towers
from automtl.tables.schema import stages


class STEM(nn.Module):
    """An embedding for each task and a shared one, with experts of their own; a task's gate sees the experts of all.

    All forward, task-specific backward: what a task takes of another task's experts has no gradient, so that a task's
    embedding and experts learn from that task alone, and the shared ones from all. The T + 1 embeddings are adjacent
    in the rows of one table. A gate reads its task's embedding. Attention over a sequence or a
    list reads all embeddings of its values.
    """

    learned: Tensor

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        tasks, size = layout.num_tasks, settings.embedding_size
        flat, count = layout.num_fields * size, (tasks + 1) * OWN
        self.embeddings = FieldEmbedding(layout, (tasks + 1) * size, generator)
        self.experts = GroupedExperts(tasks + 1, OWN, flat, (HIDDEN, settings.width), generator)
        self.gate = StackedGate(flat, count, [range(count)] * tasks, generator)
        learned = torch.zeros(tasks, 1, count)
        learned[:, :, list(group_experts(tasks, OWN))] = 1.0  # the shared ones come last
        for task in range(tasks):
            learned[task, :, list(group_experts(task, OWN))] = 1.0
        self.register_buffer("learned", learned, persistent=False)
        self.finish = Finish(settings.width, settings)
        self.funnel = Funnel(stages(layout.tasks))
        self.towers = Towers(tasks, settings.width, settings.towers, generator, settings.dropout)

    def forward(self, features: Features) -> Tensor:
        owners = len(self.learned) + 1
        apart = self.embeddings(features).unflatten(2, (owners, -1))  # (B, F, T + 1, D)
        x = apart.permute(2, 0, 1, 3).flatten(2)  # (T + 1, B, F D)
        experts = self.finish(self.experts(x))  # (E, B, H)
        shares = self.gate.shares(x[:-1])  # (T, B, E)
        gathered = _mixed(shares * self.learned, experts) + _mixed(shares * (1 - self.learned), experts.detach())
        logits: Tensor = self.funnel(self.towers(gathered))
        return logits


def _mixed(shares: Tensor, experts: Tensor) -> Tensor:
    return torch.einsum("tbe,ebh->tbh", shares, experts)
