"""A network of a wide space and its architecture logits (paper, 3.4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.block import Share
from automtl.models.inherit import copy_network
from automtl.models.network import Mixing, Network
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import closed_experts
from automtl.nn.stacked import StackedLinear
from automtl.space.architecture import Architecture
from automtl.space.space import SearchSpace

NOISE = 1e-3  # of new logits, so that equal ones may part


class Logits(nn.Module):
    """alpha: one (cells, K) tensor a choice (one cell if homogeneous)."""

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        super().__init__()
        self.alpha = nn.ParameterList(
            nn.Parameter(torch.empty(_rows(space, index), len(choice.options)).normal_(0, NOISE, generator=generator))
            for index, choice in enumerate(space.choices)
        )

    def weights(self, index: int, active: tuple[int, ...] | None = None) -> Tensor:
        """(cells, len(active)) softmax over the candidates `active` of a choice (None: all)."""
        alpha = self.alpha[index]
        return torch.softmax(alpha if active is None else alpha[:, list(active)], dim=1)


def _rows(space: SearchSpace, index: int) -> int:
    return 1 if space.homogeneous else len(space.choices[index].cells)


class Selection(nn.Module):
    """beta: (T, E), minus infinity (by `closed`) where a task may not use an expert."""

    closed: Tensor

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        super().__init__()
        shape = (space.num_tasks, space.num_experts)
        self.beta = nn.Parameter(torch.empty(*shape).normal_(0, NOISE, generator=generator))
        self.register_buffer("closed", closed_experts(space.num_experts, space.selection), persistent=False)

    def weights(self) -> Tensor:
        """(T, E) softmax over each task's experts."""
        return self.beta.masked_fill(self.closed, float("-inf")).softmax(dim=1)


class Cost(nn.Module):
    """Multiply-adds for one row: of what the choices decide (expected, under their weights), and of the rest."""

    def __init__(self, space: SearchSpace, network: Network) -> None:
        super().__init__()
        for index, choice in enumerate(space.choices):
            costs = [[float(option.multiply_adds(network.shape)) for option in cell] for cell in choice.cells]
            self.register_buffer(f"choice_{index}", torch.tensor(costs), persistent=False)  # (cells, K)
        shape = network.shape
        gates = space.num_tasks * space.num_experts * (shape.fields * shape.dim + shape.width)
        towers = [m.weight.numel() for m in network.towers.modules() if isinstance(m, StackedLinear)]
        self.fixed = float(gates + sum(towers))

    def forward(self, mixing: Mixing) -> Tensor:
        """The expected multiply-adds."""
        decided = [
            (getattr(self, f"choice_{i}")[:, share.options] * share.weights).sum()
            for i, share in enumerate(mixing.choices)
        ]
        return self.fixed + torch.stack(decided).sum()


class Supernet(nn.Module):
    """`network` holds the weights, `logits` alpha, `selection` beta: three modules, three optimizers.

    `auxiliary_skip`: the present weight of the skip connections beside blocks, of searches that have them, and
    `interaction_skip`: that beside interactions.
    """

    auxiliary_skip = 0.0
    interaction_skip = 0.0

    def __init__(
        self, space: SearchSpace, layout: Layout, settings: NetworkSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.space = space
        self.network = Network(space, layout, settings, gated=space.gated, generator=generator)
        self.logits = Logits(space, generator)
        self.selection = Selection(space, generator)
        self.cost = Cost(space, self.network)

    def mixing(self, active: Sequence[tuple[int, ...]] | None = None) -> Mixing:
        """Softmax of the logits: the relaxation, over all candidates or over some `active` ones of each choice."""
        shares = []
        for index, choice in enumerate(self.space.choices):
            some = None if active is None else active[index]
            shares.append(Share(self.logits.weights(index, some).expand(len(choice.cells), -1), some))
        experts = None if self.space.gated else self.selection.weights()
        return Mixing(tuple(shares), experts, self.auxiliary_skip, self.interaction_skip)

    def forward(self, features: Features, active: Sequence[tuple[int, ...]] | None = None) -> Tensor:
        logits: Tensor = self.network(features, self.mixing(active))
        return logits

    @torch.no_grad()
    def keep(self, kept: Sequence[Sequence[int]]) -> None:
        """Become the supernet of the space that keeps these options of each choice.

        Weights of what is kept are the same parameters as before; logits are new ones with the old values.
        """
        self.space = self.space.restrict(kept)
        for grid, places in zip(self.network.grids, kept, strict=True):
            grid.keep(places)
        for index, places in enumerate(kept):
            self.logits.alpha[index] = nn.Parameter(self.logits.alpha[index][:, list(places)].clone())
        self.cost = Cost(self.space, self.network)
        self.to(self.selection.beta.device)

    @torch.no_grad()
    def derive(self) -> Architecture:
        """The strongest candidate of each cell, the K strongest experts of each task; idle experts are gone."""
        picks = [
            [cell[best] for cell, best in zip(choice.cells, share.weights.argmax(dim=1).tolist(), strict=True)]
            for choice, share in zip(self.space.choices, self.mixing().choices, strict=True)
        ]
        return self.space.assemble(picks, self.selected())

    @torch.no_grad()
    def selected(self) -> tuple[tuple[int, ...], ...]:
        """For each task its K strongest experts."""
        if self.space.gated:
            return self.space.selection
        keep = min(self.space.keep, min(len(allowed) for allowed in self.space.selection))
        strongest = self.selection.weights().topk(keep, dim=1).indices.tolist()
        return tuple(tuple(sorted(chosen)) for chosen in strongest)

    def lend(self, network: Network) -> None:
        """Give a network derived from this supernet its parameters; gates are new and stay as they are."""
        copy_network(self.network, network, sorted({expert for chosen in self.selected() for expert in chosen}))


class Part(nn.Module):
    """A supernet that runs some candidates of each choice alone."""

    def __init__(self, supernet: Supernet, active: Sequence[tuple[int, ...]] | None) -> None:
        super().__init__()
        self.supernet, self.active = supernet, active

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.supernet(features, self.active)
        return logits.float()
