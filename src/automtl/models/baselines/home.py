"""Hierarchy of multi-gate experts (Wang et al., KDD 2025)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.features.layout import Layout
from automtl.models.baselines.base import HIDDEN, Baseline, GroupedExperts, group_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import Gate, StackedGate
from automtl.nn.normalization import StackedBatchNorm
from automtl.nn.stacked import StackedLinear, chosen
from automtl.tables.schema import Task

EACH = 4  # experts of an owner
RANK = 16  # of the feature gates


def task_groups(tasks: Sequence[Task]) -> list[int]:
    """Group the tasks: binary ones and regressions if there are both, else the first and the second half.

    The paper groups by knowledge of the tasks (interactions, watching time): give related tasks next to each other.
    """
    kinds = [task.kind for task in tasks]
    if len(set(kinds)) > 1:
        return [int(kind is not kinds[0]) for kind in kinds]
    return [int(2 * place >= len(tasks) + len(tasks) % 2) for place in range(len(tasks))]


class HomeExperts(nn.Module):
    """Runs the experts of G owners on x (G, B, I), or (B, I) for all owners -> (G EACH, B, H).

    An owner weighs inputs by a low-rank feature gate, 2 sigmoid(x B A); an expert is Swish(BatchNorm(MLP(x))).
    """

    def __init__(self, owners: int, in_dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.reduce = StackedLinear(owners, in_dim, RANK, generator)
        self.expand = StackedLinear(owners, RANK, in_dim, generator)
        self.experts = GroupedExperts(owners, EACH, in_dim, (HIDDEN, width), generator, activate_last=False)
        self.normalize = StackedBatchNorm(owners * EACH, width)

    def forward(self, x: Tensor) -> Tensor:
        weighed = x * (2 * torch.sigmoid(self.expand(self.reduce(x))))  # (G, B, I)
        return nn.functional.silu(self.normalize(self.experts(weighed)))


class HoME(Baseline):
    """Two levels with masks: first of groups of tasks and one shared owner, then of tasks, groups and one shared owner.

    A target's gate sees its own experts and those above it in the hierarchy (the shared one at the first level sees
    all); its self gate, a second softmax over its own experts alone, is added, so that own experts always learn.
    Departures: a feature gate for each owner, not for each expert; an owner of the second level reads its group's
    output of the first level, of which the shared experts are a part already.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        owner = task_groups(layout.tasks)
        tasks, groups, width, flat = layout.num_tasks, max(owner) + 1, settings.width, self.embedding.width
        own = [group_experts(group, EACH) for group in range(groups + 1)]  # the shared one last
        seen = [[*own[group], *own[-1]] for group in range(groups)] + [range((groups + 1) * EACH)]
        self.first = HomeExperts(groups + 1, flat, width, generator)
        self.first_gate = Gate(flat, (groups + 1) * EACH, [*seen, *own], generator)
        owners = tasks + groups + 1
        own = [group_experts(place, EACH) for place in range(owners)]  # tasks, groups, the shared one
        seen = [[*own[task], *own[tasks + group], *own[-1]] for task, group in enumerate(owner)]
        self.inputs = [*owner, *range(groups + 1)]  # which output of the first level each owner reads
        self.gate_inputs = [*owner, *owner]
        self.second = HomeExperts(owners, width, width, generator)
        self.gate = StackedGate(width, owners * EACH, [*seen, *own[:tasks]], generator)

    def gather(self, x: Tensor) -> Tensor:
        level = _with_self(self.first_gate(x, self.finish.normalize(self.first(x))))  # (G + 1, B, H)
        experts = self.finish(self.second(chosen(level, self.inputs)))
        return _with_self(self.gate(chosen(level, self.gate_inputs), experts))


def _with_self(mixed: Tensor) -> Tensor:
    """Add the outputs of self gates, the second half, to those of gates: (2 T, B, H) -> (T, B, H)."""
    gated, own = mixed.chunk(2)
    return gated + own
