"""Deep and cross network, DCN V2 (Wang et al., WWW 2021, eq. 1 and 7), with a tower for each task."""

from __future__ import annotations

import torch
from torch import Tensor

from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.interaction import CrossMixture
from automtl.nn.shape import BlockShape

LAYERS = 3  # of the cross network


class DeepCross(Baseline):
    """Stacked: crosses of the flattened fields, x_(l+1) = x_0 * (U V x_l + b) + x_l, then one bottom for all tasks.

    Departure: the paper has one task.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        shape = BlockShape(layout.num_fields, settings.embedding_size, settings.width)
        self.cross = CrossMixture([LAYERS], shape, generator)
        self.bottom = make_experts(1, self.embedding.width, settings.width, generator)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.finish(self.bottom(self.cross.single(x, 0)))  # (1, B, H)
        return out.squeeze(0)
