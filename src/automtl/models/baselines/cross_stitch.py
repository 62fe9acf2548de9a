"""Cross-stitch networks (Misra et al., CVPR 2016, eq. 1)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from automtl.features.layout import Layout
from automtl.models.baselines.base import HIDDEN, Baseline
from automtl.models.settings import NetworkSettings
from automtl.nn.stacked import StackedLinear, layer

OWN = 0.9  # of a task's own units at the start; the rest comes from the others in equal parts (paper, 5.1)


class CrossStitch(Baseline):
    """A bottom for each task; after each layer a unit (T, T) mixes the tasks' hidden vectors linearly.

    Departures: the embedding is shared; one unit a layer (the paper has one a channel), at the same learning rate.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        tasks = layout.num_tasks
        dims = (self.embedding.width, HIDDEN, settings.width)
        self.layers = nn.ModuleList(StackedLinear(tasks, a, b, generator) for a, b in pairwise(dims))
        others = (1 - OWN) / max(tasks - 1, 1)
        unit = torch.full((tasks, tasks), others).fill_diagonal_(OWN if tasks > 1 else 1.0)
        self.units = nn.Parameter(unit.repeat(len(self.layers), 1, 1))  # (layers, T to, T from)

    def gather(self, x: Tensor) -> Tensor:
        for linear, unit in zip(self.layers, self.units, strict=True):
            assert isinstance(linear, StackedLinear)
            hidden = layer(x, linear.weight, linear.bias, activate=True)  # (T, B, H)
            x = (unit @ hidden.flatten(1)).view_as(hidden)
        out: Tensor = self.finish(x)
        return out
