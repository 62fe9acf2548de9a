"""The network of any search space: wide, it is the supernet's body; narrowed, the derived model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.block import Grid, PlacedMixture, Share
from automtl.models.settings import NetworkSettings
from automtl.nn.dropout import Dropout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.funnel import Funnel
from automtl.nn.gate import Gate
from automtl.nn.shape import BlockShape
from automtl.nn.tower import Towers
from automtl.space.space import SearchSpace
from automtl.tables.schema import stages
from automtl.training.fit import SelfTrained

NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "layer": lambda width: nn.LayerNorm(width, elementwise_affine=False),
}


@dataclass(frozen=True)
class Mixing:
    """Weights of candidates, a Share for each choice, and (T, E) of experts (None: gates decide).

    `auxiliary_skip`: that of a skip connection beside every expert layer (Chu et al., DARTS-, eq. 3);
    `interaction_skip`: beside interactions.
    """

    choices: tuple[Share, ...]
    experts: Tensor | None
    auxiliary_skip: float = 0.0
    interaction_skip: float = 0.0


class Network(nn.Module):
    """Embedding, interaction, experts (pooling and layers), gates or expert weights, towers -> logits (B, T)."""

    def __init__(
        self,
        space: SearchSpace,
        layout: Layout,
        settings: NetworkSettings,
        *,
        gated: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.shape = shape = BlockShape(layout.num_fields, settings.embedding_size, settings.width)
        self.interaction = Grid(space.interaction, shape, generator)
        self.own = None if space.own is None else Grid(space.own, shape, generator)
        self.pooling = Grid(space.pooling, shape, generator)
        self.layers = nn.ModuleList(Grid(choice, shape, generator) for choice in space.layers)
        self.gate = Gate(self.embedding.width, space.num_experts, space.selection, generator) if gated else None
        self.normalize = NORMALIZATIONS[settings.normalization](settings.width)
        self.dropout = Dropout(settings.dropout)
        self.funnel = Funnel(stages(layout.tasks))
        self.towers = Towers(space.num_tasks, settings.width, settings.towers, generator, settings.dropout)

    def forward(self, features: Features, mixing: Mixing | None = None) -> Tensor:
        shares: Iterator[Share | None] = iter(mixing.choices) if mixing else repeat(None)
        skip, early = (mixing.auxiliary_skip, mixing.interaction_skip) if mixing else (0.0, 0.0)
        fields = self.embedding(features)
        refined = _beside(fields, self.interaction(fields, next(shares), stacked=False), early)  # (B, F, D)
        fields = refined
        if self.own is not None:
            fields = _beside(refined, self.own(refined, next(shares), stacked=False), early)  # (E, B, F, D)
        hidden = self.normalize(self.pooling(fields, next(shares), stacked=self.own is not None))  # (E, B, H)
        for layer, share in zip(self.layers, shares, strict=False):
            hidden = _beside(hidden, layer(hidden, share, stacked=True), skip)
        hidden = self.dropout(self.normalize(hidden))
        if mixing is not None and mixing.experts is not None:
            gathered = torch.einsum("te,ebh->tbh", mixing.experts, hidden)
        else:
            assert self.gate is not None
            gathered = self.gate(refined.flatten(1), hidden)  # (T, B, H)
        logits: Tensor = self.funnel(self.towers(gathered))
        return logits

    @property
    def grids(self) -> list[Grid]:
        """The grid of each choice, in the order of `SearchSpace.choices`."""
        own = () if self.own is None else (self.own,)
        found = [self.interaction, *own, self.pooling, *self.layers]
        return [grid for grid in found if isinstance(grid, Grid)]

    def placed(self) -> list[PlacedMixture]:
        """All mixtures with their places."""
        return [place for index, grid in enumerate(self.grids) for place in grid.placed(index)]


def _beside(x: Tensor, out: Tensor, skip: float) -> Tensor:
    """A block's output, and its input by the weight of the auxiliary skip connection."""
    return torch.add(out, x, alpha=skip) if skip else out


def build(space: SearchSpace, layout: Layout, settings: NetworkSettings, seed: int) -> Network:
    """The derived model of a narrowed space, with gates, initialised by `seed`."""
    return Network(space, layout, settings, gated=True, generator=torch.Generator().manual_seed(seed))


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    own = sum(module.num_parameters for module in model.modules() if isinstance(module, SelfTrained))
    return own + sum(parameter.numel() for parameter in model.parameters())
