"""Adaptive information transfer multi-task (Xi et al., KDD 2021, eq. 1-9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.batch import SLICE_ROWS, Batch, iterate
from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.stacked import StackedLinear
from automtl.tables.schema import TaskKind

CALIBRATOR = 0.6  # weight of the calibrator's loss


class Transfer(nn.Module):
    """Attends to what a task gets from the task before and to its own vector (eq. 3-6): twice (B, H) -> (B, H)."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.passed = StackedLinear(1, width, width, generator)
        self.heads = StackedLinear(3, width, width, generator)  # value, key and query, alike for both inputs

    def forward(self, before: Tensor, own: Tensor) -> Tensor:
        both = torch.cat([self.passed(before).relu()[0], own])  # (2 B, H)
        value, key, query = self.heads(both).unflatten(1, (2, -1)).unbind(0)  # (2, B, H) each
        score = torch.linalg.vecdot(key, query) * own.shape[1] ** -0.5  # (2, B)
        mixed: Tensor = (score.softmax(dim=0).unsqueeze(2) * value).sum(dim=0)
        return mixed


class AITM(Baseline):
    """A bottom for each task; information passes along the tasks in their order, so that they must be a chain.

    The calibrator adds the mean of max(p_k - p_(k-1), 0) to the loss of task k (eq. 8-9, weight 0.6 as published) where
    the training rows bear it out: where each positive label of k is on a row that is positive for k - 1, too. It is
    left out for other tasks, which would be pressed below one that they have nothing to do with.
    """

    implied: Tensor

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        tasks, width = layout.num_tasks, settings.width
        self.bottoms = make_experts(tasks, self.embedding.width, width, generator)
        self.transfers = nn.ModuleList(Transfer(width, generator) for _ in range(tasks - 1))
        self.binary = torch.tensor([task.kind is TaskKind.BINARY for task in layout.tasks])  # read before any step
        self.register_buffer("implied", torch.zeros(tasks - 1), persistent=False)  # 1: calibrated by the task before

    def look(self, train: Batch) -> None:
        """Find the tasks whose labels imply that of the task before."""
        positives = exceptions = torch.zeros(len(self.implied))
        for part in iterate(train, SLICE_ROWS):
            both = part.mask[:, 1:] * part.mask[:, :-1] * (part.labels[:, 1:] > 0)
            positives = positives + both.sum(0)
            exceptions = exceptions + (both * (part.labels[:, :-1] <= 0)).sum(0)
        chained = self.binary[1:] & self.binary[:-1] & (positives > 0) & (exceptions == 0)
        self.implied.copy_(chained)

    def penalty(self, logits: Tensor) -> Tensor:
        """Return the calibrator of each task, (T,), from logits (B, T)."""
        rise = logits.sigmoid().diff(dim=1).relu().mean(dim=0) * self.implied
        return CALIBRATOR * nn.functional.pad(rise, (1, 0))

    def gather(self, x: Tensor) -> Tensor:
        first, *others = self.finish(self.bottoms(x))  # (B, H) a task
        gathered = [first]
        for transfer, own in zip(self.transfers, others, strict=True):
            gathered.append(transfer(gathered[-1], own))
        return torch.stack(gathered)
