"""An ensemble of networks and boosted trees, weighted task by task. N rows, T tasks, M members.

Trees cut single columns at any value; networks learn ids and what tasks have in common. An average of their logits is
often better than either (stacking, Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.tables.schema import Task, stages


@dataclass(frozen=True)
class Member:
    """A model of an ensemble. Its inputs, those of `layout`, are the first numeric columns and lists of all."""

    name: str
    model: nn.Module
    layout: Layout


class Ensemble(nn.Module):
    """Sums members' logits by their `weights`, (M, T), which sum to one for each task: features -> logits (B, T).

    Stages of a funnel, which trees learn one by one, are kept from being more probable than the stage before.
    """

    weights: Tensor

    def __init__(self, members: Sequence[Member], tasks: Sequence[Task]) -> None:
        super().__init__()
        self.names = tuple(member.name for member in members)
        self.inputs = tuple((member.layout.num_numeric, len(member.layout.lists)) for member in members)
        self.members, self.stages = nn.ModuleList(member.model for member in members), stages(tasks)
        self.register_buffer("weights", torch.zeros(len(members), len(tasks)))

    def forward(self, features: Features) -> Tensor:
        return self.mixed(features, self.members)

    def mixed(self, features: Features, members: Iterable[Callable[[Features], Tensor]]) -> Tensor:
        """Weigh the logits that members, or what stands for them, give."""
        parts = zip(members, self.inputs, self.weights, strict=True)
        mixed = torch.stack([member(features.first(*inputs)) * weight for member, inputs, weight in parts]).sum(0)
        return in_order(mixed, self.stages)


def in_order(logits: Tensor, places: Sequence[int]) -> Tensor:
    """Keep stages of a funnel, the logits (B, T) at these places, from being more probable than the one before."""
    if places:
        logits[:, places] = logits[:, places].cummin(dim=1).values
    return logits


def trees_of(model: nn.Module) -> list[BoostedTrees]:
    """Return the boosted trees in a model."""
    return [module for module in model.modules() if isinstance(module, BoostedTrees)]
